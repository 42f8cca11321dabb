//! `cargo xtask check --long PIECE`: what takes long and seldom fails, each piece within an hour on two cores. CONTRIBUTING.md lists them too.

use clap::ValueEnum;

use super::{cargo, require_root};
use crate::emulate::{self, Extent};
use crate::process::execute;
use crate::{built, models, package, packs, serve, soak};

/// Hours of sound, and requests to the service.
const SOAK: (f64, usize) = (12.0, 2000);

/// Sentences of each pack.
const SENTENCES: usize = 240;

/// Libraries whose packages hold all that they need.
const LIBRARIES: [&str; 11] = [
    "ossicle-trace",
    "ossicle-kernels",
    "ossicle-frontend",
    "ossicle-engine",
    "ossicle-models",
    "ossicle-text",
    "ossicle-generate",
    "ossicle-sentences",
    "ossicle-phonemes",
    "ossicle-boards",
    "ossicle",
];

/// A piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Piece {
    /// All tests of kernels, front end and graph, and the golden files, on one emulated core for each list of instruction sets.
    Emulation,
    /// The packages for this machine and for a Raspberry Pi 4, built in the dist profile and installed in an empty Debian, with the README's commands.
    Package,
    /// A fault in each kernel, one bit of one value: the replay names the operator.
    Faults,
    /// Both sentence packs spoken by espeak-ng and flite, 240 sentences each.
    Packs,
    /// The multilingual model, made if it is not there: no words on noise, languages told, nothing lost at pauses.
    Multilingual,
    /// Twelve hours of sound to `ossicle listen` and `ossicle detect`, 2000 requests to `ossicle serve`.
    Soak,
    /// The pool of threads in every order in which its threads can run.
    Orders,
    /// Clippy with the default features alone, on the command line without any, and on the front end with defmt; libraries as they would be published.
    Lints,
}

impl Piece {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Emulation => "emulation",
            Self::Package => "package",
            Self::Faults => "faults",
            Self::Packs => "packs",
            Self::Multilingual => "multilingual",
            Self::Soak => "soak",
            Self::Orders => "orders",
            Self::Lints => "lints",
        }
    }

    pub(super) fn run(self) -> anyhow::Result<()> {
        match self {
            Self::Emulation => require_root("emulation").and_then(|()| emulate::run(&[], Extent::Whole)),
            Self::Package => require_root("package").and_then(|()| package::check()),
            Self::Faults => faults(),
            Self::Packs => packs::run(SENTENCES),
            Self::Multilingual => multilingual(),
            Self::Soak => soak::run(SOAK.0).and_then(|()| serve::run(SOAK.1)),
            Self::Orders => cargo(&["test", "--manifest-path", "tests/orders/Cargo.toml", "--target-dir", "target/orders"]),
            Self::Lints => lints(),
        }
    }
}

/// Planted faults, built with the workspace: its features are those of the other tests, so tract is compiled for both.
fn faults() -> anyhow::Result<()> {
    cargo(&["test", "--release", "--workspace", "--features", "ossicle-sim/fault-injection", "--test", "faults"])
}

/// The part of recordings whose language must be told.
const LEAST_LANGUAGES: &str = "0.97";

fn multilingual() -> anyhow::Result<()> {
    let root = crate::root()?;
    if !root.join("models-int8/whisper-base/model.safetensors").exists() {
        models::run("whisper-base")?;
    }
    let mut python = models::python();
    python.arg(root.join("tests/accuracy/multilingual.py")).args(["--least", LEAST_LANGUAGES]);
    execute(python.env("OSSICLE", built::command_line()?).env_remove("OSSICLE_ISA"))
}

fn lints() -> anyhow::Result<()> {
    cargo(&["clippy", "--release", "--workspace", "--all-targets", "--", "-D", "warnings"])?;
    cargo(&["clippy", "--release", "-p", "ossicle-cli", "--all-targets", "--no-default-features", "--", "-D", "warnings"])?;
    cargo(&["clippy", "--release", "-p", "ossicle-frontend", "--features", "defmt", "--", "-D", "warnings"])?;
    // Compiled by the other checks.
    let libraries = LIBRARIES.iter().flat_map(|name| ["-p", name]);
    cargo(&["publish", "--dry-run", "--no-verify", "--allow-dirty"].into_iter().chain(libraries).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum;

    use super::Piece;

    #[test]
    fn every_piece_is_in_the_contributors_table() {
        let text = std::fs::read_to_string(crate::root().unwrap().join("CONTRIBUTING.md")).unwrap();
        for piece in Piece::value_variants() {
            assert!(text.contains(&format!("\n| `{}` | ", piece.name())), "{}", piece.name());
            assert_eq!(piece.to_possible_value().unwrap().get_name(), piece.name());
        }
    }
}
