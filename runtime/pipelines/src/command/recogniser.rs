//! One recording, one command or none.

use std::time::Instant;

use ossicle_frontend::SAMPLE_RATE;
use ossicle_frontend::mel::HOP_SAMPLES;

use super::background::{self, Background};
use super::confidence::{Evidence, MOST_MARGIN};
use super::search::{Found, Limits, Search, Tokens};
use super::sentences::Sentences;
use crate::whisper::engine::{EngineError, Lanes};
use crate::whisper::error::TranscribeError;
use crate::whisper::options::TranscribeOptions;
use crate::whisper::pipeline::{Heard, Pipeline};
use crate::whisper::scores;
use crate::whisper::short_windows::FRAMES_PER_SECOND;
use crate::whisper::transcript::Stats;
use crate::whisper::window::MARGIN_SECONDS;

/// How to recognise.
#[derive(Clone, Debug, PartialEq)]
pub struct CommandOptions {
    /// Language, initial prompt and silence limits; window, timestamps and temperatures play no part.
    pub transcribe: TranscribeOptions,
    /// Silence encoded behind the recording, in seconds; `None` is what the model needs.
    pub margin_seconds: Option<f32>,
    /// Bounds of the search.
    pub limits: Limits,
    /// Free text is followed for this many tokens.
    pub max_free_tokens: usize,
    /// A reading less sure than this is no command, 0 to 1.
    pub threshold: f32,
    /// Other readings given out, at most.
    pub alternatives: usize,
}

impl Default for CommandOptions {
    fn default() -> Self {
        Self {
            transcribe: TranscribeOptions::default(),
            margin_seconds: None,
            limits: Limits::default(),
            max_free_tokens: 48,
            threshold: 0.5,
            alternatives: 3,
        }
    }
}

/// One reading of a recording.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading<M> {
    /// Intent and slots.
    pub meaning: M,
    /// The sentence.
    pub text: String,
    /// The probability that this is what was meant, 0 to 1.
    pub confidence: f32,
    /// Where the confidence comes from.
    pub evidence: Evidence,
}

/// What was recognised.
#[derive(Clone, Debug, PartialEq)]
pub struct Recognition<M> {
    /// The command, if any reading is sure enough.
    pub command: Option<Reading<M>>,
    /// Other readings, or all of them if none is sure enough; the surest first.
    pub alternatives: Vec<Reading<M>>,
    /// The text of free decoding; empty if nobody spoke.
    pub heard: String,
    /// Time and work.
    pub stats: Stats,
}

/// Recognises commands among some sentences; keeps its working memory from recording to recording.
#[derive(Debug)]
pub struct Recogniser<S: Sentences> {
    sentences: S,
    search: Search<S::State>,
    suppressed: Vec<u32>,
}

/// Windows are whole multiples of this many frames (0.2 s), so that recordings of about one length share a graph.
const WINDOW_STEP_FRAMES: usize = 20;

/// The margin of models that were taught short windows, in seconds: without timestamps they lose nothing by taking less than for transcripts.
const SHORT_MARGIN_SECONDS: f32 = 0.2;

/// Tokens that free decoding may give a second.
const TOKENS_PER_SECOND: usize = 6;

/// Hypotheses kept where free decoding gave a sentence.
const SURE_BEAM: usize = 3;

impl<S: Sentences> Recogniser<S> {
    /// A recogniser of these sentences.
    pub fn new(sentences: S) -> Self {
        Self { sentences, search: Search::default(), suppressed: Vec::new() }
    }

    /// The sentences.
    pub fn sentences(&self) -> &S {
        &self.sentences
    }

