//! `torch.save` before version 1.6, and with `_use_new_zipfile_serialization=False`: a magic number, the protocol and the system as pickles,
//! the object, the storages' keys in order; then for each storage its length and its elements.

use super::machine::{self, Object, Pickle, Value};
use super::{Refused, Storages, named};

/// `0x1950a86a20f9469cfc6c`
const MAGIC: [u8; 10] = [0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];

/// The only version of the format.
const PROTOCOL: i64 = 1001;

/// Reads a whole file.
pub(super) fn read(file: &[u8]) -> Result<(Pickle<'_>, Storages<'_>), Refused> {
    let mut at = 0;
    let no_checkpoint = "no PyTorch checkpoint (.pth or .pt)";
    match machine::run(file, &mut at) {
        Ok(Pickle { top: Value::Long(magic), .. }) if magic == MAGIC => {}
        _ => return Err(no_checkpoint.into()),
    }
    let protocol = machine::run(file, &mut at)?;
    if protocol.top != Value::Int(PROTOCOL) {
        return Err(format!("{:?} as its protocol, {PROTOCOL} was expected", protocol.top));
    }
    let system = machine::run(file, &mut at)?;
    let Some(Object::Dict(system)) = system.object(system.top) else {
        return Err("the protocol is not followed by the system's dict".into());
    };
    if system.iter().any(|&(key, value)| key == Value::Text("little_endian") && value != Value::Bool(true)) {
        return Err("written by a big-endian machine".into());
    }
    let pickle = machine::run(file, &mut at)?;
    let keys = machine::run(file, &mut at)?;
    let Some(Object::List(keys)) = keys.object(keys.top) else { return Err("the object is not followed by the list of storages".into()) };
    let named = named(&pickle)?;
    let mut storages = Storages::new();
    for key in keys {
        let known = key.text().and_then(|key| named.get(key));
        let storage = known.ok_or_else(|| format!("storage {:?} does not belong to a tensor", key.text().unwrap_or_default()))?;
        let cut = || format!("the file is cut off within storage {:?}", storage.key);
        let (count, rest) = file[at..].split_first_chunk().ok_or_else(cut)?;
        let count = i64::from_le_bytes(*count);
        if usize::try_from(count) != Ok(storage.len) {
            return Err(format!("storage {:?} has {count} elements, its tensors say {}", storage.key, storage.len));
        }
        let start = file.len() - rest.len();
        let bytes = storage.len.checked_mul(storage.element.size()).filter(|&bytes| bytes <= rest.len()).ok_or_else(cut)?;
        at = start + bytes;
        if storages.insert(storage.key, start..at).is_some() {
            return Err(format!("storage {:?} is there twice", storage.key));
        }
    }
    match file.len() - at {
        0 => Ok((pickle, storages)),
        more => Err(format!("{more} bytes after the last storage")),
    }
}
