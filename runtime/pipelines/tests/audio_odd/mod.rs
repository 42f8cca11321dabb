//! Files as the world has them: what is right in them is heard, what is missing is told.

mod made;

use ossicle::audio::{AudioError, AudioReader, Container, Damage, Encoding, Pcm};
use ossicle_kernels::simd::Isa;

use super::{amplitude, fixture, heard};
use made::{chunk, format, id3, page, pages, quicktime, riff, sealed, tone};

fn read(name: &str) -> Vec<u8> {
    std::fs::read(fixture(name)).unwrap()
}

/// Samples without any damage.
#[track_caller]
fn whole(bytes: Vec<u8>) -> Vec<f32> {
    let (samples, damage) = heard(bytes).unwrap();
    assert_eq!(damage, []);
    samples
}

/// One after the other, as the resampler joins them.
#[track_caller]
fn joined(bytes: Vec<u8>, first: &[f32], second: &[f32]) {
    let (samples, seam) = (whole(bytes), 100);
    assert_eq!(samples.len(), first.len() + second.len());
    assert_eq!(samples[..first.len() - seam], first[..first.len() - seam]);
    assert_eq!(samples[first.len() + seam..], second[seam..]);
}

#[test]
fn wav_as_recorders_leave_it() {
    let (raw, samples) = tone();
    let data = chunk(b"data", &raw, true);
    let fmt = format(1, 2);
    let long = chunk(b"ds64", &[raw.len() as u64 + 80, raw.len() as u64, 16_000, 0].map(u64::to_le_bytes).concat()[..28], true);
    let endless = [b"data\xff\xff\xff\xff", &raw[..]].concat();
    for magic in [b"BW64", b"RF64"] {
        assert_eq!(whole(riff(magic, &[&long, &fmt, &endless])), samples);
    }
    let odd = b"INFOICMT\x05\0\0\0hello";
    for padded in [true, false] {
        assert_eq!(whole(riff(b"RIFF", &[&fmt, &chunk(b"LIST", odd, padded), &data])), samples, "{padded}");
    }
    // A recorder that died: the length is 0, the samples are there.
    let died = riff(b"RIFF", &[&chunk(b"JUNK", &[0; 4044], true), &fmt, b"data\0\0\0\0", &raw]);
    let mut reader = AudioReader::bytes(died, Isa::detect()).unwrap();
    assert_eq!((reader.read_to_end().unwrap(), reader.damage()), (samples.clone(), vec![Damage::NoLength]));
    let empty = riff(b"RIFF", &[&fmt, b"data\0\0\0\0", &chunk(b"LIST", odd, true)]);
    assert!(matches!(AudioReader::bytes(empty, Isa::detect()).err(), Some(AudioError::NoSamples)));
    let short = riff(b"RIFF", &[&fmt, b"data", &(raw.len() as u32 + 44).to_le_bytes(), &raw]);
    let missing = Damage::Short { promised: 16_022, found: 16_000, rate: 16_000 };
    assert_eq!(heard(short).unwrap(), (samples, vec![missing]));
    for (frame_bytes, expected) in [(1, "1 bytes, but 1 x 16 bits take 2"), (0, "0 bytes, but 1 x 16 bits take 2")] {
        let error = heard(riff(b"RIFF", &[&format(1, frame_bytes), &data])).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn wav_that_goes_on_behind_its_samples() {
    let (raw, samples) = tone();
    let (fmt, list) = (format(1, 2), chunk(b"LIST", b"INFOICMT\x05\0\0\0hello", true));
    let (half, rest) = raw.split_at(raw.len() / 2);
    let file = riff(b"RIFF", &[&fmt, &chunk(b"data", &raw, true), &list]);
    assert_eq!(whole(riff(b"RIFF", &[&fmt, &chunk(b"data", half, true), &list, &chunk(b"data", rest, true)])), samples);
    joined([&file[..], &file].concat(), &samples, &samples);
    // Of another kind.
    let adpcm = riff(b"RIFF", &[&chunk(b"fmt ", &[2, 0, 1, 0, 64, 31, 0, 0, 0, 0, 0, 0, 1, 0, 4, 0], true), &chunk(b"data", &raw, true)]);
    let (heard_samples, damage) = heard([&file[..], &adpcm].concat()).unwrap();
    assert!(heard_samples == samples && matches!(damage[..], [Damage::Skipped { .. }]), "{damage:?}");
    // A recorder that corrected its header now and then, and died.
    let stale = [b"data", &(half.len() as u32).to_le_bytes()[..], &raw].concat();
    let longer = Damage::Longer { promised: 8_000, found: 16_000, rate: 16_000 };
    assert_eq!(heard(riff(b"RIFF", &[&fmt, &stale])).unwrap(), (samples.clone(), vec![longer]));
    // What is only filled up, or followed by a tag or by little, lacks nothing.
    let filled = whole([&file[..], &[0; 40_000]].concat());
    assert!(filled[..16_000] == samples[..] && filled[16_000..].iter().all(|&x| x == 0.0));
    for end in [&b"TAGtitle"[..], b"ID3\x04\0\0\0\0\0\x01x", &[0x99; 3000]] {
        assert_eq!(whole([&file[..], end].concat()), samples);
    }
    // A length in ds64 that was never filled in.
    let long = chunk(b"ds64", &[0xff; 28], true);
    assert_eq!(whole(riff(b"RF64", &[&long, &fmt, b"data\xff\xff\xff\xff", &raw])), samples);
}

#[test]
fn channels_that_cancel_and_channels_by_number() {
    let (raw, samples) = tone();
    let stereo: Vec<u8> = raw
        .chunks(2)
        .flat_map(|x| [i16::from_le_bytes([x[0], x[1]]), -i16::from_le_bytes([x[0], x[1]])])
        .flat_map(i16::to_le_bytes)
        .collect();
    let file = riff(b"RIFF", &[&format(2, 4), &chunk(b"data", &stereo, true)]);
    assert_eq!(heard(file.clone()).unwrap(), (samples.clone(), vec![Damage::OppositePhase]));
    let second = AudioReader::bytes(file.clone(), Isa::detect()).and_then(|reader| reader.channel(2)?.read_to_end()).unwrap();
    assert!(second.iter().zip(&samples).all(|(a, b)| *a == -b));
    let third = AudioReader::bytes(file.clone(), Isa::detect()).and_then(|reader| reader.channel(3)).err().unwrap();
    assert_eq!(third.to_string(), "no channel 3: there are 2");
    // Nothing is missing, so strict has nothing against it.
    assert_eq!(AudioReader::bytes(file, Isa::detect()).and_then(|reader| reader.strict()?.read_to_end()).unwrap(), samples);
}

#[test]
fn samples_of_telephones_without_a_header() {
    for (encoding, byte, expected) in [(Encoding::MuLaw, 0x80, 32_124.0), (Encoding::ALaw, 0x2a, -32_256.0), (Encoding::U8, 0xc0, 16_384.0)]
    {
        let pcm = Pcm { rate: 16_000, channels: 1, encoding };
        let samples = AudioReader::pcm(std::io::Cursor::new(vec![byte; 500]), pcm, Isa::detect()).unwrap().read_to_end().unwrap();
        assert_eq!(samples, [expected / 32_768.0; 500]);
    }
}

#[test]
fn mp3_with_more_than_frames_in_it() {
    let mp3 = read("tone.mp3");
    let tone = whole(mp3.clone());
    // A picture that holds the headers of other frames.
    let picture: Vec<u8> = (0..400_000).map(|n| [0xff, 0xe3, 0x18, 0xc4, 0x55, 7, 9][n % 7]).collect();
    let body = mp3[10 + usize::from(mp3[9])..].to_vec();
    assert_eq!(whole([id3(&picture), body.clone()].concat()), tone);
    assert_eq!(whole([id3(&picture), id3(&picture), body.clone()].concat()), tone);
    assert_eq!(whole([vec![0; 1500], body.clone()].concat()), tone);
    assert_eq!(whole([&body[..], b"TAG", &[b'x'; 125]].concat()), tone);
    joined([mp3.clone(), mp3.clone()].concat(), &tone, &tone);
    // Another rate and number of channels from the middle on.
    let low = whole(read("tone-low.mp3"));
    assert_eq!(low.len(), 16_000);
    joined([mp3.clone(), read("tone-low.mp3")].concat(), &tone, &low);
    // Bytes of something else between two frames, and some frames that are not there.
    let at = body.len() / 2 + body[body.len() / 2..].windows(2).position(|pair| pair[0] == 0xff && pair[1] & 0xe6 == 0xe2).unwrap();
    let (samples, damage) = heard([&body[..at], &[0x55; 777], &body[at..]].concat()).unwrap();
    assert!(samples.len() + 1200 > tone.len(), "{} of {}", samples.len(), tone.len());
    assert!(matches!(damage[..], [Damage::Skipped { bytes: 777, places: 1, .. }]), "{damage:?}");
    let (samples, damage) = heard(body[..body.len() - 1000].to_vec()).unwrap();
    assert!((9_000..14_000).contains(&samples.len()), "{}", samples.len());
    assert!(matches!(damage[..], [Damage::Short { .. }]), "{damage:?}");
}

#[test]
fn ogg_in_several_parts_or_not_whole() {
    for name in ["tone.ogg", "tone.oga", "tone.opus"] {
        if name == "tone.opus" && !cfg!(feature = "opus") {
            continue;
        }
        let file = read(name);
        let tone = whole(file.clone());
        let parts = pages(&file);
        joined([&file[..], &file].concat(), &tone, &tone);
        let renumbered = parts.iter().cloned().map(|mut page| {
            page[14..18].copy_from_slice(b"here");
            sealed(page)
        });
        joined([&file[..], &renumbered.collect::<Vec<_>>().concat()].concat(), &tone, &tone);
        let endless: Vec<_> = parts
            .iter()
            .cloned()
            .map(|mut page| {
                page[5] &= !4;
                sealed(page)
            })
            .collect();
        let (samples, damage) = heard(endless.concat()).unwrap();
        assert!(samples.len() >= tone.len() && samples[..15_000] == tone[..15_000], "{name}");
        assert!(matches!(damage[..], [Damage::NoEnd { .. }]), "{name}: {damage:?}");
        let (samples, damage) = heard(file[..file.len() - 300].to_vec()).unwrap();
        let seam = samples.len() - 100;
        assert!(samples.len() < tone.len() && samples[..seam] == tone[..seam], "{name}");
        assert!(matches!(damage[..], [Damage::NoEnd { .. }]), "{name}: {damage:?}");
    }
    if cfg!(feature = "opus") {
        // Each packet in a page of its own, so that one can be missing.
        let file = read("tone.opus");
        let (tone, parts) = (whole(file.clone()), pages(&file));
        let (segments, mut body) = (usize::from(parts[2][26]), &parts[2][27 + usize::from(parts[2][26])..]);
        let mut single = parts[..2].to_vec();
        for (index, &length) in (1u32..).zip(&parts[2][27..27 + segments]) {
            let (packet, rest) = body.split_at(length.into());
            let serial = u32::from_le_bytes(*parts[0][14..].first_chunk().unwrap());
            single.push(page(serial, 1 + index, if index == 50 { 4 } else { 0 }, 960 * u64::from(index), packet));
            body = rest;
        }
        let all = whole(single.concat());
        assert_eq!(all[..], tone[..all.len()]);
        let mut gap = single.clone();
        gap.remove(20);
        let (samples, damage) = heard(gap.concat()).unwrap();
        // Silence has taken its place: what comes later has its right time.
        assert_eq!(samples.len(), all.len());
        assert!(matches!(damage[..], [Damage::Gap { places: 1, .. }]), "{damage:?}");
        let missing = 18 * 320 - 104;
        assert_eq!(samples[..missing - 100], all[..missing - 100]);
        assert!(samples[missing..missing + 320].iter().all(|&x| x == 0.0));
        assert!(samples[missing + 2000..].iter().zip(&all[missing + 2000..]).all(|(a, b)| (a - b).abs() < 0.01));
        // The first audio, too: what follows keeps its time, unless it was recorded from within a stream.
        let mut headless = single.clone();
        headless.drain(2..12);
        let (samples, damage) = heard(headless.concat()).unwrap();
        assert_eq!(samples.len(), all.len());
        assert!(matches!(damage[..], [Damage::Gap { places: 1, .. }]), "{damage:?}");
        assert!(samples[..3_000].iter().all(|&x| x == 0.0));
        assert!(samples[6_000..].iter().zip(&all[6_000..]).all(|(a, b)| (a - b).abs() < 0.01));
        for page in &mut headless[2..] {
            let position = u64::from_le_bytes(*page[6..].first_chunk().unwrap()) + 48_000 * 1800;
            page[6..14].copy_from_slice(&position.to_le_bytes());
            *page = sealed(std::mem::take(page));
        }
        assert!(heard(headless.concat()).unwrap().0.len() < all.len());
        let mut bits = file.clone();
        bits[47 + 90 + 200] ^= 0x10;
        let (samples, damage) = heard(bits).unwrap();
        assert_eq!(samples.len(), tone.len());
        assert!(matches!(damage[0], Damage::Gap { places: 1, .. }), "{damage:?}");
    }
    let speex = page(1, 0, 2, 0, b"Speex   1.2");
    let (samples, damage) = heard([read("tone.ogg"), speex.clone()].concat()).unwrap();
    assert_eq!(samples, whole(read("tone.ogg")));
    assert!(matches!(damage[..], [Damage::Gap { places: 1, .. }]), "{damage:?}");
    assert_eq!(heard(speex).unwrap_err().to_string(), "ogg: cannot decode speex");
}

#[test]
fn silence_takes_the_place_of_missing_frames() {
    let flac = read("tone.flac");
    let tone = whole(flac.clone());
    // Frames begin like the first one: sync code, lengths, rate, channels.
    let first = flac.windows(2).position(|window| window == [0xff, 0xf8]).unwrap();
    let begin = &flac[first..first + 4];
    let frames: Vec<_> = flac.windows(4).enumerate().filter(|(_, window)| window == &begin).map(|(at, _)| at).collect();
    let (samples, damage) = heard([&flac[..frames[1]], &flac[frames[2]..]].concat()).unwrap();
    assert_eq!(samples.len(), tone.len());
    assert!(matches!(damage[..], [Damage::Gap { places: 1, .. }]), "{damage:?}");
    let other = samples.iter().zip(&tone).filter(|(a, b)| a != b).count();
    let silent = samples.iter().filter(|&&x| x == 0.0).count();
    // The resampler rounds the edges.
    assert!(silent > 1_000 && other < silent + 400, "{other} samples are other ones, {silent} are silent");
}

#[test]
fn what_browsers_and_other_systems_record() {
    let mut cases = vec![
        ("tone.mka", Container::Matroska, "vorbis"),
        ("tone-fragmented.mp4", Container::Mp4, "aac"),
        ("surround.ogg", Container::Ogg, "vorbis"),
    ];
    if cfg!(feature = "opus") {
        cases.extend([
            ("tone.webm", Container::Matroska, "opus"),
            ("tone-live.webm", Container::Matroska, "opus"),
            ("surround.opus", Container::Ogg, "opus"),
        ]);
    }
    for (name, container, codec) in cases {
        let reader = AudioReader::open(fixture(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!((reader.info().container, reader.info().codec), (container, codec), "{name}");
        let samples = whole(read(name));
        assert!((15_900..=17_000).contains(&samples.len()), "{name}: {} samples", samples.len());
        let (tone, beside) = (amplitude(&samples[4_000..12_000], 440.0), amplitude(&samples[4_000..12_000], 1_000.0));
        // One of the six channels holds no speech, and the decoder has the coupling of several not quite right.
        assert!((0.05..0.14).contains(&tone) && beside < 0.004, "{name}: {tone}, {beside}");
    }
    if cfg!(feature = "opus") {
        let webm = read("tone.webm");
        let (samples, damage) = heard(webm[..webm.len() / 2].to_vec()).unwrap();
        assert!((3_000..12_000).contains(&samples.len()) && matches!(damage[..], [Damage::Short { .. }]), "{damage:?}");
    }
}

#[test]
fn samples_of_other_byte_orders() {
    let (raw, samples) = tone();
    let big: Vec<u8> = raw.chunks(2).flat_map(|x| [x[1], x[0]]).collect();
    let be = |bytes: usize| (bytes as u32).to_be_bytes();
    let rate = [0x40, 0x0c, 0xfa, 0, 0, 0, 0, 0, 0, 0];
    let common = [&[0, 1][..], &be(16_000), &[0, 16], &rate].concat();
    let aiff = |kind: &[u8], common: &[u8], data: &[u8]| {
        let chunks = [b"COMM", &be(common.len())[..], common, b"SSND", &be(8 + data.len()), &[0; 8], data].concat();
        [b"FORM", &be(4 + chunks.len())[..], kind, &chunks].concat()
    };
    let au = |bytes: [u8; 4]| [b".snd", &be(28)[..], &bytes, &be(3), &be(16_000), &be(1), b"note", &big].concat();
    let caf = |bytes: i64| {
        let description = [&16_000f64.to_be_bytes()[..], b"lpcm", &be(2), &be(2), &be(1), &be(1), &be(16)].concat();
        let head = [b"caff\0\x01\0\0desc", &32i64.to_be_bytes()[..], &description].concat();
        [&head[..], b"free", &3i64.to_be_bytes(), b"pad", b"data", &bytes.to_be_bytes(), &[0; 4], &raw].concat()
    };
    let swapped = [&common[..], b"sowt\0\0"].concat();
    let cases = [
        ("aiff", aiff(b"AIFF", &common, &big)),
        ("aiff-c", aiff(b"AIFC", &swapped, &raw)),
        ("au", au(be(raw.len()))),
        ("au of unknown length", au([0xff; 4])),
        ("caf", caf(4 + raw.len() as i64)),
        ("caf up to its end", caf(-1)),
    ];
    for (name, file) in cases {
        assert_eq!(heard(file.clone()).unwrap_or_else(|error| panic!("{name}: {error}")), (samples.clone(), vec![]), "{name}");
        let (some, damage) = heard(file[..file.len() - 10_000].to_vec()).unwrap();
        assert_eq!(some, samples[..11_000], "{name}");
        assert_eq!(damage.is_empty(), name.contains("unknown") || name.contains("its end"), "{name}: {damage:?}");
    }
}

#[test]
fn quicktime_with_samples_in_either_order() {
    let (raw, samples) = tone();
    let big: Vec<u8> = raw.chunks(2).flat_map(|x| [x[1], x[0]]).collect();
    // Old writers say that each frame has one byte.
    for (kind, data, frame_bytes) in [(b"sowt", &raw, 2), (b"sowt", &raw, 1), (b"twos", &big, 2), (b"twos", &big, 1)] {
        assert_eq!(whole(quicktime(kind, frame_bytes, data)), samples, "{} {frame_bytes}", String::from_utf8_lossy(kind));
    }
}

#[test]
fn what_is_not_decoded_is_refused_by_name() {
    let cases: [(&[u8], &str); 7] = [
        (b"RIFX\0\0\0\x24WAVEfmt ", "cannot decode big-endian wav (RIFX)"),
        (b"#!AMR\n\x3c\x91\x17", "cannot decode AMR"),
        (b"#!AMR-WB\n\x04\x91", "cannot decode AMR-WB"),
        (&[0x30, 0x26, 0xb2, 0x75, 0x8e, 0x66, 0xcf, 0x11, 0xa6], "cannot decode Windows Media (wma)"),
        (&[0x0b, 0x77, 1, 2, 3], "cannot decode AC-3"),
        (b"DSD \x1c\0\0", "cannot decode DSD (dsf)"),
        (b"RIFF\0\0\0\0AVI LIST", "cannot decode AVI video"),
    ];
    for (bytes, expected) in cases {
        assert_eq!(heard(bytes.to_vec()).unwrap_err().to_string(), expected);
    }
    // Low complexity becomes band replication in the description of the track.
    let mut m4a = read("tone.m4a");
    let at = m4a.windows(4).position(|window| window == b"esds").unwrap();
    let specific = at + m4a[at..].windows(6).position(|window| window[0] == 5 && window[1] == 0x80 && window[2] == 0x80).unwrap() + 5;
    m4a[specific] = 5 << 3 | m4a[specific] & 7;
    assert_eq!(heard(m4a).unwrap_err().to_string(), "m4a: cannot decode HE-AAC");
}
