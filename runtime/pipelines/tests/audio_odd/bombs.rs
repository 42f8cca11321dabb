//! Files that would take far more memory than they have audio, if their tags and tables were kept.

use std::io::{Cursor, Read, Seek, SeekFrom, Write};
use std::path::Path;

use ossicle::audio::{AudioError, AudioReader};
use ossicle_kernels::simd::Isa;

use super::made::{chunk, format, page, pages, sealed, tone};

/// What is put into each; what reading it may take.
const BOMB_BYTES: usize = 24 << 20;
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

/// The same bytes again and again: `BOMB_BYTES` of them, out of nothing.
fn again(bytes: &[u8]) -> impl Read + Send + Sync + use<> {
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
    Again(bytes.to_vec(), 0).take(BOMB_BYTES as u64)
}

/// Pages that hold one packet with this beginning and `BOMB_BYTES` more, and then the rest of the file renumbered.
fn long_packet(file: &[u8], begin: &[u8]) -> impl Read + Send + Sync + use<> {
    let mut parts = pages(file);
    let serial = u32::from_le_bytes(*parts[0][14..].first_chunk().unwrap());
    let rest = parts.split_off(1);
    let count = BOMB_BYTES / 65_025;
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

/// Reads with no more memory than a recording takes.
fn small(name: &str, stream: impl Read + Send + Sync + 'static, least: usize) {
    let before = fresh_peak_bytes();
    let samples = count(AudioReader::stream(stream, Isa::detect())).unwrap_or_else(|error| panic!("{name}: {error}"));
    assert!(samples >= least, "{name}: {samples} samples");
    grown(name, before);
}

fn grown(name: &str, before: Option<usize>) {
    let grown = before.and_then(|before| Some(peak_bytes()?.saturating_sub(before))).unwrap_or(0);
    assert!(grown <= MOST_BYTES, "{name}: {grown} bytes of memory for {BOMB_BYTES} that are no audio");
}

/// An m4a whose index holds one more box of zeros, as a file with a hole in it.
fn m4a_with(fixture: &[u8], kind: &[u8; 4], path: &Path) -> std::fs::File {
    let moov = fixture.windows(4).position(|window| window == b"moov").unwrap() - 4;
    let bytes = u32::from_be_bytes(*fixture[moov..].first_chunk().unwrap()) as usize;
    assert_eq!(moov + bytes, fixture.len(), "the index is at the end");
    let mut file = std::fs::OpenOptions::new().read(true).write(true).create(true).truncate(true).open(path).unwrap();
    file.write_all(fixture).unwrap();
    file.write_all(&(BOMB_BYTES as u32 + 8).to_be_bytes()).unwrap();
    file.write_all(kind).unwrap();
    file.set_len((fixture.len() + BOMB_BYTES + 8) as u64).unwrap();
    file.seek(SeekFrom::Start(moov as u64)).unwrap();
    file.write_all(&((bytes + BOMB_BYTES + 8) as u32).to_be_bytes()).unwrap();
    file
}

/// All of them.
pub(crate) fn check(fixtures: &Path) {
    let read = |name: &str| std::fs::read(fixtures.join(name)).unwrap();
    let frames = [b"TXXX\0\0\0\x04\0\0\0a\0b", &b"TIT2\0\0\0\x02\0\0\0c"[..]].concat();
    let size = [21, 14, 7, 0].map(|shift| (BOMB_BYTES >> shift) as u8 & 0x7f);
    let tag = [b"ID3\x04\0\0", &size[..]].concat();
    small("a tag before mp3", Cursor::new(tag.clone()).chain(again(&frames)).chain(Cursor::new(read("tone.mp3"))), 16_000);
    let mp3 = read("tone.mp3");
    small("a tag in mp3", Cursor::new(mp3.clone()).chain(Cursor::new(tag)).chain(again(&frames)).chain(Cursor::new(mp3)), 32_000);
    small("zeros before mp3", again(&[0]).chain(Cursor::new([&[0xff, 0xfb][..], &read("tone.mp3")].concat())).chain(again(&[0])), 16_000);

    let flac = read("tone.flac");
    let block = || Cursor::new([4, 0xff, 0xff, 0xff]).chain(again(&[1]).take(0xff_ffff));
    let (head, frames) = flac.split_at(4 + 38);
    small("comments in flac", Cursor::new(head.to_vec()).chain(block()).chain(block()).chain(Cursor::new(frames.to_vec())), 16_000);

    let comments = b"OpusTags\x04\0\0\0name\xff\xff\xff\x00";
    if cfg!(feature = "opus") {
        small("comments in opus", long_packet(&read("tone.opus"), comments), 15_900);
    }
    small("comments in vorbis", long_packet(&read("tone.ogg"), b"\x03vorbis\x04\0\0\0name\xff\xff\xff\x00"), 15_900);

    let (raw, _) = tone();
    let list = [&b"LIST"[..], &(BOMB_BYTES as u32).to_le_bytes()].concat();
    let head = [b"RIFF\0\0\0\0WAVE", &list[..]].concat();
    small(
        "a list in wav",
        Cursor::new(head).chain(again(b"INFO")).chain(Cursor::new([format(1, 2), chunk(b"data", &raw, true)].concat())),
        16_000,
    );

    let path = std::env::temp_dir().join(format!("ossicle-bomb-{}.m4a", std::process::id()));
    for kind in [b"udta", b"meta"] {
        let before = fresh_peak_bytes();
        let file = m4a_with(&read("tone.m4a"), kind, &path);
        assert!(count(AudioReader::file(file, Isa::detect())).unwrap() >= 16_000);
        grown("tags in m4a", before);
    }
    let before = fresh_peak_bytes();
    let refused = count(AudioReader::file(m4a_with(&read("tone.m4a"), b"stts", &path), Isa::detect())).unwrap_err();
    assert_eq!(refused.to_string(), "m4a: cannot decode an index larger than 6 MiB");
    grown("tables in m4a", before);
    std::fs::remove_file(path).unwrap();
}