    /// Recognises 16 kHz mono samples; what is beyond the model's window (30 s) is not heard.
    ///
    /// # Errors
    /// If an option does not fit the model, a sample is not finite or the network fails.
    pub fn recognise<E: Lanes>(
        &mut self,
        pipeline: &mut Pipeline<E>,
        samples: &[f32],
        options: &CommandOptions,
    ) -> Result<Recognition<S::Meaning>, TranscribeError> {
        let mut recognition = Recognition { command: None, alternatives: Vec::new(), heard: String::new(), stats: Stats::default() };
        let short = pipeline.config().short_windows.map(|short| short.margin_seconds.min(SHORT_MARGIN_SECONDS));
        let margin_seconds = options.margin_seconds.or(short).unwrap_or(MARGIN_SECONDS);
        let frames = window_frames(samples.len(), margin_seconds, 2 * pipeline.engine().dims().max_positions);
        let Some(mut heard) = pipeline.hear(samples, frames, &options.transcribe, &mut recognition.stats)? else {
            return Ok(recognition);
        };
        let clock = Instant::now();
        let (background, found) = self.decode(&mut heard, samples.len(), options, &mut recognition.stats)?;
        recognition.heard = heard.tokenizer.decode(background.tokens.iter().copied()).trim().to_owned();
        let readings = self.readings(&heard, &background, &found, options.limits.token_bonus);
        let mut readings = readings.into_iter().peekable();
        let threshold = |reading: &Reading<S::Meaning>| self.sentences.threshold(&reading.meaning).unwrap_or(options.threshold);
        recognition.command = readings.next_if(|reading| reading.confidence >= threshold(reading));
        recognition.alternatives = readings.take(options.alternatives).collect();
        recognition.stats.decode_seconds += clock.elapsed().as_secs_f64();
        Ok(recognition)
    }

    /// Decodes freely, then among the sentences.
    fn decode<E: Lanes>(
        &mut self,
        heard: &mut Heard<'_, E>,
        samples: usize,
        options: &CommandOptions,
        stats: &mut Stats,
    ) -> Result<(Background, Vec<Found>), EngineError> {
        let eot = heard.specials.eot;
        self.suppressed.clear();
        self.suppressed.extend(heard.config.suppress_tokens.iter().copied().filter(|&token| token < eot));
        self.suppressed.sort_unstable();
        let prompt = heard.engine.position();
        // Nobody speaks faster; a text that goes on has lost its end.
        let most = options.max_free_tokens.min(8 + samples * TOKENS_PER_SECOND / SAMPLE_RATE as usize);
        let background = background::decode(heard.engine, heard.after_prompt, eot, &self.suppressed, most)?;
        heard.engine.rewind(prompt);
        let tokens = Tokens { eot, suppressed: &self.suppressed, rivals: &background.rivals };
        // A free text that never ended says nothing of how much was said.
        let bonus_tokens = if background.finished { background.tokens.len() } else { 0 };
        let mut limits = Limits { bonus_tokens, ..options.limits };
        if background.finished && self.accepts(&background.tokens) {
            // What was said is a sentence as it stands: only its nearest rivals are worth the time.
            limits.beam = limits.beam.min(SURE_BEAM);
        }
        let found = self.search.run(heard.engine, &self.sentences, heard.after_prompt, tokens, limits)?;
        stats.decoder_steps += background.tokens.len() + std::mem::take(&mut self.search.steps);
        Ok((background, found))
    }

    /// Whether these tokens are a sentence.
    fn accepts(&self, tokens: &[u32]) -> bool {
        let mut arcs = Vec::new();
        let mut state = self.sentences.start();
        for &token in tokens {
            arcs.clear();
            self.sentences.arcs(state, &mut arcs);
            let arc = arcs.binary_search_by_key(&token, |arc| arc.0).map(|place| arcs[place].1);
            let Some(next) = arc.ok().or_else(|| self.sentences.text(state, token)) else { return false };
            state = next;
        }
        self.sentences.accepts(state)
    }

    /// What the texts mean, the surest first.
    fn readings<E>(&self, heard: &Heard<'_, E>, background: &Background, found: &[Found], bonus: f32) -> Vec<Reading<S::Meaning>> {
        let free = background.logprob + if background.finished { bonus * background.tokens.len() as f32 } else { 0.0 };
        // Of each meaning its best text, and the scores of all its texts added up.
        let mut readings: Vec<(Reading<S::Meaning>, f32)> = Vec::new();
        for found in found {
            let text = heard.tokenizer.decode(found.tokens.iter().copied()).trim().to_owned();
            let Some(meaning) = self.sentences.meaning(&text) else { continue };
            if let Some((_, score)) = readings.iter_mut().find(|(other, _)| other.meaning == meaning) {
                *score = scores::log_add_exp(*score, found.score);
                continue;
            }
            let evidence = Evidence {
                against_free: found.score - free,
                mean: found.logprob / (found.tokens.len() + 1) as f32,
                least: found.least,
                free_mean: background.logprob / (background.tokens.len() + 1) as f32,
                margin: 0.0,
                no_speech: heard.no_speech_prob,
            };
            readings.push((Reading { meaning, text, confidence: 0.0, evidence }, found.score));
        }
        let calibration = heard.config.command_confidence.unwrap_or_default();
        let all: Vec<f32> = readings.iter().map(|(_, score)| *score).collect();
        for (index, (reading, score)) in readings.iter_mut().enumerate() {
            let others = all.iter().enumerate().filter(|(other, _)| *other != index).map(|(_, score)| *score);
            let others = others.fold(f32::NEG_INFINITY, scores::log_add_exp);
            reading.evidence.margin = (*score - others).clamp(-MOST_MARGIN, MOST_MARGIN);
            reading.confidence = calibration.confidence(&reading.evidence);
        }
        readings.sort_by(|(a, _), (b, _)| b.confidence.total_cmp(&a.confidence));
        readings.into_iter().map(|(reading, _)| reading).collect()
    }
}

