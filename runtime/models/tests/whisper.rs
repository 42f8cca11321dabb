//! The real model, if it is there: bits, allocations and refusals.

mod counting;

use std::path::Path;
use std::sync::Arc;

use counting::allocations;
use ossicle_kernels::simd::Isa;
use ossicle_models::GraphError;
use ossicle_models::folder::{ModelFolder, WhisperConfig};
use ossicle_models::whisper::{Branch, LANE_TOKENS, LogitsFor, Options, WhisperGraph};
use ossicle_trace::{Header, Tap, Trace, Writer, WriterOptions};

const MELS: usize = 80;

fn folder() -> Arc<ModelFolder<WhisperConfig>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models-int8/whisper-tiny.en");
    ModelFolder::open(&path).expect("the bundled model")
}

/// A deterministic stand-in for a normalised log-mel spectrogram.
fn mel(frames: usize) -> Vec<f32> {
    (0..frames * MELS).map(|i| ((i * i % 8191) as f32 / 8191.0) * 2.0 - 1.0 - ((i % MELS) as f32 / 200.0)).collect()
}

fn run(isa: Isa, threads: usize, frames: usize) -> (Vec<u32>, Vec<u32>) {
    let mut whisper = WhisperGraph::new(folder(), Options { isa, threads }).expect("graph");
    whisper.encode(&mel(frames), frames).expect("encode");
    let bits = |x: &[f32]| x.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
    let output = bits(whisper.encoder_output());
    let mut logits = bits(whisper.decode(&[50257, 50362], LogitsFor::FirstAndLast).expect("prompt"));
    for token in [843, 523, 616] {
        logits.extend(bits(whisper.decode(&[token], LogitsFor::Last).expect("token")));
    }
    (output, logits)
}

/// The trace of a long window, a shorter one whose last blocks are partly those of the longer, and some text.
fn trace(isa: Isa, threads: usize) -> Trace {
    let mut whisper = WhisperGraph::new(folder(), Options { isa, threads }).expect("graph");
    let writer = Arc::new(Writer::new(Vec::new(), &Header::default(), WriterOptions::default()).expect("memory"));
    whisper.set_tap(Some(writer.clone()));
    for frames in [230, 196] {
        whisper.encode(&mel(frames), frames).expect("encode");
        whisper.decode(&[50257, 50362], LogitsFor::FirstAndLast).expect("prompt");
        whisper.decode(&[843], LogitsFor::Last).expect("token");
    }
    whisper.align(&[50257, 50362, 843], &[(1, 0)]).expect("alignment");
    whisper.head_weights(0, &mut vec![0.0; 3 * 98]).expect("weights");
    whisper.set_tap(None);
    let writer = Arc::into_inner(writer).expect("the only handle");
    Trace::read(&writer.finish().expect("memory")[..], None).expect("a trace")
}

/// Every tensor has the same digest everywhere, and each of the graph's operators is among them.
fn traces_agree() {
    let reference = trace(Isa::from_name("scalar").expect("scalar"), 1);
    for isa in Isa::available() {
        for threads in [1, 2, 3] {
            let other = trace(isa, threads);
            assert_eq!(other.steps, reference.steps);
            assert_eq!(other.descriptors, reference.descriptors);
            let differing = other.records.iter().zip(&reference.records).find(|(a, b)| a != b);
            let name = differing.map(|(record, _)| other.descriptor(record).to_string());
            assert!(name.is_none(), "{name:?} with {isa}, {threads} threads");
            assert_eq!(other.records.len(), reference.records.len());
        }
    }
    // Padding left by the longer window would show here: a run without one before it has the same digests.
    let mut whisper = WhisperGraph::new(folder(), Options { isa: Isa::detect(), threads: 1 }).expect("graph");
    let writer = Arc::new(Writer::new(Vec::new(), &Header::default(), WriterOptions::default()).expect("memory"));
    whisper.set_tap(Some(writer.clone()));
    whisper.encode(&mel(196), 196).expect("encode");
    whisper.decode(&[50257, 50362], LogitsFor::FirstAndLast).expect("prompt");
    drop(whisper);
    let alone = Trace::read(&Arc::into_inner(writer).expect("the only handle").finish().expect("memory")[..], None).expect("a trace");
    let second = reference.steps.iter().filter(|step| step.stage == "encoder").nth(1).expect("two windows").first;
    for (i, record) in alone.records.iter().enumerate() {
        let other = &reference.records[second + i];
        assert_eq!(alone.descriptor(record), reference.descriptor(other));
        assert_eq!(record.digest, other.digest, "{}", alone.descriptor(record));
    }
    assert_eq!(alone.records.len(), reference.steps.iter().filter(|step| step.first > second).nth(1).expect("a token").first - second);
    for op in ["encoder.conv", "encoder.layers.3.ffn", "encoder.layer_norm", "decoder.layers.3.encoder_attn.kv", "decoder.align"] {
        assert!(reference.descriptors.iter().any(|d| d.op == op), "{op} is not traced");
    }
}

