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

use anyhow::{Context, anyhow, bail, ensure};
use clap::ValueEnum;
use ossicle_boards::catalog;
use ossicle_boards::profile::Profile;
use sha2::{Digest, Sha256};

use crate::cross;
use crate::process::execute;
use tree::Tree;

/// What to package.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The board: a name that `ossicle board list` shows, or the path of a profile
    #[arg(long)]
    board: String,
    /// Cargo profile to build in: dist, or release (larger, minutes faster to build)
    #[arg(long, default_value = "dist")]
    profile: String,
    /// Folder of the programs, instead of building them
    #[arg(long, value_name = "FOLDER", conflicts_with = "profile")]
    programs: Option<PathBuf>,
    /// Models to put in
    #[arg(long = "model", value_name = "NAME", default_values = MODELS)]
    models: Vec<String>,
    /// Where the packages go
    #[arg(long, value_name = "FOLDER", default_value = "target/packages")]
    output: PathBuf,
    /// Install the .deb into an empty Debian, under emulation if it is for ARM, and run the README's commands there, as root
    #[arg(long)]
    prove: bool,
}

/// Models that the README shows.
const MODELS: [&str; 8] =
    ["whisper-tiny.en-short", "sound-events", "whisper-events", "yamnet", "minilm", "efficientnet-lite0", "hibari", "effects"];

/// Packages and their programs.
const PROGRAMS: [(&str, &str); 3] = [("ossicle-cli", "ossicle"), ("ossicle-quantize", "ossicle-quantize"), ("ossicle-sim", "ossicle-sim")];

/// Packages for this machine and for a Raspberry Pi 4, proved.
///
/// # Errors
/// As for [`run`].
pub(crate) fn check() -> anyhow::Result<()> {
    for board in ["host", "pi4"] {
        let models = MODELS.map(str::to_owned).to_vec();
        let output = "target/packages".into();
        run(&Args { board: board.to_owned(), profile: "dist".to_owned(), programs: None, models, output, prove: true })?;
    }
    Ok(())
}

/// Builds the programs, makes the packages and prints their paths.
///
/// # Errors
/// If there is no such board, a build fails, a program is for another processor, or a model is missing or damaged.
pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let board = catalog::find(&args.board)?;
    let programs = match &args.programs {
        Some(folder) => folder.clone(),
        None => build(&board, &args.profile)?,
    };
    let paths = package(&args.board, &programs, &args.models, &args.output)?;
    inspect(&paths[0])?;
    if args.prove {
        prove::run(&paths[0], &board.arch)?;
    }
    for path in paths {
        println!("{}", path.display());
    }
    Ok(())
}

/// Builds the programs for a board, stripped; gives their folder.
fn build(board: &Profile, profile: &str) -> anyhow::Result<PathBuf> {
    if board.arch != std::env::consts::ARCH {
        let target = cross::Target::from_str(&board.arch, true).map_err(|_| anyhow!("no cross build for {}", board.arch))?;
        return cross::programs(target, profile, &PROGRAMS);
    }
    let mut cargo = Command::new(env!("CARGO"));
    cargo.current_dir(crate::root()?).args(["build", "--profile", profile]);
    execute(cargo.args(PROGRAMS.iter().flat_map(|(package, _)| ["-p", package])))?;
    let (built, folder) = (crate::target()?.join(profile), crate::target()?.join("packages/programs"));
    for (_, name) in PROGRAMS {
        cross::stripped("strip", &built.join(name), &folder)?;
    }
    Ok(folder)
}

/// Lets dpkg-deb, where there is one, read a package and compare its list of files with what must be in it.
///
/// # Errors
/// If dpkg-deb refuses the package, or a program or a service is missing.
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
    let programs = PROGRAMS.map(|(_, name)| format!("usr/bin/{name}"));
    let units = service::UNITS.map(|(name, _)| format!("usr/lib/systemd/system/{name}.service"));
    for file in
        programs.iter().chain(&units).map(String::as_str).chain(["etc/ossicle/ossicle.conf", "usr/share/ossicle/samples/kitchen.wav"])
    {
        ensure!(
            list.lines().any(|line| line.ends_with(&format!(" {file}")) || line.ends_with(&format!(" ./{file}"))),
            "{}: no {file}",
            deb.display()
        );
    }
    Ok(())
}

