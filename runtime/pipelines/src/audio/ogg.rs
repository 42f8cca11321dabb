//! Ogg: the audio streams of a file one after the other, with what is missing between their pages.

use std::io::Read;

use super::bytes::Bytes;
use super::codec::Codec;
use super::damage::{Damage, Damages};
use super::decoder::{Decoder, Spec};
use super::ogg_pages::{Page, next_page};
use super::ogg_stream::{Bad, Kind, Stream};
use super::silence::Silence;
use super::{AudioError, Container};

/// Samples of a page after a gap that are held until its end tells how long the gap is.
const MOST_HELD: usize = 1 << 17;

/// The audio of an Ogg file or stream.
pub(super) struct OggDecoder {
    bytes: Bytes,
    page: Page,
    /// Parts of the page that are dealt with; `None` before a page is read.
    parts: Option<usize>,
    stream: Option<Stream>,
    spec: Spec,
    codec: &'static str,
    heard: Heard,
    /// Whether what is missing before this page is still to be made up for, and by how much; what the page gave comes after it.
    after_gap: bool,
    silence: Silence,
    held: Vec<f32>,
    damages: Damages,
    /// Why the last stream that cannot be decoded was refused: reported if nothing else is heard.
    refused: Option<AudioError>,
}

/// What has been decoded of all streams.
#[derive(Default)]
struct Heard {
    frames: u64,
    seconds: f64,
    undecodable: u32,
}

impl OggDecoder {
    pub(super) fn new(stream: Box<dyn Read + Send>) -> Self {
        let (bytes, page, spec) = (Bytes::new(stream), Page::default(), Spec { rate: 0, channels: 0 });
        let (heard, damages, silence, held) = (Heard::default(), Damages::default(), Silence::default(), Vec::new());
        Self { bytes, page, parts: None, stream: None, spec, codec: "", heard, after_gap: false, silence, held, damages, refused: None }
    }

    fn malformed(&self, detail: &str) -> AudioError {
        AudioError::Malformed { container: Container::Ogg, detail: detail.into(), frames: self.heard.frames }
    }

    /// The end of the file.
    fn finish(&mut self) -> Result<bool, AudioError> {
        self.end_stream();
        if self.heard.frames > 0 {
            return Ok(false);
        }
        match self.refused.take() {
            Some(error) => Err(error),
            None if self.heard.undecodable > 0 => Err(self.malformed("no packet of it can be decoded")),
            None => match &self.stream {
                Some(stream) if stream.has_codec() => Ok(false),
                Some(_) => Err(self.malformed("it ends inside its header")),
                None => Err(self.malformed("no audio stream is in it")),
            },
        }
    }

    /// What a stream that is over may lack.
    fn end_stream(&mut self) {
        if self.stream.as_ref().is_some_and(|stream| stream.has_audio() && !stream.ended) {
            self.damages.add(Damage::NoEnd { at: self.heard.seconds });
        }
    }

    /// Takes note of a page; false if it has nothing for us.
    fn begin_page(&mut self) -> Result<bool, AudioError> {
        if self.page.is_first() {
            return Ok(self.begin_stream());
        }
        let at = self.heard.seconds;
        let Some(stream) = self.stream.as_mut().filter(|stream| stream.serial == self.page.serial) else { return Ok(false) };
        let gap = stream.begin_page(&self.page);
        self.after_gap = gap && (stream.has_audio() || stream.lacks_beginning());
        if gap || self.page.is_damaged() {
            self.damages.add(Damage::Gap { at, places: 1 });
        } else if self.page.skipped > 0 {
            self.damages.add(Damage::Skipped { at, bytes: self.page.skipped, places: 1 });
        }
        Ok(true)
    }

    /// A first page: the stream to follow from here on, or one of several that run side by side.
    fn begin_stream(&mut self) -> bool {
        let beside = |stream: &Stream| !stream.has_audio() && !stream.ended && stream.serial != self.page.serial;
        if self.stream.as_ref().is_some_and(beside) {
            return false;
        }
        let head = self.page.parts().next().map_or(&[][..], |(part, _)| part);
        match Kind::of(head) {
            Ok(Some(kind)) => {
                let stream = Stream::new(kind, &self.page);
                self.end_stream();
                self.stream = Some(stream);
                true
            }
            Ok(None) => false,
            Err(feature) => {
                if self.stream.as_ref().is_some_and(|stream| stream.has_audio() && stream.ended) {
                    // Joined to what was heard, and not heard itself.
                    self.damages.add(Damage::Gap { at: self.heard.seconds, places: 1 });
                }
                self.refused = Some(AudioError::Unsupported { container: Container::Ogg, feature: feature.into() });
                false
            }
        }
    }

