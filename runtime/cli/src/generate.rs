//! `ossicle generate`.

use std::cell::RefCell;
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use ossicle::generate::{Description, GenerateError, GenerationPlan, Options, Request, Sampling, SoundGenerator, describe};
use ossicle::whisper::memory::program_bytes;
use ossicle_models::GraphError;

use crate::fault::{self, Fault};
use crate::model::{BudgetArgs, MachineArgs};
use crate::pcm::Sink;
use crate::{interrupt, size};

/// The model that is looked for unless another is named.
const DEFAULT_MODEL: &str = "effects";

/// Most descriptions of one run.
const MOST: usize = 1000;

const EXAMPLES: &str = "\
Examples:
  ossicle generate \"a dog barks in the distance\" -o dog.wav --seconds 3
  ossicle generate \"rain on a roof\" \"a door bell\" --output-dir sounds --seed 7
  ossicle generate \"wind\" -o - | aplay -r 16000 -f S16_LE

No model comes with the program yet: make one with ossicle-quantize audiogen and give it with --model.

Samples are 16 bits, one channel. The same seed gives the same bytes on every machine, instruction set and number of threads.";

/// What to make.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// What is to be heard, once for each sound
    #[arg(required = true, value_name = "TEXT")]
    texts: Vec<String>,
    /// File to write: .wav, or raw samples as .raw or .pcm; - is standard output
    #[arg(short, long, value_name = "FILE", conflicts_with = "output_dir")]
    output: Option<PathBuf>,
    /// Folder for 1.wav, 2.wav and so on, in the order of the texts
    #[arg(long, value_name = "FOLDER")]
    output_dir: Option<PathBuf>,
    /// Length, 0.1 to 600
    #[arg(long, value_name = "SECONDS", default_value = "5")]
    seconds: f64,
    /// What chance belongs to: another one gives another sound
    #[arg(long, value_name = "N", default_value = "0")]
    seed: u64,
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
    /// Say on stderr how much memory each part needs
    #[arg(long)]
    memory_report: bool,
    #[command(flatten)]
    machine: MachineArgs,
    #[command(flatten)]
    budget: BudgetArgs,
}

impl Args {
    /// Where each sound goes.
    fn files(&self) -> Result<Vec<PathBuf>> {
        if self.texts.len() > MOST {
            return Err(Fault::line(format!("{} texts: at most {MOST} are possible at a time", self.texts.len())).into());
        }
        match (&self.output, &self.output_dir) {
            (Some(file), _) if self.texts.len() == 1 => Ok(vec![file.clone()]),
            (Some(_), _) => Err(Fault::line(format!("-o takes one sound, there are {} texts: give --output-dir", self.texts.len())).into()),
            (None, Some(folder)) => Ok((1..=self.texts.len()).map(|number| folder.join(format!("{number}.wav"))).collect()),
            (None, None) => Err(Fault::line("nowhere to write to: give -o FILE.wav, or --output-dir FOLDER").into()),
        }
    }

    fn request(&self, folder: &Path) -> Result<Request, GenerateError> {
        let model = Request::new(folder, self.seconds)?;
        let sampling = Sampling {
            temperature: self.temperature.unwrap_or(model.sampling.temperature),
            top_k: self.top_k.unwrap_or(model.sampling.top_k),
            top_p: self.top_p.unwrap_or(model.sampling.top_p),
        };
        Ok(Request { seed: self.seed, guidance: self.guidance.unwrap_or(model.guidance), sampling, ..model })
    }
}

/// Makes them.
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let files = args.files()?;
    let folder = ossicle::models::find(&args.model).map_err(fault::model)?;
    let failed = |error| refused(&folder, error);
    let options = Options { isa: args.machine.isa(), threads: args.machine.threads() };
    let request = args.request(&folder).map_err(failed)?;
    // Rows are not known before the encoder has run: room for the longest that texts of this size can give.
    let longest = args.texts.iter().map(|text| text.chars().count() + 2).max().unwrap_or(2).min(ossicle_models::audiogen::MAX_TEXT);
    let allow = |rows| allow(args, &folder, &SoundGenerator::plan(&folder, options, request, rows).map_err(failed)?);
    allow(longest)?;
    let texts: Vec<&str> = args.texts.iter().map(String::as_str).collect();
    let descriptions = describe(&folder, options, &texts).map_err(failed)?;
    let rows = descriptions.iter().map(Description::rows).max().unwrap_or(1);
    // Normalisation may lengthen a text.
    if rows > longest {
        allow(rows)?;
    }
    let mut generator = SoundGenerator::open(&folder, options, request, rows).map_err(failed)?;
    if let Some(folder) = &args.output_dir {
        std::fs::create_dir_all(folder).map_err(|error| Fault::new(error, folder.display(), "give another folder"))?;
    }
    interrupt::catch()?;
    let rate = u32::try_from(generator.sampling_rate()).context("the rate of samples")?;
    for (description, file) in descriptions.iter().zip(&files) {
        let mut sink = Sink::open(file, rate)?;
        let bar = bar(file);
        let unwritten = RefCell::new(None);
        let mut write = |samples: &[f32]| {
            let mut unwritten = unwritten.borrow_mut();
            if unwritten.is_none() {
                *unwritten = sink.write(samples).err();
            }
        };
        let mut progress = |progress: ossicle::generate::Progress| {
            bar.set_length(progress.steps as u64);
            bar.set_position(progress.done as u64);
            // What nobody reads need not be made.
            !interrupt::came() && unwritten.borrow().is_none()
        };
        let result = generator.generate(description, request, &mut write, &mut progress);
        bar.finish_and_clear();
        result.map_err(failed)?;
        unwritten.into_inner().map_or(Ok(()), Err).and_then(|()| sink.finish()).with_context(|| file.display().to_string())?;
        if interrupt::came() {
            return Ok(interrupt::status());
        }
    }
    Ok(ExitCode::SUCCESS)
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
    if args.memory_report || io::stderr().is_terminal() {
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
