//! `ossicle models`.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;
use clap::Subcommand;
use ossicle::embed;
use ossicle::events::{Detector, EncodedEvents, Options, Settings};
use ossicle::find::TextEncoder;
use ossicle::label::{self, Labeller};
use ossicle::models::ModelInfo;
use ossicle::speak::Voice;
use ossicle::whisper::window::Window;
use ossicle_models::MemoryPlan;
use ossicle_models::audiogen::AudiogenConfig;
use ossicle_models::clip::ClipConfig;
use ossicle_models::folder::{self, ModelConfig};
use ossicle_models::hibari::HibariConfig;
use ossicle_models::minilm::MiniLmConfig;
use ossicle_models::whisper_events::{WhisperEventsConfig, WhisperEventsGraph};
use ossicle_models::yamnet::{ClassHead, ClassesConfig};
use serde_json::json;

use crate::fault::{self, Fault};
use crate::model::{ModelArgs, figures};
use crate::size;

/// The kind of a YAMNet's folder.
const YAMNET: &str = "yamnet";

/// Kinds of the parts that make sounds from text.
const GENERATING: [&str; 3] = ["audiogen", "encodec", "t5"];

/// The kind of a folder that came from ONNX.
const NETWORK: &str = "network";

/// What to say about model folders.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// List the models found, and where they are looked for
    #[command(after_help = "Example:\n  OSSICLE_MODELS=/srv/models ossicle models list")]
    List {
        /// One JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// Describe a model and the memory it needs
    #[command(after_help = "Example:\n  ossicle models info whisper-base --threads 2")]
    Info {
        #[command(flatten)]
        name: NameArg,
        #[command(flatten)]
        model: ModelArgs,
        /// Plan memory for word times too
        #[arg(long)]
        word_timestamps: bool,
        /// One JSON object
        #[arg(long)]
        json: bool,
    },
    /// Check every file against SHA256SUMS, and the weights against the network's shapes
    #[command(after_help = "Example:\n  ossicle models verify whisper-tiny.en")]
    Verify {
        #[command(flatten)]
        name: NameArg,
        #[command(flatten)]
        model: ModelArgs,
    },
}

/// A model as people type it; `--model` says the same.
#[derive(clap::Args)]
struct NameArg {
    /// Model folder, or the name of one (see `ossicle models list`)
    #[arg(value_name = "NAME|FOLDER", conflicts_with = "model")]
    name: Option<String>,
}

impl NameArg {
    /// The options with this model, if it was named.
    fn chosen(&self, model: &ModelArgs) -> ModelArgs {
        let mut model = model.clone();
        if self.name.is_some() {
            model.model.clone_from(&self.name);
        }
        model
    }
}

/// `ossicle models`.
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    match &args.command {
        Command::List { json } => list(*json)?,
        Command::Info { name, model, word_timestamps, json } => info(&name.chosen(model), *word_timestamps, *json)?,
        Command::Verify { name, model } => verify(&name.chosen(model))?,
    }
    Ok(ExitCode::SUCCESS)
}

fn list(json: bool) -> Result<()> {
    let models = ossicle::models::list();
    if models.is_empty() {
        let places: Vec<_> = ossicle::models::search_path().iter().map(|path| path.display().to_string()).collect();
        return Err(Fault::new("no models", places.join(", "), "make one with ossicle-quantize, or set OSSICLE_MODELS").into());
    }
    let mut out = std::io::stdout().lock();
    for model in models {
        if json {
            serde_json::to_writer(&mut out, &model).map_err(std::io::Error::from)?;
            writeln!(out)?;
        } else {
            let ModelInfo { name, kind, multilingual, num_labels, bytes, path, .. } = &model;
            let knows = match (num_labels, multilingual) {
                (labels, _) if kind == NETWORK => format!("{labels} labels"),
                (0, _) if kind == MiniLmConfig::KIND => "sentences".to_owned(),
                (0, _) if kind == ClipConfig::KIND => "images, texts".to_owned(),
                (0, _) if kind == HibariConfig::KIND => "a voice".to_owned(),
                (0, _) if GENERATING.contains(&kind.as_str()) => "sounds".to_owned(),
                (0, true) => "multilingual".to_owned(),
                (0, false) => "English".to_owned(),
                (labels, _) => format!("{labels} sounds"),
            };
            writeln!(out, "{name:<20} {kind:<8} {knows:<13} {:>9}  {}", size::megabytes(*bytes), path.display())?;
        }
    }
    Ok(())
}

