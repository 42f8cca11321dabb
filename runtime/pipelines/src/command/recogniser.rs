//! One recording, one command or none.

use std::time::Instant;

use ossicle_frontend::SAMPLE_RATE;
use ossicle_frontend::mel::HOP_SAMPLES;

use super::background::{self, Background};
use super::confidence::{self, Evidence, MOST_MARGIN};
use super::search::{self, Found, Limits, Search};
use super::sentences::{Meant, Sentences};
use super::sound::{Sound, sound};
use crate::whisper::engine::{EngineError, Lanes};
use crate::whisper::error::TranscribeError;
use crate::whisper::options::TranscribeOptions;
use crate::whisper::pipeline::{Heard, Pipeline};
use crate::whisper::scores;
use crate::whisper::transcript::Stats;
use crate::whisper::window::command_frames;

/// How to recognise.
#[derive(Clone, Debug, PartialEq)]
pub struct CommandOptions {
    /// Language, initial prompt (of which the end is taken, at most half of what a lane of the engine holds) and silence limits; window,
    /// timestamps and temperatures play no part.
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
    /// The command, if any reading is sure enough and no other meaning about as sure.
    pub command: Option<Reading<M>>,
    /// Readings of different meaning that are about as sure as one another, the surest first, where it is sure enough that one of them was
    /// meant; there is no command then.
    pub ambiguous: Vec<Reading<M>>,
    /// Other readings, or all of them if none is sure enough; the surest first.
    pub alternatives: Vec<Reading<M>>,
    /// How sure the surest reading is, whether it is the command or not even among the alternatives given out; 0 if there is none.
    pub confidence: f32,
    /// The text of free decoding; empty if nobody spoke.
    pub heard: String,
    /// Time and work.
    pub stats: Stats,
}

/// Nothing.
impl<M> Default for Recognition<M> {
    fn default() -> Self {
        Self {
            command: None,
            ambiguous: Vec::new(),
            alternatives: Vec::new(),
            confidence: 0.0,
            heard: String::new(),
            stats: Stats::default(),
        }
    }
}

/// Recognises commands among some sentences; keeps its working memory from recording to recording.
#[derive(Debug)]
pub struct Recogniser<S: Sentences> {
    sentences: S,
    search: Search<S::State>,
    suppressed: Vec<u32>,
}

/// Tokens that free decoding may give a second.
const TOKENS_PER_SECOND: usize = 6;

