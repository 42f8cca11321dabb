//! Programs of this machine.

use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::ensure;

use crate::process::execute;

/// Whether the tests of the whole workspace were built by this run.
static BY_TESTS: AtomicBool = AtomicBool::new(false);

/// Says that `cargo test --release --workspace` has built every program and example. From here on they are taken as they lie there: cargo
/// would build tract and all above it once more for a single package, as that needs fewer features of their dependencies.
pub(crate) fn by_tests() {
    BY_TESTS.store(true, Ordering::Relaxed);
}

/// This machine's command line, built if it may be older than its sources; returns where it is.
///
/// # Errors
/// The build fails.
pub(crate) fn command_line() -> anyhow::Result<PathBuf> {
    product(&["-p", "ossicle-cli"], "ossicle")
}

/// An example of a package.
///
/// # Errors
/// The build fails.
pub(crate) fn example(package: &str, name: &str) -> anyhow::Result<PathBuf> {
    product(&["-p", package, "--example", name], &format!("examples/{name}"))
}

fn product(what: &[&str], place: &str) -> anyhow::Result<PathBuf> {
    if !BY_TESTS.load(Ordering::Relaxed) {
        execute(Command::new(env!("CARGO")).current_dir(crate::root()?).args(["build", "--release"]).args(what))?;
    }
    let path = crate::target()?.join("release").join(format!("{place}{}", std::env::consts::EXE_SUFFIX));
    ensure!(path.is_file(), "{}: the build left no such program", path.display());
    Ok(path)
}
