//! `ossicle command tune`: misses and false alarms over recordings.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use indicatif::{ProgressBar, ProgressDrawTarget};
use ossicle::audio::{ENDINGS, SAMPLE_RATE};
use ossicle::command::calibrate;
use ossicle::command::confidence::Evidence;
use ossicle::command::mix::{Mixer, Noise};
use ossicle::command::recogniser::{CommandOptions, Reading, Recogniser, Recognition};
use ossicle::command::set::{CommandSet, Intent, SlotValue};
use ossicle::whisper::transcriber::Transcriber;
use ossicle::whisper::transcript::Stats;
use ossicle_sentences::Value;
use serde::{Deserialize, Serialize};

use super::RecognitionArgs;
use crate::fault::{self, Fault};
use crate::input;

/// Longer recordings of other sound are cut into utterances of this many seconds.
const PIECE_SECONDS: usize = 6;
const PIECE_SAMPLES: usize = PIECE_SECONDS * SAMPLE_RATE as usize;
/// Longest recording of noise, which is kept in memory.
const MAX_NOISE_SECONDS: usize = 600;
/// Largest manifest.
const MAX_MANIFEST_BYTES: usize = 16 << 20;

/// Which recordings.
#[derive(clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    recognition: RecognitionArgs,
    /// Commands: a file of one JSON object a line, with file (beside it), intent and slots
    #[arg(long, value_name = "MANIFEST.jsonl")]
    commands: PathBuf,
    /// Recordings and folders of recordings with no command; long ones are cut into utterances of 6 s
    #[arg(long, value_name = "PATH", num_args = 1.., required = true)]
    others: Vec<PathBuf>,
    /// Recordings to mix into the commands, one after the other
    #[arg(long, value_name = "PATH", num_args = 1.., requires = "snr")]
    noise: Vec<PathBuf>,
    /// How much louder the command is than the noise, in dB; each command is measured at each
    #[arg(long, value_name = "DB,DB...", value_delimiter = ',', requires = "noise", allow_hyphen_values = true, value_parser = parse_snr)]
    snr: Vec<f32>,
    /// Write what was found in each recording here, an object a line
    #[arg(long, value_name = "FILE.jsonl")]
    scores: Option<PathBuf>,
    /// Fit the confidence to these recordings and print it, as command_confidence in a model's generation_config.json
    #[arg(long)]
    fit: bool,
}

fn parse_snr(text: &str) -> Result<f32, String> {
    text.parse().ok().filter(|db| (-100.0..=100.0).contains(db)).ok_or_else(|| "give -100 to 100 dB".into())
}

/// A line of the manifest; other keys play no part.
#[derive(Deserialize)]
struct Command {
    file: PathBuf,
    intent: String,
    #[serde(default)]
    slots: BTreeMap<String, serde_json::Value>,
}

/// What came of one recording.
#[derive(Serialize)]
struct Score {
    file: String,
    /// Whether a command was said.
    command: bool,
    /// Whether the best reading is that command.
    right: bool,
    /// Whether another is about as good, so that neither is taken.
    ambiguous: bool,
    confidence: f32,
    /// The best reading.
    text: String,
    heard: String,
    evidence: Option<Evidence>,
    /// Length of the recording.
    seconds: f64,
    /// Tokens decoded: of free text, or of a search step; and of hypotheses of the search.
    decoder_steps: usize,
    search_tokens: usize,
}

/// `ossicle command tune`: a recording that cannot be read or recognised gives its line, and the others go on.
pub(super) fn run(args: &Args) -> Result<ExitCode> {
    let commands = read_manifest(&args.commands)?;
    let others = expand("--others", &args.others)?;
    let mut noises = Vec::new();
    for file in expand("--noise", &args.noise)? {
        noises.push(Noise::new(read(&file, &args.recognition, MAX_NOISE_SECONDS)?));
    }
    // Before the work, not after it.
    let scores = args.scores.as_deref().map(|path| {
        let file = File::create(path).map_err(|error| Fault::new(error, path.display(), "give a file that can be written"));
        file.map(|file| (path, BufWriter::new(file)))
    });
    let scores = scores.transpose()?;
    let (model, recogniser, language) = args.recognition.open()?;
    // Every reading counts here, however unsure.
    let options = CommandOptions { threshold: 0.0, ..args.recognition.options(3, language) };
    let mut bench = Bench { model, recogniser, options, scores: Vec::new() };
    let bar = ProgressBar::with_draw_target(Some((commands.len() + others.len()) as u64), ProgressDrawTarget::stderr());
    let mut mixer = Mixer::new(noises);
    let mut status = ExitCode::SUCCESS;
    let mut count = |outcome: Result<()>| {
        if let Err(error) = outcome {
            bar.suspend(|| fault::report(&error));
            status = ExitCode::FAILURE;
        }
        bar.inc(1);
    };
    for command in &commands {
        count(bench.command(command, &args.recognition, &mut mixer, &args.snr));
    }
    for file in &others {
        count(bench.other(file, &args.recognition));
    }
    bar.finish_and_clear();
    if let Some((path, out)) = scores {
        write_scores(out, &bench.scores).with_context(|| format!("cannot write {}", path.display()))?;
    }
    if args.fit {
        let samples: Vec<_> = bench.scores.iter().filter_map(|score| Some((score.evidence?, score.right))).collect();
        writeln!(io::stdout().lock(), "{}", serde_json::to_string_pretty(&calibrate::fit(&samples))?)?;
    } else {
        table(&mut io::stdout().lock(), &bench.scores)?;
    }
    Ok(status)
}

