use super::*;
use crate::digest::Digests;
use crate::whisper::transcript::{DropReason, Word};

/// A segment without words.
pub(crate) fn segment(id: usize, start: f64, end: f64, text: &str) -> Segment {
    Segment {
        id,
        seek: 0,
        start,
        end,
        text: text.to_owned(),
        tokens: vec![50364, 15947],
        temperature: 0.0,
        avg_logprob: -0.25,
        compression_ratio: 1.5,
        no_speech_prob: 0.125,
        words: None,
    }
}

/// A segment of words and their times.
pub(crate) fn with_words(words: &[(&str, f64, f64)]) -> Segment {
    let text: String = words.iter().map(|word| word.0).collect();
    let word = |&(word, start, end): &(&str, f64, f64)| Word { word: word.into(), start, end, probability: 0.5 };
    let all = words.iter().map(word).collect();
    Segment { words: Some(all), ..segment(0, words[0].1, words[words.len() - 1].2, &text) }
}

fn segments() -> Vec<Segment> {
    let mut second = segment(1, 3661.5, 3662.255, " a\tb --> \"c\"");
    second.words = Some(vec![Word { word: " a".into(), start: 3661.5, end: 3662.0, probability: 0.5 }]);
    vec![segment(0, 0.0, 2.48, " Hello, wörld."), second]
}

fn written(format: Format, segments: &[Segment]) -> String {
    written_with(format.writer(), segments)
}

fn written_with(mut writer: Box<dyn TranscriptWriter>, segments: &[Segment]) -> String {
    let mut out = Vec::new();
    let header = Header { file: "a.wav".into(), model: "whisper-tiny.en".into(), task: "transcribe".into() };
    writer.begin(&mut out, &header).unwrap();
    for segment in segments {
        writer.segment(&mut out, segment).unwrap();
    }
    let digests = Digests { mel: "00".into(), encoder: "01".into(), logits: "02".into(), tokens: "03".into(), events: None };
    let language = Some("en".to_owned());
    let summary = Summary { language, duration: 3663.0, digests: Some(digests), ..Summary::default() };
    writer.end(&mut out, &summary).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn text() {
    assert_eq!(written(Format::Text, &segments()), "Hello, wörld.\na\tb --> \"c\"\n");
}

#[test]
fn tsv() {
    let expected = "start\tend\ttext\n0\t2480\tHello, wörld.\n3661500\t3662255\ta b --> \"c\"\n";
    assert_eq!(written(Format::Tsv, &segments()), expected);
}

#[test]
fn srt() {
    let expected = "1\n00:00:00,000 --> 00:00:02,480\nHello, wörld.\n\n2\n01:01:01,500 --> 01:01:02,500\na b -> \"c\"\n\n";
    assert_eq!(written(Format::Srt, &segments()), expected);
}

#[test]
fn vtt() {
    let expected = "WEBVTT\n\n00:00.000 --> 00:02.480\nHello, wörld.\n\n01:01:01.500 --> 01:01:02.500\na b -&gt; \"c\"\n\n";
    assert_eq!(written(Format::Vtt, &segments()), expected);
    let marks = segment(0, 0.0, 2.0, " <i>Q&A</i> &amp; 1 < 2");
    assert!(written(Format::Vtt, &[marks]).ends_with("\n&lt;i&gt;Q&amp;A&lt;/i&gt; &amp;amp; 1 &lt; 2\n\n"));
}

#[test]
fn json() {
    let expected = r#"{"schema":"ossicle.transcript/1","file":"a.wav","model":"whisper-tiny.en","task":"transcribe","segments":[
{"id":0,"seek":0,"start":0.0,"end":2.48,"text":" Hello, wörld.","tokens":[50364,15947],"temperature":0.0,"avg_logprob":-0.25,"compression_ratio":1.5,"no_speech_prob":0.125},
{"id":1,"seek":0,"start":3661.5,"end":3662.255,"text":" a\tb --> \"c\"","tokens":[50364,15947],"temperature":0.0,"avg_logprob":-0.25,"compression_ratio":1.5,"no_speech_prob":0.125,"words":[{"word":" a","start":3661.5,"end":3662.0,"probability":0.5}]}
],"dropped":[],"text":" Hello, wörld. a\tb --> \"c\"","language":"en","duration":3663.0,"digests":{"mel":"00","encoder":"01","logits":"02","tokens":"03"}}
"#;
    assert_eq!(written(Format::Json, &segments()), expected);
    for segments in [vec![], segments()] {
        let value: serde_json::Value = serde_json::from_str(&written(Format::Json, &segments)).unwrap();
        assert_eq!(value["segments"].as_array().unwrap().len(), segments.len());
    }
}

#[test]
fn json_says_what_was_dropped() {
    let dropped =
        Dropped { start: 12.25, end: 13.5, reason: DropReason::Unlikely, text: " hm".into(), avg_logprob: -2.5, no_speech_prob: 0.125 };
    let (mut out, mut writer) = (vec![], Format::Json.writer());
    writer.begin(&mut out, &Header::default()).unwrap();
    writer.dropped(&mut out, &dropped).unwrap();
    writer.end(&mut out, &Summary { language_doubt: true, ..Summary::default() }).unwrap();
    let value: serde_json::Value = serde_json::from_slice(&out).unwrap();
    let expected = serde_json::json!([
        { "start": 12.25, "end": 13.5, "reason": "unlikely", "text": " hm", "avg_logprob": -2.5, "no_speech_prob": 0.125 }
    ]);
    assert_eq!((&value["dropped"], &value["language_doubt"]), (&expected, &true.into()));
}

