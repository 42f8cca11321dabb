//! Reads every format and refuses every kind of bad file.

mod audio_odd;

use std::io::{Cursor, Read};
use std::path::{Path, PathBuf};

use ossicle::audio::{AudioError, AudioReader, Container, Damage};
use ossicle_kernels::simd::Isa;

/// A reader without `Seek`, as a pipe is.
struct Pipe(Cursor<Vec<u8>>);

impl Read for Pipe {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        // A few bytes at a time, as a slow writer gives them.
        let len = out.len().min(1000);
        self.0.read(&mut out[..len])
    }
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/audio").join(name)
}

/// Amplitude of a frequency in samples at 16 kHz, by its Fourier sum in f64.
fn amplitude(samples: &[f32], hertz: f64) -> f64 {
    let (mut re, mut im) = (0.0, 0.0);
    for (n, &x) in samples.iter().enumerate() {
        let angle = std::f64::consts::TAU * hertz * n as f64 / 16_000.0;
        re += f64::from(x) * angle.cos();
        im += f64::from(x) * angle.sin();
    }
    2.0 * re.hypot(im) / samples.len() as f64
}

#[test]
fn reads_every_format_from_files_and_pipes() {
    let cases = [
        ("tone.flac", Container::Flac, "flac"),
        ("tone.oga", Container::Ogg, "flac"),
        ("tone.mp3", Container::Mp3, "mp3"),
        ("tone.ogg", Container::Ogg, "vorbis"),
        #[cfg(feature = "opus")]
        ("tone.opus", Container::Ogg, "opus"),
        ("tone.m4a", Container::Mp4, "aac"),
        ("tone-alac.m4a", Container::Mp4, "alac"),
        ("tone.aac", Container::Adts, "aac"),
    ];
    for (name, container, codec) in cases {
        let mut reader = AudioReader::open(fixture(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!((reader.info().container, reader.info().codec), (container, codec), "{name}");
        let samples = reader.read_to_end().unwrap();
        assert_eq!(reader.damage(), [], "{name}");
        // AAC in m4a keeps its encoder's delay, 1024 samples, and fills its last frame.
        let slack = if codec == "aac" { 900 } else { 0 };
        assert!((16_000..=16_000 + slack).contains(&samples.len()), "{name}: {} samples", samples.len());
        let middle = &samples[4_000..12_000];
        let (tone, beside) = (amplitude(middle, 440.0), amplitude(middle, 1_000.0));
        assert!((tone - 0.125).abs() < 0.01, "{name}: {tone}");
        assert!(beside < 0.001, "{name}: {beside}");

        let bytes = std::fs::read(fixture(name)).unwrap();
        match AudioReader::stream(Pipe(Cursor::new(bytes)), Isa::detect()) {
            Ok(mut reader) => assert_eq!(reader.read_to_end().unwrap(), samples, "{name} through a pipe"),
            Err(AudioError::NeedsSeek(Container::Mp4)) => {}
            Err(error) => panic!("{name} through a pipe: {error}"),
        }
    }
}

/// A wav file in memory.
fn wav(spec: hound::WavSpec, write: impl Fn(&mut hound::WavWriter<&mut Cursor<Vec<u8>>>)) -> Vec<u8> {
    let mut file = Cursor::new(Vec::new());
    let mut writer = hound::WavWriter::new(&mut file, spec).unwrap();
    write(&mut writer);
    writer.finalize().unwrap();
    file.into_inner()
}

fn spec(channels: u16, bits_per_sample: u16, sample_format: hound::SampleFormat) -> hound::WavSpec {
    hound::WavSpec { channels, sample_rate: 16_000, bits_per_sample, sample_format }
}

#[test]
fn reads_every_width_of_wav() {
    for bits in [8, 16, 24, 32] {
        let half = 1i32 << (bits - 2);
        let file = wav(spec(1, bits, hound::SampleFormat::Int), |writer| {
            for sample in [0, half, -half, half / 2] {
                writer.write_sample(sample).unwrap();
            }
        });
        let samples = AudioReader::bytes(file, Isa::detect()).unwrap().read_to_end().unwrap();
        assert_eq!(samples, [0.0, 0.5, -0.5, 0.25], "{bits} bits");
    }
    let file = wav(spec(1, 32, hound::SampleFormat::Float), |writer| {
        for sample in [0.0f32, 0.5, -2.0] {
            writer.write_sample(sample).unwrap();
        }
    });
    assert_eq!(AudioReader::bytes(file, Isa::detect()).unwrap().read_to_end().unwrap(), [0.0, 0.5, -2.0]);
}

/// A wav file of any format chunk, which hound would not write.
fn foreign_wav(format: &[u8], data: &[u8]) -> Vec<u8> {
    let chunk = |id: &[u8], body: &[u8]| [id, &(body.len() as u32).to_le_bytes(), body, &[0][..body.len() % 2]].concat();
    let chunks = [chunk(b"LIST", b"odd"), chunk(b"fmt ", format), chunk(b"fact", &[0; 12]), chunk(b"data", data)].concat();
    [b"RIFF", &(4 + chunks.len() as u32).to_le_bytes()[..], b"WAVE", &chunks].concat()
}

/// The first 16 bytes of a mono format chunk at 16 kHz.
fn format_chunk(tag: u16, bytes: u16, bits: u16) -> Vec<u8> {
    let rates = [16_000, 16_000 * u32::from(bytes)].map(u32::to_le_bytes).concat();
    [[tag, 1].map(u16::to_le_bytes).concat(), rates, [bytes, bits].map(u16::to_le_bytes).concat()].concat()
}

#[test]
fn reads_what_other_programs_write() {
    let extensible = |tag: u16, bytes: u16, valid: u16| {
        let mut format = format_chunk(0xfffe, bytes, 8 * bytes);
        format.extend([22, valid, 0, 0, tag].map(u16::to_le_bytes).concat());
        format.extend([0, 0, 0, 0, 0x10, 0, 0x80, 0, 0, 0xaa, 0, 0x38, 0x9b, 0x71]);
        format
    };
    let long = |tag, bytes, bits, extension: &[u8]| [&format_chunk(tag, bytes, bits)[..], extension].concat();
    let half = 0.5f32.to_le_bytes();
    let cases: [(&str, Vec<u8>, &[u8], f32); 11] = [
        ("16 bits, extensible", extensible(1, 2, 16), &[0, 0x40], 0.5),
        // Valid bits are the upper ones.
        ("24 of 32 bits, extensible", extensible(1, 4, 24), &[0, 0, 0, 0x40], 0.5),
        ("20 of 24 bits, extensible", extensible(1, 3, 20), &[0, 0, 0x40], 0.5),
        ("float, extensible", extensible(3, 4, 32), &half, 0.5),
        ("32 bits with the length of an extension", long(1, 4, 32, &[0, 0]), &[0, 0, 0, 0xc0], -0.5),
        ("16 bits with an odd extension", long(1, 2, 16, &[3, 0, 1, 2, 3]), &[0, 0x40], 0.5),
        ("float with an extension", long(3, 4, 32, &[2, 0, 1, 2]), &half, 0.5),
        ("12 of 16 bits", long(1, 2, 12, &[]), &[0, 0x40], 0.5),
        ("64-bit float", long(3, 8, 64, &[]), &0.5f64.to_le_bytes(), 0.5),
        // The largest magnitudes of G.711's tables.
        ("mu-law", long(7, 1, 8, &[0, 0]), &[0x80], 32_124.0 / 32_768.0),
        ("A-law", long(6, 1, 8, &[0, 0]), &[0x2a], -32_256.0 / 32_768.0),
    ];
    for (name, format, sample, expected) in cases {
        let mut file = foreign_wav(&format, &sample.repeat(3_000));
        let samples = AudioReader::bytes(file.clone(), Isa::detect()).and_then(|mut reader| reader.read_to_end());
        assert_eq!(samples.unwrap_or_else(|error| panic!("{name}: {error}")), [expected; 3_000], "{name}");
        let piped = AudioReader::stream(Pipe(Cursor::new(file.clone())), Isa::detect()).and_then(|mut reader| reader.read_to_end());
        assert_eq!(piped.unwrap_or_else(|error| panic!("{name}: {error}")), [expected; 3_000], "{name} through a pipe");
        let length = file.len() - 3_000 * sample.len() - 4;
        file[length..length + 4].fill(0xff);
        let endless = AudioReader::stream(Pipe(Cursor::new(file)), Isa::detect()).and_then(|mut reader| reader.read_to_end());
        assert_eq!(endless.unwrap_or_else(|error| panic!("{name}: {error}")), [expected; 3_000], "{name} of unknown length");
    }
}

#[test]
fn encodings_without_a_decoder_are_named() {
    let refusal = |bytes: Vec<u8>| match AudioReader::stream(Pipe(Cursor::new(bytes)), Isa::detect()).err() {
        Some(error @ AudioError::Unsupported { .. }) => error.to_string(),
        other => panic!("{other:?}"),
    };
    assert_eq!(refusal(foreign_wav(&format_chunk(0x11, 256, 4), &[0; 256])), "wav: cannot decode encoding adpcm_ima_wav");
    assert_eq!(refusal(foreign_wav(&format_chunk(0x1234, 1, 8), &[0; 256])), "wav: cannot decode 8-bit samples of format 0x1234");
}

/// Found by fuzzing: bytes that begin like mp3, with a wav of 64511 channels behind them, made another wav reader overflow.
#[test]
fn a_wav_behind_other_bytes_is_not_looked_for() {
    let mut format = format_chunk(1, 2, 16);
    format[2..4].copy_from_slice(&0xfbffu16.to_le_bytes());
    let bytes = [&[0xff, 0xfe, 0xb4, 0][..], &foreign_wav(&format, &[0; 100])].concat();
    assert!(matches!(AudioReader::bytes(bytes, Isa::detect()).err(), Some(AudioError::Malformed { container: Container::Mp3, .. })));
}

/// A stream whose writer is slow: what has come is handed over before more is waited for.
#[test]
fn a_live_stream_is_heard_as_it_comes() {
    let (mut writer, reader) = {
        let (reader, writer) = std::io::pipe().unwrap();
        (writer, reader)
    };
    let mut file = tone_wav();
    file[40..44].fill(0xff);
    std::io::Write::write_all(&mut writer, &file[..44 + 2 * 700]).unwrap();
    let mut live = AudioReader::stream(reader, Isa::detect()).unwrap();
    let mut out = [0.0; 4096];
    let mut heard = 0;
    while heard < 700 {
        heard += live.read(&mut out).unwrap();
    }
    assert_eq!(heard, 700);
    drop(writer);
    assert_eq!(live.read(&mut out).unwrap(), 0);
}

#[test]
fn averages_channels() {
    let file = wav(spec(3, 16, hound::SampleFormat::Int), |writer| {
        for sample in [16_384i16, 8_192, 0, -16_384, -8_192, 0] {
            writer.write_sample(sample).unwrap();
        }
    });
    assert_eq!(AudioReader::bytes(file, Isa::detect()).unwrap().read_to_end().unwrap(), [0.25, -0.25]);
}

fn tone_wav() -> Vec<u8> {
    wav(spec(1, 16, hound::SampleFormat::Int), |writer| {
        for n in 0..20_000 {
            writer.write_sample((n * 37 % 2_000 - 1_000) as i16).unwrap();
        }
    })
}

#[test]
fn a_stream_without_a_length_is_read_to_its_end() {
    let whole = tone_wav();
    let expected = AudioReader::bytes(whole.clone(), Isa::detect()).unwrap().read_to_end().unwrap();
    for length in [0u32, 0x7fff_ffff, u32::MAX] {
        let mut file = whole.clone();
        file[40..44].copy_from_slice(&length.to_le_bytes());
        let mut reader = AudioReader::stream(Pipe(Cursor::new(file)), Isa::detect()).unwrap();
        assert_eq!(reader.read_to_end().unwrap(), expected, "length {length:#x}");
    }
}

/// All samples of a recording and what it lacks: from memory, and the same from a pipe where that can be.
fn heard(bytes: Vec<u8>) -> Result<(Vec<f32>, Vec<Damage>), AudioError> {
    let read = |mut reader: AudioReader| reader.read_to_end().map(|samples| (samples, reader.damage()));
    let whole = AudioReader::bytes(bytes.clone(), Isa::detect()).and_then(read)?;
    match AudioReader::stream(Pipe(Cursor::new(bytes)), Isa::detect()).and_then(read) {
        Ok((samples, _)) => assert_eq!(samples, whole.0, "through a pipe"),
        Err(AudioError::NeedsSeek(_)) => {}
        Err(error) => panic!("through a pipe: {error}"),
    }
    Ok(whole)
}

#[test]
fn what_is_there_of_a_truncated_recording_is_read() {
    let mut file = tone_wav();
    let whole = heard(file.clone()).unwrap();
    file.truncate(44 + 2 * 5_000 + 1);
    let short = Damage::Short { promised: 20_000, found: 5_000, rate: 16_000 };
    assert_eq!(heard(file.clone()).unwrap(), (whole.0[..5_000].to_vec(), vec![short]));
    let refused = |error: AudioError| matches!(error, AudioError::Damaged { damage, .. } if damage == short);
    assert!(AudioReader::bytes(file.clone(), Isa::detect()).and_then(AudioReader::strict).is_err_and(refused));
    let mut stream = AudioReader::stream(Pipe(Cursor::new(file)), Isa::detect()).and_then(AudioReader::strict).unwrap();
    assert!(stream.read_to_end().is_err_and(refused));

    // In tone.m4a the index is at the end.
    for name in ["tone.flac", "tone.mp3", "tone.aac", "tone.oga", "tone.opus"] {
        if name == "tone.opus" && !cfg!(feature = "opus") {
            continue;
        }
        let mut bytes = std::fs::read(fixture(name)).unwrap();
        bytes.truncate(bytes.len() / 2);
        let (samples, damage) = heard(bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!((1_600..15_000).contains(&samples.len()), "{name}: {} samples", samples.len());
        assert!(damage.iter().any(Damage::is_loss), "{name}");
    }
    let mut fragmented = std::fs::read(fixture("tone-fragmented.mp4")).unwrap();
    fragmented.truncate(2_800);
    let mut reader = AudioReader::bytes(fragmented, Isa::detect()).unwrap();
    assert!((4_000..8_000).contains(&reader.read_to_end().unwrap().len()));
    assert!(matches!(reader.damage()[..], [Damage::NoEnd { .. }]));
}

#[test]
fn bad_samples_are_named() {
    for (bad, channel) in [(f32::NAN, 1), (f32::INFINITY, 0), (f32::NEG_INFINITY, 1), (1e30, 0)] {
        let file = wav(spec(2, 32, hound::SampleFormat::Float), |writer| {
            for n in 0..20_000 {
                writer.write_sample(if n == 2 * 7_000 + channel { bad } else { 0.1 }).unwrap();
            }
        });
        let error = AudioReader::bytes(file, Isa::detect()).and_then(|mut reader| reader.read_to_end()).unwrap_err();
        let (frame, at) = match error {
            AudioError::NotFinite { frame, channel } => (frame, channel),
            AudioError::OutOfRange { frame, channel, value } if value == bad => (frame, channel),
            other => panic!("{other:?}"),
        };
        assert_eq!((frame, at), (7_000, channel));
    }
}

#[test]
fn bad_files_are_refused() {
    let refusal = |bytes: &[u8]| AudioReader::bytes(bytes.to_vec(), Isa::detect()).err().expect("refused");
    assert!(matches!(refusal(b""), AudioError::EmptyFile));
    assert!(matches!(refusal(b"Just a letter.\n"), AudioError::Text));
    assert!(matches!(refusal(&[1, 2, 3, 0x80]), AudioError::UnknownFormat));
    let empty = wav(spec(1, 16, hound::SampleFormat::Int), |_| {});
    assert!(matches!(refusal(&empty), AudioError::NoSamples));
    for rate in [0u32, 1, 100, 4_000_000_000] {
        let mut file = tone_wav();
        file[24..28].copy_from_slice(&rate.to_le_bytes());
        assert!(matches!(refusal(&file), AudioError::SampleRate(r) if r == rate), "{rate} Hz");
    }
    let many = wav(spec(40, 8, hound::SampleFormat::Int), |writer| {
        for _ in 0..80 {
            writer.write_sample(0i8).unwrap();
        }
    });
    assert!(matches!(refusal(&many), AudioError::Channels(40)));

    assert!(matches!(AudioReader::open("no-such-file.wav").err(), Some(AudioError::NotFound)));
    assert!(matches!(AudioReader::open(env!("CARGO_MANIFEST_DIR")).err(), Some(AudioError::Directory)));
    assert!(matches!(AudioReader::raw(std::io::empty(), 16_000, Isa::detect()).err(), Some(AudioError::NoSamples)));
}

/// Every file with every kind of small damage: an error or samples, no panic, all finite.
#[test]
fn damage_never_panics() {
    let mut state = 1u64;
    let mut random = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize
    };
    let mut files: Vec<Vec<u8>> =
        std::fs::read_dir(fixture("")).unwrap().map(|entry| std::fs::read(entry.unwrap().path()).unwrap()).collect();
    files.push(tone_wav());
    for file in &files {
        for round in 0..100 {
            let mut bytes = file.clone();
            let reach = if round % 2 == 0 { bytes.len() } else { bytes.len().min(400) };
            for _ in 0..1 + random() % 4 {
                bytes[random() % reach] = [0, 0xff, random() as u8][random() % 3];
            }
            if round % 5 == 0 {
                bytes.truncate(random() % bytes.len());
            }
            if let Ok(mut reader) = AudioReader::bytes(bytes, Isa::detect()) {
                let mut block = [0.0; 1024];
                while let Ok(1..) = reader.read(&mut block) {
                    assert!(block.iter().all(|x| x.is_finite()));
                }
            }
        }
    }
}