fn info(model: &ModelArgs, words: bool, json: bool) -> Result<()> {
    let path = model.path()?;
    let info = ossicle::models::info(&path).map_err(fault::model)?;
    if info.kind == YAMNET {
        let plan =
            Detector::memory_plan(&path, model.machine.isa(), model.machine.threads()).map_err(|error| fault::events(&path, error))?;
        return classifier_info(model, &info, [plan.weights, plan.buffers, plan.state], json);
    }
    if info.kind == WhisperEventsConfig::KIND {
        let plan = EncodedEvents::memory_plan(&path, graph_options(model)).map_err(|error| fault::events(&path, error))?;
        return classifier_info(model, &info, [plan.weights, plan.buffers, plan.state], json);
    }
    if info.kind == ClassesConfig::KIND {
        let head = class_head(model, &path)?;
        return classifier_info(model, &info, [head.weight_bytes(), 0, head.state_bytes()], json);
    }
    if info.kind == MiniLmConfig::KIND {
        let plan = text_encoder(model, &path)?.memory_plan();
        return classifier_info(model, &info, [plan.weights, plan.buffers, plan.state], json);
    }
    if info.kind == HibariConfig::KIND {
        let plan = voice(model, &path)?.memory_plan();
        return classifier_info(model, &info, [plan.weights, plan.buffers, plan.state], json);
    }
    if GENERATING.contains(&info.kind.as_str()) {
        return part_info(&info, json);
    }
    if info.kind == ClipConfig::KIND {
        let plan = clip_plan(model, &path)?;
        return classifier_info(model, &info, [plan.weights, plan.buffers, plan.state], json);
    }
    if info.kind == NETWORK {
        let plan = labeller(model, &path)?.memory_plan();
        return classifier_info(model, &info, [plan.weights, plan.buffers, plan.state], json);
    }
    let plan = model.plan(&path, Window::Full.max_frames(), words)?;
    let mut out = std::io::stdout().lock();
    if json {
        let mut value = serde_json::to_value(&info)?;
        value["memory"] =
            plan.parts().into_iter().chain([("total", plan.total())]).map(|(name, bytes)| (name.to_owned(), json!(bytes))).collect();
        writeln!(out, "{value}")?;
        return Ok(());
    }
    let rows = [
        ("name", info.name),
        ("folder", info.path.display().to_string()),
        ("kind", info.kind),
        ("languages", if info.multilingual { "many" } else { "English" }.into()),
        (
            "network",
            format!("width {}, {} + {} layers, {} mel bands", info.d_model, info.encoder_layers, info.decoder_layers, info.num_mel_bins),
        ),
        ("vocabulary", format!("{} tokens", info.vocab_size)),
        ("numerics", format!("version {}", info.numerics_version)),
        ("files", size::megabytes(info.bytes)),
        ("memory", format!("{} ({})", size::megabytes(plan.total() as u64), figures(&plan))),
        ("instructions", model.machine.isa().name().into()),
        ("threads", model.machine.threads().to_string()),
    ];
    for (key, value) in rows {
        writeln!(out, "{key:<13}{value}")?;
    }
    Ok(())
}

fn labeller(model: &ModelArgs, path: &Path) -> Result<Labeller> {
    let options = label::Options { isa: model.machine.isa(), threads: model.machine.threads() };
    Labeller::open(path, options).map_err(|error| fault::label(path, error))
}

fn graph_options(model: &ModelArgs) -> ossicle_models::Options {
    ossicle_models::Options { isa: model.machine.isa(), threads: model.machine.threads() }
}

fn whisper_events(model: &ModelArgs, path: &Path) -> Result<WhisperEventsGraph> {
    let folder = folder::ModelFolder::open(path).map_err(fault::folder)?;
    Ok(WhisperEventsGraph::new(folder, graph_options(model))?)
}

fn class_head(model: &ModelArgs, path: &Path) -> Result<ClassHead, Fault> {
    folder::ModelFolder::open(path).and_then(|folder| ClassHead::new(folder, model.machine.isa())).map_err(fault::folder)
}

fn text_encoder(model: &ModelArgs, path: &Path) -> Result<TextEncoder> {
    TextEncoder::open(path, model.machine.isa(), model.machine.threads()).map_err(crate::find::find_fault)
}

