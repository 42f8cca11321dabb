//! `cargo xtask cross`: the device binary for ARM boards and the no_std crates for microcontrollers, from an x86-64 machine.

mod toolchain;

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};
use clap::ValueEnum;

use crate::process::{execute, output};
use toolchain::Toolchain;

/// What can be built for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Target {
    /// 64-bit Linux boards: Raspberry Pi Zero 2 W, 3, 4, 5, all Jetsons. Statically linked: any glibc, or none.
    Aarch64,
    /// 32-bit Raspberry Pi OS. Statically linked.
    Armv7,
    /// Cortex-M4F and M7, no operating system: kernels and front end as libraries.
    Thumbv7em,
    /// RISC-V microcontrollers without floating point: kernels and front end as libraries.
    Riscv32imac,
}

impl Target {
    /// Rust's name.
    pub(crate) fn triple(self) -> &'static str {
        match self {
            Self::Aarch64 => "aarch64-unknown-linux-gnu",
            Self::Armv7 => "armv7-unknown-linux-gnueabihf",
            Self::Thumbv7em => "thumbv7em-none-eabihf",
            Self::Riscv32imac => "riscv32imac-unknown-none-elf",
        }
    }

    /// The C compiler that links, and Debian's packages of it. Bare targets are libraries and need none.
    fn linker(self) -> Option<(&'static str, &'static [&'static str])> {
        match self {
            Self::Aarch64 => Some(("aarch64-linux-gnu-gcc", &["gcc-aarch64-linux-gnu", "libc6-dev-arm64-cross"])),
            Self::Armv7 => Some(("arm-linux-gnueabihf-gcc", &["gcc-arm-linux-gnueabihf", "libc6-dev-armhf-cross"])),
            Self::Thumbv7em | Self::Riscv32imac => None,
        }
    }

    fn has_std(self) -> bool {
        self.linker().is_some()
    }
}

/// Cargo for one target: the command line's own if its compiler has the target's standard library, otherwise Debian's.
pub(crate) struct Cross {
    target: Target,
    toolchain: Toolchain,
    root: PathBuf,
}

impl Cross {
    /// Finds or makes what building for `target` needs. The first time takes minutes and 900 MB in `target/cross` where rustup has no
    /// such target.
    ///
    /// # Errors
    /// Neither rustup's target nor Debian's packages can be had.
    pub(crate) fn new(target: Target) -> anyhow::Result<Self> {
        let root = crate::root()?;
        if let Some((linker, packages)) = target.linker() {
            crate::apt::require(linker, packages)?;
        }
        Ok(Self { target, toolchain: Toolchain::find(target, &root)?, root })
    }

    /// `cargo SUBCOMMAND --target ...` with everything set; build products go to `target/cross/build`.
    pub(crate) fn cargo(&self, subcommand: &str) -> Command {
        let mut command = self.toolchain.cargo();
        command.current_dir(&self.root).arg(subcommand).args(["--target", self.target.triple()]);
        command.env("CARGO_TARGET_DIR", self.build_dir());
        // Debian's standard library has no bitcode, without which nothing is optimised at link time.
        command.env("CARGO_PROFILE_DIST_LTO", "off");
        if self.target == Target::Armv7 {
            // With 16.9 MB of code a static program crashed before main, and with 13.8 MB it runs: libc's calls are Thumb's, which reach 16 MiB.
            // `dist` inherits this. What computes stays fast.
            for setting in ["opt-level=\"s\"", "package.ossicle-kernels.opt-level=3", "package.ossicle-frontend.opt-level=3"] {
                command.args(["--config", &format!("profile.release.{setting}")]);
            }
        }
        if let Some((linker, _)) = self.target.linker() {
            command.env(self.variable("LINKER"), linker);
            command.env(self.variable("RUSTFLAGS"), "-C target-feature=+crt-static");
        }
        command
    }

    /// `CARGO_TARGET_<TRIPLE>_<NAME>`
    pub(crate) fn variable(&self, name: &str) -> String {
        format!("CARGO_TARGET_{}_{name}", self.target.triple().to_uppercase().replace('-', "_"))
    }

    fn build_dir(&self) -> PathBuf {
        self.root.join("target/cross/build")
    }

    /// Where a profile's binaries are.
    pub(crate) fn binaries(&self, profile: &str) -> PathBuf {
        self.build_dir().join(self.target.triple()).join(profile)
    }
}

/// Builds for `targets`; prints where each result is.
///
/// # Errors
/// A tool is missing or a build fails.
pub(crate) fn run(targets: &[Target], profile: &str) -> anyhow::Result<()> {
    for &target in targets {
        println!("==> {}", target.triple());
        let binary = build(target, profile)?;
        match binary {
            Some(path) => println!("    {} ({:.1} MB, statically linked)", path.display(), fs::metadata(&path)?.len() as f64 / 1e6),
            None => println!("    ossicle-kernels and ossicle-frontend build without std, with defmt"),
        }
    }
    Ok(())
}

/// Builds the device binary, stripped, as `target/cross/NAME/ossicle`; for bare targets the no_std crates.
///
/// # Errors
/// As [`run`].
pub(crate) fn build(target: Target, profile: &str) -> anyhow::Result<Option<PathBuf>> {
    let cross = Cross::new(target)?;
    if !target.has_std() {
        let mut cargo = cross.cargo("build");
        cargo.args(["--release", "-p", "ossicle-kernels", "-p", "ossicle-frontend", "--no-default-features", "--features"]);
        execute(cargo.arg("ossicle-frontend/defmt"))?;
        return Ok(None);
    }
    Ok(Some(programs(target, profile, &[("ossicle-cli", "ossicle")])?.join("ossicle")))
}

/// Builds programs, each of a package, stripped, into `target/cross/NAME`; returns that folder.
///
/// # Errors
/// As [`run`], or the target has no operating system.
pub(crate) fn programs(target: Target, profile: &str, programs: &[(&str, &str)]) -> anyhow::Result<PathBuf> {
    let cross = Cross::new(target)?;
    let packages = programs.iter().flat_map(|(package, _)| ["-p", package]);
    execute(cross.cargo("build").args(["--profile", profile]).args(packages))?;
    let place = cross.root.join("target/cross").join(target.to_possible_value().context("a named target")?.get_name());
    let strip = target.linker().context("a linked target")?.0.replace("gcc", "strip");
    for (_, name) in programs {
        let stripped = stripped(&strip, &cross.binaries(profile).join(name), &place)?;
        refuse_dynamic(&stripped)?;
    }
    Ok(place)
}

/// Puts a program without its symbols into a folder.
///
/// # Errors
/// `strip` cannot be run or refuses.
pub(crate) fn stripped(strip: &str, program: &Path, folder: &Path) -> anyhow::Result<PathBuf> {
    fs::create_dir_all(folder)?;
    let path = folder.join(program.file_name().context("a program's name")?);
    execute(Command::new(strip).arg("-o").arg(&path).arg(program))?;
    Ok(path)
}

/// A binary that asks for an interpreter would not start on a board with an older glibc.
fn refuse_dynamic(binary: &Path) -> anyhow::Result<()> {
    let headers = output(Command::new("readelf").arg("--program-headers").arg(binary))?;
    if headers.contains("INTERP") {
        bail!("{} is dynamically linked", binary.display());
    }
    Ok(())
}

/// Whether a file of `folder` starts with `prefix`.
fn holds(folder: &Path, prefix: &str) -> bool {
    let starts = |name: &OsStr| name.to_string_lossy().starts_with(prefix);
    fs::read_dir(folder).is_ok_and(|entries| entries.flatten().any(|entry| starts(&entry.file_name())))
}
