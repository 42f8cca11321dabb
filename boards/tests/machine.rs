//! Detection on folders that look like the root of a board's file system.

use std::fs;
use std::path::{Path, PathBuf};

use ossicle_boards::catalog;
use ossicle_boards::fit::{self, Fit};
use ossicle_boards::machine::Machine;

/// A folder that goes away.
struct Root(PathBuf);

impl Root {
    fn new(name: &str, files: &[(&str, &str)]) -> Self {
        let root = Self(std::env::temp_dir().join(format!("ossicle-root-{name}-{}", std::process::id())));
        for (path, text) in files {
            let path = root.0.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        fs::create_dir_all(&root.0).unwrap();
        root
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

/// `/proc/cpuinfo` of four ARM cores.
fn cpuinfo(implementer: u32, part: u32, features: &str) -> String {
    let core = |n: usize| {
        format!(
            "processor\t: {n}\nBogoMIPS\t: 108.00\nFeatures\t: {features}\nCPU implementer\t: {implementer:#04x}\nCPU architecture: 8\nCPU part\t: {part:#05x}\n\n"
        )
    };
    (0..4).map(core).collect()
}

fn best(machine: &Machine, arch: &str) -> (String, Fit) {
    let boards = catalog::all().unwrap();
    let (name, _, fit) = fit::best(machine, Some(arch), &boards).unwrap();
    (name.to_owned(), fit)
}

#[test]
fn a_raspberry_pi_4_with_a_microphone_board() {
    let root = Root::new(
        "pi4",
        &[
            ("proc/device-tree/model", "Raspberry Pi 4 Model B Rev 1.4\0"),
            ("proc/cpuinfo", &cpuinfo(0x41, 0xd08, "fp asimd evtstrm crc32 cpuid")),
            ("proc/meminfo", "MemTotal:        3884360 kB\nMemFree:          100 kB\n"),
            ("proc/self/cgroup", "0::/system.slice/ossicle.service\n"),
            ("sys/fs/cgroup/system.slice/memory.max", "max\n"),
            ("sys/fs/cgroup/system.slice/ossicle.service/memory.max", "536870912\n"),
            (
                "proc/asound/cards",
                " 0 [vc4hdmi        ]: vc4-hdmi - vc4-hdmi\n                      vc4-hdmi\n 1 [seeed2micvoicec]: simple-card - seeed-2mic-voicecard\n                      seeed-2mic-voicecard\n",
            ),
            (
                "proc/asound/pcm",
                "00-00: MAI PCM i2s-hifi-0 : MAI PCM i2s-hifi-0 : playback 1\n01-00: bcm2835-i2s-wm8960-hifi : bcm2835-i2s-wm8960-hifi : playback 1 : capture 1\n",
            ),
            ("dev/gpiochip1", ""),
            ("dev/gpiochip0", ""),
            ("dev/null", ""),
        ],
    );
    let machine = Machine::look(&root.0);
    assert_eq!(machine.model.as_deref(), Some("Raspberry Pi 4 Model B Rev 1.4"));
    assert_eq!((machine.cores, machine.cpu.as_str()), (4, "implementer 0x41, part 0xd08"));
    assert_eq!(machine.features, ["fp", "asimd", "evtstrm", "crc32", "cpuid"]);
    assert_eq!((machine.memory_bytes, machine.cgroup_bytes), (Some(3_884_360 << 10), Some(512 << 20)));
    assert_eq!(machine.gpio_chips, ["/dev/gpiochip0", "/dev/gpiochip1"]);
    let [card] = &machine.microphones[..] else { panic!("{machine:?}") };
    assert_eq!((card.id.as_str(), card.name.as_str()), ("seeed2micvoicec", "seeed-2mic-voicecard"));
    assert_eq!(card.device, "plughw:CARD=seeed2micvoicec,DEV=0");
    assert_eq!(card.device, catalog::hat("respeaker-2mic").unwrap().device);
    assert_eq!(best(&machine, "aarch64"), ("pi4".into(), Fit::Model));
}

#[test]
fn each_board_s_own_model_finds_it() {
    for (name, profile) in catalog::all().unwrap() {
        for model in &profile.models {
            let machine = Machine { model: Some(format!("{model} Developer Kit")), ..Machine::default() };
            assert_eq!(best(&machine, &profile.arch), (name.clone(), Fit::Model), "{model}");
        }
    }
}

#[test]
fn without_a_known_model_core_and_memory_decide() {
    let root = Root::new("a53", &[("proc/cpuinfo", &cpuinfo(0x41, 0xd03, "fp asimd")), ("proc/meminfo", "MemTotal: 474356 kB\n")]);
    assert_eq!(best(&Machine::look(&root.0), "aarch64"), ("pi-zero-2w".into(), Fit::Core));
    let root = Root::new("a53-1g", &[("proc/cpuinfo", &cpuinfo(0x41, 0xd03, "fp asimd")), ("proc/meminfo", "MemTotal: 943320 kB\n")]);
    assert_eq!(best(&Machine::look(&root.0), "aarch64"), ("pi3b-plus".into(), Fit::Core));
    let root = Root::new("apple", &[("proc/cpuinfo", &cpuinfo(0x61, 0x022, "fp asimd asimddp"))]);
    assert_eq!(best(&Machine::look(&root.0), "aarch64").1, Fit::Architecture);
    // Without an architecture, nothing else is left to go by.
    let boards = catalog::all().unwrap();
    assert!(fit::best(&Machine::look(&root.0), None, &boards).is_none());
}

#[test]
fn limits_of_the_first_control_groups() {
    let root = Root::new(
        "cgroup1",
        &[
            ("proc/self/cgroup", "3:cpu,cpuacct:/\n2:memory:/docker/abc\n"),
            ("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n"),
            ("sys/fs/cgroup/memory/docker/abc/memory.limit_in_bytes", "268435456\n"),
        ],
    );
    assert_eq!(Machine::look(&root.0).cgroup_bytes, Some(256 << 20));
}

#[test]
fn an_empty_or_odd_root_is_no_error() {
    assert_eq!(Machine::look(Path::new("/no/such/folder")), Machine::default());
    let files = [
        ("proc/cpuinfo", "processor\nCPU part : 0xzz\n:::\n"),
        ("proc/meminfo", "MemTotal: many kB\n"),
        ("proc/self/cgroup", "nonsense\n0::\n"),
        ("proc/asound/cards", "--- no soundcards ---\n [x]: y\n 7 [a: b\n"),
        ("proc/asound/pcm", "07: capture \n"),
    ];
    let root = Root::new("odd", &files);
    let machine = Machine::look(&root.0);
    assert_eq!((machine.memory_bytes, machine.part, machine.microphones.len()), (None, None, 0));
}
