//! `cargo xtask check`.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, bail};

/// Each check: its name, cargo's arguments, and what the output must hold, if anything.
const CHECKS: &[(&str, &[&str], Option<&str>)] = &[
    ("format", &["fmt", "--all", "--check"], None),
    ("lints", &["clippy", "--release", "--workspace", "--all-targets", "--", "-D", "warnings"], None),
    ("documentation", &["doc", "--release", "--workspace", "--no-deps"], None),
    ("kernels without std", &["build", "--release", "-p", "ossicle-kernels", "-p", "ossicle-frontend", "--no-default-features"], None),
    ("tests", &["test", "--release", "--workspace"], None),
    ("main command", &["run", "--release", "--", "transcribe", "samples/kitchen.wav"], Some("turn off the kitchen lights")),
];

/// Runs all checks, in the release profile: one build of tract serves them all.
///
/// # Errors
/// The first check that fails.
pub(crate) fn run() -> anyhow::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("no workspace")?;
    for (name, arguments, expected) in CHECKS {
        println!("==> {name}: cargo {}", arguments.join(" "));
        let start = Instant::now();
        let mut command = Command::new(env!("CARGO"));
        command.current_dir(root).args(*arguments).env("RUSTDOCFLAGS", "-D warnings");
        match expected {
            None => {
                let status = command.status().context("cargo")?;
                if !status.success() {
                    bail!("{name} failed ({status})");
                }
            }
            Some(expected) => {
                let output = command.stderr(std::process::Stdio::inherit()).output().context("cargo")?;
                let text = String::from_utf8_lossy(&output.stdout);
                print!("{text}");
                if !output.status.success() || !text.to_lowercase().contains(expected) {
                    bail!("{name} failed ({}): expected {expected:?}", output.status);
                }
            }
        }
        println!("    {name}: {:.0} s", start.elapsed().as_secs_f64());
    }
    Ok(())
}