/// Frames to encode for a recording of `samples`.
fn window_frames(samples: usize, margin_seconds: f32, most: usize) -> usize {
    let margin = (margin_seconds * FRAMES_PER_SECOND as f32) as usize;
    let frames = samples.div_ceil(HOP_SAMPLES) + margin;
    frames.next_multiple_of(WINDOW_STEP_FRAMES).min(most)
}

#[cfg(test)]
mod tests {
    use super::super::automaton::Automaton;
    use super::super::automaton::tests::Trie;
    use super::*;
    use crate::whisper::fake::Script;
    use crate::whisper::pipeline::tests::{noise, pipeline};

    /// "w1 w2" and "w1 w3" mean the same.
    struct Words(Trie);

    impl Automaton for Words {
        type State = usize;

        fn start(&self) -> usize {
            self.0.start()
        }

        fn arcs(&self, state: usize, out: &mut Vec<(u32, usize)>) {
            self.0.arcs(state, out);
        }

        fn accepts(&self, state: usize) -> bool {
            self.0.accepts(state)
        }

        fn allows_text(&self, state: usize) -> bool {
            self.0.allows_text(state)
        }

        fn text(&self, state: usize, token: u32) -> Option<usize> {
            self.0.text(state, token)
        }
    }

    impl Sentences for Words {
        type Meaning = String;

        fn meaning(&self, text: &str) -> Option<String> {
            (text != "w6").then(|| text.replace("w3", "w2"))
        }
    }

    fn recognise(said: &[u32], seconds: f64) -> Recognition<String> {
        let words = Words(Trie::new(&[&[1, 2], &[1, 3], &[4, 5], &[6]], None));
        let mut pipeline = pipeline(vec![Script::says(said).confidence(9.0)]);
        let samples = if seconds > 0.0 { noise(seconds) } else { vec![0.0; 16_000] };
        let options = CommandOptions { margin_seconds: Some(0.5), ..CommandOptions::default() };
        let recognition = Recogniser::new(words).recognise(&mut pipeline, &samples, &options).unwrap();
        if seconds > 0.0 {
            assert_eq!(pipeline.engine().frames, [((seconds * 100.0) as usize + 50).next_multiple_of(20).min(3000)]);
        }
        recognition
    }

    #[test]
    fn a_sentence_is_a_command() {
        let recognition = recognise(&[4, 5], 1.23);
        let command = recognition.command.unwrap();
        assert_eq!((command.meaning.as_str(), command.text.as_str(), recognition.heard.as_str()), ("w4 w5", "w4 w5", "w4 w5"));
        assert!(command.confidence > 0.9 && recognition.alternatives.iter().all(|other| other.confidence < 0.1));
    }

    #[test]
    fn texts_of_one_meaning_do_not_compete() {
        let recognition = recognise(&[1, 3], 2.0);
        let command = recognition.command.unwrap();
        assert_eq!((command.meaning.as_str(), command.text.as_str()), ("w1 w2", "w1 w3"));
        assert_eq!(command.evidence.margin, MOST_MARGIN);
        assert!(recognition.alternatives.iter().all(|other| other.meaning != "w1 w2"));
    }

    #[test]
    fn other_speech_is_none() {
        let recognition = recognise(&[1, 9, 8, 9], 40.0);
        assert_eq!((recognition.command, recognition.heard.as_str()), (None, "w1 w9 w8 w9"));
        assert!(!recognition.alternatives.is_empty() && recognition.alternatives.iter().all(|other| other.confidence < 0.1));
    }

    #[test]
    fn a_text_without_meaning_is_none() {
        assert_eq!(recognise(&[6], 1.0).command, None);
    }

    #[test]
    fn silence_is_none_and_is_not_encoded() {
        let recognition = recognise(&[4, 5], 0.0);
        assert_eq!((recognition.command, recognition.stats.windows, recognition.stats.silent_windows), (None, 0, 1));
    }
}
