//! Where utterances begin and end.

/// What begins and ends an utterance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Trigger {
    /// A voice.
    #[default]
    Voice,
    /// A button: push to talk.
    Button,
}

/// Where an utterance begins or ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Boundary {
    /// It has begun.
    Start {
        /// Its first sample.
        sample: u64,
    },
    /// It has ended.
    End {
        /// Its first sample.
        start: u64,
        /// The first sample behind it.
        end: u64,
    },
}
