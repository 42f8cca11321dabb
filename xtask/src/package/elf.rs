//! What a program's file says about where it runs.

use anyhow::{bail, ensure};

/// Checks that `bytes` are a 64-bit little-endian ELF program for `arch`, as Rust calls it.
///
/// # Errors
/// If they are not; the message says what they are.
pub(super) fn check(bytes: &[u8], arch: &str) -> anyhow::Result<()> {
    ensure!(bytes.starts_with(b"\x7fELF\x02\x01") && bytes.len() > 64, "not an ELF program of 64 bits: give one built for {arch}");
    // e_machine of the ELF header.
    let found = match u16::from_le_bytes([bytes[18], bytes[19]]) {
        62 => "x86_64",
        183 => "aarch64",
        other => bail!("ELF machine {other}: give a program built for {arch}"),
    };
    ensure!(found == arch, "built for {found}: give a program built for {arch}");
    Ok(())
}

/// The newest version of the C library whose symbols the program asks for; `None` if it is linked statically.
///
/// Read from the version names in the file, as what a tool finds in the installed library would be the building machine's version.
pub(super) fn glibc(bytes: &[u8]) -> Option<(u32, u32)> {
    const PREFIX: &[u8] = b"GLIBC_";
    let starts = bytes.windows(PREFIX.len()).enumerate().filter(|(_, window)| *window == PREFIX).map(|(i, _)| i + PREFIX.len());
    let version = |start: usize| {
        let text: String = bytes[start..].iter().take(12).take_while(|&&byte| byte != 0).map(|&byte| byte as char).collect();
        let mut numbers = text.split('.').map(|number| number.parse().ok());
        Some((numbers.next()??, numbers.next()??))
    };
    starts.filter_map(version).max()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// The header of a program for an ELF machine, and its names.
    pub(crate) fn program(machine: u16, names: &[u8]) -> Vec<u8> {
        let mut bytes = b"\x7fELF\x02\x01\x01".to_vec();
        bytes.resize(64, 0);
        bytes[18..20].copy_from_slice(&machine.to_le_bytes());
        bytes.extend(names);
        bytes
    }

    #[test]
    fn machines_and_versions() {
        let arm = program(183, b"GLIBC_2.9\0GLIBC_2.17\0GLIBC_PRIVATE\0GLIBC_2.3.4\0");
        assert!(check(&arm, "aarch64").is_ok());
        assert!(check(&arm, "x86_64").unwrap_err().to_string().contains("built for aarch64"));
        assert!(check(&program(40, b"."), "aarch64").unwrap_err().to_string().contains("ELF machine 40"));
        assert_eq!(glibc(&arm), Some((2, 17)));
        assert_eq!(glibc(&program(183, b"nothing")), None);
    }
}
