//! `ossicle-quantize SOURCE -o FOLDER`: a float checkpoint in, an int8 model folder out.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail, ensure};
use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use ossicle::label::{Preprocessor, Target};
use ossicle_models::network::InputShape;
use ossicle_quantize::events::Progress;
use ossicle_quantize::import::{self, Checkpoint};
use ossicle_quantize::network::{Network, Parts, inputs};
use ossicle_quantize::report::{self, Report};
use ossicle_quantize::{Source, calibration, captions, cost, efficientnet, events, float_folder, folder, minilm};

const EXAMPLES: &str = "\
Examples:
  ossicle-quantize whisper-tiny.en-ct2 -o models-int8/whisper-tiny.en --report --calibration recordings
  ossicle-quantize --onnx flowers/model.onnx --calibration flowers/images -o models-int8/flowers
  ossicle-quantize events --add doorbell clips/ --background home/ -o my-sounds";

/// Turns a float Whisper or YAMNet checkpoint, or an ONNX classifier, into an int8 model folder for Ossicle.
#[derive(Parser)]
#[command(version, after_help = EXAMPLES, args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Subcommands>,
    #[command(flatten)]
    checkpoint: Option<Args>,
}

#[derive(clap::Subcommand)]
enum Subcommands {
    /// Learn sound classes of your own from a few recordings, for ossicle detect --add-classes
    Events(EventsArgs),
    /// Turn a sentence encoder (sentence-transformers' MiniLM) into a model folder, for ossicle detect --find and ossicle find
    Minilm(MiniLmArgs),
    /// Learn from described recordings what would be said of a sound, for ossicle find
    Captions(CaptionsArgs),
    /// Turn an EfficientNet-Lite0 from PyTorch into a model folder, for ossicle label
    Efficientnet(EfficientNetArgs),
}

const EFFICIENTNET_EXAMPLES: &str = "\
Examples:
  ossicle-quantize efficientnet efficientnet-lite0-57934424.pth -o models-int8/efficientnet-lite0
  ossicle-quantize efficientnet flowers.pt --labels flowers.txt --calibration flowers/ -o models-int8/flowers

SOURCE is a state dict with the names of EfficientNet-PyTorch, as torch.save wrote it; nothing in it is run.";

/// What to turn into an image classifier.
#[derive(clap::Args)]
#[command(after_help = EFFICIENTNET_EXAMPLES)]
struct EfficientNetArgs {
    /// State dict: .pth or .pt
    source: PathBuf,
    /// Model folder to write
    #[arg(short, long, value_name = "FOLDER")]
    output: PathBuf,
    /// A name for each class, one a line, in place of ImageNet's 1000
    #[arg(long, value_name = "FILE")]
    labels: Option<PathBuf>,
    /// Replace FOLDER if it is a model folder already
    #[arg(long)]
    force: bool,
    /// Markdown for the model card: origin, licence
    #[arg(long, value_name = "FILE")]
    notes: Option<PathBuf>,
    /// Images, or folders of them, to choose the rounding with and to compare INT8 with float on
    #[arg(long, value_name = "PATH", num_args = 1..)]
    calibration: Vec<PathBuf>,
    /// Images taken from --calibration, evenly spread
    #[arg(long, value_name = "N", default_value_t = 64, requires = "calibration")]
    images: usize,
}

const MINILM_EXAMPLES: &str = "\
Examples:
  ossicle-quantize minilm all-MiniLM-L6-v2 -o models-int8/minilm --sounds quantize/cards/sounds.tsv
  ossicle-quantize minilm all-MiniLM-L6-v2 -o models-int8/minilm --force --measure sentences.txt

SOURCE holds config.json, model.safetensors and tokenizer.json, and what sentence-transformers lays beside them.";

/// What to turn into a sentence encoder.
#[derive(clap::Args)]
#[command(after_help = MINILM_EXAMPLES)]
struct MiniLmArgs {
    /// Folder with a BERT encoder that is pooled by the mean
    source: PathBuf,
    /// Model folder to write
    #[arg(short, long, value_name = "FOLDER")]
    output: PathBuf,
    /// Replace FOLDER if it is a model folder already
    #[arg(long)]
    force: bool,
    /// Markdown for the model card: origin, licence
    #[arg(long, value_name = "FILE")]
    notes: Option<PathBuf>,
    /// Sentences that ranges and rounding are chosen with, one a line, in place of the built-in ones
    #[arg(long, value_name = "FILE")]
    calibration: Option<PathBuf>,
    /// Sentences to compare INT8 with float on, one a line; prints a table and puts it into the card
    #[arg(long, value_name = "FILE")]
    measure: Option<PathBuf>,
    /// Phrases for sounds, one a line (a label of YAMNet, a tab, the phrase), whose vectors ossicle detect --find needs
    #[arg(long, value_name = "FILE")]
    sounds: Option<PathBuf>,
    /// Caption map of ossicle-quantize captions, with which ossicle find tells sounds apart that YAMNet has no classes for
    #[arg(long, value_name = "FILE", requires = "sounds")]
    captions: Option<PathBuf>,
}

