//! `ossicle models`.

use std::io::Write;
use std::process::ExitCode;

use anyhow::Result;
use clap::Subcommand;
use ossicle::families::{self, Workload};
use ossicle::models::ModelInfo;
use ossicle::whisper::memory::program_bytes;
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
    // A model of a newer version is listed too.
    let gives = |info: &ModelInfo| families::named(&info.kind).map_or_else(|| "not known here".into(), |family| family.gives(info));
    if json {
        for model in models {
            let mut value = serde_json::to_value(&model)?;
            value["gives"] = gives(&model).into();
            writeln!(out, "{value}")?;
        }
        return Ok(());
    }
    let rows: Vec<_> = models.into_iter().map(|info| (gives(&info), info)).collect();
    let width = |of: &dyn Fn(&(String, ModelInfo)) -> usize| rows.iter().map(of).max().unwrap_or(0);
    let (name, kind) = (width(&|row| row.1.name.chars().count()), width(&|row| row.1.kind.chars().count()));
    let most = width(&|row| row.0.chars().count());
    for (gives, info) in &rows {
        let bytes = size::megabytes(info.bytes);
        writeln!(out, "{:<name$}  {:<kind$}  {gives:<most$}  {bytes:>9}  {}", info.name, info.kind, info.path.display())?;
    }
    Ok(())
}

fn info(model: &ModelArgs, words: bool, json: bool) -> Result<()> {
    let path = model.path()?;
    let failed = |error| fault::family(&path, error);
    let (family, info) = families::of(&path).map_err(failed)?;
    let workload = Workload { words, ..Workload::default() };
    let needs = family.memory(&path, model.machine.graph_options(), &workload).map_err(failed)?.with_program(program_bytes());
    model.allow(&path, needs.total(), || figures(needs.parts()))?;
    let mut out = std::io::stdout().lock();
    if json {
        let mut value = serde_json::to_value(&info)?;
        value["gives"] = family.gives(&info).into();
        let parts = needs.parts().iter().copied().chain([("total", needs.total())]);
        value["memory"] = parts.map(|(name, bytes)| (name.to_owned(), json!(bytes))).collect();
        writeln!(out, "{value}")?;
        return Ok(());
    }
    let mut rows = vec![
        ("name", info.name.clone()),
        ("folder", info.path.display().to_string()),
        ("kind", info.kind.clone()),
        ("gives", family.gives(&info)),
    ];
    rows.extend(family.details(&info));
    rows.extend([
        ("numerics", format!("version {}", info.numerics_version)),
        ("files", size::megabytes(info.bytes)),
        ("memory", format!("{} ({})", size::megabytes(needs.total() as u64), figures(needs.parts()))),
        ("instructions", model.machine.isa().name().into()),
        ("threads", model.machine.threads().to_string()),
    ]);
    for (key, value) in rows {
        writeln!(out, "{key:<13}{value}")?;
    }
    Ok(())
}

fn verify(model: &ModelArgs) -> Result<()> {
    let path = model.path()?;
    families::verify(&path, model.machine.graph_options()).map_err(|error| fault::family(&path, error))?;
    writeln!(std::io::stdout().lock(), "{}: every file is as recorded", path.display())?;
    Ok(())
}
