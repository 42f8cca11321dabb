//! A transcript's text from its segments, and recordings that give none.

use ossicle::audio::AudioError;

/// The text of segments put together, without the space that the first one begins with.
#[derive(Default)]
pub(crate) struct Text(String);

impl Text {
    /// Appends a segment's text; gives what is new for somebody who shows the text as it grows.
    pub(crate) fn push(&mut self, segment: &str) -> String {
        let new = if self.0.is_empty() { segment.trim_start() } else { segment };
        self.0.push_str(new);
        new.to_owned()
    }

    /// All of it.
    pub(crate) fn into_string(self) -> String {
        self.0
    }
}

/// A recording that cannot be read, in one line.
pub(crate) fn describe_audio(error: &AudioError) -> String {
    format!("{error}: {}", error.remedy())
}
