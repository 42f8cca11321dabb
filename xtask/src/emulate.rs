//! `cargo xtask emulate`: the tests and a transcription on emulated boards, compared with this machine.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, bail, ensure};

use crate::cross::{self, Cross, Target};
use crate::process::{execute, output};

/// A core of a board, and the instruction sets it must offer, slowest first.
pub(crate) struct Cpu {
    /// qemu's name.
    pub(crate) name: &'static str,
    isas: &'static str,
}

/// Raspberry Pi Zero 2 W and 3; Jetson Nano; Pi 4; Pi 5 and near the Orin's A78AE; all that the emulator knows (i8mm, as Neoverse V1 has).
static CPUS: [Cpu; 5] = [
    Cpu { name: "cortex-a53", isas: "scalar,neon" },
    Cpu { name: "cortex-a57", isas: "scalar,neon" },
    Cpu { name: "cortex-a72", isas: "scalar,neon" },
    Cpu { name: "cortex-a76", isas: "scalar,neon,dotprod" },
    Cpu { name: "max", isas: "scalar,neon,dotprod,i8mm" },
];

/// The cores of these names; all without names.
///
/// # Errors
/// A name is unknown.
pub(crate) fn named(names: &[String]) -> anyhow::Result<Vec<&'static Cpu>> {
    if names.is_empty() {
        return Ok(CPUS.iter().collect());
    }
    let known = || CPUS.each_ref().map(|cpu| cpu.name).join(", ");
    let find = |name: &String| CPUS.iter().find(|cpu| cpu.name == name).with_context(|| format!("{name}: known cores are {}", known()));
    names.iter().map(find).collect()
}

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
    let cpus = named(names)?;
    crate::apt::require("qemu-aarch64-static", &["qemu-user-static"])?;
    let here = digests(&crate::command_line()?, &[])?;
    let cross = Cross::new(Target::Aarch64)?;
    let binary = cross::build(Target::Aarch64, "release")?.context("a binary")?;
    // What optimisation inlines elsewhere must find its instructions without it too.
    execute(cross.cargo("build").args(["-p", "ossicle-kernels"]))?;
    for cpu in cpus {
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
