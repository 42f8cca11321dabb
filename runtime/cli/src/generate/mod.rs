//! `ossicle generate`.

use std::cell::RefCell;
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use ossicle::audio::SAMPLE_RATE;
use ossicle::generate::{
    Beginning, Description, GenerateError, GenerationPlan, MAX_SECONDS, Options, Prepared, Request, SEAM_SECONDS, Sampling, SoundGenerator,
    describe_traced, looped,
};
use ossicle::trace;
use ossicle::whisper::memory::program_bytes;
use ossicle_models::GraphError;
use ossicle_trace::Tap;

use crate::fault::{self, Fault};
use crate::model::{BudgetArgs, MachineArgs};
use crate::pcm::Sink;
use crate::trace::{Recording, TraceArgs};
use crate::{input, interrupt, size};

mod output;
mod page;

use output::{Job, OutputArgs};
use page::Page;

/// The model that is looked for unless another is named.
const DEFAULT_MODEL: &str = "effects";

/// Most sounds of one run.
const MOST: usize = 1000;

/// Largest file of descriptions.
const MOST_BYTES: usize = 1 << 20;

const EXAMPLES: &str = "\
Examples:
  ossicle generate \"a dog barks in the distance\" -o dog.wav --seconds 3
  ossicle generate \"rain\" \"a doorbell\" --output-dir sounds --seeds 4 --page sounds/index.html
  ossicle generate \"waves on the shore\" -o waves.wav --seconds 20 --loop
  ossicle generate \"a rooster crows\" -o longer.wav --continue-from farm.wav
  ossicle generate --prompts prompts.txt --prepare prompts.rows
  ossicle generate --prepared prompts.rows --output-dir sounds
  ossicle generate --prompts prompts.txt --output-dir sounds --trace sounds.trace
  ossicle generate \"wind\" -o - | aplay -r 16000 -f S16_LE

The model that comes with the program, effects, is small and knows a few dozen kinds of sounds: animals, weather, water, machines, alarms.
ossicle-quantize audiogen makes others of AudioGen's or MusicGen's checkpoints.

Samples are 16 bits, one channel. The same seed gives the same bytes on every machine, instruction set and number of threads.";

/// What to make.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// What is to be heard, once for each sound
    #[arg(required_unless_present_any = ["prompts", "prepared"], value_name = "TEXT")]
    texts: Vec<String>,
    /// Take descriptions from a file, one a line, after those given here; - is standard input
    #[arg(long, value_name = "FILE")]
    prompts: Option<PathBuf>,
    /// Make no sound: write what the model needs to know of the descriptions to this file
    #[arg(long, value_name = "FILE", conflicts_with_all = ["output", "output_dir", "prepared"])]
    prepare: Option<PathBuf>,
    /// Take descriptions from a file of --prepare, all of them if none is given: their encoder is not needed
    #[arg(long, value_name = "FILE")]
    prepared: Option<PathBuf>,
    #[command(flatten)]
    output: OutputArgs,
    /// Length, 0.1 to 600
    #[arg(long, value_name = "SECONDS", default_value = "5")]
    seconds: f64,
    /// What chance belongs to: another one gives another sound
    #[arg(long, value_name = "N", default_value = "0")]
    seed: u64,
    /// Make each sound with so many seeds, one after the other from --seed on
    #[arg(long, value_name = "COUNT", default_value = "1", value_parser = clap::value_parser!(u64).range(1..=MOST as u64))]
    seeds: u64,
    /// Let the sound go on from this recording, which it then begins with
    #[arg(long, value_name = "AUDIO", conflicts_with = "looped")]
    continue_from: Option<PathBuf>,
    /// Let the end run on into the beginning, so that the sound can be played again and again
    #[arg(id = "looped", long = "loop")]
    looped: bool,
    /// How closely to follow the text, 0 to 100; 1 leaves guidance out and takes less time [default: the model's]
    #[arg(long, value_name = "FACTOR")]
    guidance: Option<f32>,
    /// Draw among the N likeliest codes only, 0 for all [default: the model's]
    #[arg(long, value_name = "N")]
    top_k: Option<usize>,
    /// Draw among the likeliest codes that make up this probability; goes before --top-k [default: the model's]
    #[arg(long, value_name = "P")]
    top_p: Option<f32>,
    /// How freely to draw, 0 for the likeliest code always [default: the model's]
    #[arg(long, value_name = "T")]
    temperature: Option<f32>,
    /// Model folder, or the name of one (see `ossicle models list`)
    #[arg(long, value_name = "NAME|FOLDER", default_value = DEFAULT_MODEL)]
    model: String,
    /// Say on stderr how much memory each part needs, and how long it will take; a terminal is always told
    #[arg(long)]
    memory_report: bool,
    #[command(flatten)]
    machine: MachineArgs,
    #[command(flatten)]
    budget: BudgetArgs,
    #[command(flatten)]
    trace: TraceArgs,
}

