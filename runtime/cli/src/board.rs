//! `ossicle board`: what this machine is, and the boards that are known.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Result;
use clap::Subcommand;
use ossicle_boards::catalog;
use ossicle_boards::fit::{self, Fit};
use ossicle_boards::machine::{Machine, SoundCard};
use ossicle_boards::profile::Profile;
use ossicle_kernels::simd::Isa;
use serde_json::{Value, json};

use crate::fault::Fault;
use crate::size;

/// What to say about boards.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Say what is found on this machine, and which board's profile fits it
    #[command(after_help = "Example:\n  ossicle board check --json")]
    Check {
        /// One JSON object, schema ossicle.board/1
        #[arg(long)]
        json: bool,
        /// Look at a folder that is laid out as a board's file system; architecture and kernels, which only the machine itself tells, are
        /// then left out (null)
        #[arg(long, value_name = "FOLDER", default_value = "/")]
        root: PathBuf,
    },
    /// List the boards that have a profile
    #[command(after_help = "Example:\n  ossicle board list")]
    List {
        /// One JSON object a line
        #[arg(long)]
        json: bool,
    },
}

/// `ossicle board`.
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    match &args.command {
        Command::Check { json, root } => check(root, *json)?,
        Command::List { json } => list(*json)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// What only the running program can tell of its machine.
struct Here {
    arch: &'static str,
    chosen: &'static str,
    available: Vec<&'static str>,
}

impl Here {
    fn look() -> Self {
        Self { arch: std::env::consts::ARCH, chosen: Isa::detect().name(), available: Isa::available().map(Isa::name).collect() }
    }
}

fn check(root: &Path, json: bool) -> Result<()> {
    if !root.is_dir() {
        return Err(Fault::new("not a folder", root.display(), "give one laid out as a board's file system, or leave --root out").into());
    }
    let boards = catalog::all().map_err(Fault::line)?;
    let machine = Machine::look(root);
    // A folder may be another machine's: then this program's architecture and kernels say nothing about it.
    let here = (root == Path::new("/")).then(Here::look);
    let best = fit::best(&machine, here.as_ref().map(|here| here.arch), &boards);
    let mut out = std::io::stdout().lock();
    if json {
        writeln!(out, "{}", report(&machine, here.as_ref(), best))?;
    } else {
        for (key, value) in lines(&machine, here.as_ref(), best) {
            writeln!(out, "{key:<13}{value}")?;
        }
    }
    Ok(())
}

/// The hat of `profile` whose sound card this is.
fn hat_of(card: &SoundCard, profile: Option<&Profile>) -> Option<String> {
    let names = profile.map_or(&[][..], |profile| &profile.hats);
    let hats = names.iter().filter_map(|name| catalog::hat(name).ok());
    hats.into_iter().find(|hat| hat.card == card.id).map(|hat| hat.name)
}

fn report(machine: &Machine, here: Option<&Here>, best: Option<(&str, &Profile, Fit)>) -> Value {
    let profile = best.map(|(_, profile, _)| profile);
    let card = |card: &SoundCard| json!({"id": card.id, "name": card.name, "device": card.device, "hat": hat_of(card, profile)});
    json!({
        "schema": "ossicle.board/1",
        "model": machine.model,
        "arch": here.map(|here| here.arch),
        "cpu": machine.cpu,
        "cores": machine.cores,
        "features": machine.features,
        "kernels": here.map(|here| json!({"chosen": here.chosen, "available": here.available})),
        "memory_bytes": machine.memory_bytes,
        "cgroup_bytes": machine.cgroup_bytes,
        "microphones": machine.microphones.iter().map(card).collect::<Vec<_>>(),
        "gpio_chips": machine.gpio_chips,
        "profile": best.map(|(name, profile, fit)| json!({
            "id": name, "name": profile.name, "because": fit.reason(), "budget_bytes": profile.budget_bytes(),
        })),
    })
}

fn lines(machine: &Machine, here: Option<&Here>, best: Option<(&str, &Profile, Fit)>) -> Vec<(&'static str, String)> {
    let unknown = || "unknown".to_owned();
    let amount = |bytes: Option<u64>| bytes.map_or_else(unknown, size::megabytes);
    let none = |text: String| if text.is_empty() { "none found".into() } else { text };
    let profile = best.map(|(_, profile, _)| profile);
    let wanted = profile.map_or(&[][..], |profile| &profile.cpu.features);
    let (found, missing): (Vec<&str>, Vec<&str>) =
        wanted.iter().map(String::as_str).partition(|name| machine.features.iter().any(|feature| feature == name));
    let features = if missing.is_empty() { found.join(" ") } else { format!("{} (without {})", found.join(" "), missing.join(" ")) };
    let kernels = here.map_or_else(unknown, |here| format!("{} (of {})", here.chosen, here.available.join(", ")));
    let microphones = machine.microphones.iter().map(|card| match hat_of(card, profile) {
        Some(hat) => format!("{} ({hat})", card.device),
        None => format!("{} ({})", card.device, card.name),
    });
    let mut lines = vec![
        ("model", machine.model.clone().unwrap_or_else(unknown)),
        ("processor", if machine.cpu.is_empty() { unknown() } else { machine.cpu.clone() }),
        ("cores", machine.cores.to_string()),
        ("features", none(features)),
        ("kernels", kernels),
        ("memory", amount(machine.memory_bytes)),
    ];
    if machine.cgroup_bytes.is_some() {
        lines.push(("allowed", format!("{} by the control group", amount(machine.cgroup_bytes))));
    }
    lines.push(("microphones", none(microphones.collect::<Vec<_>>().join(", "))));
    lines.push(("gpio", none(machine.gpio_chips.join(", "))));
    lines.push((
        "profile",
        best.map_or_else(
            || "none that fits".into(),
            |(name, profile, fit)| {
                format!("{name}: {} ({}), budget {}", profile.name, fit.reason(), size::megabytes(profile.budget_bytes()))
            },
        ),
    ));
    lines
}

fn list(json: bool) -> Result<()> {
    let mut out = std::io::stdout().lock();
    for (name, profile) in catalog::all().map_err(Fault::line)? {
        let (cpu, memory) = (&profile.cpu, &profile.memory);
        if json {
            let row = json!({"id": name, "name": profile.name, "arch": profile.arch, "core": cpu.core, "cores": cpu.cores,
                "clock_mhz": cpu.clock_mhz, "features": cpu.features, "sizes_mib": memory.sizes_mib, "budget_bytes": profile.budget_bytes()});
            writeln!(out, "{row}")?;
        } else {
            let clock = format!("{} x {} at {} MHz", cpu.cores, cpu.core, cpu.clock_mhz);
            writeln!(out, "{name:<18}{:<28}{clock:<31}budget {}", profile.name, size::megabytes(profile.budget_bytes()))?;
        }
    }
    Ok(())
}
