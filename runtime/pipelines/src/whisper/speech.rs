//! Where in a recording somebody speaks, and which part of it the next window takes.

use std::collections::VecDeque;

use ossicle_frontend::vad::{LOOKAHEAD_HOPS, Vad};
use ossicle_kernels::simd::Isa;

use super::options::VadOptions;
use super::short_windows::FRAMES_PER_SECOND;

/// After speech, hops that count as speech again from [`VadOptions::end`] on: 0.3 s.
const RELEASE_HOPS: u64 = 30;

/// Silence that a recording may begin with: what people cut by hand is heard as they cut it.
const FIRST_LEAD_MS: u32 = 1000;

/// A pause that a window may be cut in: 0.1 s.
const CUT_PAUSE_HOPS: u64 = 10;

/// A pause that ends a window of speech that goes on beyond it: 0.2 s.
const FULL_WINDOW_PAUSE_HOPS: u64 = 20;

/// What to do with the recording from here on, in frames of 10 ms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Nobody speaks for so many frames.
    Quiet(usize),
    /// A window of so many frames with speech in it.
    Window(usize),
}

/// Speech or not, for each hop of 10 ms that a window may still see.
pub(crate) struct SpeechMap {
    vad: Box<Vad>,
    options: VadOptions,
    hops: VecDeque<bool>,
    /// The hop that `hops[0]` stands for.
    base: u64,
    /// Probabilities taken; they lag behind the sound.
    taken: u64,
    /// Hops in a row that may begin speech.
    run: u64,
    /// Hops since the last speech.
    since: u64,
}

impl SpeechMap {
    pub(crate) fn new(isa: Isa, options: VadOptions) -> Self {
        Self { vad: Box::new(Vad::new(isa)), options, hops: VecDeque::new(), base: 0, taken: 0, run: 0, since: u64::MAX }
    }

    /// Takes the recording's next samples.
    pub(crate) fn push(&mut self, samples: &[f32]) {
        let Self { vad, options, hops, taken, run, since, .. } = self;
        vad.push(samples, |activity| {
            *taken += 1;
            if *taken > LOOKAHEAD_HOPS {
                take(activity.probability, options, hops, run, since);
            }
        });
    }

    /// The recording ends with the hop before `end`: what the lag hides is taken to go on as it was.
    pub(crate) fn finish(&mut self, end: u64) {
        let last = self.hops.back().copied().unwrap_or(false);
        while self.known() < end {
            self.hops.push_back(last);
        }
    }

    /// Forgets hops before `hop`.
    pub(crate) fn forget(&mut self, hop: u64) {
        let gone = hop.saturating_sub(self.base).min(self.hops.len() as u64);
        self.hops.drain(..gone as usize);
        self.base += gone;
    }

    /// The first hop not known yet.
    fn known(&self) -> u64 {
        self.base + self.hops.len() as u64
    }

    fn speaks(&self, hop: u64) -> bool {
        hop.checked_sub(self.base).and_then(|at| self.hops.get(at as usize)).copied().unwrap_or(false)
    }

    /// The first hop of speech in `from..to`, and the one after the last.
    pub(crate) fn spoken(&self, from: u64, to: u64) -> Option<(u64, u64)> {
        let first = (from..to).find(|&hop| self.speaks(hop))?;
        let last = (first..to).rev().find(|&hop| self.speaks(hop))?;
        Some((first, last + 1))
    }

    /// What to do from `seek` on, where `left` frames can be seen; they are the last ones if the recording has `ended`.
    pub(crate) fn step(&self, seek: u64, left: usize, ended: bool) -> Step {
        let end = seek + left as u64;
        let lead = frames(if seek == 0 { self.options.lead_ms.max(FIRST_LEAD_MS) } else { self.options.lead_ms }).min(left as u64 / 2);
        let Some(first) = (seek..end).find(|&hop| self.speaks(hop)) else {
            // Speech that has just begun may not be known yet, and wants its lead.
            let kept = if ended { 0 } else { lead + LOOKAHEAD_HOPS + frames(self.options.min_speech_ms) };
            return Step::Quiet((left as u64).saturating_sub(kept).max(1) as usize);
        };
        if first - seek > lead {
            return Step::Quiet((first - seek - lead) as usize);
        }
        let mut behind = first + 1;
        let ends = |behind: u64| {
            let long = behind - first >= frames(self.options.long_window_ms);
            frames(if long { self.options.long_window_pause_ms } else { self.options.max_pause_ms })
        };
        for hop in first..end {
            if self.speaks(hop) {
                behind = hop + 1;
            } else if hop + 1 - behind >= ends(behind) {
                break;
            }
        }
        let pause = ends(behind);
        if behind == end && !ended {
            // Nothing ends here but what can be seen.
            let cut = self.longest_pause(end - left as u64 / 3, end, FULL_WINDOW_PAUSE_HOPS);
            return Step::Window(cut.map_or(left, |cut| (cut - seek) as usize));
        }
        let next = (behind..end).find(|&hop| self.speaks(hop));
        let silent = next.unwrap_or(end) - behind;
        let whole = next.is_none() && (ended || silent < pause);
        let most = frames(self.options.tail_ms);
        let tail = match next {
            Some(_) if silent < lead + most => silent / 2,
            None if whole && silent <= most => silent,
            _ => most,
        };
        Step::Window((behind + tail.min(silent) - seek) as usize)
    }

