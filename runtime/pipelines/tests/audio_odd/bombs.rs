//! Files that would take far more memory than they have audio, if their tags and tables were kept.

use std::io::{Cursor, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use ossicle::audio::{AudioError, AudioReader};
use ossicle_kernels::simd::Isa;

use super::made::{chunk, format, page, pages, sealed, tone};

/// What reading one may take.
const MOST_BYTES: usize = 8 << 20;

/// The most memory this process has had, where the system tells.
fn peak_bytes() -> Option<usize> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().trim_end_matches(" kB").parse::<usize>().ok()? * 1024)
}

/// The memory this process has now, from which its peak counts anew: a large earlier case would hide a smaller later one.
fn fresh_peak_bytes() -> Option<usize> {
    if cfg!(target_os = "linux") {
        std::fs::write("/proc/self/clear_refs", "5").expect("the peak can be forgotten");
    }
    peak_bytes()
}

/// The same bytes again and again, `length` in all, out of nothing.
fn again(bytes: &[u8], length: usize) -> impl Read + Send + Sync + use<> {
    struct Again(Vec<u8>, usize);
    impl Read for Again {
        fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
            let from = self.1 % self.0.len();
            let read = (self.0.len() - from).min(out.len());
            out[..read].copy_from_slice(&self.0[from..from + read]);
            self.1 += read;
            Ok(read)
        }
    }
    // Many at a time: a read for each would take long.
    Again(bytes.repeat((1 << 16) / bytes.len()), 0).take(length as u64)
}

/// Pages that hold one packet with this beginning and `length` more, and then the rest of the file renumbered.
fn long_packet(file: &[u8], begin: &[u8], length: usize) -> impl Read + Send + Sync + use<> {
    let mut parts = pages(file);
    let serial = u32::from_le_bytes(*parts[0][14..].first_chunk().unwrap());
    let rest = parts.split_off(1);
    let count = length / 65_025;
    let begin = begin.to_vec();
    let first = Cursor::new(parts.concat());
    let mut at = 1u32;
    let mut bomb = (0..=count).map(move |index| {
        let mut body = vec![1u8; 255 * 255];
        let last = index == count;
        if index == 0 {
            body[..begin.len()].copy_from_slice(&begin);
        }
        let mut made = page(serial, at, if index == 0 { 0 } else { 1 }, u64::MAX, &body[..255 * 254]);
        if !last {
            // Its last lacing value says that the packet goes on.
            made[26] -= 1;
            made.remove(27 + 254);
            made = sealed(made);
        }
        at += 1;
        made
    });
    let mut sequence = 1 + count as u32;
    // The packet after the comments stays with its page, whatever stood before it there.
    let mut tail = rest.into_iter().map(move |mut page| {
        sequence += 1;
        page[18..22].copy_from_slice(&sequence.to_le_bytes());
        sealed(page)
    });
    let next = move || bomb.next().or_else(|| tail.next());
    struct Pieces<F>(F, Cursor<Vec<u8>>);
    impl<F: FnMut() -> Option<Vec<u8>>> Read for Pieces<F> {
        fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
            loop {
                match self.1.read(out)? {
                    0 if !out.is_empty() => match (self.0)() {
                        Some(piece) => self.1 = Cursor::new(piece),
                        None => return Ok(0),
                    },
                    read => return Ok(read),
                }
            }
        }
    }
    first.chain(Pieces(next, Cursor::new(Vec::new())))
}

/// Reads all; the number of samples.
fn count(reader: Result<AudioReader, AudioError>) -> Result<usize, AudioError> {
    let (mut reader, mut block, mut count) = (reader?, [0.0; 4096], 0);
    loop {
        match reader.read(&mut block)? {
            0 => return Ok(count),
            read => count += read,
        }
    }
}

/// What a case is read from.
pub(crate) enum Bomb {
    Stream(Box<dyn Read + Send + Sync>),
    File(PathBuf),
}

/// A file with `hole` zeros at the end of the box that these kinds lead to, each within the one before; of the first path that is there.
fn with_hole(file: &[u8], kinds: &[&[u8; 4]], inner: &[u8], hole: usize, path: &Path) -> Bomb {
    let (mut head, mut at, mut end) = (file.to_vec(), 0, file.len());
    let more = inner.len() + hole;
    for kind in kinds {
        while &file[at + 4..at + 8] != *kind {
            at += u32::from_be_bytes(*file[at..].first_chunk().unwrap()) as usize;
            assert!(at < end, "no such box");
        }
        let bytes = u32::from_be_bytes(*file[at..].first_chunk().unwrap());
        head[at..at + 4].copy_from_slice(&(bytes + more as u32).to_be_bytes());
        end = at + bytes as usize;
        at += 8;
    }
    let mut out = std::fs::File::create(path).unwrap();
    out.write_all(&head[..end]).unwrap();
    out.write_all(inner).unwrap();
    out.seek(SeekFrom::Current(hole as i64)).unwrap();
    out.write_all(&file[end..]).unwrap();
    out.set_len((file.len() + more) as u64).unwrap();
    Bomb::File(path.to_owned())
}