const CAPTIONS_EXAMPLES: &str = "\
Examples:
  ossicle-quantize captions quantize/cards/captions.tsv --data ../shared/data -o captions.safetensors
  ossicle-quantize minilm all-MiniLM-L6-v2 -o models-int8/minilm --sounds quantize/cards/sounds.tsv --captions captions.safetensors

A line of LIST is a path below --data, how much the recording counts (1 is usual) and one or more sentences, with tabs between.";

/// What to learn a caption map from.
#[derive(clap::Args)]
#[command(after_help = CAPTIONS_EXAMPLES)]
struct CaptionsArgs {
    /// Recordings with what is said of them
    list: PathBuf,
    /// Where the paths of LIST begin
    #[arg(long, value_name = "FOLDER", default_value = ".")]
    data: PathBuf,
    /// YAMNet whose embedding is used: a name (see `ossicle models list`) or a folder
    #[arg(long, value_name = "NAME|FOLDER", default_value = "yamnet")]
    model: String,
    /// Sentence encoder with phrases for sounds: a name or a folder
    #[arg(long, value_name = "NAME|FOLDER", default_value = "minilm")]
    find_model: String,
    /// File to write
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
}

const EVENTS_EXAMPLES: &str = "\
Examples:
  ossicle-quantize events --add doorbell clips/ --background home/ -o my-sounds
  ossicle detect --add-classes my-sounds hall.wav

A class needs at least 3 recordings, of different occasions; 10 and more are better; the first 30 s of each are used. --background takes
recordings of the place, an hour if it can be, in which no class is heard: from them come the false alarms an hour; the first 2 h are used.";

/// What to learn.
#[derive(clap::Args)]
#[command(after_help = EVENTS_EXAMPLES)]
struct EventsArgs {
    /// A class and its recordings, or a folder of them; for each class once
    #[arg(long, num_args = 2, value_names = ["NAME", "PATH"], required = true)]
    add: Vec<String>,
    /// Recordings, or folders of them, without any of the classes
    #[arg(long, value_name = "PATH", num_args = 1..)]
    background: Vec<PathBuf>,
    /// YAMNet whose embedding is used: a name (see `ossicle models list`) or a folder
    #[arg(long, value_name = "NAME|FOLDER", default_value = "yamnet")]
    model: String,
    /// Folder to write
    #[arg(short, long, value_name = "FOLDER")]
    output: PathBuf,
    /// Replace FOLDER if it is a model folder already
    #[arg(long)]
    force: bool,
}

#[derive(clap::Args)]
struct Args {
    /// Folder with a CTranslate2 (model.bin) or Hugging Face (model.safetensors) Whisper checkpoint, or YAMNet (model.onnx)
    #[arg(required_unless_present = "onnx")]
    source: Option<PathBuf>,
    /// An image classifier or audio tagger instead; labels.txt and preprocessor_config.json lie beside it
    #[arg(long, value_name = "FILE", conflicts_with_all = ["source", "f32", "report", "head"])]
    onnx: Option<PathBuf>,
    /// Model folder to write
    #[arg(short, long, value_name = "FOLDER")]
    output: PathBuf,
    /// Folder with a trained head for YAMNet (head.json, head.safetensors, events.toml), in place of its classifier
    #[arg(long, value_name = "FOLDER")]
    head: Option<PathBuf>,
    /// Replace FOLDER if it is a model folder already
    #[arg(long)]
    force: bool,
    /// Markdown for the model card: origin, licence, measured accuracy
    #[arg(long, value_name = "FILE")]
    notes: Option<PathBuf>,
    /// Also write the float model beside FOLDER, as a Hugging Face checkpoint named FOLDER-f32
    #[arg(long)]
    f32: bool,
    /// Measure what int8 costs each layer; writes report.json and a table for the model card, prints the table
    #[arg(long)]
    report: bool,
    /// Recordings, or folders of them, for --report; without any, synthetic sounds are used. Images or recordings for --onnx
    #[arg(long, value_name = "PATH", num_args = 1..)]
    calibration: Vec<PathBuf>,
    /// Files taken from --calibration, evenly spread [default: 8, for --onnx 64]
    #[arg(long, value_name = "N")]
    clips: Option<usize>,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let outcome = match (&cli.command, &cli.checkpoint) {
        (Some(Subcommands::Events(args)), _) => learn(args),
        (Some(Subcommands::Minilm(args)), _) => import_minilm(args),
        (Some(Subcommands::Captions(args)), _) => learn_captions(args),
        (Some(Subcommands::Efficientnet(args)), _) => import_efficientnet(args),
        (None, Some(args)) => run(args),
        (None, None) => Err(anyhow::anyhow!("nothing to do: see --help")),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("ossicle-quantize: {e:#}");
            ExitCode::from(2)
        }
    }
}