    /// The middle of the longest pause in the middle half of a window's speech, for a cut in two.
    pub(crate) fn pause(&self, seek: u64, frames: usize) -> Option<u64> {
        let (first, behind) = self.spoken(seek, seek + frames as u64)?;
        let quarter = (behind - first) / 4;
        self.longest_pause(first + quarter, behind - quarter, CUT_PAUSE_HOPS)
    }

    /// The middle of the longest pause of at least so many hops whose middle is in `from..to`; it has speech before and after it.
    fn longest_pause(&self, from: u64, to: u64, least: u64) -> Option<u64> {
        let (mut begin, mut best) = (None, None);
        for hop in self.base..self.known() {
            if !self.speaks(hop) {
                continue;
            }
            if let Some(begin) = begin {
                let (length, middle): (u64, u64) = (hop - begin, u64::midpoint(begin, hop));
                if (from..to).contains(&middle) && length >= least && best.is_none_or(|(longest, _)| length > longest) {
                    best = Some((length, middle));
                }
            }
            begin = Some(hop + 1);
        }
        best.map(|(_, middle)| middle)
    }

    /// Whether speech of less than [`VadOptions::min_missed_ms`] is in `from..to`, and a pause at its end.
    pub(crate) fn is_rest(&self, from: u64, to: u64) -> bool {
        let pause = to.saturating_sub(frames(MISSED_PAUSE_MS));
        let spoken = (from..to).filter(|&hop| self.speaks(hop)).count() as u64;
        spoken < frames(self.options.min_missed_ms) && !(pause..to).any(|hop| self.speaks(hop))
    }

    /// Where speech that a text did not reach begins: the text ends at `from`, the window at `end`.
    pub(crate) fn missed(&self, from: u64, end: u64) -> Option<u64> {
        let missed = (from..end).filter(|&hop| self.speaks(hop)).count();
        if missed < frames(self.options.min_missed_ms) as usize {
            return None;
        }
        // A text's last time is not exact: what goes on from there without a pause was said in it.
        let gap = frames(MISSED_PAUSE_MS);
        let (mut silent, mut spoken) = (0, 0);
        for hop in from..end {
            if self.speaks(hop) {
                spoken += 1;
                if spoken == MISSED_SPEECH_HOPS {
                    return Some(from);
                }
                if silent >= gap {
                    let rest = (hop..end).filter(|&hop| self.speaks(hop)).count();
                    return (rest >= frames(self.options.min_missed_ms) as usize).then_some(hop);
                }
                silent = 0;
            } else {
                silent += 1;
            }
        }
        None
    }
}

/// Speech after a text's last time that was not said in it, pause or not: 2 s.
const MISSED_SPEECH_HOPS: u64 = 200;

/// A pause that parts what a text holds from what it misses.
const MISSED_PAUSE_MS: u32 = 150;

fn take(probability: f32, options: &VadOptions, hops: &mut VecDeque<bool>, run: &mut u64, since: &mut u64) {
    *run = if probability >= options.start { *run + 1 } else { 0 };
    let began = *run >= frames(options.min_speech_ms);
    let goes_on = *since < RELEASE_HOPS && probability >= options.end;
    if began {
        for hop in hops.iter_mut().rev().take((*run as usize).saturating_sub(1)) {
            *hop = true;
        }
    }
    let speech = began || goes_on;
    *since = if speech { 0 } else { since.saturating_add(1) };
    hops.push_back(speech);
}

