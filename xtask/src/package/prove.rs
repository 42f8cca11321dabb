//! Proof of a package: installed into a Debian that holds nothing else of ours, and run there as the README and its service would.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail, ensure};

use crate::process::{execute, output};

/// Bookworm is the release that Raspberry Pi OS builds on; older ones need no less than a static binary gives them.
const SUITE: &str = "bookworm";
const EMULATOR: &str = "/usr/bin/qemu-aarch64-static";
/// The emulated core: the Raspberry Pi 4's.
const CPU: &str = "cortex-a72";
const EXPECTED: &str = "turn off the kitchen lights";

/// What is typed in `/usr/share/ossicle`, and what it must say, in small letters.
const COMMANDS: [(&str, &str); 18] = [
    ("ossicle transcribe samples/kitchen.wav", EXPECTED),
    ("ossicle transcribe --format json --word-timestamps samples/lights.wav", r#""words":[{"word":" turn""#),
    ("ossicle transcribe --events --format json samples/sounds.wav", r#""class":"sea_waves""#),
    ("ossicle detect samples/sounds.wav", "clock_tick"),
    ("ossicle detect --model yamnet --classes 'Smoke detector, smoke alarm' samples/sounds.wav", "smoke alarm"),
    ("ossicle detect --config home-sounds samples/sounds.wav", "smoke_alarm"),
    ("ossicle detect --html /tmp/sounds.html samples/sounds.wav && cat /tmp/sounds.html", "clock_tick"),
    ("ossicle command --sentences home samples/lights.wav", "hassturnoff"),
    ("cp sentences/home.yaml /tmp/mine.yaml && ossicle command --sentences /tmp/mine.yaml samples/lights.wav", "hassturnoff"),
    ("ossicle listen samples/lights.wav", EXPECTED),
    ("tail -c +45 samples/lights.wav | ossicle listen - --sentences home", "hassturnoff"),
    ("ossicle label --model efficientnet-lite0 samples/cat.jpg", "tabby"),
    ("ossicle models list", "sound-events"),
    ("ossicle board list", "pi4"),
    (r#"echo '{"type":"describe"}' | ossicle serve --uri stdio://"#, "whisper-tiny.en-short"),
    ("ossicle transcribe --trace /tmp/t samples/lights.wav && ossicle-sim replay /tmp/t --input samples/lights.wav", "identical"),
    ("ossicle-sim plan --board pi4 --seconds 3", "raspberry pi 4"),
    ("ossicle-quantize --help", "usage: ossicle-quantize"),
];

/// Installs `deb`, which is for processors called `arch`, into an empty root (made once, in `target/cross`), runs commands there and lets the
/// service's user transcribe its spool. Needs root.
///
/// # Errors
/// The root cannot be made, the package does not install, or a command says something else than it should.
pub(crate) fn run(deb: &Path, arch: &str) -> anyhow::Result<()> {
    crate::apt::require("debootstrap", &["debootstrap"])?;
    let target = crate::root()?.join("target/cross");
    // Only while the emulator is registered do programs of the other processor run.
    let (root, _emulation) = match arch {
        std::env::consts::ARCH => (native_root(&target)?, None),
        "aarch64" => {
            crate::apt::require(EMULATOR, &["qemu-user-static"])?;
            let emulation = Emulation::new(&target.join("binfmt"))?;
            (emulated_root(&target)?, Some(emulation))
        }
        other => bail!("no emulation of a whole Debian for {other}"),
    };
    let _processes = Processes::new(&root)?;
    fs::copy(deb, root.join("tmp/ossicle.deb")).context("the package")?;
    // From a clean state, whatever an earlier proof left.
    let _ = inside(&root, &["dpkg", "--purge", "ossicle"]).status();
    execute(&mut inside(&root, &["dpkg", "--install", "/tmp/ossicle.deb"]))?;
    for (command, expected) in COMMANDS {
        let text = output(&mut inside(&root, &["sh", "-c", &format!("cd /usr/share/ossicle && {command}")]))?;
        ensure!(text.to_lowercase().contains(expected), "{command}: expected {expected:?}, it says {text:?}");
        println!("    {command}");
    }
    watch(&root)?;
    execute(&mut inside(&root, &["dpkg", "--purge", "ossicle"]))?;
    ensure!(!root.join("usr/bin/ossicle").exists(), "the program is still there after dpkg --purge");
    Ok(())
}

/// What systemd would do: a folder of the user's own, then the unit's command as that user.
fn watch(root: &Path) -> anyhow::Result<()> {
    let spool = "mkdir -p /var/lib/ossicle/spool && cp /usr/share/ossicle/samples/kitchen.wav /var/lib/ossicle/spool && \
                 chown -R ossicle:ossicle /var/lib/ossicle";
    execute(&mut inside(root, &["sh", "-c", spool]))?;
    let service = service(root)?;
    execute(&mut inside(root, &["setpriv", "--reuid=ossicle", "--regid=ossicle", "--clear-groups", "sh", "-c", &service]))?;
    let transcript = root.join("var/lib/ossicle/spool/done/kitchen.wav.json");
    let json = fs::read_to_string(&transcript).with_context(|| transcript.display().to_string())?;
    ensure!(json.to_lowercase().contains(EXPECTED), "the service wrote {json}");
    println!("    the service's command, as its user, transcribed its spool");
    Ok(())
}

/// A Debian of this machine's architecture.
fn native_root(target: &Path) -> anyhow::Result<PathBuf> {
    let root = target.join("native-root");
    if !root.join("usr/bin/dpkg").exists() || root.join("debootstrap").exists() {
        let _ = fs::remove_dir_all(&root);
        println!("    making a Debian in {}: once, a minute", root.display());
        execute(Command::new("debootstrap").args(["--variant=minbase", SUITE]).arg(&root))?;
    }
    Ok(root)
}

/// An arm64 Debian.
fn emulated_root(target: &Path) -> anyhow::Result<PathBuf> {
    let root = target.join("arm64-root");
    if !root.join("usr/bin/dpkg").exists() || root.join("debootstrap").exists() {
        let _ = fs::remove_dir_all(&root);
        println!("    making an arm64 Debian in {}: once, two minutes", root.display());
        execute(Command::new("debootstrap").args(["--arch=arm64", "--foreign", "--variant=minbase", SUITE]).arg(&root))?;
        execute(&mut inside(&root, &["/debootstrap/debootstrap", "--second-stage"]))?;
    }
    Ok(root)
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
fn inside(root: &Path, command: &[&str]) -> Command {
    let mut chroot = Command::new("chroot");
    chroot.arg(root).args(command).env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("QEMU_CPU", CPU);
    chroot.env("DEBIAN_FRONTEND", "noninteractive").env("LC_ALL", "C");
    chroot
}

/// While it lives, the root has a `/proc`, by which programs find where they lie, and the models from there.
struct Processes(PathBuf);

impl Processes {
    fn new(root: &Path) -> anyhow::Result<Self> {
        let place = root.join("proc");
        execute(Command::new("mount").args(["-t", "proc", "proc"]).arg(&place)).context("only root can mount /proc")?;
        Ok(Self(place))
    }
}

impl Drop for Processes {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
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
