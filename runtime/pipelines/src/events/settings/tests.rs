use super::*;

fn parse(text: &str) -> Result<Settings, String> {
    Settings::parse(text, Path::new("events.toml")).map_err(|error| error.to_string())
}

fn labels() -> Labels {
    let near = ["Growling", "Wild animals"].map(str::to_owned).to_vec();
    Labels { names: ["Speech", "Dog", "Bark"].map(str::to_owned).to_vec(), thresholds: vec![None, None, Some(0.75)], near }
}

#[test]
fn what_was_learned_with_a_threshold_keeps_it() {
    let threshold = |text: &str| {
        let classes = parse(text).unwrap().resolve(&labels(), &[]).unwrap();
        classes.into_iter().map(|class| (class.name, class.rules.threshold, class.rules.release)).collect::<Vec<_>>()
    };
    let all = threshold("[default]\nthreshold = 0.5\nrelease = 0.25\n");
    assert_eq!(all, [("Speech".into(), 0.5, 0.25), ("Dog".into(), 0.5, 0.25), ("Bark".into(), 0.75, 0.5)]);
    assert_eq!(threshold("[classes.Bark]\nthreshold = 0.5\nrelease = 0.5\n"), [("Bark".into(), 0.5, 0.5)]);
    let high = parse("[classes.Bark]\nrelease = 0.8\nthreshold = 0.9\n[classes.loud]\nlabels = [\"Bark\"]\nrelease = 0.2\n").unwrap();
    assert_eq!(high.resolve(&labels(), &[]).unwrap()[1].rules.threshold, 0.75);
    // A release above the default threshold, but not above the learned one.
    assert_eq!(threshold("[classes.Bark]\nrelease = 0.7\n"), [("Bark".into(), 0.75, 0.7)]);
    let error = parse("[classes.Dog]\nrelease = 0.7\n").unwrap().resolve(&labels(), &[]).unwrap_err();
    assert_eq!(error.to_string(), "classes.Dog.release: 0.7 is not above 0 and at most the threshold, 0.3");
    // A class with other labels too is judged as they are.
    let mix = threshold("[default]\nthreshold = 0.2\nrelease = 0.1\n[classes.mix]\nlabels = [\"Speech\", \"Bark\"]\n");
    assert_eq!(mix, [("mix".into(), 0.2, 0.1)]);
}

#[test]
fn what_is_near_or_speaks_against_it_is_a_label_of_its_own_list() {
    let class = |text: &str| {
        let settings = parse(&format!("[classes.Dog]\n{text}\n"))?;
        let classes = settings.resolve(&labels(), &[]).map_err(|error| error.to_string())?;
        Ok::<_, String>(classes.into_iter().next().unwrap())
    };
    assert_eq!(class("").map(|class| (class.near, class.unless)), Ok((None, None)));
    let wanted = || Some(Near { outputs: vec![1, 0], threshold: 0.05 });
    let both = class("near = [\"Wild animals\", \"Growling\"]\nnear_threshold = 0.05\nunless = [\"Growling\"]\nunless_threshold = 1.0");
    assert_eq!(both.map(|class| (class.near, class.unless)), Ok((wanted(), Some(Near { outputs: vec![0], threshold: 1.0 }))));
    for key in ["near", "unless"] {
        let of = |text: &str| class(&text.replace("KEY", key));
        let found = of("KEY = [\"Wild animals\", \"Growling\"]\nKEY_threshold = 0.05").unwrap();
        assert_eq!((found.near, found.unless), if key == "near" { (wanted(), None) } else { (None, wanted()) });
        for (text, expected) in [
            ("KEY = [\"Growling\"]", "events.toml: classes.Dog: KEY and KEY_threshold go together: give both or neither"),
            ("KEY_threshold = 0.5", "events.toml: classes.Dog: KEY and KEY_threshold go together: give both or neither"),
            ("KEY = []\nKEY_threshold = 0.5", "events.toml: classes.Dog.KEY: name at least one label"),
            ("KEY = [\"Growling\"]\nKEY_threshold = 0.0", "events.toml: classes.Dog.KEY_threshold: 0 is not above 0 and at most 1"),
            ("KEY = [\"Growling\"]\nKEY_threshold = nan", "events.toml: classes.Dog.KEY_threshold: NaN is not above 0 and at most 1"),
            (
                "KEY = [\"Growlin\"]\nKEY_threshold = 0.5",
                "classes.Dog.KEY: no label \"Growlin\": near_labels.txt of the model lists them; near it: \"Growling\"",
            ),
            // A label of the model is none that can be near.
            ("KEY = [\"Speech\"]\nKEY_threshold = 0.5", "classes.Dog.KEY: no label \"Speech\": near_labels.txt of the model lists them"),
        ] {
            assert_eq!(of(text).unwrap_err(), expected.replace("KEY", key));
        }
        let none = Labels { near: vec![], ..labels() };
        let settings = parse(&format!("[classes.Dog]\n{key} = [\"Growling\"]\n{key}_threshold = 0.5\n")).unwrap();
        let line = settings.resolve(&none, &[]).unwrap_err().to_string();
        assert_eq!(line, format!("classes.Dog.{key}: no label \"Growling\": near_labels.txt of the model lists them"));
    }
}

