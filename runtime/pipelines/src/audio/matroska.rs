//! Matroska and WebM: what browsers record. Read in order, so that a stream that never says its length is as good as a file.

use std::collections::VecDeque;
use std::io::Read;

use super::bytes::Bytes;
use super::codec::{Codec, whole};
use super::damage::{Damage, Damages};
use super::decoder::{Decoder, Spec};
use super::ebml::{Element, children, float, number, unsigned};
use super::matroska_track::Track;
use super::silence::Silence;
use super::{AudioError, Container};

const SEGMENT: u32 = 0x1853_8067;
const INFO: u32 = 0x1549_a966;
const TIMESTAMP_SCALE: u32 = 0x2a_d7b1;
const DURATION: u32 = 0x4489;
const TRACKS: u32 = 0x1654_ae6b;
const CLUSTER: u32 = 0x1f43_b675;
const SIMPLE_BLOCK: u32 = 0xa3;
const BLOCK_GROUP: u32 = 0xa0;
const BLOCK: u32 = 0xa1;
const DISCARD_PADDING: u32 = 0x75a2;
const TIMESTAMP: u32 = 0xe7;

/// Longest description of tracks or block of audio.
const MAX_BODY_BYTES: u64 = 1 << 20;
/// Bytes searched for the next cluster at a time.
const SCAN_BYTES: usize = 4096;
/// Seconds that blocks may be late without a gap between them: times are rounded, and encoders have delays.
const LEAST_GAP_SECONDS: f64 = 0.25;
/// By how many seconds a duration may be more than there is.
const SLACK_SECONDS: f64 = 0.1;

/// The first audio track of a Matroska file or stream.
pub(super) struct MatroskaDecoder {
    bytes: Bytes,
    /// Where in the file, and where it says that it ends.
    at: u64,
    end: Option<u64>,
    track: Option<(u64, Codec)>,
    /// Packets of a block that are not decoded yet, and the nanoseconds to drop from the end of the last packet.
    packets: VecDeque<Vec<u8>>,
    padding: u64,
    /// Seconds of a unit of time, the time of the cluster in them, and that of the first block in seconds.
    unit: f64,
    cluster: u64,
    start: Option<f64>,
    silence: Silence,
    spec: Spec,
    /// Seconds, as the header has them.
    duration: Option<f64>,
    frames: u64,
    undecodable: u32,
    torn: bool,
    damages: Damages,
}

impl MatroskaDecoder {
    /// Reads up to the description of the tracks.
    pub(super) fn new(stream: Box<dyn Read + Send>) -> Result<Self, AudioError> {
        let mut decoder = Self {
            bytes: Bytes::new(stream),
            at: 0,
            end: None,
            track: None,
            packets: VecDeque::new(),
            padding: 0,
            unit: 1e-3,
            cluster: 0,
            start: None,
            silence: Silence::default(),
            spec: Spec { rate: 0, channels: 0 },
            duration: None,
            frames: 0,
            undecodable: 0,
            torn: false,
            damages: Damages::default(),
        };
        while decoder.track.is_none() {
            if !decoder.next_element()? {
                return Err(decoder.malformed("it ends before its tracks are described"));
            }
        }
        Ok(decoder)
    }

    fn malformed(&self, detail: &str) -> AudioError {
        AudioError::Malformed { container: Container::Matroska, detail: detail.into(), frames: self.frames }
    }

    /// Where in the audio, in seconds.
    fn seconds(&self) -> f64 {
        self.frames as f64 / f64::from(self.spec.rate.max(1))
    }

    fn skip(&mut self, bytes: u64) -> Result<(), AudioError> {
        let skipped = self.bytes.skip(bytes)?;
        self.at += skipped;
        self.torn |= skipped < bytes;
        Ok(())
    }

    /// Deals with the next element; false at the end.
    fn next_element(&mut self) -> Result<bool, AudioError> {
        let Some(element) = Element::look(&mut self.bytes)? else {
            if self.bytes.look(2)?.len() < 2 {
                return Ok(false);
            }
            return self.find_cluster();
        };
        match (element.id, element.bytes) {
            (SEGMENT, bytes) => {
                // Of a file that is joined to another, too: its times begin anew.
                self.start = None;
                self.end = bytes.map(|bytes| self.at + element.head as u64 + bytes);
                self.skip(element.head as u64)?;
            }
            // What is in it follows, and says itself what it is.
            (CLUSTER, _) => self.skip(element.head as u64)?,
            (INFO | TRACKS | SIMPLE_BLOCK | BLOCK_GROUP | TIMESTAMP, Some(bytes)) if bytes <= MAX_BODY_BYTES => {
                self.skip(element.head as u64)?;
                let body = self.bytes.look(bytes as usize)?;
                if (body.len() as u64) < bytes {
                    self.torn = true;
                    return Ok(false);
                }
                let body = body.to_vec();
                self.skip(bytes)?;
                self.take(element.id, &body)?;
            }
            (TRACKS, _) if self.track.is_none() => {
                return Err(AudioError::Unsupported { container: Container::Matroska, feature: "that many tracks".into() });
            }
            (id, Some(bytes)) if is_plausible(id, bytes) && (self.track.is_none() || is_known(id)) => {
                self.skip(element.head as u64 + bytes)?
            }
            _ => return self.find_cluster(),
        }
        Ok(true)
    }