#[test]
fn of_several_recordings_each_is_named() {
    let at = |format: Format, place| written_with(format.writer_with(WriterOptions { place, ..WriterOptions::default() }), &segments());
    assert_eq!(at(Format::Text, Place::First), "a.wav:\nHello, wörld.\na\tb --> \"c\"\n");
    assert_eq!(at(Format::Text, Place::Later), "\na.wav:\nHello, wörld.\na\tb --> \"c\"\n");
    let rows = "a.wav\t0\t2480\tHello, wörld.\na.wav\t3661500\t3662255\ta b --> \"c\"\n";
    assert_eq!(at(Format::Tsv, Place::First), format!("file\tstart\tend\ttext\n{rows}"));
    assert_eq!(at(Format::Tsv, Place::Later), rows);
    for format in Format::ALL {
        assert_eq!(at(format, Place::Alone), written(format, &segments()));
    }
}

#[test]
fn a_run_that_fails_is_closed_with_what_was_heard() {
    let failed = |format: Format| {
        let (mut out, mut writer) = (Vec::new(), format.writer());
        writer.begin(&mut out, &Header::default()).unwrap();
        writer.segment(&mut out, &segment(0, 0.0, 2.0, " Turn off the")).unwrap();
        writer.fail(&mut out, &Summary { duration: 2.5, ..Summary::default() }, "the \"file\" ends early").unwrap();
        String::from_utf8(out).unwrap()
    };
    let json: serde_json::Value = serde_json::from_str(&failed(Format::Json)).unwrap();
    assert_eq!((&json["text"], &json["error"]), (&" Turn off the".into(), &"the \"file\" ends early".into()));
    assert_eq!((&json["duration"], json["segments"].as_array().unwrap().len()), (&2.5.into(), 1));
    // A cue that waited for the rest of its sentence.
    assert_eq!(failed(Format::Srt), "1\n00:00:00,000 --> 00:00:02,000\nTurn off the\n\n");
}

#[test]
fn jsonl() {
    let lines = written(Format::Jsonl, &segments());
    let lines: Vec<&str> = lines.lines().collect();
    assert_eq!(lines.len(), 2);
    let start = r#"{"file":"a.wav","id":0,"seek":0,"start":0.0,"end":2.48,"text":" Hello, wörld.","#;
    assert!(lines[0].starts_with(start), "{}", lines[0]);
    assert!(lines.iter().all(|line| serde_json::from_str::<serde_json::Value>(line).is_ok()));
}

#[test]
fn nothing_said() {
    assert_eq!(written(Format::Text, &[]), "");
    assert_eq!(written(Format::Jsonl, &[]), "");
    assert_eq!(written(Format::Srt, &[]), "");
    assert_eq!(written(Format::Vtt, &[]), "WEBVTT\n\n");
    assert_eq!(written(Format::Tsv, &[]), "start\tend\ttext\n");
}

#[test]
fn names() {
    for format in Format::ALL {
        assert_eq!(Format::from_name(format.name()), Some(format));
    }
    assert_eq!(Format::from_name("xml"), None);
}

/// Two channels: what the second says begins while the first speaks.
fn by_channel(format: Format) -> String {
    let mut writer = format.writer_with(WriterOptions { channels: 2, ..WriterOptions::default() });
    let mut out = Vec::new();
    writer.begin(&mut out, &Header { file: "call.wav".into(), ..Header::default() }).unwrap();
    for (channel, segment) in [
        (1, segment(0, 0.0, 2.0, " Hello there.")),
        (2, segment(1, 1.0, 3.0, " Good <morning>,")),
        (1, segment(2, 4.0, 6.0, " How are you?")),
        (2, segment(3, 6.5, 8.0, " Fine.")),
    ] {
        writer.channel(channel);
        writer.segment(&mut out, &segment).unwrap();
    }
    writer.warnings(&["a part is missing at 3.0 s".into()]);
    writer.end(&mut out, &Summary { duration: 9.0, ..Summary::default() }).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn channels_are_told_apart_in_every_format() {
    assert_eq!(by_channel(Format::Text), "1: Hello there.\n2: Good <morning>,\n1: How are you?\n2: Fine.\n");
    let tsv = "channel\tstart\tend\ttext\n1\t0\t2000\tHello there.\n2\t1000\t3000\tGood <morning>,\n";
    assert!(by_channel(Format::Tsv).starts_with(tsv));
    let srt = by_channel(Format::Srt);
    let starts: Vec<_> = srt.lines().filter_map(|line| line.split_once(" --> ")).map(|(start, _)| start).collect();
    assert!(starts.len() == 4 && starts.is_sorted(), "{srt}");
    assert!(srt.starts_with("1\n00:00:00,000 --> 00:00:02,000\n[1] Hello there.\n\n2\n00:00:01,000"), "{srt}");
    assert!(by_channel(Format::Vtt).contains("\n<v Channel 2>Good &lt;morning&gt;,\n"));
    let json: serde_json::Value = serde_json::from_str(&by_channel(Format::Json)).unwrap();
    let channels: Vec<_> = json["segments"].as_array().unwrap().iter().map(|segment| segment["channel"].as_u64()).collect();
    assert_eq!(channels, [Some(1), Some(2), Some(1), Some(2)]);
    assert_eq!(json["warnings"][0], "a part is missing at 3.0 s");
    assert!(by_channel(Format::Jsonl).lines().all(|line| line.contains("\"channel\":")));
}
