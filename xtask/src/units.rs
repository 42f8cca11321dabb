//! `cargo xtask units`: counts what the kernels' units of work execute on emulated cores, for the plans of `ossicle-sim`.

use std::fmt::Write;
use std::fs;
use std::process::Command;

use anyhow::Context;

use crate::cross::{Cross, Target};
use crate::process::{execute, output};

/// Instruction sets, each on a core of the emulator that has it and no better one.
const CORES: [(&str, &str); 3] = [("neon", "cortex-a72"), ("dotprod", "cortex-a76"), ("i8mm", "max")];

/// Rounds whose difference to one round is taken.
const ROUNDS: u64 = 3;

/// Writes `boards/costs/instructions.toml`.
///
/// # Errors
/// The emulator, its plugin or the cross build does not work.
pub(crate) fn run() -> anyhow::Result<()> {
    let root = crate::root()?;
    // The static emulator of Debian has no plugins.
    crate::apt::require("qemu-aarch64", &["qemu-user"])?;
    crate::apt::require("gcc", &["gcc"])?;
    let plugin = root.join("target/cross/libinstructions.so");
    fs::create_dir_all(root.join("target/cross"))?;
    execute(Command::new("gcc").args(["-O2", "-shared", "-fPIC"]).arg(root.join("tests/emulator/instructions.c")).arg("-o").arg(&plugin))?;
    let cross = Cross::new(Target::Aarch64)?;
    execute(cross.cargo("build").args(["--release", "-p", "ossicle-units"]))?;
    let binary = cross.binaries("release").join("ossicle-units");
    let count = |cpu: &str, isa: &str, probe: &str, rounds: u64| -> anyhow::Result<u64> {
        let result = root.join("target/cross/instructions.txt");
        let mut qemu = Command::new("qemu-aarch64");
        qemu.args(["-cpu", cpu, "-plugin"]).arg(&plugin).args(["-d", "plugin", "-D"]).arg(&result);
        output(qemu.arg(&binary).args([probe, &rounds.to_string()]).env("OSSICLE_ISA", isa))?;
        fs::read_to_string(&result)?.trim().parse().context("a count")
    };
    let mut text = String::from(
        "# Instructions that one unit of work executes (what a unit is: host-sim/units/src/lib.rs), counted under qemu by\n# cargo xtask units\n",
    );
    for (isa, cpu) in CORES {
        let mut counts = Vec::new();
        for probe in ossicle_units::NAMES {
            let [one, more] = [1, ROUNDS].map(|rounds| count(cpu, isa, probe, rounds));
            counts.push((probe, (more?.saturating_sub(one?)) as f64 / (ROUNDS - 1) as f64));
        }
        let cost = |name: &str| counts.iter().find(|(probe, _)| *probe == name).map_or(0.0, |(_, count)| *count);
        writeln!(text, "\n[{isa}]")?;
        for (unit, instructions) in ossicle_units::costs(cost) {
            writeln!(text, "{unit} = {instructions:.4}")?;
        }
    }
    let path = root.join("boards/costs/instructions.toml");
    fs::write(&path, text)?;
    println!("{}", path.display());
    Ok(())
}
