//! Which machine this is.

use std::env::consts::{ARCH, OS};
use std::fmt;
use std::fs;

use serde::{Deserialize, Serialize};

/// A machine, as far as it says what it is. No name or number of the single machine is in it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// Architecture, such as `aarch64`.
    pub arch: String,
    /// Operating system, such as `linux`.
    pub os: String,
    /// The processor, such as `AMD EPYC 7763`; on ARM implementer and part number.
    pub cpu: Option<String>,
    /// The board, such as `Raspberry Pi 4 Model B Rev 1.4`.
    pub board: Option<String>,
}

impl Machine {
    /// This machine.
    pub fn this() -> Self {
        let cpu = fs::read_to_string("/proc/cpuinfo").ok().and_then(|text| cpu(&text));
        let board = fs::read_to_string("/proc/device-tree/model").ok();
        let board = board.map(|model| model.trim_end_matches('\0').to_owned()).filter(|model| !model.is_empty());
        let clean = |name: String| name.replace(char::is_control, " ");
        Self { arch: ARCH.to_owned(), os: OS.to_owned(), cpu: cpu.map(clean), board: board.map(clean) }
    }
}

/// The processor as Linux describes it.
fn cpu(text: &str) -> Option<String> {
    let field = |name: &str| {
        let lines = text.lines().filter_map(|line| line.split_once(':'));
        lines.map(|(key, value)| (key.trim(), value.trim())).find(|&(key, _)| key == name).map(|(_, value)| value.to_owned())
    };
    let arm = || Some(format!("implementer {} part {}", field("CPU implementer")?, field("CPU part")?));
    field("model name").or_else(arm)
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = [self.board.as_deref(), self.cpu.as_deref()];
        for name in known.into_iter().flatten() {
            write!(f, "{name}, ")?;
        }
        write!(f, "{} {}", self.arch, self.os)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_processors() {
        assert_eq!(cpu("processor\t: 0\nmodel name\t: Some CPU @ 2 GHz\n").as_deref(), Some("Some CPU @ 2 GHz"));
        let arm = "processor : 0\nBogoMIPS : 108.00\nCPU implementer\t: 0x41\nCPU part\t: 0xd08\n";
        assert_eq!(cpu(arm).as_deref(), Some("implementer 0x41 part 0xd08"));
        assert_eq!(cpu("nothing"), None);
    }
}
