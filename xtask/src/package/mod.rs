//! `cargo xtask package --board NAME`: a .deb and a .tar.gz for a board, and their checksums.
//!
//! Written with the `ar`, `tar` and `flate2` crates and not with cargo-deb, as a .deb is no more than an ar of two tars: so it works on a
//! machine that has Rust alone, whatever made the binary, and the dependency on the C library comes from the binary itself.

mod deb;
mod elf;
mod prove;
mod service;
mod tree;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail, ensure};
use ossicle_boards::catalog;
use ossicle_boards::profile::Profile;
use sha2::{Digest, Sha256};

use tree::Tree;

/// What to package.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The board: a name that `ossicle board list` shows, or the path of a profile
    #[arg(long)]
    board: String,
    /// The program [default: what `cargo xtask cross` or `cargo build` left under target]
    #[arg(long, value_name = "FILE")]
    binary: Option<PathBuf>,
    /// Models to put in
    #[arg(long = "model", value_name = "NAME", default_value = "whisper-tiny.en-short")]
    models: Vec<String>,
    /// Where the packages go
    #[arg(long, value_name = "FOLDER", default_value = "target/packages")]
    output: PathBuf,
    /// Install the .deb into an arm64 Debian under emulation and transcribe there, as root
    #[arg(long)]
    prove: bool,
}

/// The emulated core of a proof: the Raspberry Pi 4's.
const PROOF_CPU: &str = "cortex-a72";

/// Packages the cross-built program for a Raspberry Pi 4 and proves it, for continuous integration.
///
/// # Errors
/// As for [`run`].
pub(crate) fn check() -> anyhow::Result<()> {
    let models = vec!["whisper-tiny.en-short".to_owned()];
    run(&Args { board: "pi4".to_owned(), binary: None, models, output: "target/packages".into(), prove: true })
}

/// Makes the packages and prints their paths.
///
/// # Errors
/// If there is no such board, no binary for its processor, or a model is missing or damaged.
pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let paths = package(&args.board, args.binary.as_deref(), &args.models, &args.output)?;
    inspect(&paths[0])?;
    if args.prove {
        prove::run(&paths[0], PROOF_CPU)?;
    }
    for path in paths {
        println!("{}", path.display());
    }
    Ok(())
}

/// Lets dpkg-deb, where there is one, read a package and compare its list of files with what must be in it.
///
/// # Errors
/// If dpkg-deb refuses the package, or the program or the service is missing.
pub(crate) fn inspect(deb: &Path) -> anyhow::Result<()> {
    let output = match Command::new("dpkg-deb").arg("--contents").arg(deb).output() {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            eprintln!("SKIPPED: no dpkg-deb here, so nobody else has read {}", deb.display());
            return Ok(());
        }
        other => other.context("dpkg-deb")?,
    };
    ensure!(output.status.success(), "dpkg-deb refuses {}: {}", deb.display(), String::from_utf8_lossy(&output.stderr));
    let list = String::from_utf8_lossy(&output.stdout).into_owned();
    for file in [
        "usr/bin/ossicle",
        "usr/lib/systemd/system/ossicle.service",
        "usr/lib/systemd/system/ossicle-serve.service",
        "etc/ossicle/ossicle.conf",
    ] {
        ensure!(
            list.lines().any(|line| line.ends_with(&format!(" {file}")) || line.ends_with(&format!(" ./{file}"))),
            "{}: no {file}",
            deb.display()
        );
    }
    Ok(())
}

/// What [`run`] does, for other tasks: gives the paths of the .deb, the .tar.gz and SHA256SUMS.
///
/// # Errors
/// As for [`run`].
pub(crate) fn package(board: &str, binary: Option<&Path>, models: &[String], output: &Path) -> anyhow::Result<[PathBuf; 3]> {
    let root = &crate::root()?;
    let profile = catalog::find(board)?;
    let id = Path::new(board).file_stem().context("no name")?.to_string_lossy().into_owned();
    let binary = match binary {
        Some(path) => path.to_owned(),
        None => find_binary(root, &profile)?,
    };
    let program = fs::read(&binary).with_context(|| format!("cannot read {}", binary.display()))?;
    elf::check(&program, &profile.arch).with_context(|| binary.display().to_string())?;
    let tree = contents(root, &profile, program, models)?;
    let time = modification_time(root);

    let folder = root.join(output);
    fs::create_dir_all(&folder)?;
    let version = format!("{}+{}", env!("CARGO_PKG_VERSION"), id.replace('-', "."));
    let control = deb::Control { version: &version, architecture: debian_architecture(&profile.arch)?, board: &profile.name };
    let deb = folder.join(format!("ossicle_{version}_{}.deb", control.architecture));
    fs::write(&deb, deb::write(&tree, &control, time)?)?;
    let stem = format!("ossicle-{}-{id}", env!("CARGO_PKG_VERSION"));
    let archive = folder.join(format!("{stem}.tar.gz"));
    fs::write(&archive, tree::gzip(&tree.tar(&format!("{stem}/"), time)?)?)?;
    let sums = folder.join(format!("{stem}.SHA256SUMS"));
    fs::write(&sums, checksums(&[&deb, &archive])?)?;
    Ok([deb, archive, sums])
}

