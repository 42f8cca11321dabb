//! A text that is being said.

use crate::speech::Saying;

/// A text under way.
pub(super) struct Spoken {
    pub(super) saying: Saying,
    /// Whether `audio-start` has been sent.
    pub(super) begun: bool,
}
