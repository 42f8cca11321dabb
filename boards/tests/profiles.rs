//! Every profile is read, and what is wrong with one is said with file and key.

use std::path::Path;

use ossicle_boards::profile::Profile;
use ossicle_boards::{BoardError, catalog};

#[test]
fn every_profile_and_hat_is_readable() {
    let boards = catalog::all().unwrap();
    let expected = ["host", "jetson-nano", "jetson-orin-nano", "jetson-xavier-nx", "pi-zero-2w", "pi3b-plus", "pi4", "pi5"];
    assert_eq!(boards.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), expected);
    for (board, profile) in &boards {
        for hat in &profile.hats {
            assert!(catalog::hat(hat).unwrap().channels > 0, "{board}: {hat}");
        }
        // Dot products come as a feature, and only on the cores that have them.
        let dot = profile.cpu.features.iter().any(|feature| feature == "asimddp");
        assert_eq!(dot, ["cortex-a76", "cortex-a78ae"].contains(&profile.cpu.core.as_str()), "{board}");
    }
    for hat in catalog::hat_names() {
        let hat = catalog::hat(&hat).unwrap();
        assert!(hat.device.contains(&hat.card), "{hat:?}");
        assert_eq!(hat.codec.is_some(), hat.codec_i2c.is_some(), "{hat:?}");
    }
}

#[test]
fn a_profile_of_one_s_own_is_a_path() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("profiles/pi4.toml");
    assert_eq!(catalog::find(path.to_str().unwrap()).unwrap(), catalog::find("pi4").unwrap());
    let error = catalog::find("no/such.toml").unwrap_err();
    assert!(matches!(&error, BoardError::Read { .. }) && error.to_string().contains("no/such.toml"), "{error}");
    let error = catalog::find("pi9").unwrap_err().to_string();
    assert!(error.contains("pi9") && error.contains("pi-zero-2w"), "{error}");
}

#[test]
fn errors_name_file_and_key() {
    let good = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("profiles/pi4.toml")).unwrap();
    let cases = [
        ("clock_mhz = 1500", "clock_mhz = \"fast\"", "clock_mhz = \"fast\""),
        ("clock_mhz = 1500", "clock_mhz = 0", "cpu.clock_mhz is 0"),
        ("clock_mhz = 1500", "clock = 1500", "clock"),
        ("cores = 4\n", "", "cores"),
        ("[caches]", "[cashes]", "cashes"),
        ("arch = \"aarch64\"", "arch = \"arm64\"", "arch is \"arm64\""),
        ("budget_mib = 512", "budget_mib = 4096", "memory.budget_mib is 4096"),
        ("stream_gb_per_s = 5.5", "stream_gb_per_s = 55.0", "memory.stream_gb_per_s is 55"),
        ("stream_gb_per_s = 5.5", "stream_gb_per_s = nan", "memory.stream_gb_per_s is NaN"),
        ("sizes_mib = [1024, 2048, 4096, 8192]", "sizes_mib = []", "memory.sizes_mib is empty"),
        ("[memory]", "[memory", "[memory"),
    ];
    for (from, to, expected) in cases {
        let text = good.replace(from, to);
        assert_ne!(text, good, "{from}");
        let error = Profile::parse(&text, Path::new("mine.toml")).unwrap_err().to_string();
        assert!(error.contains(expected) && error.contains("mine.toml") && error.lines().count() == 1, "{to}: {error}");
    }
}
