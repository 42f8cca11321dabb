//! How subtitles are cut.

/// Where a cue may end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SplitOn {
    /// Where the text fits best: a cue may hold the end of one sentence and the beginning of the next.
    #[default]
    Length,
    /// At every end of a sentence as well: no cue holds parts of two.
    Sentence,
}

/// The size of subtitles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Columns of a line; a Chinese, Japanese or Korean character takes two.
    pub max_line_width: usize,
    /// Lines of a cue.
    pub max_lines: usize,
    /// Where a cue may end.
    pub split_on: SplitOn,
}

/// Two lines of 42 columns.
impl Default for Layout {
    fn default() -> Self {
        Self { max_line_width: 42, max_lines: 2, split_on: SplitOn::default() }
    }
}

impl Layout {
    /// Columns of a line, at least two: so that every character fits.
    pub(super) fn width(&self) -> usize {
        self.max_line_width.max(2)
    }

    /// Lines of a cue, at least one.
    pub(super) fn lines(&self) -> usize {
        self.max_lines.max(1)
    }
}
