//! Settings that come with the library, by name.

use std::path::Path;

use super::error::SettingsError;
use super::settings::Settings;

/// Settings by name, and the model they are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Set {
    /// The name.
    pub name: &'static str,
    /// The name of the model whose labels it has.
    pub model: &'static str,
    /// The file.
    pub text: &'static str,
}

/// What one wants to hear of in a home: alarms, door, glass, child, animals, water and more.
pub const HOME_SOUNDS: Set = Set { name: "home-sounds", model: "yamnet", text: include_str!("../../sounds/home-sounds.toml") };

/// All sets.
pub const SETS: [Set; 1] = [HOME_SOUNDS];

impl Set {
    /// The set that goes by this name, if one does. A file of the same name is reached as `./home-sounds`.
    pub fn named(name: &Path) -> Option<Self> {
        SETS.into_iter().find(|set| name.as_os_str() == set.name)
    }

    /// Its settings.
    ///
    /// # Errors
    /// None for those that come with the library: a test reads them.
    pub fn settings(self) -> Result<Settings, SettingsError> {
        Settings::parse(self.text, Path::new(self.name))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::labels::Labels;
    use super::*;

    #[test]
    fn every_label_of_a_set_is_one_of_its_model() {
        for set in SETS {
            let labels = format!("{}/../../models-int8/{}/labels.txt", env!("CARGO_MANIFEST_DIR"), set.model);
            let names: Vec<String> = std::fs::read_to_string(labels).unwrap().lines().map(str::to_owned).collect();
            let labels = Labels { thresholds: vec![None; names.len()], near: vec![], names };
            let classes = set.settings().unwrap().resolve(&labels, &[]).unwrap();
            let mut heard = BTreeSet::new();
            for class in &classes {
                // One sound is one event: no label tells two classes.
                assert!(class.outputs.iter().all(|output| heard.insert(*output)), "{}", class.name);
                // Silence scores about 0.1 in some labels.
                assert!((0.15..=0.98).contains(&class.rules.threshold), "{}: {}", class.name, class.rules.threshold);
            }
        }
    }

    #[test]
    fn home_sounds_has_what_a_home_needs() {
        let set = Set::named(Path::new("home-sounds")).unwrap();
        let settings = set.settings().unwrap();
        let wanted = "smoke_alarm fire_alarm siren glass_breaking scream doorbell knock door_slam baby_cry dog cat snoring cough \
                      footsteps water kettle beep vacuum_cleaner speech music";
        let mut wanted: Vec<_> = wanted.split_whitespace().collect();
        wanted.sort_unstable();
        assert_eq!(settings.class_names().collect::<Vec<_>>(), wanted);
        assert_eq!(Set::named(Path::new("./home-sounds")), None);
    }
}
