//! A transcript's text from its segments, and recordings that give none.

use ossicle::audio::AudioError;

/// The text of segments put together, without white space around it.
#[derive(Default)]
pub(crate) struct Text {
    text: String,
    /// White space that is part of the text only if more follows.
    space: String,
}

impl Text {
    /// Appends a segment's text; gives what is new for somebody who shows the text as it grows. These parts make up the whole.
    pub(crate) fn push(&mut self, segment: &str) -> String {
        self.space.push_str(segment);
        let new = if self.text.is_empty() { self.space.trim_start() } else { &self.space };
        let (new, space) = new.split_at(new.trim_end().len());
        let (new, space) = (new.to_owned(), space.to_owned());
        self.text.push_str(&new);
        self.space = space;
        new
    }

    /// All of it.
    pub(crate) fn into_string(self) -> String {
        self.text
    }
}

/// A recording that cannot be read, in one line.
pub(crate) fn describe_audio(error: &AudioError) -> String {
    format!("{error}: {}", error.remedy())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_make_up_the_whole_without_space_around_it() {
        let mut text = Text::default();
        let parts = [" ", " Turn off", " the lights. ", "", " \n", "Now."].map(|segment| text.push(segment));
        assert_eq!(parts, ["", "Turn off", " the lights.", "", "", "  \nNow."]);
        text.push(" ");
        assert_eq!(text.into_string(), parts.concat());
    }
}
