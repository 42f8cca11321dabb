//! MP4 (ISO base media): its first audio track. The index is read as packets are needed, so that memory grows with no length; of a stream,
//! which cannot go back, the index is kept. Tags, pictures and other tracks are passed over unread.

mod entry;
mod fragments;
mod pcm_entry;
mod source;
mod tables;

use symphonia::core::codecs::audio::AudioCodecParameters;
use symphonia::core::io::MediaSource;

use self::fragments::Piece;
use self::source::{Header, Place, Source};
use self::tables::{Extent, Packets, Places};
use super::{AudioError, Container};

/// Largest packet.
const MAX_PACKET_BYTES: u64 = 1 << 20;
/// Most bytes of uncompressed samples that are one packet.
const MAX_TOGETHER: u64 = 1 << 14;
/// Most audio tracks that are looked at.
const MAX_TRACKS: usize = 64;

fn malformed(detail: &str) -> AudioError {
    AudioError::Malformed { container: Container::Mp4, detail: detail.into(), frames: 0 }
}

fn unsupported(feature: &str) -> AudioError {
    AudioError::Unsupported { container: Container::Mp4, feature: feature.into() }
}

/// What the index says of a track.
#[derive(Clone, Debug, Default)]
pub(super) struct Track {
    id: u32,
    is_audio: bool,
    /// Units of time in a second.
    timescale: u32,
    /// In those units, as its header has it.
    duration: u64,
    description: Option<Place>,
    places: Places,
    /// Bytes of packets in pieces that do not say.
    usual_bytes: u32,
}

/// The index of a movie.
#[derive(Default)]
struct Movie {
    tracks: Vec<Track>,
    /// Whether pieces follow, each with an index of its own.
    in_pieces: bool,
    /// Whether a box goes on beyond the end of its parent.
    torn: bool,
}

impl Movie {
    /// Reads what is in the boxes of a parent.
    fn children(
        &mut self,
        source: &mut Source,
        parent: &Header,
        visit: &mut dyn FnMut(&mut Self, &mut Source, &Header) -> Result<(), AudioError>,
    ) -> Result<(), AudioError> {
        let mut at = parent.body;
        while let Some(header) = source.header(at, parent.end)? {
            at = header.end;
            self.torn |= header.torn;
            visit(self, source, &header)?;
        }
        Ok(())
    }

    fn read(&mut self, source: &mut Source, movie: &Header) -> Result<(), AudioError> {
        let mut usual = Vec::new();
        self.children(source, movie, &mut |movie, source, header| match &header.kind {
            b"trak" => movie.track(source, header),
            b"mvex" => {
                movie.in_pieces = true;
                movie.children(source, header, &mut |_, source, header| {
                    if let (b"trex", true) = (&header.kind, usual.len() < 4 * MAX_TRACKS) {
                        // Version and flags, the track, three more fields.
                        let fields = source.look(header.body, 24)?;
                        let field = |at: usize| fields.get(at..)?.first_chunk().map(|field| u32::from_be_bytes(*field));
                        usual.extend(field(4).zip(field(16)));
                    }
                    Ok(())
                })
            }
            _ => Ok(()),
        })?;
        for (id, bytes) in usual {
            self.tracks.iter_mut().filter(|track| track.id == id).for_each(|track| track.usual_bytes = bytes);
        }
        Ok(())
    }

    fn track(&mut self, source: &mut Source, track: &Header) -> Result<(), AudioError> {
        let (mut found, held) = (Track { is_audio: true, ..Track::default() }, source.held());
        self.children(source, track, &mut |movie, source, header| match &header.kind {
            b"tkhd" => {
                // Version 1 has times of eight bytes.
                let head = source.look(header.body, 24)?;
                let at = if head.first() == Some(&1) { 20 } else { 12 };
                found.id = number(head, at).unwrap_or(0);
                Ok(())
            }
            b"mdia" => movie.children(source, header, &mut |movie, source, header| found.media(movie, source, header)),
            _ => Ok(()),
        })?;
        if found.is_audio && self.tracks.len() < MAX_TRACKS {
            self.tracks.push(found);
        } else {
            source.forget(held);
        }
        Ok(())
    }
}