/// A reading at least this part as sure as the surest one is about as sure.
const ALIKE: f32 = 0.67;

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
        let mut recognition = Recognition::default();
        // Silence that the recording has already is part of the margins.
        let Sound { lead, end } = sound(samples);
        let frames = command_frames((lead + end).div_ceil(HOP_SAMPLES), options.margin_seconds, pipeline.config().short_windows);
        // The rest of a lane is for the sentence.
        let most_prompt = (pipeline.engine().max_lane_tokens() / 2).saturating_sub(1);
        let Some(mut heard) = pipeline.hear(samples, lead, frames, most_prompt, &options.transcribe, &mut recognition.stats)? else {
            return Ok(recognition);
        };
        let clock = Instant::now();
        let (background, found) = self.decode(&mut heard, end, options, &mut recognition.stats)?;
        recognition.heard = heard.tokenizer.decode(background.tokens.iter().copied()).trim().to_owned();
        let readings = self.readings(&heard, &background, &found, options.limits.token_bonus);
        self.decide(readings, options, &mut recognition);
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
        heard.engine.start_lanes();
        let background = background::decode(heard.engine, heard.after_prompt, eot, &self.suppressed, most)?;
        let said = &background.tokens[..heard.engine.position() - prompt];
        let Heard { after_prompt, .. } = *heard;
        let known = search::Heard { after_prompt, said, eot, suppressed: &self.suppressed, rivals: &background.rivals };
        // A free text that never ended says nothing of how much was said.
        let bonus_tokens = if background.finished { background.tokens.len() } else { 0 };
        let mut limits = Limits { bonus_tokens, ..options.limits };
        if background.finished && self.accepts(&background.tokens) {
            // What was said is a sentence as it stands: only its nearest rivals are worth the time.
            limits.beam = limits.beam.min(SURE_BEAM);
            limits.first_beam = 0;
        }
        let found = self.search.run(heard.engine, &self.sentences, known, limits)?;
        stats.decoder_steps += said.len() + std::mem::take(&mut self.search.steps);
        stats.search_tokens += std::mem::take(&mut self.search.lane_tokens);
        Ok((background, found))
    }

    /// Whether these tokens are a sentence.
    fn accepts(&self, tokens: &[u32]) -> bool {
        let end = tokens.iter().try_fold(self.sentences.start(), |state, &token| self.sentences.next(state, token));
        end.is_some_and(|state| self.sentences.accepts(state))
    }

    /// Takes the surest reading for the command if it is sure enough, unless another is about as sure.
    fn decide(&self, mut readings: Vec<Reading<S::Meaning>>, options: &CommandOptions, recognition: &mut Recognition<S::Meaning>) {
        let Some(surest) = readings.first() else { return };
        recognition.confidence = surest.confidence;
        let threshold = self.sentences.threshold(&surest.meaning).unwrap_or(options.threshold);
        let alike = readings.iter().take_while(|other| other.confidence >= ALIKE * surest.confidence).count();
        let any: f32 = readings[..alike].iter().map(|reading| reading.confidence).sum();
        if alike > 1 && any >= threshold {
            recognition.ambiguous = readings.drain(..alike).collect();
        } else if surest.confidence >= threshold {
            recognition.command = Some(readings.remove(0));
        }
        readings.truncate(options.alternatives);
        recognition.alternatives = readings;
    }

    /// What the texts mean, the surest first.
    fn readings<E>(&self, heard: &Heard<'_, E>, background: &Background, found: &[Found], bonus: f32) -> Vec<Reading<S::Meaning>> {
        let free = background.logprob + if background.finished { bonus * background.tokens.len() as f32 } else { 0.0 };
        // Of each meaning its best text, and the scores of all its texts added up.
        let mut readings: Vec<(Reading<S::Meaning>, f32)> = Vec::new();
        for found in found {
            let text = heard.tokenizer.decode(found.tokens.iter().copied()).trim().to_owned();
            let meanings = self.sentences.meanings(&text);
            let alike = meanings.iter().filter(|meant| meant.fits_best).count();
            let evidence = Evidence {
                against_free: found.score - free,
                mean: found.logprob / (found.tokens.len() + 1) as f32,
                margin: 0.0,
                no_speech: heard.no_speech_prob,
            };
            for Meant { meaning, fits_best } in meanings {
                // Those that fit a text alike share it; others are hardly meant.
                let score = found.score - if fits_best { scores::log(alike as f32) } else { MOST_MARGIN };
                match readings.iter_mut().find(|(other, _)| other.meaning == meaning) {
                    Some((_, sum)) => *sum = scores::log_add_exp(*sum, score),
                    None => readings.push((Reading { meaning, text: text.clone(), confidence: 0.0, evidence }, score)),
                }
            }
        }
        let calibration = heard.config.command_confidence.unwrap_or_default();
        let sums: Vec<f32> = readings.iter().map(|(_, score)| *score).collect();
        for (index, (reading, score)) in readings.iter_mut().enumerate() {
            let others = sums.iter().enumerate().filter(|(other, _)| *other != index).map(|(_, score)| *score);
            let others = others.fold(f32::NEG_INFINITY, scores::log_add_exp);
            reading.confidence = calibration.said(&reading.evidence) * confidence::share(*score - others);
            reading.evidence.margin = (*score - others).clamp(-MOST_MARGIN, MOST_MARGIN);
        }
        readings.sort_by(|(a, _), (b, _)| b.confidence.total_cmp(&a.confidence));
        readings.into_iter().map(|(reading, _)| reading).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::automaton::Automaton;
    use super::super::automaton::tests::Trie;
    use super::*;
    use crate::whisper::fake::{Fake, Script};
    use crate::whisper::pipeline::tests::{noise, pipeline};
    use crate::whisper::specials::tests::small;

    /// "w1 w2" and "w1 w3" mean the same, "w6" nothing, "w7 w8" two things of which one fits better and "w9 w8" two alike.
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

        fn next(&self, state: usize, token: u32) -> Option<usize> {
            self.0.next(state, token)
        }
    }

    impl Sentences for Words {
        type Meaning = String;

        fn meanings(&self, text: &str) -> Vec<Meant<String>> {
            let all: &[(&str, bool)] = match text {
                "w6" => &[],
                "w7 w8" => &[("first", true), ("second", false)],
                "w9 w8" => &[("third", true), ("fourth", true), ("second", false)],
                _ => &[(&text.replace("w3", "w2"), true)],
            };
            all.iter().map(|&(meaning, fits_best)| Meant { meaning: meaning.to_owned(), fits_best }).collect()
        }
    }

    const SENTENCES: [&[u32]; 6] = [&[1, 2], &[1, 3], &[4, 5], &[6], &[7, 8], &[9, 8]];

    fn recognise(said: &[u32], seconds: f64) -> Recognition<String> {
        let words = Words(Trie::new(&SENTENCES, None));
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
    fn other_meanings_of_a_text_are_alternatives() {
        let recognition = recognise(&[7, 8], 1.0);
        let command = recognition.command.unwrap();
        let other = &recognition.alternatives[0];
        assert_eq!((command.meaning.as_str(), other.meaning.as_str()), ("first", "second"));
        assert_eq!((command.text.as_str(), other.text.as_str()), ("w7 w8", "w7 w8"));
        assert!(command.evidence.margin > 4.0 && other.evidence.margin <= 0.0 && other.confidence < 0.01);
    }

    #[test]
    fn two_meanings_that_fit_alike_are_none_and_are_told() {
        let recognition = recognise(&[9, 8], 1.0);
        assert_eq!(recognition.command, None);
        let told: Vec<_> = recognition.ambiguous.iter().map(|reading| (reading.meaning.as_str(), reading.text.as_str())).collect();
        assert_eq!(told, [("third", "w9 w8"), ("fourth", "w9 w8")]);
        assert!(recognition.confidence > 0.4 && recognition.confidence <= 0.5, "{recognition:?}");
        assert_eq!(recognition.alternatives[0].meaning, "second");
    }

    #[test]
    fn confidences_are_shares_of_one() {
        for said in [&[1, 2][..], &[1, 3], &[4, 5], &[7, 8], &[9, 8], &[1, 5], &[4], &[9]] {
            for confidence in [0.5, 2.0, 9.0] {
                let mut pipeline = pipeline(vec![Script::says(said).confidence(confidence)]);
                let limits = Limits { spread: 30.0, ..Limits::default() };
                let options = CommandOptions { margin_seconds: Some(0.5), limits, alternatives: 20, ..CommandOptions::default() };
                let mut recogniser = Recogniser::new(Words(Trie::new(&SENTENCES, None)));
                let Recognition { command, ambiguous, alternatives, .. } =
                    recogniser.recognise(&mut pipeline, &noise(1.0), &options).unwrap();
                let all: Vec<_> = command.iter().chain(&ambiguous).chain(&alternatives).collect();
                let sum: f32 = all.iter().map(|reading| reading.confidence).sum();
                assert!(sum <= 1.0 + 1e-5, "{sum}: {all:?}");
                for (i, reading) in all.iter().enumerate() {
                    assert!(all[..i].iter().all(|other| other.meaning != reading.meaning), "{all:?}");
                }
            }
        }
    }

    #[test]
    fn about_as_sure_is_not_sure() {
        let recogniser = Recogniser::new(Words(Trie::new(&SENTENCES, None)));
        let reading =
            |confidence| Reading { meaning: format!("{confidence}"), text: String::new(), confidence, evidence: Evidence::default() };
        for (confidences, threshold, expected) in [
            (&[0.55, 0.40][..], 0.5, (false, 2, 0)),
            (&[0.55, 0.30], 0.5, (true, 0, 1)),
            (&[0.40, 0.35, 0.20], 0.5, (false, 2, 1)),
            // Whatever was said, it is likely none of these.
            (&[0.20, 0.19], 0.5, (false, 0, 2)),
            (&[0.20, 0.19], 0.3, (false, 2, 0)),
            (&[0.45, 0.20], 0.5, (false, 0, 2)),
            (&[], 0.5, (false, 0, 0)),
        ] {
            let options = CommandOptions { threshold, ..CommandOptions::default() };
            let mut found = Recognition::default();
            recogniser.decide(confidences.iter().map(|&confidence| reading(confidence)).collect(), &options, &mut found);
            assert_eq!((found.command.is_some(), found.ambiguous.len(), found.alternatives.len()), expected, "{confidences:?} {threshold}");
            assert_eq!(found.confidence, confidences.first().copied().unwrap_or(0.0));
        }
    }

    #[test]
    fn the_confidence_does_not_depend_on_what_is_given_out() {
        for (threshold, alternatives) in [(0.5, 3), (0.5, 0), (1.0, 3), (1.0, 0)] {
            let mut pipeline = pipeline(vec![Script::says(&[4, 5]).confidence(9.0)]);
            let options = CommandOptions { margin_seconds: Some(0.5), threshold, alternatives, ..CommandOptions::default() };
            let mut recogniser = Recogniser::new(Words(Trie::new(&SENTENCES, None)));
            let recognition = recogniser.recognise(&mut pipeline, &noise(1.0), &options).unwrap();
            assert_eq!(
                (recognition.command.is_some(), recognition.alternatives.len()),
                (threshold < 1.0, alternatives.min(recognition.alternatives.len()))
            );
            assert!(recognition.confidence > 0.9 && recognition.confidence < 1.0, "{threshold} {alternatives}");
        }
    }

    #[test]
    fn texts_end_where_a_lane_does() {
        for (lane_tokens, is_command) in [(160, true), (6, true), (5, false), (4, false), (0, false)] {
            let mut pipeline = pipeline(vec![Script::says(&[4, 5]).confidence(9.0)]);
            pipeline.engine_mut().lane_tokens = lane_tokens;
            let mut recogniser = Recogniser::new(Words(Trie::new(&SENTENCES, None)));
            let recognition = recogniser.recognise(&mut pipeline, &noise(1.0), &CommandOptions::default()).unwrap();
            assert_eq!(recognition.command.is_some(), is_command, "{lane_tokens} tokens");
        }
    }

    #[test]
    fn of_a_long_prompt_the_end_is_taken() {
        let mut config = small();
        config.suppress_tokens.clear();
        let json = r#"{"model": {"vocab": {"Ġ": 0, "w": 1, "3": 2, "4": 3, "Ġw": 4}}}"#.to_owned();
        let engine = Fake::new(vec![Script::says(&[4, 3]).confidence(9.0)]);
        let mut pipeline = Pipeline::with_config(engine, config, json).unwrap();
        pipeline.engine_mut().lane_tokens = 20;
        let mut options = CommandOptions::default();
        options.transcribe.initial_prompt = Some("w3 ".repeat(100));
        let mut recogniser = Recogniser::new(Words(Trie::new(&[&[4, 3]], None)));
        let recognition = recogniser.recognise(&mut pipeline, &noise(1.0), &options).unwrap();
        assert_eq!(recognition.command.map(|command| command.text).as_deref(), Some("w4"));
        assert_eq!(pipeline.engine().fed(), [57, 2, 4, 2, 4, 2, 4, 2, 4, 2, 51, 52, 55, 59, 4, 3]);
    }

    #[test]
    fn the_language_asked_for_is_decoded() {
        // 52 and 53 are the languages, 57 detects them.
        for (language, code) in [("en", 52), ("de", 53)] {
            let mut pipeline = pipeline(vec![Script::says(&[4, 5]).confidence(9.0)]);
            let mut options = CommandOptions::default();
            options.transcribe.language = Some(language.into());
            let mut recogniser = Recogniser::new(Words(Trie::new(&SENTENCES, None)));
            recogniser.recognise(&mut pipeline, &noise(1.0), &options).unwrap();
            assert_eq!(pipeline.engine().fed()[..2], [51, code], "{language}");
        }
    }

    #[test]
    fn silence_before_the_sound_is_encoded_once() {
        for (seconds, frames) in [(0.0, 180), (0.1, 180), (0.2, 180), (0.5, 200)] {
            let mut pipeline = pipeline(vec![Script::says(&[4, 5]).confidence(9.0)]);
            let options = CommandOptions { margin_seconds: Some(0.5), ..CommandOptions::default() };
            let samples = [vec![0.0; (seconds * 16_000.0) as usize], noise(1.0), vec![0.0; 1600]].concat();
            let recognition = Recogniser::new(Words(Trie::new(&SENTENCES, None))).recognise(&mut pipeline, &samples, &options).unwrap();
            assert!(recognition.command.is_some());
            assert_eq!(pipeline.engine().frames, [frames], "{seconds} s");
        }
    }

    #[test]
    fn silence_is_none_and_is_not_encoded() {
        let recognition = recognise(&[4, 5], 0.0);
        assert_eq!((recognition.command, recognition.stats.windows, recognition.stats.silent_windows), (None, 0, 1));
    }
}
