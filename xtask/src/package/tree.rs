//! The files of a package, and tar archives of them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write;
use std::path::Path;

use anyhow::Context;
use flate2::write::GzEncoder;
use flate2::{Compression, GzBuilder};

/// Paths from the root, without a slash in front, with mode and contents.
#[derive(Clone, Debug, Default)]
pub(super) struct Tree(BTreeMap<String, (u32, Vec<u8>)>);

impl Tree {
    pub(super) fn add(&mut self, path: &str, mode: u32, bytes: impl Into<Vec<u8>>) {
        self.0.insert(path.to_owned(), (mode, bytes.into()));
    }

    /// Adds the files in a folder, folders in it left out.
    pub(super) fn add_folder(&mut self, folder: &Path, to: &str) -> anyhow::Result<()> {
        for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
            let path = entry?.path();
            if path.is_file() {
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                self.add(&format!("{to}/{name}"), 0o644, fs::read(&path).with_context(|| path.display().to_string())?);
            }
        }
        Ok(())
    }

    pub(super) fn get(&self, path: &str) -> Option<&[u8]> {
        self.0.get(path).map(|(_, bytes)| &bytes[..])
    }

    pub(super) fn files(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.0.iter().map(|(path, (_, bytes))| (path.as_str(), &bytes[..]))
    }

    /// A tar archive: `prefix` is put in front of every path (the tar crate drops `./`), everything belongs to root and is as old as `time`.
    pub(super) fn tar(&self, prefix: &str, time: u64) -> anyhow::Result<Vec<u8>> {
        let mut archive = tar::Builder::new(Vec::new());
        let header = |kind: tar::EntryType, mode: u32, size: usize| {
            let mut header = tar::Header::new_gnu();
            header.set_entry_type(kind);
            header.set_mode(mode);
            header.set_size(size as u64);
            header.set_mtime(time);
            header
        };
        let ancestors = |path: &str| Path::new(path).ancestors().skip(1).map(|path| path.display().to_string()).collect::<Vec<_>>();
        let folders: BTreeSet<String> = self.0.keys().flat_map(|path| ancestors(path)).collect();
        for folder in folders {
            let name = if folder.is_empty() { prefix.to_owned() } else { format!("{prefix}{folder}/") };
            archive.append_data(&mut header(tar::EntryType::Directory, 0o755, 0), name, std::io::empty())?;
        }
        for (path, (mode, bytes)) in &self.0 {
            archive.append_data(&mut header(tar::EntryType::Regular, *mode, bytes.len()), format!("{prefix}{path}"), &bytes[..])?;
        }
        Ok(archive.into_inner()?)
    }
}

/// Compressed, without a time in the header.
pub(super) fn gzip(bytes: &[u8]) -> anyhow::Result<Vec<u8>> {
    let mut encoder: GzEncoder<Vec<u8>> = GzBuilder::new().mtime(0).write(Vec::new(), Compression::default());
    encoder.write_all(bytes)?;
    Ok(encoder.finish()?)
}

#[cfg(test)]
pub(super) mod tests {
    use std::io::Read;

    use super::*;

    /// Names of the files in a compressed archive, with mode and contents.
    pub(crate) fn files(archive: &[u8]) -> BTreeMap<String, (u32, Vec<u8>)> {
        let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(archive));
        let mut files = BTreeMap::new();
        for entry in archive.entries().unwrap() {
            let mut entry = entry.unwrap();
            let (path, mode) = (String::from_utf8(entry.path_bytes().into_owned()).unwrap(), entry.header().mode().unwrap());
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).unwrap();
            if entry.header().entry_type().is_file() {
                files.insert(path, (mode, bytes));
            }
        }
        files
    }
}