struct Bench {
    model: Transcriber,
    recogniser: Recogniser<CommandSet>,
    options: CommandOptions,
    scores: Vec<Score>,
}

impl Bench {
    /// A command, in each loudness of the noise.
    fn command(&mut self, command: &Command, args: &RecognitionArgs, mixer: &mut Mixer, snr: &[f32]) -> Result<()> {
        let (samples, damage) = super::samples(&command.file, input::open(&command.file, None, args.model.machine.isa()))?;
        input::tell_damage(&input::name(&command.file), &damage);
        if snr.is_empty() {
            self.recognise(&command.file, &samples, Some(command))?;
        }
        for &snr in snr {
            self.recognise(&command.file, &mixer.mix(&samples, snr), Some(command))?;
        }
        Ok(())
    }

    /// A recording of any length with no command in it, piece by piece.
    fn other(&mut self, file: &Path, args: &RecognitionArgs) -> Result<()> {
        let mut reader = input::open(file, None, args.model.machine.isa())?;
        let mut piece = vec![0.0; PIECE_SAMPLES];
        loop {
            let mut len = 0;
            while len < piece.len() {
                match reader.read(&mut piece[len..]).map_err(|error| fault::audio(&input::name(file), &error))? {
                    0 => break,
                    read => len += read,
                }
            }
            if len == 0 {
                return Ok(());
            }
            self.recognise(file, &piece[..len], None)?;
        }
    }

    fn recognise(&mut self, file: &Path, samples: &[f32], command: Option<&Command>) -> Result<()> {
        let file = input::name(file);
        let recognised = self.recogniser.recognise(self.model.pipeline(), samples, &self.options);
        let recognised = recognised.map_err(|error| fault::transcription(&file, error))?;
        let Stats { decoder_steps, search_tokens, .. } = recognised.stats;
        let heard = recognised.heard.clone();
        let ambiguous = !recognised.ambiguous.is_empty();
        let best = best(recognised);
        let right = best.as_ref().zip(command).is_some_and(|(best, command)| is(&best.meaning, command));
        self.scores.push(Score {
            file,
            command: command.is_some(),
            right,
            ambiguous,
            confidence: best.as_ref().map_or(0.0, |best| best.confidence),
            text: best.as_ref().map_or_else(String::new, |best| best.text.clone()),
            heard,
            evidence: best.map(|best| best.evidence),
            seconds: samples.len() as f64 / f64::from(SAMPLE_RATE),
            decoder_steps,
            search_tokens,
        });
        Ok(())
    }
}

/// The surest reading, also where it stays below its own sentence's threshold.
fn best<M>(recognised: Recognition<M>) -> Option<Reading<M>> {
    recognised.command.into_iter().chain(recognised.ambiguous).chain(recognised.alternatives).next()
}

/// Whether a reading is the command of the manifest, slot by slot.
fn is(meaning: &Intent, command: &Command) -> bool {
    let holds = |(name, value): &(String, SlotValue)| command.slots.get(name).is_some_and(|wanted| is_value(&value.0, wanted));
    meaning.name == command.intent && meaning.slots.len() == command.slots.len() && meaning.slots.iter().all(holds)
}

/// Whether a slot holds what the manifest says: numbers as numbers, however they are written; texts without regard to case.
fn is_value(said: &Value, wanted: &serde_json::Value) -> bool {
    let text = wanted.as_str().map_or_else(|| wanted.to_string(), str::to_owned);
    match said {
        Value::Number(number) => text.trim().parse() == Ok(*number),
        said => said.to_string().to_lowercase() == text.to_lowercase(),
    }
}

fn read_manifest(path: &Path) -> Result<Vec<Command>> {
    let remedy = "give a file of lines such as {\"file\": \"a.wav\", \"intent\": \"HassTurnOn\", \"slots\": {\"area\": \"kitchen\"}}";
    let text = input::text(path, MAX_MANIFEST_BYTES).map_err(|error| Fault::new(error, path.display(), remedy))?;
    let folder = path.parent().unwrap_or(Path::new(""));
    let mut commands = Vec::new();
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let place = format!("{}:{}", path.display(), number + 1);
        let mut command: Command = serde_json::from_str(line).map_err(|error| Fault::new(error, place, remedy))?;
        command.file = folder.join(&command.file);
        commands.push(command);
    }
    if commands.is_empty() {
        return Err(Fault::new("no commands in it", path.display(), remedy).into());
    }
    Ok(commands)
}

