//! What comes before the frames of native FLAC: only the description of the stream is kept, so that no picture or comment costs memory.

use std::io::{Cursor, Read};

use super::{AudioError, Container};

const MAGIC: &[u8; 4] = b"fLaC";
/// The block that describes the stream, and its length.
const STREAM_INFO: u8 = 0;
const STREAM_INFO_BYTES: usize = 34;
/// Marks the last block.
const LAST: u8 = 0x80;

/// The same recording without any other block.
pub(super) fn without_metadata(mut stream: Box<dyn Read + Send + Sync>) -> Result<Box<dyn Read + Send + Sync>, AudioError> {
    let malformed = |detail: &str| AudioError::Malformed { container: Container::Flac, detail: detail.into(), frames: 0 };
    let ended = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::UnexpectedEof => malformed("it ends inside its header"),
        _ => AudioError::Io(error),
    };
    let mut magic = [0; 4];
    stream.read_exact(&mut magic).map_err(ended)?;
    let mut info = None;
    loop {
        let mut header = [0; 4];
        stream.read_exact(&mut header).map_err(ended)?;
        let [kind, a, b, c] = header;
        let bytes = u32::from_be_bytes([0, a, b, c]);
        if kind & !LAST == STREAM_INFO {
            let mut block = [0; STREAM_INFO_BYTES];
            if bytes as usize != block.len() || info.is_some() {
                return Err(malformed("the description of its stream is not valid"));
            }
            stream.read_exact(&mut block).map_err(ended)?;
            info = Some(block);
        } else if std::io::copy(&mut stream.by_ref().take(bytes.into()), &mut std::io::sink()).map_err(AudioError::Io)? < bytes.into() {
            return Err(malformed("it ends inside its header"));
        }
        if kind & LAST != 0 {
            break;
        }
    }
    let info = info.ok_or_else(|| malformed("it does not describe its stream"))?;
    let head = [&MAGIC[..], &[LAST | STREAM_INFO, 0, 0, STREAM_INFO_BYTES as u8], &info].concat();
    Ok(Box::new(Cursor::new(head).chain(stream)))
}
