//! The format: round trips, prefixes, single changed bits, keys.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use ossicle_trace::{
    Event, Header, Input, Key, Pattern, Reader, Step, StepRecord, Tap, Tensor, Trace, TraceError, Values, Writer, WriterOptions, digest,
};
use proptest::prelude::*;

const OPS: [&str; 3] = ["encoder.conv", "encoder.layers.0.ffn", "decoder.logits"];

fn header() -> Header {
    Header { program: "test".into(), input: Input { name: "a.wav".into(), ..Input::default() }, isa: "scalar".into(), ..Header::default() }
}

/// A run of a few steps; `bump` changes one value of the second tensor.
fn run(tap: &dyn Tap, bump: f32) {
    for at in 0..3u64 {
        tap.step(Step { stage: "decoder", at, count: 1 });
        for (i, op) in OPS.iter().enumerate() {
            let mut values = [at as f32, i as f32, -0.0, 1e-40];
            values[3] += if (at, i) == (0, 1) { bump } else { 0.0 };
            tap.tensor(&Tensor { op, kernel: "K", part: "", shape: &[2, 2], values: Values::F32(&values) });
        }
        tap.tensor(&Tensor { op: OPS[0], kernel: "K", part: "keys", shape: &[3], values: Values::I8(&[-127, 0, at as i8]) });
    }
}

fn written(options: WriterOptions) -> Vec<u8> {
    let writer = Writer::new(Vec::new(), &header(), options).unwrap();
    run(&writer, 0.0);
    writer.finish().unwrap()
}

fn key(text: &str) -> Key {
    Key::new(text.into()).unwrap()
}

#[test]
fn a_round_trip_keeps_everything() {
    let values = Some(Pattern::new("*.ffn"));
    let trace = Trace::read(&written(WriterOptions { values, key: None })[..], None).unwrap();
    assert!(trace.complete && trace.checked);
    assert_eq!(trace.header, header());
    assert_eq!(trace.records.len(), 12);
    assert_eq!(trace.descriptors.len(), 4);
    assert_eq!(trace.steps[2], StepRecord { stage: "decoder".into(), at: 2, count: 1, first: 8 });
    assert_eq!(trace.step_of(7).unwrap().at, 1);
    let ffn = &trace.records[5];
    assert_eq!(trace.descriptor(ffn).to_string(), "encoder.layers.0.ffn (K), f32 [2, 2]");
    assert_eq!(ffn.digest, digest(Values::F32(&[1.0, 1.0, -0.0, 1e-40])));
    match ffn.values.as_ref().unwrap().values() {
        Values::F32(values) => assert!(values.iter().map(|x| x.to_bits()).eq([1.0f32, 1.0, -0.0, 1e-40].map(f32::to_bits))),
        other => panic!("{other:?}"),
    }
    assert_eq!(trace.records.iter().filter(|record| record.values.is_some()).count(), 3);
}

#[test]
fn digests_can_be_read_without_values() {
    let bytes = written(WriterOptions { values: Some(Pattern::new("*.ffn")), key: None });
    let (all, bare) = (Trace::read(&bytes[..], None).unwrap(), Trace::read_digests(&bytes[..], None).unwrap());
    assert_eq!(bare.records.len(), all.records.len());
    for (all, bare) in all.records.iter().zip(&bare.records) {
        assert_eq!((all.digest, all.has_values), (bare.digest, bare.has_values));
        assert!(all.has_values == all.values.is_some() && bare.values.is_none());
    }
    assert_eq!(bare.records.iter().filter(|record| record.has_values).count(), 3);
}

#[test]
fn one_value_changes_one_digest() {
    let writer = Writer::new(Vec::new(), &header(), WriterOptions::default()).unwrap();
    run(&writer, 1e-40);
    let other = Trace::read(&writer.finish().unwrap()[..], None).unwrap();
    let trace = Trace::read(&written(WriterOptions::default())[..], None).unwrap();
    let differ: Vec<usize> = (0..12).filter(|&i| trace.records[i].digest != other.records[i].digest).collect();
    assert_eq!(differ, [1]);
}

