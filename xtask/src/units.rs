//! `cargo xtask units`: counts what the kernels' units of work execute on emulated cores, for the plans of `ossicle-sim`.

use std::fmt::Write;
use std::fs;

use crate::cross::{Cross, Target};
use crate::instructions::Counter;
use crate::process::execute;

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
    let counter = Counter::new()?;
    let cross = Cross::new(Target::Aarch64)?;
    execute(cross.cargo("build").args(["--release", "-p", "ossicle-units"]))?;
    let binary = cross.binaries("release").join("ossicle-units");
    let count = |cpu: &str, isa: &str, probe: &str, rounds: u64| -> anyhow::Result<u64> {
        let round = rounds.to_string();
        Ok(counter.count(cpu, |qemu| qemu.arg(&binary).args([probe, &round]).env("OSSICLE_ISA", isa))?.0)
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
