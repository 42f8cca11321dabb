//! Which profile fits a machine.

use crate::machine::Machine;
use crate::profile::Profile;

/// How well a profile fits, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fit {
    /// The machine says it is this board.
    Model,
    /// The same core, with as much memory as the board is sold with.
    Core,
    /// The same architecture only; what the profile says about speed does not hold.
    Architecture,
}

impl Fit {
    /// What it rests on, in a few words.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Model => "the device tree names it",
            Self::Core => "the same core",
            Self::Architecture => "the same architecture only",
        }
    }
}

/// The best profile for `machine`, whose programs are built for `arch` (as [`std::env::consts::ARCH`]); the first of equals.
///
/// Without `arch` only [`Fit::Model`] and [`Fit::Core`] count.
/// Several boards share a core: among those, the one whose number of cores and memory come closest is taken.
pub fn best<'a>(machine: &Machine, arch: Option<&str>, profiles: &'a [(String, Profile)]) -> Option<(&'a str, &'a Profile, Fit)> {
    let candidates = profiles.iter().filter_map(|(name, profile)| Some((name.as_str(), profile, fit(machine, arch, profile)?)));
    candidates.min_by_key(|(_, profile, fit)| (*fit, profile.cpu.cores.abs_diff(machine.cores), distance(machine, profile)))
}

/// How well `profile` fits `machine`, if at all.
pub fn fit(machine: &Machine, arch: Option<&str>, profile: &Profile) -> Option<Fit> {
    if arch.is_some_and(|arch| profile.arch != arch) {
        return None;
    }
    let names = |model: &String| profile.models.iter().any(|known| model.starts_with(known.as_str()));
    if machine.model.as_ref().is_some_and(names) {
        return Some(Fit::Model);
    }
    let same_core = profile.cpu.part != 0 && (machine.implementer, machine.part) == (Some(profile.cpu.implementer), Some(profile.cpu.part));
    if same_core { Some(Fit::Core) } else { arch.map(|_| Fit::Architecture) }
}

/// Bytes between the machine's memory and the nearest size that the board is sold with.
fn distance(machine: &Machine, profile: &Profile) -> u64 {
    let have = machine.memory_bytes.unwrap_or(0);
    profile.memory.sizes_mib.iter().map(|size| (size << 20).abs_diff(have)).min().unwrap_or(u64::MAX)
}