/// Learns classes and says how good they are.
fn learn(args: &EventsArgs) -> anyhow::Result<()> {
    folder::check_target(&args.output, args.force)?;
    let task = events::Task {
        model: ossicle::models::find(&args.model)?,
        classes: args.add.chunks_exact(2).map(|pair| (pair[0].clone(), PathBuf::from(&pair[1]))).collect(),
        background: args.background.clone(),
    };
    if task.background.is_empty() {
        eprintln!("ossicle-quantize: no --background: false alarms are not known, and there will be more of them");
    }
    let bar = ProgressBar::new_spinner();
    let classes = events::train(&task, &mut |progress| match progress {
        Progress::Step(what) => {
            bar.set_message(what.to_owned());
            bar.tick();
        }
        Progress::LeftOut(what) => bar.suspend(|| eprintln!("ossicle-quantize: {what}")),
    })?;
    bar.finish_and_clear();
    events::write(&task, &classes, &args.output, args.force)?;
    print!("{}", events::table(&classes));
    Ok(())
}

/// The text of a file that may be given.
fn text(path: Option<&Path>) -> anyhow::Result<String> {
    path.map_or(Ok(String::new()), |path| std::fs::read_to_string(path).with_context(|| path.display().to_string()))
}

/// Turns a sentence encoder into a model folder, and says what INT8 costs if asked.
fn import_minilm(args: &MiniLmArgs) -> anyhow::Result<()> {
    folder::check_target(&args.output, args.force)?;
    let task = minilm::Task {
        force: args.force,
        notes: text(args.notes.as_deref())?,
        calibration: text(args.calibration.as_deref())?,
        measured: text(args.measure.as_deref())?,
        sounds: text(args.sounds.as_deref())?,
        captions: args.captions.as_deref().map(captions::Captions::open).transpose()?,
    };
    let encoder = minilm::Encoder::open(&args.source)?;
    let bar = ProgressBar::new_spinner();
    let report = encoder.write(&args.output, &task, &mut |what| {
        bar.set_message(what.to_owned());
        bar.tick();
    })?;
    bar.finish_and_clear();
    if let Some(report) = report {
        print!("{}", report.markdown());
    }
    eprintln!("{}: {} parameters quantised", args.output.display(), encoder.parameters());
    Ok(())
}

/// Learns a caption map.
fn learn_captions(args: &CaptionsArgs) -> anyhow::Result<()> {
    let task = captions::Task {
        sounds: ossicle::models::find(&args.model)?,
        words: ossicle::models::find(&args.find_model)?,
        list: args.list.clone(),
        data: args.data.clone(),
    };
    let bar = ProgressBar::new_spinner();
    let map = captions::learn(&task, &mut |what| {
        bar.set_message(what.to_owned());
        bar.tick();
    })?;
    bar.finish_and_clear();
    std::fs::write(&args.output, map.to_bytes()?).with_context(|| args.output.display().to_string())
}

fn run(args: &Args) -> anyhow::Result<()> {
    let mut notes = text(args.notes.as_deref())?;
    if let Some(onnx) = &args.onnx {
        return import_network(args, onnx, notes);
    }
    ensure!(args.report || (args.calibration.is_empty() && args.clips.is_none()), "--calibration and --clips: add --report, or --onnx");
    let Some(path) = &args.source else { bail!("no source: give a checkpoint's folder, or --onnx FILE") };
    let source = match import::open_any(path)? {
        Checkpoint::Whisper(source) => {
            ensure!(args.head.is_none(), "{}: --head is for YAMNet (model.onnx)", path.display());
            source
        }
        Checkpoint::Yamnet(mut source) => {
            ensure!(!args.f32 && !args.report, "{}: --f32 and --report are for Whisper", path.display());
            if let Some(folder) = &args.head {
                *source = source.with_head(folder)?;
            }
            source.write(&args.output, args.force, &notes)?;
            eprintln!("{}: {} parameters quantised", args.output.display(), source.parameters());
            return Ok(());
        }
    };
    let draft = folder::Draft::new(&source, &args.output, args.force)?;
    let mut extra = BTreeMap::new();
    if args.report {
        let report = measure(args, &source, draft.path())?;
        print!("{}", report.text());
        notes = format!("{}\n\n{}", notes.trim_end(), report.markdown());
        extra.insert("report.json".to_owned(), format!("{:#}\n", serde_json::to_value(&report)?));
    }
    draft.publish(&source, &notes, &extra)?;
    eprintln!("{}: {} parameters quantised", args.output.display(), source.model.parameters());
    if args.f32 {
        let mut name = args.output.file_name().context("FOLDER needs a name")?.to_owned();
        name.push("-f32");
        let folder = args.output.with_file_name(name);
        float_folder::write(&source, &folder, args.force)?;
        eprintln!("{}: the float model", folder.display());
    }
    Ok(())
}