/// Everything that is installed.
fn contents(root: &Path, profile: &Profile, program: Vec<u8>, models: &[String]) -> anyhow::Result<Tree> {
    let mut tree = Tree::default();
    tree.add("usr/bin/ossicle", 0o755, program);
    for model in models {
        let folder = root.join("models-int8").join(model);
        ensure!(folder.join("SHA256SUMS").is_file(), "no model {model} in models-int8: cargo xtask models {model} makes it");
        tree.add_folder(&folder, &format!("usr/share/ossicle/models/{model}"))?;
        verify(&tree, model)?;
    }
    for (name, unit) in [("ossicle", service::UNIT), ("ossicle-serve", service::SERVE_UNIT)] {
        tree.add(&format!("usr/lib/systemd/system/{name}.service"), 0o644, unit);
        tree.add(&format!("usr/lib/systemd/system/{name}.service.d/board.conf"), 0o644, service::board_limits(profile));
    }
    tree.add("usr/lib/sysusers.d/ossicle.conf", 0o644, service::SYSUSERS);
    // It may hold a password. systemd reads it as root, whatever user the services have.
    tree.add("etc/ossicle/ossicle.conf", 0o600, service::CONFIGURATION);
    for name in ["LICENSE-MIT", "LICENSE-APACHE", "README.md", "CHANGELOG.md"] {
        let path = root.join(name);
        tree.add(&format!("usr/share/doc/ossicle/{name}"), 0o644, fs::read(&path).with_context(|| path.display().to_string())?);
    }
    tree.add("usr/share/doc/ossicle/copyright", 0o644, service::COPYRIGHT);
    Ok(tree)
}

/// Compares a model's files, as they go into the package, with its SHA256SUMS.
fn verify(tree: &Tree, model: &str) -> anyhow::Result<()> {
    let folder = format!("usr/share/ossicle/models/{model}");
    let sums = String::from_utf8_lossy(tree.get(&format!("{folder}/SHA256SUMS")).context("no SHA256SUMS")?).into_owned();
    for line in sums.lines().filter(|line| !line.is_empty()) {
        let (sum, name) = line.split_once("  ").with_context(|| format!("{folder}/SHA256SUMS: not a line of sha256sum: {line:?}"))?;
        let bytes = tree.get(&format!("{folder}/{name}")).with_context(|| format!("{folder}: no {name}"))?;
        ensure!(hexadecimal(&Sha256::digest(bytes)) == sum, "{folder}/{name} differs from SHA256SUMS: make the model again");
    }
    Ok(())
}

/// What `cargo xtask cross` left, or for this machine's processor what `cargo build` did.
fn find_binary(root: &Path, profile: &Profile) -> anyhow::Result<PathBuf> {
    let mut candidates = vec![root.join("target/cross").join(&profile.arch).join("ossicle")];
    if profile.arch == std::env::consts::ARCH {
        let target = crate::target()?;
        candidates.extend(["dist", "release"].map(|name| target.join(name).join("ossicle")));
    }
    candidates.iter().find(|path| path.is_file()).cloned().with_context(|| {
        let looked: Vec<_> = candidates.iter().map(|path| path.display().to_string()).collect();
        let arch = &profile.arch;
        format!(
            "no program for {arch}: looked for {}: cargo xtask cross --target {arch} makes it, or give --binary FILE",
            looked.join(", ")
        )
    })
}

fn debian_architecture(arch: &str) -> anyhow::Result<&'static str> {
    Ok(match arch {
        "aarch64" => "arm64",
        "x86_64" => "amd64",
        other => bail!("no Debian architecture for {other}"),
    })
}

