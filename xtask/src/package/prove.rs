//! Proof of a package: installed into an arm64 Debian that holds nothing else of ours, and run there as its service would.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};

use crate::process::{execute, output};

/// Bookworm is the release that Raspberry Pi OS builds on; older ones need no less than a static binary gives them.
const SUITE: &str = "bookworm";
const EMULATOR: &str = "/usr/bin/qemu-aarch64-static";
const SAMPLE: &str = "samples/kitchen.wav";
const EXPECTED: &str = "turn off the kitchen lights";

/// Installs `deb` into an arm64 root (made once, in `target/cross`), transcribes the sample there and lets the service's user transcribe its
/// spool. Needs root; `cpu` is the emulated core.
///
/// # Errors
/// The root cannot be made, the package does not install, or a transcript is wrong.
pub(crate) fn run(deb: &Path, cpu: &str) -> anyhow::Result<()> {
    crate::apt::require(EMULATOR, &["qemu-user-static"])?;
    crate::apt::require("debootstrap", &["debootstrap"])?;
    let workspace = crate::root()?;
    let root = workspace.join("target/cross/arm64-root");
    let _emulation = Emulation::new(&workspace.join("target/cross/binfmt"))?;
    if !root.join("usr/bin/dpkg").exists() || root.join("debootstrap").exists() {
        let _ = fs::remove_dir_all(&root);
        println!("    making an arm64 Debian in {}: once, two minutes", root.display());
        execute(Command::new("debootstrap").args(["--arch=arm64", "--foreign", "--variant=minbase", SUITE]).arg(&root))?;
        execute(&mut inside(&root, cpu, &["/debootstrap/debootstrap", "--second-stage"]))?;
    }
    fs::copy(deb, root.join("tmp/ossicle.deb")).context("the package")?;
    fs::copy(workspace.join(SAMPLE), root.join("tmp/kitchen.wav")).context("the sample")?;
    // From a clean state, whatever an earlier proof left.
    let _ = inside(&root, cpu, &["dpkg", "--purge", "ossicle"]).status();
    execute(&mut inside(&root, cpu, &["dpkg", "--install", "/tmp/ossicle.deb"]))?;

    let text = output(&mut inside(&root, cpu, &["ossicle", "transcribe", "/tmp/kitchen.wav"]))?;
    ensure!(text.to_lowercase().contains(EXPECTED), "transcribed {text:?}, expected {EXPECTED:?}");
    println!("    ossicle transcribe: {}", text.trim());

    // What systemd would do: a folder of the user's own, then the unit's command as that user.
    let spool =
        "mkdir -p /var/lib/ossicle/spool && cp /tmp/kitchen.wav /var/lib/ossicle/spool && chown -R ossicle:ossicle /var/lib/ossicle";
    execute(&mut inside(&root, cpu, &["sh", "-c", spool]))?;
    let service = service(&root)?;
    execute(&mut inside(&root, cpu, &["setpriv", "--reuid=ossicle", "--regid=ossicle", "--clear-groups", "sh", "-c", &service]))?;
    let transcript = root.join("var/lib/ossicle/spool/done/kitchen.wav.json");
    let json = fs::read_to_string(&transcript).with_context(|| transcript.display().to_string())?;
    ensure!(json.to_lowercase().contains(EXPECTED), "the service wrote {json}");
    println!("    the service's command, as its user, transcribed its spool");

    execute(&mut inside(&root, cpu, &["dpkg", "--purge", "ossicle"]))?;
    ensure!(!root.join("usr/bin/ossicle").exists(), "the program is still there after dpkg --purge");
    Ok(())
}

/// The installed unit's command with the environment that unit, drop-in and configuration give it, for a shell; it ends when the spool is
/// empty.
fn service(root: &Path) -> anyhow::Result<String> {
    let read = |path: &str| fs::read_to_string(root.join(path)).with_context(|| path.to_owned());
    let unit = read("usr/lib/systemd/system/ossicle.service")?;
    let drop_in = read("usr/lib/systemd/system/ossicle.service.d/board.conf")?;
    let mut script = String::new();
    for line in unit.lines().chain(drop_in.lines()) {
        for assignment in line.strip_prefix("Environment=").into_iter().flat_map(str::split_whitespace) {
            script += &format!("export {assignment}; ");
        }
    }
    for line in read("etc/ossicle/ossicle.conf")?.lines().filter(|line| !line.starts_with('#')) {
        if let Some((name, value)) = line.split_once('=') {
            script += &format!("export {name}='{value}'; ");
        }
    }
    let command = unit.lines().find_map(|line| line.strip_prefix("ExecStart=")).context("a unit without ExecStart")?;
    Ok(format!("{script}exec {command} --once"))
}

/// A command in the root. Nothing of this environment gets in.
fn inside(root: &Path, cpu: &str, command: &[&str]) -> Command {
    let mut chroot = Command::new("chroot");
    chroot.arg(root).args(command).env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("QEMU_CPU", cpu);
    chroot.env("DEBIAN_FRONTEND", "noninteractive").env("LC_ALL", "C");
    chroot
}

/// While it lives, the kernel runs arm64 programs through the emulator.
struct Emulation {
    /// Its entry, unless another one was there.
    entry: Option<PathBuf>,
    mounted: Option<PathBuf>,
}

impl Emulation {
    fn new(mount_point: &Path) -> anyhow::Result<Self> {
        const NAME: &str = "ossicle-aarch64";
        // An ELF header: 64 bits, little-endian, a program or shared object for machine 183. F opens the emulator now, so that no root
        // needs to hold it.
        const MAGIC: &str = r"\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00";
        const MASK: &str = r"\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff";
        let system = Path::new("/proc/sys/fs/binfmt_misc");
        // With flag F the emulator need not lie in the root. An arm64 machine needs none.
        let there = fs::read_to_string(system.join("qemu-aarch64")).unwrap_or_default();
        let fixed = there.lines().any(|line| line.strip_prefix("flags:").is_some_and(|flags| flags.contains('F')));
        if cfg!(target_arch = "aarch64") || there.starts_with("enabled") && fixed {
            return Ok(Self { entry: None, mounted: None });
        }
        let (folder, mounted) = if system.join("register").exists() {
            (system.to_path_buf(), None)
        } else {
            fs::create_dir_all(mount_point)?;
            execute(Command::new("mount").args(["-t", "binfmt_misc", "none"]).arg(mount_point))
                .context("only root can mount binfmt_misc")?;
            (mount_point.to_path_buf(), Some(mount_point.to_path_buf()))
        };
        let entry = folder.join(NAME);
        if !entry.exists() {
            fs::write(folder.join("register"), format!(":{NAME}:M::{MAGIC}:{MASK}:{EMULATOR}:F")).context("registering the emulator")?;
        }
        Ok(Self { entry: Some(entry), mounted })
    }
}

impl Drop for Emulation {
    fn drop(&mut self) {
        if let Some(entry) = &self.entry {
            // -1 removes the entry.
            let _ = fs::write(entry, "-1");
        }
        if let Some(folder) = &self.mounted {
            let _ = Command::new("umount").arg(folder).status();
        }
    }
}
