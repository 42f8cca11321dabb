//! `torch.save` since version 1.6: an uncompressed zip archive with the pickle in `NAME/data.pkl` and each storage in `NAME/data/KEY`.

use std::collections::BTreeMap;
use std::ops::Range;

use super::machine::{self, Pickle};
use super::{Refused, Storages, named};

/// The first bytes of an archive.
pub(super) const SIGNATURE: &[u8] = b"PK\x03\x04";

const CENTRAL: &[u8] = b"PK\x01\x02";
const END: &[u8] = b"PK\x05\x06";
/// Bytes of the last record without its comment.
const END_BYTES: usize = 22;

/// An entry as the directory has it.
struct Entry {
    /// Of its local header.
    offset: usize,
    bytes: usize,
    stored: bool,
}

/// Reads a whole file.
pub(super) fn read(file: &[u8]) -> Result<(Pickle<'_>, Storages<'_>), Refused> {
    let entries = directory(file)?;
    if entries.keys().any(|name| name.ends_with("/constants.pkl")) {
        return Err("a TorchScript archive: save the state dict, torch.save(model.state_dict(), FILE)".into());
    }
    let mut pickles = entries.keys().filter_map(|name| name.strip_suffix("data.pkl").filter(|folder| folder.matches('/').count() == 1));
    let (Some(folder), None) = (pickles.next(), pickles.next()) else {
        return Err("a zip archive without the one data.pkl of a PyTorch checkpoint".into());
    };
    if let Some(order) = entries.get(format!("{folder}byteorder").as_str())
        && file[content(file, order, "byteorder")?] != *b"little"
    {
        return Err("written by a big-endian machine".into());
    }
    let name = format!("{folder}data.pkl");
    let place = content(file, &entries[name.as_str()], &name)?;
    let (start, end) = (place.start, place.end);
    let mut at = start;
    let pickle = machine::run(&file[..end], &mut at)?;
    let mut storages = Storages::new();
    for (key, storage) in named(&pickle)? {
        let name = format!("{folder}data/{key}");
        let entry = entries.get(name.as_str()).ok_or_else(|| format!("storage {name:?} is missing"))?;
        let place = content(file, entry, &name)?;
        if storage.len.checked_mul(storage.element.size()) != Some(place.len()) {
            let (len, element) = (storage.len, storage.element.name());
            return Err(format!("storage {name:?} has {} bytes, its tensors say {len} values of {element}", place.len()));
        }
        storages.insert(key, place);
    }
    Ok((pickle, storages))
}

/// Bytes of a record, which has to be there.
fn record<'a>(file: &'a [u8], at: usize, count: usize, signature: &[u8]) -> Result<&'a [u8], Refused> {
    let record = file.get(at..).and_then(|rest| rest.get(..count)).filter(|record| record.starts_with(signature));
    record.ok_or_else(|| "a damaged zip archive".into())
}

fn short(record: &[u8], at: usize) -> usize {
    usize::from(u16::from_le_bytes([record[at], record[at + 1]]))
}

fn long(record: &[u8], at: usize) -> Result<usize, Refused> {
    let value = u32::from_le_bytes([record[at], record[at + 1], record[at + 2], record[at + 3]]);
    if value == u32::MAX { Err("a zip64 archive (more than 4 GB)".into()) } else { Ok(value as usize) }
}

/// The archive's entries by name.
fn directory(file: &[u8]) -> Result<BTreeMap<&str, Entry>, Refused> {
    let furthest = file.len().saturating_sub(END_BYTES + usize::from(u16::MAX));
    let end = file[furthest..].windows(END_BYTES).rposition(|window| window.starts_with(END));
    let end = record(file, furthest + end.ok_or("a zip archive that is cut off")?, END_BYTES, END)?;
    let (count, mut at) = (short(end, 10), long(end, 16)?);
    let mut entries = BTreeMap::new();
    for _ in 0..count {
        let fixed = record(file, at, 46, CENTRAL)?;
        let [name, extra, comment] = [28, 30, 32].map(|field| short(fixed, field));
        let (flags, method) = (short(fixed, 8), short(fixed, 10));
        let entry = Entry { offset: long(fixed, 42)?, bytes: long(fixed, 24)?, stored: method == 0 && flags & 1 == 0 };
        let whole = record(file, at, 46 + name + extra + comment, CENTRAL)?;
        let name = std::str::from_utf8(&whole[46..46 + name]).map_err(|_| "a zip archive with names that are not UTF-8")?;
        if entries.insert(name, entry).is_some() {
            return Err(format!("two entries of the name {name:?}"));
        }
        at += whole.len();
    }
    Ok(entries)
}

/// Where an entry's bytes are.
fn content(file: &[u8], entry: &Entry, name: &str) -> Result<Range<usize>, Refused> {
    if !entry.stored {
        return Err(format!("{name:?} is compressed or encrypted, which torch.save does not do"));
    }
    let local = record(file, entry.offset, 30, SIGNATURE)?;
    let start = entry.offset + 30 + short(local, 26) + short(local, 28);
    let end = start.checked_add(entry.bytes).filter(|&end| end <= file.len());
    Ok(start..end.ok_or_else(|| format!("the file is cut off within {name:?}"))?)
}