    fn take(&mut self, id: u32, body: &[u8]) -> Result<(), AudioError> {
        match id {
            INFO => {
                let (mut scale, mut duration) = (1_000_000, None);
                for (id, body) in children(body) {
                    match id {
                        TIMESTAMP_SCALE => scale = unsigned(body),
                        DURATION => duration = Some(float(body)),
                        _ => {}
                    }
                }
                self.unit = scale as f64 * 1e-9;
                self.duration = duration.map(|duration| duration * scale as f64 * 1e-9).filter(|&s| s > 0.0 && s < 1e9);
            }
            TRACKS => match (Track::choose(body), &self.track) {
                (Ok(track), _) => self.track = Some(track),
                (Err(error), None) => return Err(error),
                // What came before has been heard already.
                (Err(_), Some(_)) => self.damages.add(Damage::Gap { at: self.seconds(), places: 1 }),
            },
            TIMESTAMP => self.cluster = unsigned(body),
            SIMPLE_BLOCK => self.block(body, 0),
            _ => {
                let padding = children(body).find(|&(id, _)| id == DISCARD_PADDING).map_or(0, |(_, body)| unsigned(body));
                if let Some((_, block)) = children(body).find(|&(id, _)| id == BLOCK) {
                    // What is to be left out at a beginning is negative, and the codec's own business.
                    self.block(block, if padding < 1 << 40 { padding } else { 0 });
                }
            }
        }
        Ok(())
    }

    /// The packets of a block, if it is of our track.
    fn block(&mut self, block: &[u8], padding: u64) {
        let Some((track, length)) = number(block) else { return };
        let Some((&[t0, t1, flags], data)) = block[length..].split_first_chunk() else { return };
        if self.track.as_ref().is_none_or(|(ours, _)| *ours != track) {
            return;
        }
        self.note_gap((self.cluster as f64 + f64::from(i16::from_be_bytes([t0, t1]))) * self.unit);
        match unlace(flags >> 1 & 3, data) {
            Some(packets) => self.packets.extend(packets.into_iter().map(<[u8]>::to_vec)),
            None => self.damages.add(Damage::Undecodable { at: self.seconds(), packets: 1 }),
        }
        self.padding = padding;
    }

    /// Blocks say when they are: silence takes the place of those that are missing, or that an encoder left out as nothing was heard.
    fn note_gap(&mut self, time: f64) {
        let before = self.seconds();
        let start = *self.start.get_or_insert(time - before);
        let missing = time - start - before;
        if missing > LEAST_GAP_SECONDS && self.packets.is_empty() {
            let fits = self.silence.begin((missing * f64::from(self.spec.rate)) as u64, self.spec);
            if !fits {
                self.damages.add(Damage::Gap { at: before, places: 1 });
                self.start = Some(time - before);
            }
        }
    }

    /// Searches for the next cluster, where an element should begin and does not.
    fn find_cluster(&mut self) -> Result<bool, AudioError> {
        let id = CLUSTER.to_be_bytes();
        let mut skipped = 0;
        loop {
            let ahead = self.bytes.look(SCAN_BYTES)?;
            if ahead.len() < id.len() + 1 {
                self.torn = true;
                return Ok(false);
            }
            let found = ahead[1..].windows(id.len()).position(|window| window == id);
            let skip = found.map_or(ahead.len() - (id.len() - 1), |found| found + 1) as u64;
            skipped += skip;
            self.skip(skip)?;
            if found.is_some() {
                self.damages.add(Damage::Skipped { at: self.seconds(), bytes: skipped, places: 1 });
                return Ok(true);
            }
        }
    }

    fn finish(&mut self) -> Result<bool, AudioError> {
        if self.frames == 0 {
            return if self.undecodable > 0 { Err(self.malformed("no packet of it can be decoded")) } else { Ok(false) };
        }
        let (found, rate) = (self.seconds(), f64::from(self.spec.rate));
        if let Some(duration) = self.duration.filter(|duration| found + SLACK_SECONDS < *duration) {
            self.damages.add(Damage::Short { promised: (duration * rate) as u64, found: self.frames, rate: self.spec.rate });
        } else if self.torn || self.end.is_some_and(|end| self.at < end) {
            self.damages.add(Damage::NoEnd { at: found });
        }
        Ok(false)
    }
}

