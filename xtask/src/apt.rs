//! Debian packages that a task needs.

use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

use crate::process::execute;

/// Makes sure that `program` can be run, installing `packages` (as root) if not.
///
/// # Errors
/// It is missing and cannot be installed.
pub(crate) fn require(program: &str, packages: &[&str]) -> anyhow::Result<()> {
    if Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok() {
        return Ok(());
    }
    println!("    {program} is missing: apt-get install {}", packages.join(" "));
    install(packages)
}

/// Installs packages, as root.
///
/// # Errors
/// apt-get is missing, or it fails.
pub(crate) fn install(packages: &[&str]) -> anyhow::Result<()> {
    update_once()?;
    execute(Command::new("apt-get").args(["install", "-y", "--no-install-recommends"]).args(packages))
}

/// Brings the package lists up to date, once.
///
/// # Errors
/// apt-get is missing, or it fails: without root it does.
pub(crate) fn update_once() -> anyhow::Result<()> {
    static DONE: AtomicBool = AtomicBool::new(false);
    if !DONE.load(Ordering::Relaxed) {
        execute(Command::new("apt-get").args(["update", "-qq"]))?;
        DONE.store(true, Ordering::Relaxed);
    }
    Ok(())
}