#[test]
fn every_prefix_is_a_shorter_trace_or_no_trace() {
    let whole = written(WriterOptions::default());
    let all = Trace::read(&whole[..], None).unwrap();
    let mut lengths = vec![];
    for end in 0..whole.len() {
        match Trace::read(&whole[..end], None) {
            Ok(trace) => {
                assert!(!trace.complete, "{end}");
                assert_eq!(trace.records, all.records[..trace.records.len()], "{end}");
                lengths.push(trace.records.len());
            }
            Err(TraceError::NotATrace) => assert!(end < 8),
            Err(TraceError::NoHeader) => assert!(lengths.is_empty()),
            Err(error) => panic!("{end}: {error}"),
        }
    }
    lengths.dedup();
    assert_eq!(lengths, [0, 4, 8], "whole steps only");
}

#[test]
fn every_changed_bit_is_noticed() {
    for key in [None, Some(key("sixteen bytes of secret"))] {
        let whole = written(WriterOptions { key: key.clone(), values: Some(Pattern::new("*")) });
        for bit in 0..8 * whole.len() {
            let mut changed = whole.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            let result = Trace::read(&changed[..], key.as_ref());
            // A length that grew may swallow the rest of the file: then it ends early.
            assert!(result.as_ref().map_or(true, |trace| !trace.complete), "bit {bit} of {} bytes", whole.len());
        }
        let mut longer = whole.clone();
        longer.push(0);
        assert!(matches!(Trace::read(&longer[..], key.as_ref()), Err(TraceError::Malformed { .. })));
    }
}

#[test]
fn keys() {
    let right = key("sixteen bytes of secret");
    let keyed = written(WriterOptions { key: Some(right.clone()), values: None });
    assert!(Trace::read(&keyed[..], Some(&right)).unwrap().checked);
    assert!(!Trace::read(&keyed[..], None).unwrap().checked, "readable without the key, but unchecked");
    let wrong = Trace::read(&keyed[..], Some(&key("sixteen bytes of guessing"))).unwrap_err();
    assert!(matches!(wrong, TraceError::Altered { keyed: true, .. }), "{wrong}");
    // A forger without the key can only write a trace that has none.
    let forged = written(WriterOptions::default());
    assert!(matches!(Trace::read(&forged[..], Some(&right)), Err(TraceError::NotKeyed)));
    assert!(Key::new(vec![0; 15]).is_err());
}

#[test]
fn other_files_are_refused_in_one_line() {
    for (bytes, expected) in [
        (&b""[..], "not a trace"),
        (b"OSSTRACX", "not a trace"),
        (b"RIFF\0\0\0\0WAVEfmt ", "not a trace"),
        (b"OSSTRACE", "ends within its header"),
        (b"OSSTRACE\x02\0\0\0", "a trace of format 2, this program reads format 1"),
        (b"OSSTRACE\x01\0\0\0\xff\xff\xff\xff", "damaged at byte 16: a header of more than 1 MiB"),
        (b"OSSTRACE\x01\0\0\0\x02\0\0\0[]", "damaged header: invalid length 0, expected struct Header with 11 elements at line 1 column 2"),
    ] {
        let error = Trace::read(bytes, None).unwrap_err().to_string();
        assert_eq!(error, expected);
    }
}