impl Track {
    /// Takes in a box of the media.
    fn media(&mut self, movie: &mut Movie, source: &mut Source, header: &Header) -> Result<(), AudioError> {
        match &header.kind {
            b"mdhd" => {
                let head = source.look(header.body, 32)?;
                let long = head.first() == Some(&1);
                self.timescale = number(head, if long { 20 } else { 12 }).unwrap_or(0);
                self.duration = match long {
                    true => head.get(24..).and_then(|rest| rest.first_chunk()).map_or(0, |bytes| u64::from_be_bytes(*bytes)),
                    false => number(head, 16).filter(|&duration| duration != u32::MAX).unwrap_or(0).into(),
                };
            }
            b"hdlr" => self.is_audio = source.look(header.body, 12)?.get(8..) == Some(b"soun"),
            b"minf" if self.is_audio => {
                movie.children(source, header, &mut |movie, source, header| match &header.kind {
                    b"stbl" => movie.children(source, header, &mut |_, source, header| self.table(source, header)),
                    _ => Ok(()),
                })?;
            }
            _ => {}
        }
        Ok(())
    }

    fn table(&mut self, source: &mut Source, header: &Header) -> Result<(), AudioError> {
        match &header.kind {
            b"stsd" => self.description = Some(source.keep(header)?),
            b"stts" => self.places.times = Some(source.keep(header)?),
            b"stsz" => self.places.sizes = Some(source.keep(header)?),
            b"stsc" => self.places.chunks = Some(source.keep(header)?),
            b"stco" => self.places.offsets = Some((source.keep(header)?, 4)),
            b"co64" => self.places.offsets = Some((source.keep(header)?, 8)),
            _ => {}
        }
        Ok(())
    }
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|bytes| u32::from_be_bytes(*bytes))
}

/// A packet of a track, or why there is none.
pub(super) enum Next {
    Packet(Vec<u8>),
    End,
    /// The file ends where the index says that a packet is.
    Missing,
}

/// The audio of an mp4.
pub(super) struct Mp4 {
    source: Source,
    track: Track,
    packets: Option<Packets>,
    /// Whether each packet is one sample, so that many make one.
    uncompressed: bool,
    in_pieces: bool,
    piece: Option<Piece>,
    /// Where the next box of the file begins.
    next: u64,
    /// Whether a packet has been read.
    begun: bool,
    torn: bool,
}

impl Mp4 {
    /// Reads the index; gives the first audio track that `open` can decode, and what it makes of it.
    pub(super) fn new<T>(
        source: Box<dyn MediaSource>,
        open: impl Fn(&AudioCodecParameters) -> Result<T, AudioError>,
    ) -> Result<(Self, AudioCodecParameters, T), AudioError> {
        let mut source = Source::new(source);
        let (mut movie, mut at, mut found) = (Movie::default(), 0, None);
        while let Some(header) = source.header(at, source.end())? {
            let (data, piece) = (&header.kind == b"mdat", &header.kind == b"moof");
            if found.is_none() && (data || piece) && !source.is_seekable() {
                return Err(AudioError::NeedsSeek(Container::Mp4));
            }
            if piece && found.is_some() {
                break;
            }
            movie.torn |= header.torn;
            if &header.kind == b"moov" && found.is_none() {
                movie.read(&mut source, &header)?;
                found = Some(header.end);
                if !source.is_seekable() {
                    break;
                }
            }
            at = header.end;
        }
        let Some(end) = found else {
            return Err(malformed("its index is missing: it is cut off, or its recorder never came to its end"));
        };
        let mut refused = unsupported("a file without an audio track");
        for track in std::mem::take(&mut movie.tracks) {
            let description = source.bytes(track.description.unwrap_or_default(), entry::MAX_BYTES)?;
            match entry::parameters(&description).and_then(|parameters| Ok((open(&parameters)?, parameters))) {
                Ok((opened, parameters)) => {
                    let mut packets = Packets::new(&track.places, &mut source)?;
                    let frame_bytes = pcm_entry::frame_bytes(&parameters);
                    let uncompressed = frame_bytes.is_some();
                    if let (Some(packets), Some(bytes)) = (&mut packets, frame_bytes) {
                        packets.are_at_least(bytes);
                    }
                    let (in_pieces, torn) = (movie.in_pieces, movie.torn);
                    let next = if source.is_seekable() { 0 } else { end };
                    let mp4 = Self { source, track, packets, uncompressed, in_pieces, piece: None, next, begun: false, torn };
                    return Ok((mp4, parameters, opened));
                }
                Err(error) => refused = error,
            }
        }
        Err(refused)
    }