fn voice(model: &ModelArgs, path: &Path) -> Result<Voice> {
    Voice::open(path, graph_options(model)).map_err(|error| Fault::new(error, path.display(), "make the model again").into())
}

fn clip_plan(model: &ModelArgs, path: &Path) -> Result<MemoryPlan> {
    let options = embed::Options { isa: model.machine.isa(), threads: model.machine.threads(), ..embed::Options::default() };
    crate::embed::memory_plan(path, options).map_err(|error| fault::embed(path, error))
}

/// A part of what makes sounds: how much memory it needs depends on how much is asked for.
fn part_info(info: &ModelInfo, json: bool) -> Result<()> {
    let mut out = std::io::stdout().lock();
    if json {
        writeln!(out, "{}", serde_json::to_value(info)?)?;
        return Ok(());
    }
    let rows = [
        ("name", info.name.clone()),
        ("folder", info.path.display().to_string()),
        ("kind", info.kind.clone()),
        ("gives", "a part of sounds from text".to_owned()),
        ("numerics", format!("version {}", info.numerics_version)),
        ("files", size::megabytes(info.bytes)),
        ("memory", "depends on the sound: ossicle generate --memory-report".to_owned()),
    ];
    for (key, value) in rows {
        writeln!(out, "{key:<13}{value}")?;
    }
    Ok(())
}

/// A classifier or an encoder, and the bytes of its weights, buffers and state.
fn classifier_info(model: &ModelArgs, info: &ModelInfo, memory: [usize; 3], json: bool) -> Result<()> {
    let (isa, threads) = (model.machine.isa(), model.machine.threads());
    let parts: Vec<_> = ["weights", "buffers", "state"].into_iter().zip(memory).collect();
    let total: usize = parts.iter().map(|part| part.1).sum();
    let mut out = std::io::stdout().lock();
    if json {
        let mut value = serde_json::to_value(info)?;
        value["memory"] = parts.into_iter().chain([("total", total)]).map(|(name, bytes)| (name.to_owned(), json!(bytes))).collect();
        writeln!(out, "{value}")?;
        return Ok(());
    }
    let figures: Vec<_> = parts.iter().map(|(name, bytes)| format!("{name} {}", size::megabytes(*bytes as u64))).collect();
    let rows = [
        ("name", info.name.clone()),
        ("folder", info.path.display().to_string()),
        ("kind", info.kind.clone()),
        match info.num_labels {
            0 if info.kind == HibariConfig::KIND => ("gives", "speech from text".to_owned()),
            0 if info.kind == ClipConfig::KIND => ("gives", "a vector for an image or a text".to_owned()),
            0 => ("gives", "a vector for a sentence".to_owned()),
            labels => ("classes", format!("{labels}, by name in labels.txt")),
        },
        ("numerics", format!("version {}", info.numerics_version)),
        ("files", size::megabytes(info.bytes)),
        ("memory", format!("{} beside the program ({})", size::megabytes(total as u64), figures.join(", "))),
        ("instructions", isa.name().into()),
        ("threads", threads.to_string()),
    ];
    for (key, value) in rows {
        writeln!(out, "{key:<13}{value}")?;
    }
    Ok(())
}

fn verify(model: &ModelArgs) -> Result<()> {
    let path = model.path()?;
    folder::verify(&path).map_err(fault::folder)?;
    match ossicle::models::info(&path).map_err(fault::model)?.kind.as_str() {
        YAMNET => drop(Detector::open(&path, &Settings::default(), Options::default()).map_err(|error| fault::events(&path, error))?),
        NETWORK => drop(labeller(model, &path)?),
        WhisperEventsConfig::KIND => drop(whisper_events(model, &path)?),
        ClassesConfig::KIND => drop(class_head(model, &path)?),
        MiniLmConfig::KIND => drop(text_encoder(model, &path)?),
        ClipConfig::KIND => drop(clip_plan(model, &path)?),
        HibariConfig::KIND => drop(voice(model, &path)?),
        // What their graphs need is checked when they are opened for a length.
        AudiogenConfig::KIND => {
            let text = ossicle::generate::text_folder(&path).map_err(Fault::line)?;
            [path.join("codec"), text].iter().try_for_each(|part| folder::verify(part).map_err(fault::folder))?;
        }
        kind if GENERATING.contains(&kind) => {}
        _ => drop(model.open(Window::Full.max_frames(), false)?),
    }
    writeln!(std::io::stdout().lock(), "{}: every file is as recorded", path.display())?;
    Ok(())
}