fn frames(ms: u32) -> u64 {
    u64::from(ms) * FRAMES_PER_SECOND as u64 / 1000
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A map of hops that are speech where `spoken` says so.
    fn mapped(hops: u64, spoken: &[(u64, u64)]) -> SpeechMap {
        let mut map = SpeechMap::new(Isa::detect(), VadOptions::default());
        map.hops.extend((0..hops).map(|hop| spoken.iter().any(|&(from, to)| (from..to).contains(&hop))));
        map
    }

    #[test]
    fn a_recording_without_pauses_is_one_window() {
        let spoken = [(80, 300)];
        assert_eq!(mapped(390, &spoken).step(0, 390, true), Step::Window(390), "its own silence belongs to it");
        assert_eq!(mapped(600, &spoken).step(0, 600, true), Step::Window(400), "but no more than a second");
        assert_eq!(mapped(3000, &[(0, 3000)]).step(0, 3000, false), Step::Window(3000));
        assert_eq!(
            mapped(3000, &[(0, 2400), (2430, 3000)]).step(0, 3000, false),
            Step::Window(2415),
            "without an end of its own it ends in a pause"
        );
        assert_eq!(mapped(3000, &[(0, 1900), (1930, 3000)]).step(0, 3000, false), Step::Window(3000), "of its last third");
    }

    #[test]
    fn silence_is_passed_over_but_for_a_lead() {
        let map = mapped(3000, &[(1000, 1200)]);
        assert_eq!(map.step(0, 3000, false), Step::Quiet(900), "a second before the first speech");
        assert_eq!(map.step(10, 2990, false), Step::Quiet(960));
        assert_eq!(map.step(970, 2030, false), Step::Window(30 + 200 + 100));
        let silent = mapped(3000, &[]);
        assert_eq!(silent.step(0, 3000, false), Step::Quiet(3000 - 100 - 4 - 6), "speech that begins just now keeps its lead");
        assert_eq!(silent.step(500, 2500, true), Step::Quiet(2500));
        assert_eq!(silent.step(2990, 10, true), Step::Quiet(10));
        assert_eq!(silent.step(2999, 1, false), Step::Quiet(1), "never stands still");
    }

    #[test]
    fn short_pauses_stay_within_a_window_and_long_ones_end_it() {
        let of = |pause: u64| mapped(3000, &[(0, 400), (400 + pause, 900)]).step(0, 3000, false);
        assert_eq!(of(150), Step::Window(1000));
        assert_eq!(of(199), Step::Window(1000));
        assert_eq!(of(201), Step::Window(500), "a second of the pause");
        let long = mapped(3000, &[(0, 1300), (1380, 1500)]);
        assert_eq!(long.step(0, 3000, false), Step::Window(1340), "after 12 s 0.7 s of silence do; what follows gets its half of it");
    }

    #[test]
    fn silence_at_the_end_of_what_is_known_belongs_to_the_window() {
        let map = mapped(3000, &[(0, 1100), (1150, 2960)]);
        assert_eq!(map.step(0, 3000, false), Step::Window(3000));
        assert_eq!(map.step(0, 3000, true), Step::Window(3000));
    }

    #[test]
    fn speech_that_a_text_does_not_reach_is_found_after_a_pause() {
        let map = mapped(3000, &[(0, 500), (600, 700), (720, 900)]);
        assert_eq!(map.missed(480, 1000), Some(600), "after the pause");
        assert_eq!(map.missed(640, 1000), Some(720));
        assert_eq!(map.missed(730, 1000), None, "the text's last time is not exact");
        assert_eq!(map.missed(880, 1000), None);
        assert_eq!(map.missed(480, 630), None, "too little");
        let long = mapped(3000, &[(0, 3000)]);
        assert_eq!((long.missed(2000, 3000), long.missed(2850, 3000)), (Some(2000), None), "2 s without a pause were not said in it");
    }

    #[test]
    fn little_speech_before_a_pause_is_a_rest() {
        let map = mapped(3000, &[(0, 500), (990, 2000)]);
        assert!(map.is_rest(480, 600) && map.is_rest(520, 600));
        assert!(!map.is_rest(400, 600), "half a second");
        assert!(!map.is_rest(480, 510) && !map.is_rest(600, 1000), "no pause at the end");
    }

    #[test]
    fn a_window_is_cut_in_its_longest_pause_near_the_middle() {
        let map = mapped(2000, &[(0, 300), (350, 700), (712, 1000), (1060, 1900)]);
        assert_eq!(map.pause(0, 1900), Some(1030));
        assert_eq!(map.pause(0, 1000), Some(325));
        assert_eq!(map.pause(350, 550), Some(706));
        assert_eq!(map.pause(1100, 800), None);
        assert_eq!(mapped(300, &[(100, 150)]).pause(0, 300), None, "silence before and after speech is no pause in it");
    }

    #[test]
    fn speech_begins_before_it_is_known_and_goes_on_with_less() {
        let mut hops = VecDeque::new();
        let (mut run, mut since) = (0, u64::MAX);
        let options = VadOptions::default();
        let probabilities = [[0.1; 10], [0.6; 10], [0.3; 10], [0.1; 10], [0.3; 10]].concat();
        for probability in probabilities {
            take(probability, &options, &mut hops, &mut run, &mut since);
        }
        let spoken: Vec<usize> = (0..hops.len()).filter(|&hop| hops[hop]).collect();
        assert_eq!(spoken, (10..30).chain(40..50).collect::<Vec<_>>());
    }

    #[test]
    fn what_is_forgotten_moves_nothing_else() {
        let mut map = mapped(1000, &[(400, 600)]);
        map.forget(350);
        assert_eq!((map.spoken(350, 1000), map.known()), (Some((400, 600)), 1000));
        map.forget(5000);
        assert_eq!(map.spoken(0, 2000), None);
    }
}
