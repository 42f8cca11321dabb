//! `ossicle bench whisper`: a whole transcription with the figures of other runtimes' benchmarks.

use std::io::{BufRead, Write};
use std::path::{Path, PathBuf};

use anyhow::Result;
use ossicle::audio::{AudioReader, SAMPLE_RATE};
use ossicle::whisper::engine::Engine;
use ossicle::whisper::options::{Quality, TranscribeOptions};
use ossicle::whisper::pipeline::Pipeline;
use ossicle::whisper::transcriber::OpenError;
use ossicle::whisper::window::Window;
use ossicle_models::folder::ModelFolder;
use ossicle_models::whisper::{Options, WhisperGraph};
use serde_json::{Value, json};

use super::clock::{Clock, Times, min_and_median, peak_rss_mb, rounded};
use super::timed::Timed;
use crate::fault;
use crate::model::ModelArgs;
use crate::transcribe_args::parse_window;

/// What to measure.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Recording
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    model: ModelArgs,
    /// How much the encoder sees
    #[arg(long, value_name = "auto|full|SECONDS", default_value = "full", value_parser = parse_window)]
    window: Window,
    /// What is measured: greedy is one attempt without timestamps and checks, for comparing with other runtimes; transcribe is what that
    /// command does by default, with timestamps, language detection, checks and retries [default: transcribe with --window auto, else greedy]
    #[arg(long, value_enum, value_name = "greedy|transcribe", hide_possible_values = true)]
    decoding: Option<Decoding>,
    /// Language spoken; auto detects it [default: en if greedy, else auto]
    #[arg(long, value_name = "LANGUAGE")]
    language: Option<String>,
    /// Runs that count, after one that does not
    #[arg(long, value_name = "N", default_value_t = 8)]
    rounds: usize,
    /// One JSON object, schema ossicle.bench.whisper/1; times in milliseconds
    #[arg(long)]
    json: bool,
    /// Print {"load": ms}, then one JSON line of times for every line on stdin, so that rounds can alternate with other programs
    #[arg(long, conflicts_with_all = ["json", "rounds"])]
    serve: bool,
}

/// How tokens are chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Decoding {
    Greedy,
    Transcribe,
}

impl Decoding {
    fn name(self) -> &'static str {
        match self {
            Self::Greedy => "greedy",
            Self::Transcribe => "transcribe",
        }
    }
}

impl Args {
    fn decoding(&self) -> Decoding {
        let usual = if matches!(self.window, Window::Auto { .. }) { Decoding::Transcribe } else { Decoding::Greedy };
        self.decoding.unwrap_or(usual)
    }

    fn options(&self) -> TranscribeOptions {
        let decoding = self.decoding();
        let usual = if decoding == Decoding::Greedy { "en" } else { "auto" };
        let language = self.language.as_deref().unwrap_or(usual);
        let options =
            TranscribeOptions { language: (language != "auto").then(|| language.to_owned()), window: self.window, ..Default::default() };
        match decoding {
            Decoding::Greedy => TranscribeOptions { timestamps: false, quality: Quality::off(), vad: None, ..options },
            Decoding::Transcribe => options,
        }
    }
}

/// One transcription.
#[derive(Clone, Debug, Default)]
struct Round {
    mel: Times,
    encode: Times,
    prefill: Times,
    /// Everything after the prompts: decoder, rules, choice of tokens.
    decode: Times,
    whole: Times,
    tokens: usize,
    text: String,
}

impl Round {
    fn token(&self, of: impl Fn(&Times) -> f64) -> f64 {
        of(&self.decode) / self.tokens.max(1) as f64
    }
}

struct Bench<E> {
    pipeline: Pipeline<Timed<E>>,
    options: TranscribeOptions,
    samples: Vec<f32>,
    clock: Clock,
}

impl<E: Engine> Bench<E> {
    fn round(&mut self) -> Result<Round> {
        self.pipeline.engine_mut().restart();
        let start = self.clock.now();
        let mut round = Round::default();
        let text = &mut round.text;
        let summary = self.pipeline.transcribe(&mut &self.samples[..], &self.options, &mut |segment| text.push_str(&segment.text))?;
        let end = self.clock.now();
        let notes = self.pipeline.engine().notes;
        round.mel = notes.encode_start.unwrap_or(end) - start;
        // The first window's features wall time includes reading; with several windows the pipeline's own sum is the better one.
        round.mel.wall = summary.stats.mel_seconds * 1e3;
        round.encode = notes.encode;
        round.prefill = notes.prefill;
        round.whole = end - start;
        round.tokens = notes.tokens;
        round.decode = notes.decode(end);
        Ok(round)
    }
}

/// Measures.
pub(crate) fn run(args: &Args) -> Result<()> {
    let place = args.file.display().to_string();
    let samples = AudioReader::open_with(&args.file, args.model.machine.isa())
        .and_then(|mut reader| reader.read_to_end())
        .map_err(|error| fault::audio(&place, &error))?;
    let seconds = samples.len() as f64 / f64::from(SAMPLE_RATE);
    let clock = Clock::new();
    let path = args.model.path()?;
    args.model.plan(&path, args.window.max_frames(), false)?;
    let info = ossicle::models::info(&path).map_err(fault::model)?;
    let options = args.options();
    // Start of transcript; language and task for multilingual models; and perhaps "no timestamps".
    let prompt_tokens = if info.multilingual { 3 } else { 1 } + usize::from(!options.timestamps);
    let pipeline = open(args, &path, clock, prompt_tokens).map_err(|error| fault::opening(&path, error))?;
    let load = clock.now().wall;
    pipeline.check(&options).map_err(|error| fault::transcription(&place, error))?;
    let mut bench = Bench { pipeline, options, samples, clock };
    if args.serve {
        return serve(&mut bench, load);
    }
    bench.round()?;
    let rounds = (0..args.rounds).map(|_| bench.round()).collect::<Result<Vec<_>>>()?;
    let report = Report { name: info.name, model_bytes: info.bytes, seconds, load, rounds };
    let mut out = std::io::stdout().lock();
    if args.json {
        writeln!(out, "{}", report.json(args))?
    } else {
        report.table(args, &mut out)?
    }
    Ok(())
}