impl Args {
    /// Whether memory and time are told beforehand.
    fn reports(&self) -> bool {
        self.memory_report || io::stderr().is_terminal()
    }

    /// All descriptions.
    fn texts(&self) -> Result<Vec<String>> {
        let mut texts = self.texts.clone();
        if let Some(file) = &self.prompts {
            let read = if input::is_stdin(file) { input::text_of(interrupt::stdin(), MOST_BYTES) } else { input::text(file, MOST_BYTES) };
            let text = read.map_err(|error| Fault::new(error, file.display(), "give a text file with a description a line"))?;
            texts.extend(text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned));
            if texts.is_empty() {
                return Err(Fault::new("no descriptions", file.display(), "write one on each line").into());
            }
        }
        Ok(texts)
    }

    /// The trace, if one is asked for. Another seed, or rows of descriptions from a file, would be another run.
    fn recording(&self, folder: &Path, options: Options) -> Result<Option<Recording>> {
        if self.trace.trace.is_none() {
            return Ok(None);
        }
        if self.seeds > 1 || self.prepared.is_some() || self.continue_from.is_some() {
            return Err(Fault::line("--trace takes descriptions and one seed: leave --seeds, --prepared and --continue-from out").into());
        }
        if self.prompts.is_some() && !self.texts.is_empty() {
            return Err(Fault::line("--trace takes descriptions from one place: put all into the file of --prompts").into());
        }
        let request = self.request(folder, 0).map_err(|error| refused(folder, error))?;
        let file = self.prompts.as_deref().filter(|file| !input::is_stdin(file));
        let run = ossicle::whisper::transcriber::Options { isa: options.isa, threads: options.threads };
        let header = |input| Ok(trace::generate_header(input, trace::sounds(folder)?, request, run)?);
        self.trace.start(file, None, header)
    }

    fn request(&self, folder: &Path, given: usize) -> Result<Request, GenerateError> {
        let seam = if self.looped { SEAM_SECONDS } else { 0.0 };
        if self.looped && self.seconds < 2.0 * seam {
            return Err(GenerateError::Setting(format!("{} seconds: at least {} are possible with --loop", self.seconds, 2.0 * seam)));
        }
        let model = Request::new(folder, self.seconds + seam)?;
        let sampling = Sampling {
            temperature: self.temperature.unwrap_or(model.sampling.temperature),
            top_k: self.top_k.unwrap_or(model.sampling.top_k),
            top_p: self.top_p.unwrap_or(model.sampling.top_p),
        };
        Ok(Request { given, seed: self.seed, guidance: self.guidance.unwrap_or(model.guidance), sampling, ..model })
    }
}

