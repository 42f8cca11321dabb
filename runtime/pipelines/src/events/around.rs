//! What YAMNet's labels for whole patches say around an event: for it, and against it.

use super::error::SettingsError;
use super::labels::Labels;
use super::near::near;

/// Labels of a model with a head that are scored for whole patches: the largest of their scores around an event counts.
#[derive(Clone, Debug, PartialEq)]
pub struct Near {
    /// Of the model's near labels.
    pub outputs: Vec<usize>,
    /// Above 0 to 1.
    pub threshold: f32,
}

/// The largest scores around an event so far, or around one cell.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Around {
    /// Of what has to be near.
    pub(crate) near: f32,
    /// Of what speaks against it.
    pub(crate) against: f32,
}

impl Around {
    pub(super) fn max(self, other: Self) -> Self {
        Self { near: self.near.max(other.near), against: self.against.max(other.against) }
    }

    /// Whether an event with this around it counts.
    pub(super) fn lets(self, near: Option<&Near>, unless: Option<&Near>) -> bool {
        let vetoed = |unless: &Near| self.against >= unless.threshold && self.against > self.near;
        near.is_none_or(|near| self.near >= near.threshold) && !unless.is_some_and(vetoed)
    }
}

/// Labels and a threshold as a file names them.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Named {
    labels: Vec<String>,
    threshold: f32,
}

impl Named {
    /// Both or neither; `key` is that of the labels, for errors.
    pub(super) fn new(class: &str, key: &'static str, labels: Option<Vec<String>>, threshold: Option<f32>) -> Result<Option<Self>, String> {
        match (labels, threshold) {
            (Some(labels), Some(threshold)) => Ok(Some(Self { labels, threshold })),
            (None, None) => Ok(None),
            _ => Err(format!("classes.{class}: {key} and {key}_threshold go together: give both or neither")),
        }
    }

    pub(super) fn check(&self, class: &str, key: &'static str) -> Result<(), SettingsError> {
        if self.labels.is_empty() {
            return Err(SettingsError::Value { key: format!("classes.{class}.{key}"), problem: "name at least one label".into() });
        }
        if !(self.threshold > 0.0 && self.threshold <= 1.0) {
            let problem = format!("{} is not above 0 and at most 1", self.threshold);
            return Err(SettingsError::Value { key: format!("classes.{class}.{key}_threshold"), problem });
        }
        Ok(())
    }

    /// The labels' outputs.
    pub(super) fn resolve(&self, class: &str, key: &'static str, labels: &Labels) -> Result<Near, SettingsError> {
        let output = |label: &String| {
            labels.near.iter().position(|known| known == label).ok_or_else(|| SettingsError::Near {
                class: class.to_owned(),
                key,
                label: label.clone(),
                near: near(label, labels.near.iter().map(String::as_str)),
            })
        };
        Ok(Near { outputs: self.labels.iter().map(output).collect::<Result<_, _>>()?, threshold: self.threshold })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_speaks_against_an_event_has_to_be_louder_than_what_speaks_for_it() {
        let of = |threshold| Some(Near { outputs: vec![0], threshold });
        let lets = |near: f32, against: f32| {
            let around = Around { near, against };
            let [wanted, veto] = [of(0.25), of(0.5)];
            [(None, None), (wanted.as_ref(), None), (None, veto.as_ref()), (wanted.as_ref(), veto.as_ref())]
                .map(|(near, unless)| around.lets(near, unless))
        };
        assert_eq!(lets(0.0, 0.0), [true, false, true, false]);
        assert_eq!(lets(0.25, 0.4), [true; 4]);
        assert_eq!(lets(0.25, 0.5), [true, true, false, false]);
        // As loud is not louder.
        assert_eq!(lets(0.5, 0.5), [true; 4]);
        assert_eq!(lets(0.5, 0.75), [true, true, false, false]);
        let both = Around { near: 0.5, against: 0.25 }.max(Around { near: 0.25, against: 0.75 });
        assert_eq!(both, Around { near: 0.5, against: 0.75 });
    }
}
