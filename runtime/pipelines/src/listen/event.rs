//! What listening tells.

use serde_json::Value;

use crate::audio::SAMPLE_RATE;
use crate::events;
use crate::whisper::transcript::DropReason;

/// Something happened. Positions are samples at 16 kHz from the stream's start.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// Nobody speaks; waiting.
    Listening {
        /// Samples heard.
        at: u64,
    },
    /// Somebody has begun to speak, or the button was pressed.
    Speech {
        /// The utterance's first sample.
        start: u64,
    },
    /// A text of the utterance so far.
    Partial {
        /// The utterance's first sample.
        start: u64,
        /// The first sample not heard for this text.
        end: u64,
        /// The text.
        text: String,
        /// Characters at its beginning that later partial texts keep.
        stable: usize,
    },
    /// The utterance has ended and is worked on.
    Thinking {
        /// Its first sample.
        start: u64,
        /// The first sample behind it.
        end: u64,
    },
    /// What was said.
    Final {
        /// The utterance's first sample.
        start: u64,
        /// The first sample behind it.
        end: u64,
        /// The text.
        text: String,
        /// What it means, where the recogniser knows.
        intent: Option<Value>,
    },
    /// A command is answered, and what is recorded meanwhile is not heard.
    Answer {
        /// The first sample that is not heard.
        start: u64,
        /// The first one that is heard again, unless the button is pressed before.
        end: u64,
        /// What is answered.
        text: String,
    },
    /// Nothing was said in what had sounded like speech, or nothing that can be believed.
    Nothing {
        /// Its first sample.
        start: u64,
        /// The first sample after it.
        end: u64,
        /// Why words were found and not believed.
        reason: Option<DropReason>,
    },
    /// A sound other than what was said, or speech as one, has begun or goes on: an event of [`events`](crate::events), which comes as a
    /// [`Sound`](Event::Sound) of this start once it is over.
    SoundOn {
        /// Its class.
        class: String,
        /// Its first sample.
        start: u64,
        /// How far it has been heard: the first sample behind that.
        at: u64,
        /// Its largest score so far.
        peak: f32,
        /// Whether it was told before.
        again: bool,
    },
    /// Such a sound, which is over.
    Sound {
        /// Its class.
        class: String,
        /// Its first sample.
        start: u64,
        /// The first sample behind it.
        end: u64,
        /// Its largest score.
        peak: f32,
        /// Its mean score.
        mean: f32,
    },
    /// Samples were lost before they could be heard; they are not counted in positions.
    Dropped {
        /// Samples lost now, at the source's rate.
        samples: u64,
        /// Samples lost in all.
        total: u64,
    },
    /// The stream has ended.
    End {
        /// Samples heard.
        samples: u64,
        /// Of them, in utterances.
        in_utterances: u64,
        /// Utterances.
        utterances: u64,
    },
}

impl Event {
    /// What a detector of sounds tells, if it is an event.
    pub fn of_sound(heard: events::Heard<'_>) -> Option<Self> {
        match heard {
            events::Heard::Scores(_) => None,
            events::Heard::Start(lasting) => Some(Self::sound_on(lasting, false)),
            events::Heard::Repeat(lasting) => Some(Self::sound_on(lasting, true)),
            events::Heard::Event(events::Event { class, start, end, peak, mean }) => {
                Some(Self::Sound { class, start: sample(start), end: sample(end), peak, mean })
            }
        }
    }

    fn sound_on(lasting: events::Lasting<'_>, again: bool) -> Self {
        let events::Lasting { class, start, at, peak } = lasting;
        Self::SoundOn { class: class.to_owned(), start: sample(start), at: sample(at), peak, again }
    }
}

/// Seconds of an event are whole samples.
fn sample(seconds: f64) -> u64 {
    (seconds * f64::from(SAMPLE_RATE)).round() as u64
}
