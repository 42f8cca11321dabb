//! What is found on the machine at hand.

use std::fs;
use std::path::Path;

/// A machine, as Linux describes it. Fields stay empty where it says nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Machine {
    /// `/proc/device-tree/model`.
    pub model: Option<String>,
    /// The processor's name, or implementer and part number where it has none.
    pub cpu: String,
    /// `CPU implementer`, on ARM.
    pub implementer: Option<u32>,
    /// `CPU part` of the last core, on ARM; the last is a fast one where there are two kinds.
    pub part: Option<u32>,
    /// Instruction set extensions.
    pub features: Vec<String>,
    /// Cores.
    pub cores: usize,
    /// Memory in bytes.
    pub memory_bytes: Option<u64>,
    /// What the control group allows, in bytes.
    pub cgroup_bytes: Option<u64>,
    /// Sound cards that can record.
    pub microphones: Vec<SoundCard>,
    /// GPIO chips, as in `/dev`.
    pub gpio_chips: Vec<String>,
}

/// A sound card.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SoundCard {
    /// ALSA's identifier.
    pub id: String,
    /// Its name.
    pub name: String,
    /// ALSA's name of its first recording device.
    pub device: String,
}

impl Machine {
    /// Describes the machine whose file system begins at `root`: `/`, or a folder that looks like it.
    pub fn look(root: &Path) -> Self {
        let read = |path: &str| fs::read_to_string(root.join(path)).ok();
        let mut machine =
            Self { model: read("proc/device-tree/model").map(|text| text.trim_end_matches('\0').trim().to_owned()), ..Self::default() };
        machine.read_cpus(&read("proc/cpuinfo").unwrap_or_default());
        machine.memory_bytes = read("proc/meminfo").and_then(|text| kilobytes(&text, "MemTotal"));
        machine.cgroup_bytes = cgroup_limit(root);
        machine.microphones = microphones(root);
        machine.gpio_chips = gpio_chips(root);
        machine
    }

    fn read_cpus(&mut self, text: &str) {
        for (key, value) in text.lines().filter_map(|line| line.split_once(':')) {
            let value = value.trim();
            match key.trim() {
                "processor" => self.cores += 1,
                "model name" => self.cpu = value.to_owned(),
                "Features" | "flags" if self.features.is_empty() => self.features = value.split_whitespace().map(str::to_owned).collect(),
                "CPU implementer" => self.implementer = hexadecimal(value),
                "CPU part" => self.part = hexadecimal(value),
                _ => {}
            }
        }
        if let (true, Some(implementer), Some(part)) = (self.cpu.is_empty(), self.implementer, self.part) {
            self.cpu = format!("implementer {implementer:#04x}, part {part:#05x}");
        }
    }
}

fn hexadecimal(text: &str) -> Option<u32> {
    u32::from_str_radix(text.strip_prefix("0x")?, 16).ok()
}

/// Bytes of a line such as `MemTotal:  948304 kB`.
fn kilobytes(text: &str, key: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

/// The smallest limit on the way from this process's group up to the top: version 2, or version 1's memory controller.
fn cgroup_limit(root: &Path) -> Option<u64> {
    let groups = fs::read_to_string(root.join("proc/self/cgroup")).ok()?;
    let mut limits = Vec::new();
    for line in groups.lines() {
        let mut fields = line.splitn(3, ':');
        let (Some(_), Some(controllers), Some(group)) = (fields.next(), fields.next(), fields.next()) else { continue };
        let (top, file) = match controllers {
            "" => ("sys/fs/cgroup", "memory.max"),
            list if list.split(',').any(|name| name == "memory") => ("sys/fs/cgroup/memory", "memory.limit_in_bytes"),
            _ => continue,
        };
        let (top, group) = (root.join(top), Path::new(group.trim_start_matches('/')));
        for ancestor in group.ancestors() {
            let text = fs::read_to_string(top.join(ancestor).join(file)).unwrap_or_default();
            limits.extend(text.trim().parse::<u64>().ok());
        }
    }
    // Version 1 writes a huge number for "no limit".
    limits.into_iter().filter(|&limit| limit < 1 << 60).min()
}

/// Cards with a recording device, from `/proc/asound/cards` and `/proc/asound/pcm`.
fn microphones(root: &Path) -> Vec<SoundCard> {
    let read = |name: &str| fs::read_to_string(root.join("proc/asound").join(name)).unwrap_or_default();
    let (cards, devices) = (read("cards"), read("pcm"));
    // A line such as "00-03: name : name : playback 1 : capture 1".
    let captures = |card: usize| {
        devices.lines().filter(|line| line.contains(": capture ")).find_map(|line| {
            let (numbers, _) = line.split_once(':')?;
            let (number, device) = numbers.split_once('-')?;
            (number.parse() == Ok(card)).then(|| device.parse::<u32>().ok())?
        })
    };
    let mut found = Vec::new();
    for line in cards.lines() {
        // A line such as " 1 [seeed2micvoicec]: simple-card - seeed-2mic-voicecard"; the line after it repeats the name.
        let Some((number, rest)) = line.split_once('[') else { continue };
        let (Ok(number), Some((id, name))) = (number.trim().parse(), rest.split_once("]:")) else { continue };
        if let Some(device) = captures(number) {
            let (id, name) = (id.trim(), name.trim());
            let name = name.split_once(" - ").map_or(name, |(_, name)| name);
            found.push(SoundCard { id: id.to_owned(), name: name.to_owned(), device: format!("plughw:CARD={id},DEV={device}") });
        }
    }
    found
}

fn gpio_chips(root: &Path) -> Vec<String> {
    let entries = fs::read_dir(root.join("dev")).into_iter().flatten().flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    let mut chips: Vec<String> = names.filter(|name| name.starts_with("gpiochip")).map(|name| format!("/dev/{name}")).collect();
    chips.sort();
    chips
}
