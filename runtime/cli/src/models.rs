//! `ossicle models`.

use std::io::Write;
use std::process::ExitCode;

use anyhow::Result;
use clap::Subcommand;
use ossicle::models::ModelInfo;
use ossicle::whisper::window::Window;
use ossicle_graph::folder;
use serde_json::json;

use crate::fault::{self, Fault};
use crate::model::{ModelArgs, figures};
use crate::size;

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
    #[command(after_help = "Example:\n  ossicle models info --model whisper-base --threads 2")]
    Info {
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
    #[command(after_help = "Example:\n  ossicle models verify --model whisper-tiny.en")]
    Verify {
        #[command(flatten)]
        model: ModelArgs,
    },
}

/// `ossicle models`.
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    match &args.command {
        Command::List { json } => list(*json)?,
        Command::Info { model, word_timestamps, json } => info(model, *word_timestamps, *json)?,
        Command::Verify { model } => verify(model)?,
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
            let ModelInfo { name, kind, multilingual, bytes, path, .. } = &model;
            let languages = if *multilingual { "multilingual" } else { "English" };
            writeln!(out, "{name:<20} {kind:<8} {languages:<13} {:>9}  {}", size::megabytes(*bytes), path.display())?;
        }
    }
    Ok(())
}

fn info(model: &ModelArgs, words: bool, json: bool) -> Result<()> {
    let path = model.path()?;
    let plan = model.plan(&path, Window::Full.max_frames(), words)?;
    let info = ossicle::models::info(&path).map_err(fault::model)?;
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

fn verify(model: &ModelArgs) -> Result<()> {
    let path = model.path()?;
    folder::verify(&path).map_err(fault::folder)?;
    model.open(Window::Full.max_frames(), false)?;
    writeln!(std::io::stdout().lock(), "{}: every file is as recorded", path.display())?;
    Ok(())
}