/// Lanes that part, die out and multiply give the logits that each text has by itself.
fn lanes_agree(whisper: &mut WhisperGraph) {
    let text = [50257, 50362, 843, 1, 5, 9, 30];
    let lane = Branch::Lane;
    let of_text = Branch::Text;
    // Each round: what a lane continues, and with what token.
    let rounds: [&[(Branch, u32)]; 7] = [
        &[(of_text(2), 843)],
        &[(lane(0), 1), (lane(0), 2), (of_text(3), 3), (lane(0), 4)],
        &[(lane(3), 9), (of_text(4), 9), (lane(1), 8)],
        &[(lane(2), 7), (lane(2), 6), (lane(0), 7), (lane(2), 5), (lane(1), 2)],
        &[(of_text(6), 11), (lane(0), 12), (of_text(6), 12)],
        // Lanes that nobody continues are gone, whatever the length of the next.
        &[(of_text(3), 6), (of_text(3), 7)],
        &[(lane(1), 8), (lane(0), 8)],
    ];
    whisper.rewind(0);
    whisper.decode(&text[..2], LogitsFor::Last).expect("prompt");
    whisper.start_lanes();
    let mut of_texts: Vec<Vec<f32>> = vec![];
    for &token in &text[2..] {
        of_texts.push(whisper.decode(&[token], LogitsFor::Last).expect("text").to_vec());
    }
    for (tokens, own) in (3..).zip(&of_texts) {
        let mut all = vec![];
        whisper.lane_vocabulary(of_text(tokens), &mut all).expect("all logits");
        assert!(all == *own, "the text's row {tokens} gives other logits later");
    }
    let mut texts: Vec<Vec<u32>> = vec![];
    let mut found = vec![];
    let some = [0, 1, 15, 16, 843, 25_000, 50_256, 51_863];
    for round in rounds {
        let (branches, tokens): (Vec<Branch>, Vec<u32>) = round.iter().copied().unzip();
        whisper.decode_lanes(&branches, &tokens).expect("lanes");
        let before = |branch| match branch {
            Branch::Text(tokens) => &text[..tokens],
            Branch::Lane(lane) => &texts[lane],
        };
        texts = round.iter().map(|&(branch, token)| [before(branch), &[token][..]].concat()).collect();
        let (mut all, mut few) = (vec![], [0.0; 8]);
        for (index, text) in texts.iter().enumerate() {
            whisper.lane_vocabulary(lane(index), &mut all).expect("all logits");
            whisper.lane_logits(lane(index), &some, &mut few).expect("some logits");
            assert!(some.iter().zip(few).all(|(&token, logit)| all[token as usize].to_bits() == logit.to_bits()), "lane {index}");
            found.push((text.clone(), all.clone()));
        }
    }
    let size = |result: Result<(), GraphError>| matches!(result, Err(GraphError::Size { .. }));
    assert!(size(whisper.decode_lanes(&[lane(2)], &[1])), "there are two lanes");
    assert!(size(whisper.decode_lanes(&[lane(0); 9], &[1; 9])) && size(whisper.decode_lanes(&[], &[])));
    assert!(size(whisper.decode_lanes(&[lane(0)], &[51_864])) && size(whisper.lane_logits(lane(2), &[1], &mut [0.0])));
    assert!(size(whisper.lane_logits(lane(0), &[1, 51_864], &mut [0.0; 2])) && size(whisper.lane_logits(lane(0), &[1], &mut [])));
    assert!(size(whisper.decode_lanes(&[lane(0), of_text(4)], &[1, 1])), "they have five tokens");
    for tokens in [0, 8] {
        assert!(size(whisper.decode_lanes(&[of_text(tokens)], &[1])) && size(whisper.lane_logits(of_text(tokens), &[1], &mut [0.0])));
    }
    assert!(size(whisper.lane_logits(of_text(2), &[1], &mut [0.0])), "the prompt was before the lanes");
    whisper.rewind(5);
    whisper.decode(&[1, 2], LogitsFor::None).expect("a text without logits");
    assert!(size(whisper.lane_logits(of_text(6), &[1], &mut [0.0])), "this row is of a text that is gone");
    whisper.lane_logits(of_text(5), &[1], &mut [0.0]).expect("this one is still there");
    for (text, of_lane) in found {
        whisper.rewind(0);
        assert!(whisper.decode(&text, LogitsFor::Last).expect("text") == of_lane, "a lane differs from its text {text:?}");
    }
    whisper.rewind(0);
    whisper.decode(&[1; LANE_TOKENS], LogitsFor::None).expect("a long text");
    assert!(size(whisper.decode_lanes(&[of_text(LANE_TOKENS)], &[1])), "no room in a lane");
    whisper.decode_lanes(&[of_text(LANE_TOKENS - 1)], &[1]).expect("room for one more");
}