#[test]
fn what_never_ends_is_not_read() {
    let path = std::env::temp_dir().join(format!("ossicle-settings-{}.toml", std::process::id()));
    let mut text = "[classes.dog]\n".to_owned();
    text.push_str(&"#".repeat(MAX_BYTES as usize - text.len()));
    std::fs::write(&path, &text).unwrap();
    assert_eq!(Settings::read(&path).unwrap().classes.len(), 1);
    std::fs::write(&path, text + "#").unwrap();
    let line = Settings::read(&path).unwrap_err().to_string();
    std::fs::remove_file(&path).unwrap();
    assert!(line.ends_with("has more than 64 KiB: give a small TOML"), "{line}");
}

#[test]
fn what_is_not_written_comes_from_above() {
    let text = "[default]\nthreshold = 0.6\nrelease = 0.5\nmerge_seconds = 1\n[classes.dog]\nlabels = [\"Dog\", \"Bark\"]\nthreshold = 0.3\n[classes.Speech]\n";
    let classes = parse(text).unwrap().resolve(&labels(), &[]).unwrap();
    assert_eq!((classes[0].name.as_str(), classes[0].outputs.as_slice()), ("Speech", &[0][..]));
    assert_eq!((classes[0].rules.threshold, classes[0].rules.release), (0.6, 0.5));
    assert_eq!((classes[1].name.as_str(), classes[1].outputs.as_slice()), ("dog", &[1, 2][..]));
    assert_eq!((classes[1].rules.threshold, classes[1].rules.merge_seconds), (0.3, 1.0));
    assert!((classes[1].rules.release - 0.2).abs() < 1e-6);
}

#[test]
fn classes_are_chosen_by_name_or_label() {
    let settings = parse("[classes.dog]\nlabels = [\"Bark\"]\n").unwrap();
    let named = |names: &[&str]| settings.resolve(&labels(), &names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>());
    let outputs: Vec<_> = named(&["Speech", "dog"]).unwrap().into_iter().map(|class| class.outputs).collect();
    assert_eq!(outputs, [[0], [2]]);
    assert_eq!(named(&["Speech,dog"]).unwrap().len(), 2);
    assert!(named(&["Dog", "dog,Dog"]).unwrap_err().to_string().contains("class \"Dog\" twice"));
    assert!(named(&["dog,"]).unwrap_err().to_string().starts_with("no class \"\""));
    assert!(named(&["cat"]).unwrap_err().to_string().starts_with("no class \"cat\""));
    let line = named(&["dogg"]).unwrap_err().to_string();
    assert!(line.ends_with("a label of the model; near it: \"dog\", \"Dog\""), "{line}");
    assert_eq!(Settings::default().resolve(&labels(), &[]).unwrap().len(), 3);
}

#[test]
fn names_may_hold_commas() {
    let known = ["Dog", "Baby cry, infant cry", "Baby cry"];
    let split = |list| split(list, |name| known.contains(&name));
    assert_eq!(split("Dog,Baby cry, infant cry"), ["Dog", "Baby cry, infant cry"]);
    assert_eq!(split("Baby cry, infant cry, Dog"), ["Baby cry, infant cry", "Dog"]);
    assert_eq!(split("Baby cry,Dog"), ["Baby cry", "Dog"]);
    assert_eq!(split("cat, mouse,Dog"), ["cat", "mouse", "Dog"]);
}

#[test]
fn errors_name_file_and_key() {
    for (text, expected) in [
        ("[default]\nthreshold = 0\n", "events.toml: default.threshold: 0 is not above 0"),
        (
            "[classes.dog]\nthreshold = 0.2\nrelease = 0.3\n",
            "events.toml: classes.dog.release: 0.3 is not above 0 and at most the threshold, 0.2",
        ),
        ("[classes.dog]\nlabels = []\n", "events.toml: classes.dog.labels: name at least one"),
        ("[default]\nmin_seconds = -1\n", "events.toml: default.min_seconds: -1 is not within"),
        ("[default]\nmerge_seconds = nan\n", "events.toml: default.merge_seconds"),
        ("\n[default]\ntreshold = 0.1\n", "events.toml: line 3: unknown field `treshold`"),
        ("[default\n", "events.toml: line 1: "),
    ] {
        let line = parse(text).unwrap_err();
        assert!(line.starts_with(expected) && !line.contains('\n'), "{line}");
    }
    let missing = parse("[classes.dog]\nlabels = [\"Dogg\"]\n").unwrap().resolve(&labels(), &[]).unwrap_err();
    let missing = missing.to_string();
    assert!(missing.starts_with("classes.dog: no label \"Dogg\"") && missing.ends_with("; near it: \"Dog\""), "{missing}");
}