/// Makes them.
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let begun = Instant::now();
    let mut texts = args.texts()?;
    let folder = ossicle::models::find(&args.model).map_err(fault::model)?;
    let failed = |error| refused(&folder, error);
    let options = Options { isa: args.machine.isa(), threads: args.machine.threads() };
    if let Some(file) = &args.prepare {
        let rows = described(args, &folder, options, Request::new(&folder, args.seconds).map_err(failed)?, &texts, None)?;
        Prepared::new(texts, rows).write(&folder, file).map_err(failed)?;
        return Ok(ExitCode::SUCCESS);
    }
    let prepared = args.prepared.as_deref().map(|file| Prepared::read(&folder, file)).transpose().map_err(failed)?;
    if let Some(prepared) = prepared.as_ref().filter(|_| texts.is_empty()) {
        texts = prepared.texts().to_vec();
    }
    let jobs = args.output.jobs(&texts, args.seed, args.seeds)?;
    let mut page = Page::new(&args.output, args.seconds * jobs.len() as f64)?;
    let trace = args.recording(&folder, options)?;
    let tap = trace.as_ref().map(Recording::tap);
    let beginning = match &args.continue_from {
        Some(file) => beginning(file, &folder, options)?,
        None => Beginning::default(),
    };
    let request = args.request(&folder, beginning.frames()).map_err(failed)?;
    let descriptions = match (&prepared, &args.prepared) {
        (Some(prepared), Some(file)) => from_file(args, prepared, file, &folder, options, request, &texts)?,
        _ => described(args, &folder, options, request, &texts, tap.clone())?,
    };
    let rows = descriptions.iter().map(Description::rows).max().unwrap_or(1);
    let mut generator = SoundGenerator::open(&folder, options, request, rows).map_err(failed)?;
    args.output.make_folder()?;
    interrupt::catch()?;
    if args.reports() {
        let one = generator.expect(&descriptions[0], request).map_err(failed)?;
        fault::tell(format_args!("time: about {} on this machine", duration(begun.elapsed() + one.mul_f64(jobs.len() as f64))));
    }
    generator.set_tap(tap);
    let rate = u32::try_from(generator.sampling_rate()).context("the rate of samples")?;
    // Whole seconds times a rate are far below 2^53.
    let seam = (SEAM_SECONDS * f64::from(rate)) as usize;
    for Job { text, seed, file } in jobs {
        let mut sink = Sink::open(&file, rate)?;
        let bar = bar(&file);
        let (unwritten, kept) = (RefCell::new(None), RefCell::new(vec![]));
        let mut write = |samples: &[f32]| {
            let mut unwritten = unwritten.borrow_mut();
            if !args.looped && unwritten.is_none() {
                *unwritten = sink.write(samples).err();
            }
            if args.looped || page.is_wanted() {
                kept.borrow_mut().extend_from_slice(samples);
            }
        };
        let mut progress = |progress: ossicle::generate::Progress| {
            bar.set_length(progress.steps as u64);
            bar.set_position(progress.done as u64);
            // What nobody reads need not be made.
            !interrupt::came() && unwritten.borrow().is_none()
        };
        let result = generator.go_on(&beginning, &descriptions[text], Request { seed, ..request }, &mut write, &mut progress);
        bar.finish_and_clear();
        result.map_err(failed)?;
        let mut samples = kept.into_inner();
        if args.looped {
            // What was stopped has no seam.
            samples = if samples.len() >= 2 * seam && !interrupt::came() { looped(samples, seam) } else { samples };
            *unwritten.borrow_mut() = sink.write(&samples).err();
        }
        unwritten.into_inner().map_or(Ok(()), Err).and_then(|()| sink.finish()).with_context(|| file.display().to_string())?;
        page.add(&texts[text], seed, samples);
        if interrupt::came() {
            return Ok(interrupt::status());
        }
    }
    // The generator holds the trace too.
    drop(generator);
    trace.map_or(Ok(()), Recording::finish)?;
    page.write(rate)?;
    Ok(ExitCode::SUCCESS)
}