/// Seconds since 1970 that every packaged file gets, so that the same input gives the same package: `SOURCE_DATE_EPOCH`, or when the last
/// commit was made, or 1 January 2000 outside a repository.
fn modification_time(root: &Path) -> u64 {
    const OUTSIDE: u64 = 946_684_800;
    let parse = |text: String| text.trim().parse().ok();
    let committed = || {
        let output = Command::new("git").arg("-C").arg(root).args(["log", "-1", "--format=%ct"]).output().ok()?;
        parse(String::from_utf8(output.stdout).ok()?)
    };
    std::env::var("SOURCE_DATE_EPOCH").ok().and_then(parse).or_else(committed).unwrap_or(OUTSIDE)
}

/// Lines as of sha256sum.
fn checksums(paths: &[&Path]) -> anyhow::Result<String> {
    let mut text = String::new();
    for path in paths {
        let name = path.file_name().context("no name")?.to_string_lossy();
        text += &format!("{}  {name}\n", hexadecimal(&Sha256::digest(fs::read(path)?)));
    }
    Ok(text)
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder that goes away.
    struct Folder(PathBuf);

    impl Drop for Folder {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).unwrap();
        }
    }

    #[test]
    fn packages_are_whole_and_repeat() {
        let folder = Folder(std::env::temp_dir().join(format!("ossicle-packages-{}", std::process::id())));
        fs::create_dir_all(&folder.0).unwrap();
        let binary = folder.0.join("program");
        fs::write(&binary, elf::tests::program(183, b"GLIBC_2.17\0GLIBC_2.31\0GLIBC_2.4\0")).unwrap();
        let make = || package("pi4", Some(&binary), &["whisper-tiny.en-short".into()], &folder.0);
        let first = match make() {
            Err(error) if error.to_string().contains("no model") => return eprintln!("SKIPPED: {error}"),
            other => other.unwrap(),
        };
        inspect(&first[0]).unwrap();
        let [deb, archive, sums] = first.each_ref().map(|path| fs::read(path).unwrap());
        assert!(first[0].ends_with(format!("ossicle_{}+pi4_arm64.deb", env!("CARGO_PKG_VERSION"))), "{first:?}");
        assert_eq!(make().unwrap().map(|path| fs::read(path).unwrap()), [deb.clone(), archive.clone(), sums.clone()]);
        assert_eq!(sums.iter().filter(|&&byte| byte == b'\n').count(), 2);

        let parts = deb::tests::parts(&deb);
        assert_eq!(parts.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["debian-binary", "control.tar.gz", "data.tar.gz"]);
        assert_eq!(parts[0].1, b"2.0\n");
        let control = tree::tests::files(&parts[1].1);
        let text = String::from_utf8(control["control"].1.clone()).unwrap();
        assert!(text.contains("\nArchitecture: arm64\n") && text.contains("\nDepends: libc6 (>= 2.31), libgcc-s1\n"), "{text}");
        assert_eq!(control["postinst"].0, 0o755);
        assert_eq!(control["conffiles"].1, b"/etc/ossicle/ossicle.conf\n");
        let data = tree::tests::files(&parts[2].1);
        assert_eq!(data["usr/bin/ossicle"], (0o755, fs::read(&binary).unwrap()));
        let limits = String::from_utf8(data["usr/lib/systemd/system/ossicle.service.d/board.conf"].1.clone()).unwrap();
        assert!(limits.contains("MemoryMax=512M"), "{limits}");
        assert_eq!(data["etc/ossicle/ossicle.conf"].0, 0o600);
        assert!(data.contains_key("usr/share/ossicle/models/whisper-tiny.en-short/model.safetensors"));
        // The archive holds the same files below one folder.
        let top = format!("ossicle-{}-pi4/", env!("CARGO_PKG_VERSION"));
        let archived = tree::tests::files(&archive);
        assert!(data.iter().all(|(name, file)| archived.get(&format!("{top}{name}")) == Some(file)));
        assert_eq!(archived.len(), data.len());
    }

    #[test]
    fn what_cannot_be_packaged_is_refused() {
        let message = |board: &str, binary: &Path| {
            let error = package(board, Some(binary), &["whisper-tiny.en-short".into()], Path::new("target/nowhere")).unwrap_err();
            format!("{error:#}")
        };
        let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
        assert!(message("pi4", &manifest).contains("not an ELF program"));
        assert!(message("pi17", &manifest).contains("unknown board: pi17"));
        assert!(message("pi4", Path::new("no/such/program")).contains("cannot read no/such/program"));
    }
}
