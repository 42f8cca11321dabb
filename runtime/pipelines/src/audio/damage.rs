//! What a recording lacks although it can be heard.

use std::fmt;

/// Most kinds of damage that are kept apart; what repeats is counted.
const MOST: usize = 8;

/// What is missing or damaged in a recording that has samples all the same. `Display` says it in a few words; the name of the file is the
/// caller's to add.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Damage {
    /// The header promises more than there is.
    Short {
        /// Frames (samples of one channel) promised.
        promised: u64,
        /// Frames there.
        found: u64,
        /// Frames a second.
        rate: u32,
    },
    /// The header says that there are no samples, but there are some: the writer did not finish it.
    NoLength,
    /// The header promises less than there is, and what follows is no chunk: the writer did not get to correct it.
    Longer {
        /// Frames (samples of one channel) promised.
        promised: u64,
        /// Frames there.
        found: u64,
        /// Frames a second.
        rate: u32,
    },
    /// Bytes between the audio belong to none of it.
    Skipped {
        /// Where in the audio, in seconds: the first place.
        at: f64,
        /// How many.
        bytes: u64,
        /// In how many places.
        places: u32,
    },
    /// Parts of the stream are not there, or arrived damaged.
    Gap {
        /// Where in the audio, in seconds: the first place.
        at: f64,
        /// In how many places.
        places: u32,
    },
    /// Packets cannot be decoded.
    Undecodable {
        /// Where in the audio, in seconds: the first of them.
        at: f64,
        /// How many.
        packets: u32,
    },
    /// The stream does not say that it is over: it may have been cut off.
    NoEnd {
        /// Where it stops, in seconds.
        at: f64,
    },
    /// The two channels cancel each other out, so that the first was taken alone. Nothing is missing.
    OppositePhase,
}

impl Damage {
    /// Whether something is missing.
    pub fn is_loss(&self) -> bool {
        !matches!(self, Self::OppositePhase)
    }

    /// Takes in another of the same kind; false if it is of another kind.
    fn merge(&mut self, other: &Self) -> bool {
        match (self, other) {
            (Self::Skipped { bytes, places, .. }, Self::Skipped { bytes: more, places: other, .. }) => {
                *bytes = bytes.saturating_add(*more);
                *places = places.saturating_add(*other);
            }
            (Self::Gap { places, .. }, Self::Gap { places: other, .. }) => *places = places.saturating_add(*other),
            (Self::Undecodable { packets, .. }, Self::Undecodable { packets: other, .. }) => *packets = packets.saturating_add(*other),
            (Self::NoEnd { .. }, Self::NoEnd { .. }) | (Self::NoLength, Self::NoLength) => {}
            _ => return false,
        }
        true
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let more = |places: u32| match places {
            0 | 1 => String::new(),
            2 => " and at another place".into(),
            n => format!(" and at {} more places", n - 1),
        };
        match *self {
            Self::Short { promised, found, rate } => {
                let rate = f64::from(rate.max(1));
                let (promised_s, found_s) = (promised as f64 / rate, found as f64 / rate);
                if promised_s - found_s < 0.1 {
                    write!(f, "the last {} samples are missing", promised.saturating_sub(found))
                } else {
                    write!(f, "{found_s:.1} of {promised_s:.1} s are there")
                }
            }
            Self::NoLength => write!(f, "its header says that it is empty; all that follows was read"),
            Self::Longer { promised, found, rate } => {
                let rate = f64::from(rate.max(1));
                let (promised, found) = (promised as f64 / rate, found as f64 / rate);
                write!(f, "its header says {promised:.1} s; all {found:.1} s that are there were read")
            }
            Self::Skipped { at, bytes, places } => match places {
                0 | 1 => write!(f, "{bytes} bytes at {at:.1} s are not audio"),
                n => write!(f, "{bytes} bytes at {n} places, the first at {at:.1} s, are not audio"),
            },
            Self::Gap { at, places } => write!(f, "a part is missing at {at:.1} s{}", more(places)),
            Self::Undecodable { at, packets: 1 } => write!(f, "a packet at {at:.1} s cannot be decoded"),
            Self::Undecodable { at, packets } => write!(f, "{packets} packets from {at:.1} s on cannot be decoded"),
            Self::NoEnd { at } => write!(f, "it stops at {at:.1} s without a mark of its end"),
            Self::OppositePhase => write!(f, "its two channels cancel each other out; the first was taken"),
        }
    }
}

/// All of a recording's damage in few words: what repeats is counted, so that its memory is bounded.
#[derive(Clone, Debug, Default)]
pub(super) struct Damages(Vec<Damage>);

impl Damages {
    pub(super) fn add(&mut self, damage: Damage) {
        if !self.0.iter_mut().any(|known| known.merge(&damage)) && self.0.len() < MOST {
            self.0.push(damage);
        }
    }

    pub(super) fn list(&self) -> &[Damage] {
        &self.0
    }

    /// Takes in all of another list.
    pub(super) fn extend(&mut self, others: &[Damage]) {
        others.iter().for_each(|&other| self.add(other));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_repeats_is_counted() {
        let mut damages = Damages::default();
        for at in [1.0, 2.0, 3.0] {
            damages.add(Damage::Skipped { at, bytes: 10, places: 1 });
            damages.add(Damage::Gap { at, places: 1 });
        }
        assert_eq!(damages.list(), [Damage::Skipped { at: 1.0, bytes: 30, places: 3 }, Damage::Gap { at: 1.0, places: 3 }]);
        let told: Vec<_> = damages.list().iter().map(ToString::to_string).collect();
        assert_eq!(told[0], "30 bytes at 3 places, the first at 1.0 s, are not audio");
        assert_eq!(told[1], "a part is missing at 1.0 s and at 2 more places");
    }

    #[test]
    fn a_short_recording_is_told_in_seconds_or_samples() {
        let short = |found| Damage::Short { promised: 1_764_000, found, rate: 44_100 }.to_string();
        assert_eq!(short(1_750_770), "39.7 of 40.0 s are there");
        assert_eq!(short(1_763_978), "the last 22 samples are missing");
    }
}