    /// Goes on with the page until there is audio; false at its end.
    fn decode_page(&mut self, page: &Page, out: &mut Vec<f32>) -> Result<bool, AudioError> {
        let Some(stream) = &mut self.stream else { return Ok(false) };
        let start = out.len();
        for (part, ends) in page.parts().skip(self.parts.unwrap_or(0)) {
            self.parts = self.parts.map(|parts| parts + 1);
            let Some(packet) = stream.take(part, ends) else { continue };
            let decoded = match packet.and_then(|()| stream.decode(page, out)) {
                Ok(decoded) => decoded,
                Err(Bad::Stream(error)) => return Err(error),
                Err(Bad::Packet) => {
                    out.truncate(start);
                    self.heard.undecodable = self.heard.undecodable.saturating_add(1);
                    self.damages.add(Damage::Undecodable { at: self.heard.seconds, packets: 1 });
                    continue;
                }
            };
            if let Some(decoded) = decoded.filter(|_| out.len() > start) {
                self.spec = decoded.spec;
                self.codec = stream.codec().map_or("", Codec::name);
                if self.after_gap && self.held.len() < MOST_HELD {
                    // Only the whole page tells how much was missing before it.
                    self.held.extend(out.drain(start..));
                    continue;
                }
                // Without a gap, or one before more than can be held, which is left as it is.
                self.after_gap = false;
                out.splice(start..start, self.held.drain(..));
                self.count((out.len() - start) / self.spec.channels.max(1));
                return Ok(true);
            }
        }
        let missing = stream.end_page(page, self.spec.rate);
        if std::mem::take(&mut self.after_gap) {
            self.silence.begin(missing, self.spec);
        }
        Ok(false)
    }

    fn count(&mut self, frames: usize) {
        self.heard.frames += frames as u64;
        self.heard.seconds += frames as f64 / f64::from(self.spec.rate.max(1));
    }

    /// What takes the place of a gap, and then what came after it; false if there is nothing of either.
    fn fill_gap(&mut self, out: &mut Vec<f32>) -> bool {
        let frames = self.silence.append(self.spec, out) as usize;
        let held = if frames == 0 { self.held.len() / self.spec.channels.max(1) } else { 0 };
        if held > 0 {
            out.append(&mut self.held);
        }
        self.count(frames + held);
        frames + held > 0
    }
}

impl Decoder for OggDecoder {
    fn container(&self) -> Container {
        Container::Ogg
    }

    fn codec(&self) -> &'static str {
        self.codec
    }

    fn spec(&self) -> Spec {
        self.spec
    }

    fn frames(&self) -> Option<u64> {
        None
    }

    fn next_block(&mut self, out: &mut Vec<f32>) -> Result<bool, AudioError> {
        loop {
            if self.parts.is_none() {
                if self.fill_gap(out) {
                    return Ok(true);
                }
                if !next_page(&mut self.bytes, &mut self.page)? {
                    return self.finish();
                }
                if !self.begin_page()? {
                    continue;
                }
                self.parts = Some(0);
            }
            let page = std::mem::take(&mut self.page);
            let outcome = self.decode_page(&page, out);
            self.page = page;
            match outcome {
                Ok(true) => return Ok(true),
                Ok(false) => self.parts = None,
                // Of a stream whose header is no good; another may follow.
                Err(error) if self.heard.frames == 0 => {
                    (self.refused, self.stream, self.parts) = (Some(error), None, None);
                }
                Err(_) => {
                    self.damages.add(Damage::Gap { at: self.heard.seconds, places: 1 });
                    (self.stream, self.parts) = (None, None);
                }
            }
        }
    }

    fn damage(&self) -> &[Damage] {
        self.damages.list()
    }
}