/// What was measured.
struct Report {
    name: String,
    model_bytes: u64,
    seconds: f64,
    load: f64,
    rounds: Vec<Round>,
}

impl Report {
    /// Minimum and median of each part.
    fn figures(&self, of: fn(&Times) -> f64) -> [(&'static str, (f64, f64)); 5] {
        let each = |part: &dyn Fn(&Round) -> f64| min_and_median(self.rounds.iter().map(part));
        [
            ("mel", each(&|round| of(&round.mel))),
            ("encoder", each(&|round| of(&round.encode))),
            ("prefill", each(&|round| of(&round.prefill))),
            ("token", each(&|round| round.token(of))),
            ("whole", each(&|round| of(&round.whole))),
        ]
    }

    fn last(&self) -> Round {
        self.rounds.last().cloned().unwrap_or_default()
    }

    fn json(&self, args: &Args) -> Value {
        let object = |figures: &[(&str, (f64, f64))], pick: fn((f64, f64)) -> f64| -> Value {
            figures.iter().map(|&(name, both)| (name.to_owned(), json!(rounded(pick(both))))).collect()
        };
        let (wall, cpu, last) = (self.figures(|times| times.wall), self.figures(|times| times.cpu), self.last());
        json!({
            "schema": "ossicle.bench.whisper/1",
            "model": self.name,
            "file": args.file.display().to_string(),
            "seconds": rounded(self.seconds),
            "window": window_name(args.window),
            "decoding": args.decoding().name(),
            "isa": args.model.machine.isa().name(),
            "threads": args.model.machine.threads(),
            "rounds": args.rounds,
            "load": rounded(self.load),
            "rss_mb": peak_rss_mb().map(rounded),
            "model_mb": rounded(self.model_bytes as f64 / 1e6),
            "min": object(&wall, |both| both.0),
            "median": object(&wall, |both| both.1),
            "cpu_min": object(&cpu, |both| both.0),
            "tokens": last.tokens,
            "text": last.text,
        })
    }

    fn table(&self, args: &Args, out: &mut impl Write) -> std::io::Result<()> {
        let (isa, threads) = (args.model.machine.isa(), args.model.machine.threads());
        let (window, last) = (window_name(args.window), self.last());
        let decoding = args.decoding().name();
        let what = format!("{:.1} s of audio, window: {window}, decoding: {decoding}", self.seconds);
        writeln!(out, "{}, {isa}, threads: {threads}, {what}", self.name)?;
        writeln!(out, "{:<10}{:>10}{:>10}", "ms", "min", "median")?;
        for (name, (min, median)) in self.figures(|times| times.wall) {
            writeln!(out, "{name:<10}{min:>10.2}{median:>10.2}")?;
        }
        writeln!(out, "{:<10}{:>10.2}", "load", self.load)?;
        let (rss, model) = (peak_rss_mb().unwrap_or(0.0), self.model_bytes as f64 / 1e6);
        writeln!(out, "peak memory {rss:.1} MiB, model {model:.1} MB, {} tokens:{}", last.tokens, last.text)
    }
}

fn window_name(window: Window) -> String {
    match window {
        Window::Auto { .. } => "auto".into(),
        Window::Full => "full".into(),
        Window::Seconds(seconds) => seconds.to_string(),
    }
}

fn open(args: &Args, path: &Path, clock: Clock, prompt_tokens: usize) -> Result<Pipeline<Timed<WhisperGraph>>, OpenError> {
    let machine = &args.model.machine;
    let folder = ModelFolder::open(path)?;
    let (settings, tokenizer) = (folder.read_text("generation_config.json")?, folder.read_text("tokenizer.json")?);
    let network = WhisperGraph::new(folder, Options { isa: machine.isa(), threads: machine.threads() })?;
    Ok(Pipeline::new(Timed::new(network, clock, prompt_tokens), &settings, tokenizer)?)
}

/// The keys are those of the peers' workers.
fn serve<E: Engine>(bench: &mut Bench<E>, load: f64) -> Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}", json!({"load": rounded(load)}))?;
    out.flush()?;
    for line in std::io::stdin().lock().lines() {
        line?;
        let round = bench.round()?;
        let Round { mel, encode, prefill, whole, tokens, text, .. } = &round;
        let row = json!({
            "mel": rounded(mel.wall), "c_mel": rounded(mel.cpu), "enc": rounded(encode.wall), "c_enc": rounded(encode.cpu),
            "prefill": rounded(prefill.wall), "c_prefill": rounded(prefill.cpu),
            "tok": rounded(round.token(|times| times.wall)), "c_tok": rounded(round.token(|times| times.cpu)), "ntok": tokens,
            "total": rounded(whole.wall), "c_total": rounded(whole.cpu), "text": text, "rss_mb": peak_rss_mb().map(rounded),
        });
        writeln!(out, "{row}")?;
        out.flush()?;
    }
    Ok(())
}
