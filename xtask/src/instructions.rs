//! Executed instructions under qemu: counting them, and `cargo xtask instructions`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};

use crate::cross::{Cross, Target};
use crate::emulate;
use crate::process::{execute, output};

/// The emulator with the plugin that counts.
pub(crate) struct Counter {
    plugin: PathBuf,
    result: PathBuf,
}

impl Counter {
    /// Builds the plugin.
    ///
    /// # Errors
    /// The emulator or a C compiler cannot be had.
    pub(crate) fn new() -> anyhow::Result<Self> {
        let root = crate::root()?;
        // Debian's static emulator has no plugins.
        crate::apt::require("qemu-aarch64", &["qemu-user"])?;
        crate::apt::require("gcc", &["gcc"])?;
        let folder = root.join("target/cross");
        fs::create_dir_all(&folder)?;
        let plugin = folder.join("libinstructions.so");
        let source = root.join("tests/emulator/instructions.c");
        execute(Command::new("gcc").args(["-O2", "-shared", "-fPIC"]).arg(source).arg("-o").arg(&plugin))?;
        Ok(Self { plugin, result: folder.join("instructions.txt") })
    }

    /// Runs a program on an emulated core: `program` gets the emulator's command line and adds its own. Returns the instructions executed, start
    /// of the program included, and what it printed.
    ///
    /// # Errors
    /// The program fails, or nothing was counted.
    pub(crate) fn count(&self, cpu: &str, program: impl FnOnce(&mut Command) -> &mut Command) -> anyhow::Result<(u64, String)> {
        let mut qemu = Command::new("qemu-aarch64");
        qemu.args(["-cpu", cpu, "-plugin"]).arg(&self.plugin).args(["-d", "plugin", "-D"]).arg(&self.result);
        let printed = output(program(&mut qemu))?;
        Ok((fs::read_to_string(&self.result)?.trim().parse().context("a count")?, printed))
    }
}

/// Phases that are counted, with the rounds whose difference to one round is taken.
const PHASES: [(&str, u64); 4] = [("mel", 3), ("encoder", 2), ("prefill", 5), ("token", 9)];

/// Prints the instructions of each phase of a window on one thread, in millions.
///
/// # Errors
/// A core is unknown, or the emulator or its plugin does not work.
pub(crate) fn run(names: &[String], model: &str, seconds: u32) -> anyhow::Result<()> {
    let cpus = emulate::named(names)?;
    let root = crate::root()?;
    let counter = Counter::new()?;
    let binary = example("phases")?;
    let model = root.join("models-int8").join(model);
    ensure!(model.is_dir(), "{}: no such model", model.display());
    let count = |cpu: &str, phase: &str, rounds: u64| {
        counter.count(cpu, |qemu| qemu.arg(&binary).arg(&model).args([phase, &rounds.to_string(), &seconds.to_string()]))
    };
    println!("Executed instructions, one thread, {seconds} s window, in millions");
    println!("{:<12} {:<9} {:>9} {:>9} {:>9} {:>9}", "core", "kernels", "mel", "encoder", "prefill", "token");
    for cpu in cpus {
        let mut figures = vec![];
        let mut kernels = String::new();
        for (phase, rounds) in PHASES {
            let (one, isa) = count(cpu.name, phase, 1)?;
            let (more, _) = count(cpu.name, phase, rounds)?;
            figures.push(format!("{:>9.2}", more.saturating_sub(one) as f64 / (rounds - 1) as f64 / 1e6));
            kernels = isa;
        }
        println!("{:<12} {:<9} {}", cpu.name, kernels.trim(), figures.join(" "));
    }
    Ok(())
}

/// Prints the instructions of each recording's voice command on one thread, in millions, and what was found in it.
///
/// # Errors
/// A core is unknown, a recording cannot be read, or the emulator or its plugin does not work.
pub(crate) fn commands(names: &[String], model: &str, sentences: &str, recordings: &[PathBuf]) -> anyhow::Result<()> {
    let cpus = emulate::named(names)?;
    let root = crate::root()?;
    let counter = Counter::new()?;
    let binary = example("command")?;
    let model = root.join("models-int8").join(model);
    ensure!(model.is_dir(), "{}: no such model", model.display());
    println!("Executed instructions, one thread, sentences {sentences}, in millions");
    println!("{:<12} {:>9}  kernels, seconds, tokens of free text and search steps, tokens of the search, text", "core", "command");
    for cpu in cpus {
        for recording in recordings {
            let count =
                |rounds: &str| counter.count(cpu.name, |qemu| qemu.arg(&binary).arg(&model).arg(sentences).arg(recording).arg(rounds));
            let (one, found) = count("1")?;
            let (two, _) = count("2")?;
            println!("{:<12} {:>9.2}  {}", cpu.name, two.saturating_sub(one) as f64 / 1e6, found.trim());
        }
    }
    Ok(())
}

/// Builds an example of the tests for 64-bit ARM.
fn example(name: &str) -> anyhow::Result<PathBuf> {
    let cross = Cross::new(Target::Aarch64)?;
    execute(cross.cargo("build").args(["--release", "-p", "ossicle-cli", "-p", "ossicle-tests", "--example", name]))?;
    Ok(cross.binaries("release").join(Path::new("examples").join(name)))
}