// No test harness: the allocation count is the whole process's.
fn main() {
    // Emulated cores take minutes for what others do in seconds.
    let quick = std::env::var_os("OSSICLE_QUICK").is_some();
    // Bits. A short window keeps the scalar twin's time in bounds; 98 and 34 positions leave a partial block of every kind.
    let short = if quick { 68 } else { 196 };
    let reference = run(Isa::from_name("scalar").expect("scalar"), 1, short);
    for isa in Isa::available() {
        // The scalar twin is slow, and with one thread it is the reference.
        for threads in if isa.name() == "scalar" { 3..=3 } else { 1..=3 } {
            assert!(run(isa, threads, short) == reference, "{isa} with {threads} threads differs from scalar");
        }
    }
    traces_agree();
    let fast = Isa::detect();
    let frames = if quick { 600 } else { 3000 };
    let long = run(fast, 1, frames);
    assert!(run(fast, 2, frames) == long, "two threads differ on {frames} frames");

    for threads in [1, 2] {
        let options = Options { isa: fast, threads };
        let mut whisper = WhisperGraph::new(folder(), options).expect("graph");
        let (frames, tokens) = if quick { (200, 10) } else { (1000, 40) };
        let mel = mel(frames);
        let (text, mut weights): (Vec<u32>, _) = ((100..131).collect(), vec![0.0; 31 * frames / 2]);
        let mut three = [0.0; 3];
        let mut round = |whisper: &mut WhisperGraph| {
            whisper.encode(&mel, frames).expect("encode");
            whisper.decode(&[50257, 50257, 50257, 50362], LogitsFor::FirstAndLast).expect("prompt");
            whisper.rewind(1);
            whisper.decode(&[50257, 50257, 50362], LogitsFor::Last).expect("the rest of a prompt");
            for token in 0..tokens {
                whisper.decode(&[token], LogitsFor::Last).expect("token");
            }
            whisper.align(&text, &[(2, 1), (3, 5)]).expect("alignment");
            whisper.head_weights(1, &mut weights).expect("weights");
            whisper.start_lanes();
            whisper.decode(&[8], LogitsFor::Last).expect("token");
            let mut branch = Branch::Text(text.len());
            for tokens in [&[1, 2, 3][..], &[4, 5, 6], &[7]] {
                whisper.decode_lanes(&[branch; 3][..tokens.len()], tokens).expect("lanes");
                branch = Branch::Lane(0);
                whisper.lane_logits(branch, tokens, &mut three[..tokens.len()]).expect("logits");
                whisper.lane_logits(Branch::Text(text.len() + 1), tokens, &mut three[..tokens.len()]).expect("logits");
            }
        };
        // While a trace is written as well: its buffers are there after the first round.
        for traced in [false, true] {
            let writer = Writer::new(std::io::sink(), &Header::default(), WriterOptions::default()).expect("sink");
            whisper.set_tap(traced.then(|| Arc::new(writer) as Arc<dyn Tap>));
            round(&mut whisper);
            let before = allocations();
            round(&mut whisper);
            let made = allocations() - before;
            assert_eq!(made, 0, "allocations in the steady state, {threads} threads, traced: {traced}");
        }
        whisper.set_tap(None);
        let planned =
            WhisperGraph::memory_plan(&folder(), options, frames / 2).expect("a plan").buffers + WhisperGraph::lane_bytes(&folder());
        assert!(whisper.buffer_bytes() <= planned, "{} bytes of slots, {planned} planned", whisper.buffer_bytes());
    }

    // Prefill in one piece, in two, and token by token is the same text.
    let mut whisper = WhisperGraph::new(folder(), Options { isa: fast, threads: 1 }).expect("graph");
    whisper.encode(&mel(400), 400).expect("encode");
    let tokens: Vec<u32> = (0..20).map(|i| 1000 + 7 * i).collect();
    let whole = whisper.decode(&tokens, LogitsFor::Last).expect("prefill").to_vec();
    assert_eq!(whisper.position(), 20);
    whisper.rewind(0);
    let mut last = vec![];
    for token in &tokens {
        last = whisper.decode(&[*token], LogitsFor::Last).expect("token").to_vec();
    }
    assert!(whole == last, "prefill differs from single tokens");

    // The logits of two tokens at once are those of one after the other.
    whisper.rewind(0);
    let both = whisper.decode(&tokens[..4], LogitsFor::FirstAndLast).expect("two rows").to_vec();
    whisper.rewind(0);
    let first = whisper.decode(&tokens[..1], LogitsFor::FirstAndLast).expect("one row").to_vec();
    let fourth = whisper.decode(&tokens[1..4], LogitsFor::Last).expect("the last row").to_vec();
    assert!(both == [first, fourth].concat(), "two rows at once differ from one after the other");

    lanes_agree(&mut whisper);

    // Alignment: distributions over the positions, the same whatever was decoded afterwards.
    let heads = [(1, 0), (3, 4), (3, 0)];
    whisper.align(&tokens, &heads).expect("alignment");
    let mut weights = vec![0.0; 20 * 200];
    let mut seen = vec![];
    for index in 0..heads.len() {
        whisper.head_weights(index, &mut weights).expect("weights");
        for row in weights.chunks(200) {
            assert!((row.iter().sum::<f32>() - 1.0).abs() < 1e-4, "probabilities sum to {}", row.iter().sum::<f32>());
        }
        seen.push(weights.clone());
    }
    assert!(seen[0] != seen[1] && seen[1] != seen[2]);
    whisper.rewind(3);
    whisper.decode(&[4, 5, 6], LogitsFor::Last).expect("more text");
    whisper.head_weights(1, &mut weights).expect("weights");
    assert!(weights == seen[1], "text after the alignment changed it");

    // Refusals.
    let size = |result: Result<(), GraphError>| matches!(result, Err(GraphError::Size { .. }));
    for frames in [0, 3, 3002] {
        assert!(size(whisper.encode(&vec![0.0; frames * MELS], frames)), "{frames} frames");
    }
    assert!(size(whisper.encode(&[0.0; 7], 2)));
    for tokens in [&[][..], &[51864], &[0; 449]] {
        assert!(size(whisper.decode(tokens, LogitsFor::Last).map(|_| ())), "{} tokens", tokens.len());
    }
    assert!(size(whisper.align(&[1], &[(4, 0)])));
    assert!(size(whisper.head_weights(3, &mut weights)) && size(whisper.head_weights(0, &mut weights[1..])));
    assert!(size(whisper.align(&[0; 449], &heads)));
    assert!(size(whisper.head_weights(0, &mut weights)), "weights after an alignment that failed");
    let mut fresh = WhisperGraph::new(folder(), Options { isa: fast, threads: 1 }).expect("graph");
    assert!(size(fresh.decode(&[1], LogitsFor::Last).map(|_| ())), "decoding before encoding");
}