/// Packages the programs of a folder: gives the paths of the .deb, the .tar.gz and SHA256SUMS.
fn package(board: &str, programs: &Path, models: &[String], output: &Path) -> anyhow::Result<[PathBuf; 3]> {
    let root = &crate::root()?;
    let profile = catalog::find(board)?;
    let id = Path::new(board).file_stem().context("no name")?.to_string_lossy().into_owned();
    let tree = contents(root, &profile, programs, models)?;
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

/// Folders of the repository that are installed, and where.
const FOLDERS: [(&str, &str); 4] = [
    ("samples", "usr/share/ossicle/samples"),
    ("runtime/sentences/packs", "usr/share/ossicle/sentences"),
    ("runtime/pipelines/sounds", "usr/share/ossicle/sounds"),
    // Where the README's links lead.
    ("docs", "usr/share/doc/ossicle/docs"),
];

/// Everything that is installed.
fn contents(root: &Path, profile: &Profile, programs: &Path, models: &[String]) -> anyhow::Result<Tree> {
    let mut tree = Tree::default();
    for (_, name) in PROGRAMS {
        let path = programs.join(name);
        let program = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        elf::check(&program, &profile.arch).with_context(|| path.display().to_string())?;
        tree.add(&format!("usr/bin/{name}"), 0o755, program);
    }
    for model in models {
        let folder = root.join("models-int8").join(model);
        ensure!(folder.join("SHA256SUMS").is_file(), "no model {model} in models-int8: cargo xtask models {model} makes it");
        tree.add_folder(&folder, &format!("usr/share/ossicle/models/{model}"))?;
        verify(&tree, model)?;
    }
    for (folder, place) in FOLDERS {
        tree.add_folder(&root.join(folder), place)?;
    }
    for (name, unit) in service::UNITS {
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
        let binary = elf::tests::program(183, b"GLIBC_2.17\0GLIBC_2.31\0GLIBC_2.4\0");
        PROGRAMS.iter().for_each(|(_, name)| fs::write(folder.0.join(name), &binary).unwrap());
        // Compressing all of them twice would take a minute.
        let models = ["whisper-events".to_owned(), "yamnet".to_owned()];
        let make = || package("pi4", &folder.0, &models, &folder.0).unwrap();
        let first = make();
        inspect(&first[0]).unwrap();
        let [deb, archive, sums] = first.each_ref().map(|path| fs::read(path).unwrap());
        assert!(first[0].ends_with(format!("ossicle_{}+pi4_arm64.deb", env!("CARGO_PKG_VERSION"))), "{first:?}");
        assert_eq!(make().map(|path| fs::read(path).unwrap()), [deb.clone(), archive.clone(), sums.clone()]);
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
        for (_, name) in PROGRAMS {
            assert_eq!(data[&format!("usr/bin/{name}")], (0o755, binary.clone()));
        }
        let limits = String::from_utf8(data["usr/lib/systemd/system/ossicle.service.d/board.conf"].1.clone()).unwrap();
        assert!(limits.contains("MemoryMax=512M"), "{limits}");
        assert_eq!(data["etc/ossicle/ossicle.conf"].0, 0o600);
        for model in models {
            assert!(data.contains_key(&format!("usr/share/ossicle/models/{model}/model.safetensors")), "{model}");
        }
        for path in [
            "share/ossicle/sentences/home.yaml",
            "share/ossicle/sounds/home-sounds.toml",
            "share/ossicle/samples/sounds.wav",
            "share/doc/ossicle/docs/boards.md",
        ] {
            assert!(data.contains_key(&format!("usr/{path}")), "{path}");
        }
        // The archive holds the same files below one folder.
        let top = format!("ossicle-{}-pi4/", env!("CARGO_PKG_VERSION"));
        let archived = tree::tests::files(&archive);
        assert!(data.iter().all(|(name, file)| archived.get(&format!("{top}{name}")) == Some(file)));
        assert_eq!(archived.len(), data.len());
    }

    #[test]
    fn the_models_of_the_readme_are_there_and_whole() {
        let root = crate::root().unwrap();
        for model in MODELS {
            let mut tree = Tree::default();
            tree.add_folder(&root.join("models-int8").join(model), &format!("usr/share/ossicle/models/{model}")).unwrap();
            verify(&tree, model).unwrap();
        }
    }

    #[test]
    fn what_cannot_be_packaged_is_refused() {
        let folder = Folder(std::env::temp_dir().join(format!("ossicle-refused-{}", std::process::id())));
        fs::create_dir_all(&folder.0).unwrap();
        let message = |board: &str, programs: &Path| {
            let error = package(board, programs, &["yamnet".into()], Path::new("target/nowhere")).unwrap_err();
            format!("{error:#}")
        };
        assert!(message("pi4", Path::new("no/such/folder")).contains("cannot read no/such/folder/ossicle"));
        fs::write(folder.0.join("ossicle"), "#!/bin/sh\n").unwrap();
        assert!(message("pi4", &folder.0).contains("not an ELF program"));
        assert!(message("pi17", &folder.0).contains("unknown board: pi17"));
    }
}