    /// Frames in all, where the index counts time in frames of this rate.
    pub(super) fn frames(&mut self, rate: u32) -> Result<Option<u64>, AudioError> {
        if self.track.timescale != rate {
            return Ok(None);
        }
        let duration = if self.in_pieces { Some(self.track.duration) } else { self.track.places.duration(&mut self.source)? };
        Ok(duration.filter(|&duration| duration > 0 && duration < 1 << 48))
    }

    /// Whether something says that the file is cut off.
    pub(super) fn is_torn(&self) -> bool {
        self.torn || self.packets.as_ref().is_some_and(|packets| packets.torn)
    }

    /// The next packet; an empty one for one that is too long to be.
    pub(super) fn next(&mut self) -> Result<Next, AudioError> {
        let Some(Extent { at, bytes }) = self.extent()? else { return Ok(Next::End) };
        if bytes == 0 || bytes > MAX_PACKET_BYTES {
            return Ok(Next::Packet(Vec::new()));
        }
        let packet = match self.source.look(at, bytes as usize) {
            // What came before has been heard already.
            Err(AudioError::NeedsSeek(_)) if self.begun => &[],
            packet => packet?,
        };
        self.begun = true;
        if (packet.len() as u64) < bytes {
            self.torn = true;
            return Ok(Next::Missing);
        }
        Ok(Next::Packet(packet.to_vec()))
    }

    fn extent(&mut self) -> Result<Option<Extent>, AudioError> {
        if let Some(packets) = &mut self.packets {
            let most = if self.uncompressed { MAX_TOGETHER } else { 0 };
            if let Some(extent) = packets.next(&mut self.source, most)? {
                return Ok(Some(extent));
            }
        }
        loop {
            if let Some(piece) = &mut self.piece {
                let extent = piece.next(&mut self.source)?;
                self.torn |= piece.torn;
                if extent.is_some() {
                    return Ok(extent);
                }
                self.piece = None;
            }
            if !self.next_piece()? {
                return Ok(None);
            }
        }
    }

    /// Goes on with the next piece; false at the end.
    fn next_piece(&mut self) -> Result<bool, AudioError> {
        if !self.in_pieces {
            return Ok(false);
        }
        let end = self.source.end();
        while let Some(header) = self.source.header(self.next, end)? {
            self.next = header.end;
            self.torn |= header.torn;
            if &header.kind == b"moof" {
                self.source.forget(0);
                self.piece = Some(Piece::new(&mut self.source, &header, self.track.id, self.track.usual_bytes)?);
                return Ok(true);
            }
        }
        // What is left begins no box.
        self.torn |= !self.source.look(self.next, 1)?.is_empty();
        Ok(false)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    fn boxed(kind: &[u8; 4], body: &[u8]) -> Vec<u8> {
        [&(8 + body.len() as u32).to_be_bytes()[..], kind, body].concat()
    }

    #[test]
    fn a_long_header_that_its_parent_has_no_room_for_ends_it() {
        // The box says that its length follows, and its parent ends there.
        let inside = [&[0, 0, 0, 1][..], b"trak"].concat();
        let file = [boxed(b"ftyp", b"M4A "), boxed(b"moov", &inside), boxed(b"mdat", &[9; 40])].concat();
        let error = Mp4::new(Box::new(Cursor::new(file)), |_| Ok(())).err().unwrap();
        assert_eq!(error.to_string(), "m4a: cannot decode a file without an audio track");
    }
}
