//! Debian packages (deb(5)): an ar archive of a version, the maintainer's files and the installed files.

use md5::{Digest, Md5};

use super::hexadecimal;
use super::tree::{Tree, gzip};
use super::{elf, service};

/// What distinguishes one package from another.
#[derive(Clone, Copy, Debug)]
pub(super) struct Control<'a> {
    pub(super) version: &'a str,
    pub(super) architecture: &'static str,
    /// The board's name, for the description.
    pub(super) board: &'a str,
}

/// The package's bytes.
pub(super) fn write(tree: &Tree, control: &Control<'_>, time: u64) -> anyhow::Result<Vec<u8>> {
    let mut maintainer = Tree::default();
    maintainer.add("control", 0o644, control_file(tree, control));
    maintainer.add("md5sums", 0o644, md5sums(tree));
    let conffiles: String = tree.files().filter(|(path, _)| path.starts_with("etc/")).map(|(path, _)| format!("/{path}\n")).collect();
    maintainer.add("conffiles", 0o644, conffiles);
    maintainer.add("postinst", 0o755, service::POSTINST);
    maintainer.add("prerm", 0o755, service::PRERM);
    maintainer.add("postrm", 0o755, service::POSTRM);
    let parts = [
        ("debian-binary", b"2.0\n".to_vec()),
        ("control.tar.gz", gzip(&maintainer.tar("./", time)?)?),
        ("data.tar.gz", gzip(&tree.tar("./", time)?)?),
    ];
    let mut archive = ar::Builder::new(Vec::new());
    for (name, bytes) in parts {
        let mut header = ar::Header::new(name.as_bytes().to_vec(), bytes.len() as u64);
        header.set_mtime(time);
        header.set_mode(0o100_644);
        archive.append(&header, &bytes[..])?;
    }
    Ok(archive.into_inner()?)
}

fn control_file(tree: &Tree, control: &Control<'_>) -> String {
    let Control { version, architecture, board } = control;
    let installed_kib = tree.files().map(|(_, bytes)| bytes.len().div_ceil(1024)).sum::<usize>();
    let programs = tree.files().filter(|(path, _)| path.starts_with("usr/bin/"));
    let depends = match programs.filter_map(|(_, program)| elf::glibc(program)).max() {
        Some((major, minor)) => format!("Depends: libc6 (>= {major}.{minor}), libgcc-s1\n"),
        None => String::new(),
    };
    format!(
        "Package: ossicle\nVersion: {version}\nArchitecture: {architecture}\nMaintainer: The Ossicle authors <ossicle@localhost>\n\
         Installed-Size: {installed_kib}\n{depends}Recommends: alsa-utils\nSection: sound\nPriority: optional\n\
         Description: offline speech to text and sound events for small boards\n \
         INT8 Whisper on tract, with the same bits on every machine. Set up for\n {board}:\n \
         a service transcribes what is put into /var/lib/ossicle/spool; others\n \
         answer clients and listen to the microphone.\n"
    )
}

fn md5sums(tree: &Tree) -> String {
    let files = tree.files().filter(|(path, _)| !path.starts_with("etc/"));
    files.map(|(path, bytes)| format!("{}  {path}\n", hexadecimal(&Md5::digest(bytes)))).collect()
}

#[cfg(test)]
pub(super) mod tests {
    use std::io::Read;

    /// Names and contents of a package's parts.
    pub(crate) fn parts(deb: &[u8]) -> Vec<(String, Vec<u8>)> {
        let mut archive = ar::Archive::new(deb);
        let mut parts = Vec::new();
        while let Some(entry) = archive.next_entry() {
            let mut entry = entry.unwrap();
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).unwrap();
            parts.push((String::from_utf8(entry.header().identifier().to_vec()).unwrap(), bytes));
        }
        parts
    }
}
