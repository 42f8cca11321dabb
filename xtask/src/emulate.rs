//! `cargo xtask emulate`: the tests and a transcription on emulated boards, compared with this machine.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use anyhow::{Context, anyhow, bail, ensure};
use serde_json::Value;

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

/// How much of the tests runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extent {
    /// What an instruction set can break by itself, in seconds: each kernel against its definition, the front end's bits.
    Quick,
    /// Also the graph, memory, and audio to text on every instruction set, in minutes each.
    Whole,
}

impl Extent {
    /// Packages whose tests run, and their test binaries; with [`Self::Whole`] those of the libraries themselves run, too.
    fn tests(self) -> (&'static [&'static str], &'static [&'static str]) {
        match self {
            Self::Quick => (&["ossicle-kernels", "ossicle-frontend"], &["kernels", "mel", "resample", "samples", "vad", "endpoint"]),
            Self::Whole => (
                &["ossicle-kernels", "ossicle-frontend", "ossicle-engine", "ossicle-models", "ossicle-tests"],
                &["kernels", "mel", "resample", "samples", "vad", "endpoint", "whisper", "yamnet", "golden", "memory"],
            ),
        }
    }
}

/// The test that a core has the instruction sets that are expected of it: its binary, and its name there.
const FINDS_ISAS: (&str, &str) = ("kernels", "isa::this_cpu_offers_what_is_expected_of_it");

const SAMPLE: &str = "samples/kitchen.wav";

/// Runs tests and transcriptions on the cores named. Without names: on one core for each list of instruction sets; on the others, which the emulator
/// executes alike, which sets they have and the transcription; and the 32-bit binary.
///
/// # Errors
/// A core is unknown, a test fails, a core lacks an instruction set it should have, or digests differ from this machine's.
pub(crate) fn run(names: &[String], extent: Extent) -> anyhow::Result<()> {
    let mut cpus = named(names)?;
    // The longest first: more instruction sets, more tests.
    cpus.reverse();
    crate::apt::require("qemu-aarch64-static", &["qemu-user-static"])?;
    let here = digests(&crate::built::command_line()?, &[])?;
    let cross = Cross::new(Target::Aarch64)?;
    let binary = cross::build(Target::Aarch64, "release")?.context("a binary")?;
    let tests = build_tests(&cross, extent)?;
    if extent == Extent::Whole {
        // What optimisation inlines elsewhere must find its instructions without it too.
        execute(cross.cargo("build").args(["-p", "ossicle-kernels"]))?;
    }
    each(&cpus, |cpu| {
        println!("==> {}: {}", cpu.name, cpu.isas);
        let last = CPUS.iter().rfind(|other| other.isas == cpu.isas);
        let all = !names.is_empty() || last.is_some_and(|last| last.name == cpu.name);
        for test in tests.iter().filter(|test| all || test.finds_isas()) {
            test.run(cpu, all)?;
        }
        println!("    {}: {}", cpu.name, if all { "all tests passed" } else { "has its instruction sets" });
        same(&here, &digests(&binary, &["qemu-aarch64-static", "-cpu", cpu.name])?, cpu.name)
    })?;
    if names.is_empty() {
        println!("==> 32-bit");
        let binary = cross::build(Target::Armv7, "release")?.context("a binary")?;
        same(&here, &digests(&binary, &["qemu-arm-static", "-cpu", "cortex-a7"])?, "armv7")?;
    }
    Ok(())
}

/// Does `work` for all cores, as many at a time as this machine has itself.
fn each(cpus: &[&'static Cpu], work: impl Fn(&Cpu) -> anyhow::Result<()> + Sync) -> anyhow::Result<()> {
    let next = AtomicUsize::new(0);
    let worker = || {
        while let Some(cpu) = cpus.get(next.fetch_add(1, Ordering::Relaxed)) {
            work(cpu)?;
        }
        Ok(())
    };
    let workers = std::thread::available_parallelism()?.get().min(cpus.len());
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..workers).map(|_| scope.spawn(worker)).collect();
        threads.into_iter().try_for_each(|thread| thread.join().unwrap_or_else(|_| Err(anyhow!("a worker panicked"))))
    })
}

/// Runs a test binary and gives what it says; its errors are shown only if it fails.
fn quiet(command: &mut Command) -> anyhow::Result<String> {
    let output = command.output()?;
    ensure!(output.status.success(), "{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// A test binary and the folder it expects to run in.
struct Test {
    program: PathBuf,
    folder: PathBuf,
}

impl Test {
    /// Runs it on a core: all of it, or that the core has its instruction sets.
    fn run(&self, cpu: &Cpu, all: bool) -> anyhow::Result<()> {
        let start = Instant::now();
        let mut qemu = Command::new("qemu-aarch64-static");
        // Cargo's and the Debian compiler's library path is not for the emulator.
        qemu.env_remove("LD_LIBRARY_PATH").env("OSSICLE_EXPECT_ISAS", cpu.isas).env("OSSICLE_QUICK", "1");
        let filter: &[&str] = if all { &[] } else { &["--exact", FINDS_ISAS.1] };
        let said = quiet(qemu.args(["-cpu", cpu.name]).arg(&self.program).args(filter).current_dir(&self.folder))
            .with_context(|| format!("{} on {}", self.program.display(), cpu.name))?;
        ensure!(all || said.contains("1 passed"), "no test {} in {}", FINDS_ISAS.1, self.program.display());
        println!("    {}: {} passed in {:.0} s", cpu.name, self.name(), start.elapsed().as_secs_f64());
        Ok(())
    }

    /// The file's name without cargo's hash.
    fn name(&self) -> &str {
        let file = self.program.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        file.rsplit_once('-').map_or(file, |(name, _)| name)
    }

    fn finds_isas(&self) -> bool {
        self.name() == FINDS_ISAS.0
    }
}

/// Builds the tests in one go together with the command line: cargo then gives all of them the same features of common dependencies, and
/// tract is compiled once.
fn build_tests(cross: &Cross, extent: Extent) -> anyhow::Result<Vec<Test>> {
    let (packages, names) = extent.tests();
    let mut cargo = cross.cargo("test");
    cargo.args(["--no-run", "--release", "--message-format", "json-render-diagnostics", "-p", "ossicle-cli"]);
    if extent == Extent::Whole {
        cargo.arg("--lib");
    }
    cargo.args(packages.iter().flat_map(|package| ["-p", package])).args(names.iter().flat_map(|name| ["--test", name]));
    let mut tests = vec![];
    for line in output(&mut cargo)?.lines() {
        let message: Value = serde_json::from_str(line).context("cargo's messages")?;
        let text = |pointer: &str| message.pointer(pointer).and_then(Value::as_str);
        let (Some(program), Some(manifest)) = (text("/executable"), text("/manifest_path")) else { continue };
        let folder = Path::new(manifest).parent().context("a manifest in a folder")?.to_path_buf();
        // The command line's own tests start it as a process, which would run outside of the emulator.
        if !folder.ends_with("runtime/cli") {
            tests.push(Test { program: program.into(), folder });
        }
    }
    ensure!(tests.len() >= names.len(), "only {} test binaries were built", tests.len());
    Ok(tests)
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
    println!("    {name}: {SAMPLE}: text, times and digests of mel, encoder, logits and tokens as on this machine");
    Ok(())
}