/// An ONNX classifier as a model folder, calibrated and measured with what there is to do that with.
fn import_network(args: &Args, onnx: &Path, notes: String) -> anyhow::Result<()> {
    let beside = onnx.parent().unwrap_or(Path::new(""));
    let network = Network::read(onnx)?;
    let InputShape { height, width, channels } = network.input();
    let target = Target { height, width, channels };
    let preprocessor = Preprocessor::read(beside, target)?;
    let labels = beside.join("labels.txt");
    let labels = std::fs::read_to_string(&labels)
        .with_context(|| format!("{}: a name for each of {} scores, one a line", labels.display(), network.outputs()))?;
    let mut inputs = vec![];
    if !args.calibration.is_empty() {
        inputs = inputs::read(&args.calibration, args.clips.unwrap_or(64), &preprocessor, target)?;
    }
    let labels = labels.lines().map(str::to_owned).collect();
    let parts = Parts { labels, preprocessor: preprocessor.to_json(), notes, ..Parts::default() };
    write_network(network, &inputs, &args.output, args.force, parts)
}

/// EfficientNet-Lite0 as a model folder.
fn import_efficientnet(args: &EfficientNetArgs) -> anyhow::Result<()> {
    folder::check_target(&args.output, args.force)?;
    let network = efficientnet::open(&args.source)?;
    let labels = match &args.labels {
        Some(path) => text(Some(path))?,
        None => efficientnet::LABELS.to_owned(),
    };
    let parts = efficientnet::parts(&labels, text(args.notes.as_deref())?)?;
    let mut inputs = vec![];
    if !args.calibration.is_empty() {
        let InputShape { height, width, channels } = network.input();
        inputs = inputs::read(&args.calibration, args.images, &efficientnet::preprocessor()?, Target { height, width, channels })?;
    }
    write_network(network, &inputs, &args.output, args.force, parts)
}

/// Writes a network, calibrated and measured with what there is to do that with.
fn write_network(mut network: Network, inputs: &[Vec<f32>], output: &Path, force: bool, parts: Parts) -> anyhow::Result<()> {
    if !inputs.is_empty() {
        network.calibrate(inputs)?;
    }
    network.write(output, force, parts, |draft, parts| {
        if !inputs.is_empty() {
            let report = network.measure(draft, inputs)?;
            print!("{}", report.text());
            parts.notes = format!("{}\n\n{}", parts.notes.trim_end(), report.markdown());
            parts.extra.push(("report.json".to_owned(), report.json()));
        }
        Ok(())
    })?;
    eprintln!("{}: {} parameters quantised", output.display(), network.parameters());
    Ok(())
}

/// Measures the draft of a model folder against the float reference.
fn measure(args: &Args, source: &Source, draft: &Path) -> anyhow::Result<Report> {
    let (clips, synthetic) = match args.calibration.is_empty() {
        true => (calibration::synthetic(), true),
        false => (calibration::read(&args.calibration, args.clips.unwrap_or(8))?, false),
    };
    // Draws nothing unless stderr is a terminal.
    let bar = ProgressBar::new(0).with_style(ProgressStyle::with_template("{bar:30} {pos}/{len} {msg}")?);
    let (mut report, floats) = report::measure(source, &clips, synthetic, &mut |done, total, what| {
        bar.set_length((total + clips.len()) as u64);
        bar.set_position(done as u64);
        bar.set_message(what.to_owned());
    })?;
    bar.set_message("int8 engine");
    let costs = cost::compare(draft, &floats, &source.generation, &mut || bar.inc(1))?;
    for (clip, cost) in report.clips.iter_mut().zip(costs) {
        clip.cost = Some(cost);
    }
    bar.finish_and_clear();
    Ok(report)
}
