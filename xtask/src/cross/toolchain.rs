//! A compiler with a standard library for the target.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};

use super::{Target, holds};
use crate::process::{execute, output};

/// The compiler of Debian 12, of [`VERSION`], and the libraries it runs with, unpacked beside the system, so that nothing collides with rustup.
const PACKAGES: [&str; 12] = [
    "rustc-web",
    "cargo-web",
    "libstd-rust-web-dev",
    "libstd-rust-web-1.96",
    "rust-web-src",
    "libllvm22",
    "libgit2-1.5",
    "libssh2-1",
    "libhttp-parser2.9",
    "libmbedcrypto7",
    "libmbedtls14",
    "libmbedx509-1",
];
/// Must fit the packages' names.
const VERSION: &str = "1.96";

/// A crate whose test build makes the standard library and the test harness.
const HOSTED: &str = "fn main() {}\n";
const BARE: &str = "#![no_std]\n";

/// Where cargo and rustc come from.
pub(super) enum Toolchain {
    /// The ones that run this: `rustup target add` gave them the target.
    Own,
    /// Debian's, in this folder, with a standard library built from its sources.
    Debian(PathBuf),
}

impl Toolchain {
    /// The own compiler if it has the target, otherwise Debian's.
    pub(super) fn find(target: Target, root: &Path) -> anyhow::Result<Self> {
        let sysroot = output(Command::new("rustc").args(["--print", "sysroot"]))?;
        if holds(&library(Path::new(sysroot.trim()), target), "libcore-") {
            return Ok(Self::Own);
        }
        let folder = root.join("target/cross/toolchain");
        let toolchain = Self::Debian(folder.clone());
        if !folder.join("usr/bin/rustc").exists() {
            unpack(&folder).with_context(|| {
                let triple = target.triple();
                format!("no standard library for {triple}: run `rustup target add {triple}`, or use Debian 12 (its packages of rustc-web {VERSION})")
            })?;
        }
        let library = library(&folder.join("usr"), target);
        if !holds(&library, "libcore-") {
            toolchain.build_std(target, &root.join("target/cross/std"), &library)?;
        }
        Ok(toolchain)
    }

    pub(super) fn cargo(&self) -> Command {
        match self {
            Self::Own => Command::new("cargo"),
            Self::Debian(folder) => {
                let bin = folder.join("usr/bin");
                let mut command = Command::new(bin.join("cargo"));
                command.env("RUSTC", bin.join("rustc")).env("RUSTDOC", bin.join("rustdoc"));
                command.env("LD_LIBRARY_PATH", folder.join("usr/lib/x86_64-linux-gnu"));
                // A cargo above has set these for its own children.
                command.env_remove("RUSTUP_TOOLCHAIN").env_remove("CARGO");
                command
            }
        }
    }

    /// Builds the standard library (for bare targets `core`) and puts it where the compiler looks for it.
    fn build_std(&self, target: Target, work: &Path, library: &Path) -> anyhow::Result<()> {
        println!("    building the standard library for {}: once, a minute or two", target.triple());
        let source = work.join("crate");
        fs::create_dir_all(source.join("src"))?;
        // Bare targets cannot unwind; a test harness on others must be able to.
        let (subcommand, parts, file, other, content, panic) = if target.has_std() {
            ("test", "std,panic_abort,test", "main.rs", "lib.rs", HOSTED, "unwind")
        } else {
            ("build", "core", "lib.rs", "main.rs", BARE, "abort")
        };
        let manifest =
            format!("[package]\nname = \"nothing\"\nedition = \"2021\"\n\n[workspace]\n\n[profile.release]\npanic = \"{panic}\"\n");
        fs::write(source.join("Cargo.toml"), manifest)?;
        // What an earlier attempt left must not be taken for part of the library.
        let _ = fs::remove_dir_all(work.join(target.triple()));
        let _ = fs::remove_file(source.join("src").join(other));
        fs::write(source.join("src").join(file), content)?;
        let mut cargo = self.cargo();
        cargo.current_dir(&source).args([subcommand, "--release", "--target", target.triple()]).arg(format!("-Zbuild-std={parts}"));
        // The unstable flag is the compiler's own way of building its library; everything after is stable.
        cargo.env("RUSTC_BOOTSTRAP", "1").env("CARGO_TARGET_DIR", work);
        if let Some((linker, _)) = target.linker() {
            cargo.arg("--no-run").env(format!("CARGO_TARGET_{}_LINKER", target.triple().to_uppercase().replace('-', "_")), linker);
        }
        execute(&mut cargo)?;
        fs::create_dir_all(library)?;
        let built = work.join(target.triple()).join("release/deps");
        for entry in fs::read_dir(&built).context("the library's folder")? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if name.starts_with("lib") && !name.starts_with("libnothing") && (name.ends_with(".rlib") || name.ends_with(".rmeta")) {
                fs::copy(&path, library.join(name))?;
            }
        }
        if !holds(library, "libcore-") {
            bail!("the build of the standard library left no libcore in {}", built.display());
        }
        Ok(())
    }
}

fn library(sysroot: &Path, target: Target) -> PathBuf {
    sysroot.join("lib/rustlib").join(target.triple()).join("lib")
}

/// Downloads and unpacks [`PACKAGES`].
fn unpack(folder: &Path) -> anyhow::Result<()> {
    println!("    fetching Debian's Rust {VERSION}: once, 150 MB");
    let packages = folder.with_file_name("packages");
    fs::create_dir_all(&packages)?;
    // Without root the lists stay as they are; the download says if they are too old.
    let _ = crate::apt::update_once();
    execute(Command::new("apt-get").current_dir(&packages).arg("download").args(PACKAGES))?;
    let partial = folder.with_extension("partial");
    for entry in fs::read_dir(&packages)? {
        execute(Command::new("dpkg-deb").arg("--extract").arg(entry?.path()).arg(&partial))?;
    }
    fs::rename(&partial, folder).context("the finished folder")?;
    fs::remove_dir_all(&packages).context("the packages")
}