/// The files named for an option, and those in the folders named, sorted; each folder must have some.
fn expand(option: &str, paths: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for path in paths {
        if !path.is_dir() {
            files.push(path.clone());
            continue;
        }
        let cannot = |error: io::Error| Fault::new(error, path.display(), "give a folder that can be read");
        let entries = fs::read_dir(path).map_err(cannot)?.collect::<io::Result<Vec<_>>>().map_err(cannot)?;
        let mut inside: Vec<_> = entries.into_iter().map(|entry| entry.path()).filter(|path| path.is_file() && is_audio(path)).collect();
        if inside.is_empty() {
            let remedy = format!("give {option} a folder that has some, whose names end in {}", ENDINGS.join(", "));
            return Err(Fault::new("no recordings in this folder", path.display(), remedy).into());
        }
        inside.sort();
        files.append(&mut inside);
    }
    Ok(files)
}

fn is_audio(path: &Path) -> bool {
    let extension = path.extension().map(|extension| extension.to_string_lossy().to_lowercase());
    extension.is_some_and(|extension| ENDINGS.contains(&extension.as_str()))
}

/// All samples of a recording of up to so many seconds.
fn read(file: &Path, args: &RecognitionArgs, seconds: usize) -> Result<Vec<f32>, Fault> {
    let most = seconds * SAMPLE_RATE as usize;
    let samples = input::read(file, args.model.machine.isa(), most + 1)?;
    if samples.len() > most {
        return Err(Fault::new(format!("longer than {seconds} s"), input::name(file), "give a part of it"));
    }
    Ok(samples)
}

fn write_scores(mut out: impl Write, scores: &[Score]) -> Result<()> {
    for score in scores {
        serde_json::to_writer(&mut out, score)?;
        out.write_all(b"\n")?;
    }
    Ok(out.flush()?)
}

/// For each threshold the shares of commands that are right, wrong and missed, and of other utterances that are taken for one.
fn table(out: &mut impl Write, scores: &[Score]) -> io::Result<()> {
    let (commands, others): (Vec<_>, Vec<_>) = scores.iter().partition(|score| score.command);
    writeln!(out, "{} commands, {} other utterances", commands.len(), others.len())?;
    writeln!(out, "threshold    right    wrong   missed   false alarms")?;
    let percent = |count: usize, of: &[&Score]| 100.0 * count as f64 / of.len().max(1) as f64;
    for threshold in [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99] {
        let sure = |score: &&&Score| score.confidence >= threshold && score.evidence.is_some() && !score.ambiguous;
        let right = commands.iter().filter(sure).filter(|score| score.right).count();
        let wrong = commands.iter().filter(sure).filter(|score| !score.right).count();
        let missed = commands.len() - right - wrong;
        let alarms = others.iter().filter(sure).count();
        let [right, wrong, missed] = [right, wrong, missed].map(|count| percent(count, &commands));
        writeln!(out, "{threshold:9.2} {right:7.2}% {wrong:7.2}% {missed:7.2}%   {:7.2}%  ({alarms})", percent(alarms, &others))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recognition(command: Option<&'static str>, alternatives: &[&'static str]) -> Recognition<&'static str> {
        let reading = |meaning| Reading { meaning, text: String::new(), confidence: 0.4, evidence: Evidence::default() };
        let (command, alternatives) = (command.map(reading), alternatives.iter().copied().map(reading).collect());
        Recognition { command, ambiguous: Vec::new(), alternatives, confidence: 0.4, heard: String::new(), stats: Stats::default() }
    }

    #[test]
    fn slots_are_compared_as_what_they_are() {
        let ten = Value::Number(10.0);
        for wanted in ["10", "10.0", "1e1", "\"10\"", "\"10.0\""] {
            assert!(is_value(&ten, &serde_json::from_str(wanted).unwrap()), "{wanted}");
        }
        for wanted in ["10.5", "\"ten\"", "true", "null"] {
            assert!(!is_value(&ten, &serde_json::from_str(wanted).unwrap()), "{wanted}");
        }
        let kitchen = Value::Text("kitchen".into());
        assert!(is_value(&kitchen, &"Kitchen".into()) && !is_value(&kitchen, &"lounge".into()));
    }

    #[test]
    fn readings_below_their_own_threshold_count() {
        assert_eq!(best(recognition(Some("a"), &["b"])).map(|best| best.meaning), Some("a"));
        assert_eq!(best(recognition(None, &["b", "c"])).map(|best| best.meaning), Some("b"));
        assert!(best(recognition(None, &[])).is_none());
        let mut ambiguous = recognition(None, &["c"]);
        ambiguous.ambiguous = recognition(None, &["a", "b"]).alternatives;
        assert_eq!(best(ambiguous).map(|best| best.meaning), Some("a"));
    }
}
