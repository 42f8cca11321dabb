//! `cargo xtask emulate`: the tests and a transcription on emulated boards, compared with this machine.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail, ensure};

use crate::cross::{self, Cross, Target};
use crate::process::{execute, output};

/// A core of a board, and the instruction sets it must offer, slowest first.
pub(crate) struct Cpu {
    /// qemu's name.
    pub(crate) name: &'static str,
    pub(crate) isas: &'static str,
}

/// Raspberry Pi Zero 2 W and 3; Jetson Nano; Pi 4; Pi 5 and near the Orin's A78AE; all that the emulator knows (i8mm, as Neoverse V1 has).
pub(crate) const CPUS: [Cpu; 5] = [
    Cpu { name: "cortex-a53", isas: "scalar,neon" },
    Cpu { name: "cortex-a57", isas: "scalar,neon" },
    Cpu { name: "cortex-a72", isas: "scalar,neon" },
    Cpu { name: "cortex-a76", isas: "scalar,neon,dotprod" },
    Cpu { name: "max", isas: "scalar,neon,dotprod,i8mm" },
];

/// Tests that run on every core: kernels and front end against their definitions, memory and bits of the graph, audio to text.
const TESTS: [&[&str]; 4] = [
    &["-p", "ossicle-kernels"],
    &["-p", "ossicle-frontend", "--lib", "--tests"],
    &["-p", "ossicle-graph", "--tests"],
    &["-p", "ossicle-tests", "--tests"],
];

const SAMPLE: &str = "samples/kitchen.wav";

/// Runs tests and transcriptions on the cores named, all without names, and the 32-bit binary once.
///
/// # Errors
/// A core is unknown, a test fails, a core lacks an instruction set it should have, or digests differ from this machine's.
pub(crate) fn run(names: &[String]) -> anyhow::Result<()> {
    for name in names {
        ensure!(CPUS.iter().any(|cpu| cpu.name == name), "{name}: known cores are {}", CPUS.map(|cpu| cpu.name).join(", "));
    }
    crate::apt::require("qemu-aarch64-static", &["qemu-user-static"])?;
    let here = digests(&host_binary()?, &[])?;
    let cross = Cross::new(Target::Aarch64)?;
    let binary = cross::build(Target::Aarch64, "release")?.context("a binary")?;
    // What optimisation inlines elsewhere must find its instructions without it too.
    execute(cross.cargo("build").args(["-p", "ossicle-kernels"]))?;
    for cpu in CPUS.iter().filter(|cpu| names.is_empty() || names.iter().any(|name| name == cpu.name)) {
        println!("==> {}: {}", cpu.name, cpu.isas);
        for tests in TESTS {
            let mut cargo = cross.cargo("test");
            // The Debian compiler's library path is not for the emulator.
            cargo.env(cross.variable("RUNNER"), format!("env -u LD_LIBRARY_PATH qemu-aarch64-static -cpu {}", cpu.name));
            cargo.env("OSSICLE_EXPECT_ISAS", cpu.isas).env("OSSICLE_QUICK", "1").args(["--release", "--quiet"]).args(tests);
            execute(&mut cargo)?;
        }
        same(&here, &digests(&binary, &["qemu-aarch64-static", "-cpu", cpu.name])?, cpu.name)?;
    }
    if names.is_empty() {
        println!("==> 32-bit");
        let binary = cross::build(Target::Armv7, "release")?.context("a binary")?;
        same(&here, &digests(&binary, &["qemu-arm-static", "-cpu", "cortex-a7"])?, "armv7")?;
    }
    Ok(())
}

/// This machine's release binary.
fn host_binary() -> anyhow::Result<PathBuf> {
    execute(Command::new(env!("CARGO")).current_dir(crate::root()?).args(["build", "--release", "-p", "ossicle-cli"]))?;
    let target =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| crate::root().map(|root| root.join("target")), |dir| Ok(dir.into()))?;
    Ok(target.join("release/ossicle"))
}

/// Transcribes the sample under `runner` and returns the JSON, digests of every stage included.
fn digests(binary: &Path, runner: &[&str]) -> anyhow::Result<String> {
    let mut words = runner.iter().map(AsRef::as_ref).chain([binary.as_os_str()]);
    let mut command = Command::new(words.next().context("a program")?);
    command.args(words).current_dir(crate::root()?).args(["transcribe", SAMPLE, "--format", "json", "--digests", "--word-timestamps"]);
    let json = output(&mut command)?;
    ensure!(json.contains("\"digests\""), "no digests in {json}");
    Ok(json)
}

fn same(here: &str, there: &str, name: &str) -> anyhow::Result<()> {
    if here != there {
        bail!("{name} differs from this machine:\n{here}\n{there}");
    }
    println!("    {SAMPLE}: text, times and digests of mel, encoder, logits and tokens as on this machine");
    Ok(())
}

/// Phases that are counted, with the rounds whose difference to one round is taken.
const PHASES: [(&str, u64); 4] = [("mel", 3), ("encoder", 2), ("prefill", 5), ("token", 9)];

/// Counts executed instructions of each phase of a 30 s window on one thread, in millions.
///
/// # Errors
/// The emulator or its plugin does not work.
pub(crate) fn count(names: &[String], model: &str, seconds: u32) -> anyhow::Result<()> {
    let root = crate::root()?;
    // The static emulator of Debian has no plugins.
    crate::apt::require("qemu-aarch64", &["qemu-user"])?;
    crate::apt::require("gcc", &["gcc"])?;
    let plugin = root.join("target/cross/libinstructions.so");
    fs::create_dir_all(root.join("target/cross"))?;
    execute(Command::new("gcc").args(["-O2", "-shared", "-fPIC"]).arg(root.join("tests/emulator/instructions.c")).arg("-o").arg(&plugin))?;
    let cross = Cross::new(Target::Aarch64)?;
    execute(cross.cargo("build").args(["--release", "-p", "ossicle-tests", "--example", "phases"]))?;
    let binary = cross.binaries("release").join("examples/phases");
    let model = root.join("models-int8").join(model);
    let counted = |cpu: &str, phase: &str, rounds: u64| -> anyhow::Result<(u64, String)> {
        let result = root.join("target/cross/instructions.txt");
        let mut qemu = Command::new("qemu-aarch64");
        qemu.args(["-cpu", cpu, "-plugin"]).arg(&plugin).args(["-d", "plugin", "-D"]).arg(&result);
        let isa = output(qemu.arg(&binary).arg(&model).args([phase, &rounds.to_string(), &seconds.to_string()]))?;
        Ok((fs::read_to_string(&result)?.trim().parse().context("a count")?, isa.trim().to_owned()))
    };
    println!("Executed instructions, one thread, {seconds} s window, in millions");
    println!("{:<12} {:<9} {:>9} {:>9} {:>9} {:>9}", "core", "kernels", "mel", "encoder", "prefill", "token");
    for cpu in CPUS.iter().filter(|cpu| names.is_empty() || names.iter().any(|name| name == cpu.name)) {
        let mut figures = vec![];
        let mut kernels = String::new();
        for (phase, rounds) in PHASES {
            let (one, isa) = counted(cpu.name, phase, 1)?;
            let (more, _) = counted(cpu.name, phase, rounds)?;
            figures.push(format!("{:>9.2}", (more - one) as f64 / (rounds - 1) as f64 / 1e6));
            kernels = isa;
        }
        println!("{:<12} {kernels:<9} {}", cpu.name, figures.join(" "));
    }
    Ok(())
}