/// Whether the format has such an element among clusters or in them; what else stands there is damage.
fn is_known(id: u32) -> bool {
    const KNOWN: [u32; 18] = [
        // A header, its segment's parts, parts of clusters, and what may stand anywhere.
        0x1a45_dfa3,
        0x114d_9b74,
        INFO,
        TRACKS,
        0x1c53_bb6b,
        0x1941_a469,
        0x1043_a770,
        0x1254_c367,
        TIMESTAMP,
        SIMPLE_BLOCK,
        BLOCK_GROUP,
        0x5854,
        0xa7,
        0xab,
        0xaf,
        0xec,
        0xbf,
        BLOCK,
    ];
    KNOWN.contains(&id)
}

/// Whether an element that is not looked into may be that long.
fn is_plausible(id: u32, bytes: u64) -> bool {
    const MAX_KNOWN_BYTES: u64 = 1 << 32;
    const MAX_OTHER_BYTES: u64 = 1 << 26;
    // Blocks of video; attachments, tags, cues.
    let large = matches!(id, SIMPLE_BLOCK | BLOCK_GROUP | 0x1941_a469 | 0x1254_c367 | 0x1c53_bb6b | 0x1043_a770 | 0xec);
    bytes <= if large { MAX_KNOWN_BYTES } else { MAX_OTHER_BYTES }
}

/// The packets of a block, by how it joins them: not at all, or as Xiph, of one length, or as EBML.
fn unlace(lacing: u8, data: &[u8]) -> Option<Vec<&[u8]>> {
    if lacing == 0 {
        return Some(vec![data]);
    }
    let (&last, mut data) = data.split_first()?;
    let last = usize::from(last);
    let mut sizes = Vec::with_capacity(last);
    for index in 0..last {
        sizes.push(match lacing {
            1 => {
                let full = data.iter().position(|&byte| byte < 255)?;
                let size = full * 255 + usize::from(data[full]);
                data = &data[full + 1..];
                size
            }
            2 => data.len() / (last + 1),
            _ => {
                let (value, length) = number(data)?;
                data = &data[length..];
                match sizes.last() {
                    None => usize::try_from(value).ok()?,
                    // The difference to the one before, with the middle of its range as 0.
                    Some(&before) => {
                        let difference = i64::try_from(value).ok()? - ((1i64 << (7 * length - 1)) - 1);
                        usize::try_from(i64::try_from(before).ok()?.checked_add(difference)?).ok()?
                    }
                }
            }
        });
        if lacing == 2 && index == 0 && !data.len().is_multiple_of(last + 1) {
            return None;
        }
    }
    let mut packets = Vec::with_capacity(last + 1);
    for size in sizes {
        let (packet, rest) = data.split_at_checked(size)?;
        packets.push(packet);
        data = rest;
    }
    packets.push(data);
    Some(packets)
}

impl Decoder for MatroskaDecoder {
    fn container(&self) -> Container {
        Container::Matroska
    }