#[test]
fn an_error_of_the_disk_is_told_at_the_end() {
    #[derive(Debug)]
    struct Full(usize);
    impl std::io::Write for Full {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0 = self.0.checked_sub(bytes.len()).ok_or_else(|| std::io::Error::other("no space left"))?;
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    assert!(Writer::new(Full(10), &header(), WriterOptions::default()).is_err());
    let writer = Writer::new(Full(1000), &header(), WriterOptions::default()).unwrap();
    for _ in 0..10 {
        run(&writer, 0.0);
    }
    for _ in 0..2 {
        assert_eq!(writer.close().unwrap_err().to_string(), "no space left");
    }
    assert_eq!(writer.finish().unwrap_err().to_string(), "no space left", "a broken trace stays broken");
}

/// Bytes that outlive their writer.
#[derive(Clone, Debug, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_run_that_fails_leaves_its_last_tensors() {
    let bytes = Shared::default();
    let writer = Writer::new(bytes.clone(), &header(), WriterOptions::default()).unwrap();
    run(&writer, 0.0);
    let before = Trace::read(&bytes.0.lock().unwrap()[..], None).unwrap();
    assert_eq!(before.records.len(), 8, "the last step is not finished");
    drop(writer);
    let after = Trace::read(&bytes.0.lock().unwrap()[..], None).unwrap();
    assert_eq!((after.records.len(), after.steps.len(), after.complete), (12, 3, false));
}

#[test]
fn nothing_follows_the_end() {
    let bytes = Shared::default();
    let writer = Writer::new(bytes.clone(), &header(), WriterOptions::default()).unwrap();
    run(&writer, 0.0);
    writer.close().unwrap();
    let length = bytes.0.lock().unwrap().len();
    run(&writer, 0.0);
    drop(writer);
    assert_eq!(bytes.0.lock().unwrap().len(), length);
}

#[test]
fn headers_that_no_reader_takes_are_not_written() {
    let refused = |header: &Header| Writer::new(Vec::new(), header, WriterOptions::default()).unwrap_err().to_string();
    let long = Header { settings: "x".repeat(1 << 20).into(), ..header() };
    assert_eq!(refused(&long), "a header of more than 1 MiB in a trace");
    let key = Header { settings: serde_json::json!({"a": [{"b\u{1b}": 1}]}), ..header() };
    let name = Header { input: Input { name: "a\n.wav".into(), ..Input::default() }, ..header() };
    for header in [key, name] {
        assert_eq!(refused(&header), "a control character in the header of a trace");
    }
    // A prompt may have lines.
    let prompt = Header { settings: serde_json::json!({"initial_prompt": "two\nlines"}), ..header() };
    let bytes = Writer::new(Vec::new(), &prompt, WriterOptions::default()).unwrap().finish().unwrap();
    assert_eq!(Trace::read(&bytes[..], None).unwrap().header, prompt);
}

#[test]
fn control_characters_are_refused_where_they_come_in() {
    let writer = Writer::new(Vec::new(), &header(), WriterOptions::default()).unwrap();
    writer.step(Step { stage: "\u{1b}[2J", at: 0, count: 1 });
    assert_eq!(writer.finish().unwrap_err().to_string(), "a name with a control character in a trace");
    // Others may write what this writer refuses; the same length keeps the rest in its place.
    let whole = written(WriterOptions::default());
    for (from, to, problem) in [
        ("\"scalar\"", "\"\\u0007\"", "a control character in the header"),
        ("\u{c}encoder.conv", "\u{c}encoder\u{7}conv", "a name with a control character"),
    ] {
        let at = whole.windows(from.len()).position(|window| window == from.as_bytes()).unwrap();
        let changed = [&whole[..at], to.as_bytes(), &whole[at + from.len()..]].concat();
        match Trace::read(&changed[..], None) {
            Err(TraceError::Malformed { problem: found, .. }) => assert_eq!(found, problem),
            other => panic!("{other:?}"),
        }
    }
}

proptest! {
    #[test]
    fn any_bytes_are_a_trace_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..200), from in 0usize..500) {
        let mut trace = written(WriterOptions { key: None, values: Some(Pattern::new("*")) });
        let from = from.min(trace.len());
        trace.truncate(from);
        trace.extend(bytes);
        let Ok(mut reader) = Reader::new(&trace[..], None) else { return Ok(()) };
        let mut events = 0;
        while let Ok(Some(event)) = reader.next_event() {
            events += usize::from(event != Event::Check);
        }
        prop_assert!(events < 1000);
    }
}