/// The head of a box whose body is `length` bytes.
fn box_head(kind: &[u8; 4], length: usize) -> Vec<u8> {
    [&(8 + length as u32).to_be_bytes()[..], kind].concat()
}

/// A box of numbers of four bytes.
fn words(kind: &[u8; 4], words: &[u32]) -> Vec<u8> {
    [box_head(kind, 4 * words.len()), words.iter().flat_map(|word| word.to_be_bytes()).collect()].concat()
}

fn boxed(kind: &[u8; 4], body: &[u8]) -> Vec<u8> {
    [&box_head(kind, body.len()), body].concat()
}

/// All of them, each with `length` bytes that are no audio, and how many samples are heard at least; files are written to `folder`.
pub(crate) fn cases(fixtures: &Path, folder: &Path, length: usize, opus: bool, each: &mut dyn FnMut(&str, Bomb, usize)) {
    let read = |name: &str| std::fs::read(fixtures.join(name)).unwrap();
    let whole = |bytes: Vec<u8>| Cursor::new(bytes);
    let mut stream = |name: &str, stream: Box<dyn Read + Send + Sync>, least: usize| each(name, Bomb::Stream(stream), least);
    let again = |bytes: &[u8]| again(bytes, length);
    let frames = [b"TXXX\0\0\0\x04\0\0\0a\0b", &b"TIT2\0\0\0\x02\0\0\0c"[..]].concat();
    let size = [21, 14, 7, 0].map(|shift| (length >> shift) as u8 & 0x7f);
    let tag = [b"ID3\x04\0\0", &size[..]].concat();
    let mp3 = read("tone.mp3");
    stream("a tag before mp3", Box::new(whole(tag.clone()).chain(again(&frames)).chain(whole(mp3.clone()))), 16_000);
    stream("a tag in mp3", Box::new(whole(mp3.clone()).chain(whole(tag)).chain(again(&frames)).chain(whole(mp3.clone()))), 32_000);
    let ape = [&b"APETAGEX\xd0\x07\0\0"[..], &(length as u32).to_le_bytes(), &[0, 0, 0, 0, 0, 0, 0, 0xa0], &[0; 8]].concat();
    stream("an APE tag in mp3", Box::new(whole(mp3.clone()).chain(whole(ape)).chain(again(b"item")).chain(whole(mp3.clone()))), 32_000);
    let odd = [&[0xff, 0xfb][..], &mp3].concat();
    stream("zeros before mp3", Box::new(again(&[0]).chain(whole(odd)).chain(again(&[0]))), 16_000);

    let flac = read("tone.flac");
    let (head, frames) = flac.split_at(4 + 38);
    for (name, kind) in [("comments", 4), ("pictures", 6), ("a seek table", 3), ("padding", 1), ("an unknown block", 100)] {
        let block = || whole(vec![kind, 0xff, 0xff, 0xff]).chain(again(&[1]).take(0xff_ffff));
        let blocks = (0..length.div_ceil(0xff_ffff))
            .fold(Box::new(whole(head.to_vec())) as Box<dyn Read + Send + Sync>, |before, _| Box::new(before.chain(block())));
        stream(&format!("{name} in flac"), Box::new(blocks.chain(whole(frames.to_vec()))), 16_000);
    }

    let comments = b"OpusTags\x04\0\0\0name\xff\xff\xff\x00";
    if opus {
        stream("comments in opus", Box::new(long_packet(&read("tone.opus"), comments, length)), 15_900);
    }
    stream("comments in vorbis", Box::new(long_packet(&read("tone.ogg"), b"\x03vorbis\x04\0\0\0name\xff\xff\xff\x00", length)), 15_900);
    // The packet of the codebooks: too long to be one, so that nothing can be decoded.
    stream("codebooks in vorbis", Box::new(long_packet(&read("tone.ogg"), b"\x05vorbis", length)), 0);

    let (raw, _) = tone();
    let big: Vec<u8> = raw.chunks(2).flat_map(|x| [x[1], x[0]]).collect();
    let riff = |id: &[u8; 4]| [b"RIFF\0\0\0\0WAVE", &id[..], &(length as u32).to_le_bytes()].concat();
    let samples = [format(1, 2), chunk(b"data", &raw, true)].concat();
    for (name, id) in [("a list", b"LIST"), ("a tag", b"id3 "), ("an unknown chunk", b"zzzz")] {
        stream(&format!("{name} in wav"), Box::new(whole(riff(id)).chain(again(b"INFO")).chain(whole(samples.clone()))), 16_000);
    }
    let format = [&[1, 0, 1, 0][..], &16_000u32.to_le_bytes(), &32_000u32.to_le_bytes(), &[2, 0, 16, 0]].concat();
    let data = chunk(b"data", &raw, true);
    let rest = again(b"more").take(length as u64 - 16);
    stream("a format in wav", Box::new(whole([riff(b"fmt "), format].concat()).chain(rest).chain(whole(data))), 16_000);
    let be = |bytes: usize| (bytes as u32).to_be_bytes();
    let common = [&b"COMM\0\0\0\x12\0\x01"[..], &be(16_000), &[0, 16, 0x40, 0x0c, 0xfa, 0, 0, 0, 0, 0, 0, 0]].concat();
    let sound = [&b"SSND"[..], &be(8 + big.len()), &[0; 8], &big].concat();
    for id in [b"ANNO", b"ID3 ", b"MARK"] {
        let head = [&b"FORM\0\0\0\0AIFF"[..], id, &be(length)].concat();
        stream("a chunk in aiff", Box::new(whole(head).chain(again(&[0])).chain(whole([&common[..], &sound].concat()))), 16_000);
    }
    let description = [&16_000f64.to_be_bytes()[..], b"lpcm", &be(2), &be(2), &be(1), &be(1), &be(16)].concat();
    let head = [b"caff\0\x01\0\0desc", &32i64.to_be_bytes()[..], &description].concat();
    for id in [b"info", b"pakt", b"free"] {
        let head = [&head[..], id, &(length as i64).to_be_bytes()].concat();
        let data = [&b"data"[..], &(4 + raw.len() as i64).to_be_bytes(), &[0; 4], &raw].concat();
        stream("a chunk in caf", Box::new(whole(head).chain(again(&[0])).chain(whole(data))), 16_000);
    }
    let head = [b".snd", &be(24 + length)[..], &be(big.len()), &be(3), &be(16_000), &be(1)].concat();
    stream("a note in au", Box::new(whole(head).chain(again(b"note")).chain(whole(big))), 16_000);

    let mka = read("tone.mka");
    let cluster = mka.windows(4).position(|window| window == [0x1f, 0x43, 0xb6, 0x75]).unwrap();
    let sized = |id: &[u8], length: usize| [id, &[0x01], &(length as u64).to_be_bytes()[1..]].concat();
    let elements: [(&str, &[u8]); 6] = [
        ("cues", &[0x1c, 0x53, 0xbb, 0x6b]),
        ("tags", &[0x12, 0x54, 0xc3, 0x67]),
        ("attachments", &[0x19, 0x41, 0xa4, 0x69]),
        ("chapters", &[0x10, 0x43, 0xa7, 0x70]),
        ("nothing", &[0xec]),
        ("another block", &[0xa3]),
    ];
    for (name, id) in elements {
        let head = [&mka[..cluster], &sized(id, length)].concat();
        stream(&format!("{name} in mka"), Box::new(whole(head).chain(again(&[0x55])).chain(whole(mka[cluster..].to_vec()))), 15_900);
    }
    let tracks = mka.windows(4).position(|window| window == [0x16, 0x54, 0xae, 0x6b]).unwrap();
    let head = [&mka[..tracks], &sized(&[0x16, 0x54, 0xae, 0x6b], length)].concat();
    stream("tracks in mka", Box::new(whole(head).chain(again(&[0xae, 0x80]))), 0);

    let fragmented = read("tone-fragmented.mp4");
    let part = |header: &[u32], run: &[u32]| boxed(b"traf", &[words(b"tfhd", header), words(b"trun", run)].concat());
    for (name, part) in [
        ("pieces", part(&[0, 1], &[0x300, 2, 1024, 0, 1024, 0])),
        ("pieces of nothing", part(&[0x10, 1, 0], &[0, u32::MAX])),
        ("pieces of packets without end", part(&[0x10, 1, u32::MAX], &[0, u32::MAX])),
        ("first packets", part(&[0x10, 1, 3], &[4, 1, 0x204])),
    ] {
        let piece = boxed(b"moof", &[words(b"mfhd", &[0, 1]), part].concat());
        stream(&format!("{name} in mp4"), Box::new(whole(fragmented.clone()).chain(again(&piece))), 15_900);
    }
    // A run that is not there in full, and one that is, of packets without a byte; in a stream both are more than may be kept.
    let inside = 8 + 16 + 8 + 16 + 16;
    let index = |hole: usize, count: u32| {
        let run = [box_head(b"trun", 8 + hole), [0x200, count].map(u32::to_be_bytes).concat()].concat();
        let part = [box_head(b"traf", 16 + 16 + hole), words(b"tfhd", &[0, 1]), run].concat();
        [box_head(b"moof", inside + hole), words(b"mfhd", &[0, 1]), part].concat()
    };
    for (name, hole, count) in [("a run", length, length as u32 / 4), ("a run that is not there", 0, u32::MAX)] {
        let path = folder.join("run.mp4");
        let file = [fragmented.clone(), index(hole, count)].concat();
        std::fs::write(&path, &file).unwrap();
        std::fs::File::options().write(true).open(&path).unwrap().set_len((file.len() + hole) as u64).unwrap();
        each(&format!("{name} in mp4"), Bomb::File(path.clone()), 15_900);
        let bytes = whole(file).chain(again(&[0]).take(hole as u64));
        each(&format!("{name} in a stream of mp4"), Bomb::Stream(Box::new(bytes)), 0);
        std::fs::remove_file(path).unwrap();
    }

    let (m4a, path) = (read("tone.m4a"), folder.join("hole.m4a"));
    let stbl: [&[u8; 4]; 5] = [b"moov", b"trak", b"mdia", b"minf", b"stbl"];
    let mut hole = |name: &str, kinds: &[&[u8; 4]], inner: &[u8], least: usize| {
        let more = length + inner.len();
        each(&format!("{name} in m4a"), with_hole(&m4a, kinds, inner, more - inner.len(), &path), least);
        std::fs::remove_file(&path).unwrap();
    };
    let ilst = [box_head(b"udta", 20 + length), box_head(b"meta", 12 + length), vec![0; 4], box_head(b"ilst", length)].concat();
    hole("tags", &[b"moov"], &ilst, 16_000);
    hole("a picture", &[b"moov"], &box_head(b"meta", length), 16_000);
    hole("another kind of time", &stbl, &box_head(b"ctts", length), 16_000);
    for kind in [b"stsz", b"stts", b"stsc", b"stco"] {
        hole("a table", &[&stbl[..], &[kind]].concat(), &[], 16_000);
    }
    // The same where the table says that all of it counts.
    for kind in [b"stsz", b"stts", b"stsc", b"stco"] {
        let mut m4a = m4a.clone();
        let at = m4a.windows(4).position(|window| window == kind).unwrap() + if kind == b"stsz" { 12 } else { 8 };
        m4a[at..at + 4].copy_from_slice(&(length as u32 / 12).to_be_bytes());
        each("a full table in m4a", with_hole(&m4a, &[&stbl[..], &[kind]].concat(), &[], length, &path), 0);
        std::fs::remove_file(&path).unwrap();
    }
    // A second track, and its description: both are looked into.
    let track =
        [box_head(b"trak", 8 + 8 + 8 + 8 + length), box_head(b"mdia", 8 + 8 + 8 + length), box_head(b"minf", 8 + 8 + length)].concat();
    let track = [track, box_head(b"stbl", 8 + length), box_head(b"stsd", length)].concat();
    each("a description in m4a", with_hole(&m4a, &[b"moov"], &track, length, &path), 16_000);
    std::fs::remove_file(&path).unwrap();
    each("a description of the track in m4a", with_hole(&m4a, &[&stbl[..], &[b"stsd"]].concat(), &[], length, &path), 0);
    std::fs::remove_file(&path).unwrap();
}

/// All of them, with no more memory than a recording takes.
pub(crate) fn check(fixtures: &Path, opus: bool) {
    let folder = std::env::temp_dir().join(format!("ossicle-bombs-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let length = 24 << 20;
    cases(fixtures, &folder, length, opus, &mut |name, bomb, least| {
        let before = fresh_peak_bytes();
        let heard = count(match bomb {
            Bomb::Stream(stream) => AudioReader::stream(stream, Isa::detect()),
            Bomb::File(path) => AudioReader::open(path),
        });
        match heard {
            Ok(samples) => assert!(samples >= least, "{name}: {samples} samples"),
            Err(error) => assert_eq!(least, 0, "{name}: {error}"),
        }
        let grown = before.and_then(|before| Some(peak_bytes()?.saturating_sub(before))).unwrap_or(0);
        assert!(grown <= MOST_BYTES, "{name}: {grown} bytes of memory for {length} that are no audio");
    });
    std::fs::remove_dir_all(folder).unwrap();
}