    fn codec(&self) -> &'static str {
        self.track.as_ref().map_or("", |(_, codec)| codec.name())
    }

    fn spec(&self) -> Spec {
        self.spec
    }

    fn frames(&self) -> Option<u64> {
        Some((self.duration? * f64::from(self.spec.rate)) as u64)
    }

    fn next_block(&mut self, out: &mut Vec<f32>) -> Result<bool, AudioError> {
        let start = out.len();
        loop {
            if let frames @ 1.. = self.silence.append(self.spec, out) {
                self.frames += frames;
                return Ok(true);
            }
            let Some(packet) = self.packets.pop_front() else {
                if !self.next_element()? {
                    return self.finish();
                }
                continue;
            };
            let Some((_, codec)) = &mut self.track else { continue };
            match codec.decode(&whole(&packet), out) {
                Ok(decoded) => {
                    self.spec = decoded.spec;
                    let padding = if self.packets.is_empty() { std::mem::take(&mut self.padding) } else { 0 };
                    let padding = (padding as f64 * 1e-9 * f64::from(self.spec.rate)).round() as usize * self.spec.channels;
                    out.truncate(out.len().saturating_sub(padding).max(start));
                    if out.len() > start {
                        self.frames += ((out.len() - start) / self.spec.channels.max(1)) as u64;
                        return Ok(true);
                    }
                }
                Err(_) => {
                    out.truncate(start);
                    self.undecodable = self.undecodable.saturating_add(1);
                    self.damages.add(Damage::Undecodable { at: self.seconds(), packets: 1 });
                }
            }
        }
    }

    fn damage(&self) -> &[Damage] {
        self.damages.list()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An element of at most 16 kB.
    fn element(id: &[u8], body: &[u8]) -> Vec<u8> {
        [id, &(0x4000 | body.len() as u16).to_be_bytes(), body].concat()
    }

    /// A file of 16-bit samples at 8 kHz, 100 ms a block in a cluster of its own that begins at this millisecond.
    fn file(times: &[u32]) -> Vec<u8> {
        let block = element(&[0xa3], &[&[0x81, 0, 0, 0x80][..], &[1; 1600]].concat());
        let cluster = |&time: &u32| element(&[0x1f, 0x43, 0xb6, 0x75], &[&element(&[0xe7], &time.to_be_bytes())[..], &block].concat());
        let audio = [element(&[0xb5], &8000f32.to_be_bytes()), element(&[0x62, 0x64], &[16])].concat();
        let track = [element(&[0xd7], &[1]), element(&[0x83], &[2]), element(&[0x86], b"A_PCM/INT/LIT"), element(&[0xe1], &audio)];
        let tracks = element(&[0x16, 0x54, 0xae, 0x6b], &element(&[0xae], &track.concat()));
        let clusters: Vec<u8> = times.iter().flat_map(cluster).collect();
        [element(&[0x1a, 0x45, 0xdf, 0xa3], b""), vec![0x18, 0x53, 0x80, 0x67, 0xff], tracks, clusters].concat()
    }

    /// Milliseconds heard, and what is missing.
    fn heard(file: Vec<u8>) -> (usize, Vec<Damage>) {
        let mut decoder = MatroskaDecoder::new(Box::new(std::io::Cursor::new(file))).unwrap();
        let mut samples = Vec::new();
        while decoder.next_block(&mut samples).unwrap() {}
        (samples.len() / 8, decoder.damage().to_vec())
    }

    #[test]
    fn silence_lasts_as_long_as_the_gap_and_no_longer() {
        assert_eq!(heard(file(&[0, 100, 5200, 5300])), (5400, vec![]));
        // A clock that is slow by a tenth: no more than the true drift, and no silence for a block that is late once.
        let slow: Vec<u32> = (0..100).map(|block| 110 * block).collect();
        let (milliseconds, damage) = heard(file(&slow));
        assert!((10_700..=11_000).contains(&milliseconds) && damage.is_empty(), "{milliseconds} {damage:?}");
        let late: Vec<u32> = (0..100).map(|block| 100 * block + if block % 10 == 7 { 240 } else { 0 }).collect();
        assert_eq!(heard(file(&late)), (10_000, vec![]));
        // Too long a gap is told, and what follows has its times from there on.
        let (milliseconds, damage) = heard(file(&[0, 7_200_000, 7_205_000]));
        assert!((5_200..=5_210).contains(&milliseconds), "{milliseconds}");
        assert!(matches!(damage[..], [Damage::Gap { places: 1, .. }]), "{damage:?}");
        // In a file that is joined to another, too.
        assert_eq!(heard([file(&[0, 100, 200]), file(&[0, 100, 5200])].concat()), (300 + 5300, vec![]));
    }

    #[test]
    fn after_damage_it_goes_on_with_the_next_cluster() {
        let whole = file(&[0, 100, 200, 300]);
        let at = whole.len() - 2500;
        let (milliseconds, damage) = heard([&whole[..at], &[0x55; 700], &whole[at..]].concat());
        assert!((300..=420).contains(&milliseconds), "{milliseconds}");
        assert!(matches!(damage[..], [Damage::Skipped { places: 1, .. }]), "{damage:?}");
    }

    #[test]
    fn packets_of_a_block_are_told_apart() {
        let (a, b, c) = (&[1u8; 300][..], &[2u8; 10][..], &[3u8; 5][..]);
        let joined = |head: &[u8]| [head, a, b, c].concat();
        assert_eq!(unlace(0, c), Some(vec![c]));
        assert_eq!(unlace(1, &joined(&[2, 255, 45, 10])), Some(vec![a, b, c]));
        // 300 in two bytes, then 10 - 300 as a difference in two bytes.
        let difference = (0x4000 + 8191 - 290u16).to_be_bytes();
        assert_eq!(unlace(3, &joined(&[2, 0x41, 0x2c, difference[0], difference[1]])), Some(vec![a, b, c]));
        assert_eq!(unlace(2, &[2, 1, 1, 2, 2, 3, 3]), Some(vec![&[1, 1][..], &[2, 2], &[3, 3]]));
        assert_eq!((unlace(2, &[2, 1, 1, 2, 2]), unlace(1, &[1, 9, 1]), unlace(3, &[1, 0])), (None, None, None));
    }
}
