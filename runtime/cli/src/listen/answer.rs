//! Answers to commands, spoken, while nothing is heard.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use ossicle::listen::Queue;
use ossicle::speak::{Options, Pronounced, Settings, Voice};

use super::output::Output;
use super::within;
use crate::fault::{self, Fault};
use crate::model::ModelArgs;
use crate::voice;

/// Samples a second that are heard.
const HEARD: u64 = ossicle::audio::SAMPLE_RATE as u64;

/// Whether answers are spoken, and how.
#[derive(clap::Args)]
#[command(next_help_heading = "Answers")]
pub(crate) struct AnswerArgs {
    /// Speak what the sentence file has as the answer to a command (`response`); meanwhile nothing is heard
    #[arg(long, requires = "sentences")]
    answer: bool,
    #[cfg_attr(
        feature = "microphone",
        doc = "Where answers go: a file (.wav, .flac, .raw, .pcm), or - for raw samples on standard output,"
    )]
    #[cfg_attr(feature = "microphone", doc = "with the lines on standard error [default: the system's loudspeaker]")]
    #[cfg_attr(
        not(feature = "microphone"),
        doc = "Where answers go: a file (.wav, .flac, .raw, .pcm), or - for raw samples on standard output,"
    )]
    #[cfg_attr(not(feature = "microphone"), doc = "with the lines on standard error")]
    #[arg(long, value_name = "FILE|-", requires = "answer")]
    answer_output: Option<PathBuf>,
    /// Voice of the answers: a model folder, or the name of one
    #[arg(long, value_name = "NAME|FOLDER", default_value = voice::DEFAULT)]
    voice: String,
    /// How long nothing is heard behind an answer, for the echo of the room and what the player holds, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 0.4, value_parser = parse_tail)]
    answer_tail: f64,
}

fn parse_tail(text: &str) -> Result<f64, String> {
    within(text, 0.0, 10.0)
}

impl AnswerArgs {
    /// Whether answers are spoken.
    pub(crate) fn is_given(&self) -> bool {
        self.answer
    }

    /// Whether standard output is taken by samples.
    pub(crate) fn takes_stdout(&self) -> bool {
        self.answer_output.as_deref() == Some(Path::new("-"))
    }

    /// Refuses what can be refused before a model is loaded.
    pub(crate) fn check(&self) -> Result<(), Fault> {
        if self.answer && self.answer_output.is_none() && cfg!(not(feature = "microphone")) {
            let remedy = "give --answer-output FILE or - (this build has no loudspeaker)";
            return Err(Fault::line(format!("--answer: nowhere to speak: {remedy}")));
        }
        Ok(())
    }

    /// The voice, if answers are spoken, and the bytes of its plan.
    pub(crate) fn open(&self, model: &ModelArgs) -> Result<Option<(Voice, usize)>> {
        if !self.answer {
            return Ok(None);
        }
        let folder = ossicle::models::find(&self.voice).map_err(fault::model)?;
        ossicle_models::folder::verify(&folder).map_err(fault::folder)?;
        let options = Options { isa: model.machine.isa(), threads: model.machine.threads() };
        let (voice, bytes) = voice::open(&folder, options, model.limits()?)?;
        drop(voice.pronounce("").map_err(Fault::line)?);
        Ok(Some((voice, bytes)))
    }

    /// Opens where the voice's answers go: last, when nothing else can fail any more.
    pub(crate) fn mouth(&self, voice: Voice) -> Result<Mouth> {
        let output = Output::open(self.answer_output.as_deref(), voice.sample_rate())?;
        Ok(Mouth { voice, output, tail: (self.answer_tail * HEARD as f64) as u64, wait: 0, mute: 0 })
    }
}

/// A voice that answers, and the ear that is closed meanwhile.
pub(crate) struct Mouth {
    voice: Voice,
    output: Output,
    tail: u64,
    /// Samples that were recorded before the answer and are still heard.
    wait: u64,
    /// Samples behind them that are not.
    mute: u64,
}

impl Mouth {
    /// Says an answer, to its end or until somebody presses the button. Behind the next `rest` samples of a recording, or those that already wait
    /// in the queue of a live stream, nothing is heard while it lasts; gives how many samples are still heard, and how many are not.
    pub(crate) fn say(&mut self, text: &str, queue: &Queue, rest: u64, live: bool) -> Result<(u64, u64)> {
        let waiting = || if live { queue.len() as u64 } else { 0 };
        let before = waiting();
        let Pronounced { phonemes, left_out } = self.voice.pronounce(text).map_err(Fault::line)?;
        if !left_out.is_empty() {
            fault::complain(&format!("the answer {text:?}: {} cannot be said: left out", left_out.join(", ")));
        }
        let mut spoken = 0;
        let mut speech = self.voice.speak_phonemes(&phonemes, Settings::default())?;
        while let Some(samples) = speech.next_chunk()? {
            spoken += samples.len() as u64;
            if !self.output.write(samples, &|| queue.is_marked()).context("the answer cannot be played")? {
                break;
            }
        }
        // A loudspeaker takes as long as it takes.
        self.output.wait(&|| queue.is_marked());
        let arrived = waiting().saturating_sub(before);
        // An answer before it may not be over.
        if self.mute == 0 {
            self.wait = if live { before } else { rest };
        }
        self.mute += (spoken * HEARD).div_ceil(self.voice.sample_rate().into()).max(arrived) + self.tail;
        Ok((self.wait, self.mute))
    }

    /// Takes out of newly heard samples what was recorded while it spoke.
    pub(crate) fn mute(&mut self, samples: &mut [f32]) {
        let heard = self.wait.min(samples.len() as u64) as usize;
        self.wait -= heard as u64;
        let muted = self.mute.min((samples.len() - heard) as u64) as usize;
        self.mute -= muted as u64;
        samples[heard..heard + muted].fill(0.0);
    }

    /// Whoever presses the button is heard.
    pub(crate) fn interrupt(&mut self) {
        (self.wait, self.mute) = (0, 0);
    }

    /// Writes what is left.
    pub(crate) fn finish(self) -> Result<()> {
        self.output.finish()
    }
}