/// Encodes descriptions, once the plan of it all is allowed.
fn described(
    args: &Args,
    folder: &Path,
    options: Options,
    request: Request,
    texts: &[String],
    tap: Option<Arc<dyn Tap>>,
) -> Result<Vec<Description>> {
    let failed = |error| refused(folder, error);
    // Rows are not known before the encoder has run: room for the longest that texts of this size can give.
    let longest = texts.iter().map(|text| text.chars().count() + 2).max().unwrap_or(2).min(ossicle_models::audiogen::MAX_TEXT);
    let allow = |rows| allow(args, folder, &SoundGenerator::plan(folder, options, request, rows).map_err(failed)?);
    allow(longest)?;
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let descriptions = describe_traced(folder, options, &texts, tap).map_err(failed)?;
    // Normalisation may lengthen a text.
    match descriptions.iter().map(Description::rows).max() {
        Some(rows) if rows > longest => allow(rows)?,
        _ => {}
    }
    Ok(descriptions)
}

/// Descriptions that were prepared.
fn from_file(
    args: &Args,
    prepared: &Prepared,
    file: &Path,
    folder: &Path,
    options: Options,
    request: Request,
    texts: &[String],
) -> Result<Vec<Description>> {
    let find = |text: &String| {
        let missing = || Fault::new(format!("{text:?} is not among the descriptions"), file.display(), "prepare it with --prepare");
        prepared.get(text).cloned().ok_or_else(missing)
    };
    let descriptions = texts.iter().map(find).collect::<Result<Vec<_>, _>>()?;
    let rows = descriptions.iter().map(Description::rows).max().unwrap_or(1);
    allow(args, folder, &SoundGenerator::plan_prepared(folder, options, request, rows).map_err(|error| refused(folder, error))?)?;
    Ok(descriptions)
}

/// What a sound is to go on from.
fn beginning(file: &Path, folder: &Path, options: Options) -> Result<Beginning> {
    let most = MAX_SECONDS as usize * SAMPLE_RATE as usize + 1;
    let samples = input::read(file, options.isa, most)?;
    Beginning::new(folder, options, &samples, SAMPLE_RATE as usize).map_err(|error| match error {
        GenerateError::Setting(problem) => Fault::new(problem, file.display(), "give another recording").into(),
        error => refused(folder, error),
    })
}

/// A time, to the tenth of a second while that says anything.
fn duration(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    if seconds < 60.0 { format!("{seconds:.1} s") } else { format!("{} min {} s", seconds as u64 / 60, seconds as u64 % 60) }
}

fn bar(file: &Path) -> ProgressBar {
    let target = if io::stderr().is_terminal() { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
    let bar = ProgressBar::with_draw_target(None, target);
    let style = ProgressStyle::with_template("{prefix} {wide_bar} {pos}/{len} steps, {eta} left");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.set_prefix(file.display().to_string());
    bar
}

/// Refuses what `--memory` and `--board` do not allow, and says what is needed if asked.
fn allow(args: &Args, folder: &Path, plan: &GenerationPlan) -> Result<()> {
    let amount = |bytes: usize| size::megabytes(bytes as u64);
    let GenerationPlan { text, model, codec, codes } = *plan;
    let total = plan.total() + program_bytes();
    let parts = format!(
        "first text {}, then model {} (weights {}, caches {}), codec {}, codes {}; program {}",
        amount(text[0] + text[1]),
        amount(model.total()),
        amount(model.weights),
        amount(model.state),
        amount(codec.total()),
        amount(codes),
        amount(program_bytes())
    );
    for (limit, allowed) in args.budget.limits()? {
        if total as u64 > allowed {
            let what = format!("the plan needs {}, more than {limit} {}", amount(total), size::megabytes(allowed));
            return Err(Fault::new(what, folder.display(), parts).into());
        }
    }
    if args.reports() {
        fault::tell(format_args!("memory: {} at most: {parts}", amount(total)));
    }
    Ok(())
}

fn refused(folder: &Path, error: GenerateError) -> anyhow::Error {
    match error {
        GenerateError::Folder(error) => fault::folder(error).into(),
        GenerateError::Graph(error @ GraphError::Memory { .. }) => {
            Fault::new(error, folder.display(), "make a shorter sound, or use a smaller model").into()
        }
        GenerateError::Graph(error) => fault::graph(folder, error),
        error => Fault::line(error).into(),
    }
}
