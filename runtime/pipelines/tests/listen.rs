//! Listening: every sample is in one utterance or in none, whatever the cut of the stream; nothing is allocated while it goes on.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::io::Cursor;
use std::path::Path;

use ossicle::audio::{AudioReader, Encoding, Pcm};
use ossicle::listen::{
    Boundary, EndpointConfig, Event, ListenError, Listener, Options, RecogniseError, Recogniser, Recognition, Segmenter, Trigger,
};
use ossicle_kernels::simd::Isa;
use proptest::prelude::*;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

/// Counts what the thread allocates.
struct Counting;

// SAFETY: every call goes to the system's allocator; counting touches no memory of its blocks.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller's promises are the system allocator's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(block, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Utterances as they were handed over, in place of text.
#[derive(Default)]
struct Heard {
    utterances: Vec<Vec<f32>>,
    partials: Vec<usize>,
}

impl Recogniser for &mut Heard {
    fn recognise(&mut self, samples: &[f32]) -> Result<Recognition, RecogniseError> {
        self.utterances.push(samples.to_vec());
        Ok(Recognition { text: format!("{} samples", samples.len()), ..Recognition::default() })
    }

    fn partial(&mut self, samples: &[f32]) -> Result<Option<String>, RecogniseError> {
        self.partials.push(samples.len());
        Ok(Some(format!("so far {}", samples.len())))
    }
}

fn speech() -> Vec<f32> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../samples/kitchen.wav");
    AudioReader::open(path).and_then(|mut reader| reader.read_to_end()).unwrap()
}

fn noise(seconds: f32) -> Vec<f32> {
    let mut state = 7u32;
    (0..(seconds * 16_000.0) as usize)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            ((state >> 8) as f32 / 8_388_608.0 - 1.0) * 0.001
        })
        .collect()
}

/// Three commands in a quiet room; where each of them lies.
fn scene() -> (Vec<f32>, Vec<(u64, u64)>) {
    let (mut scene, mut spoken) = (Vec::new(), Vec::new());
    for pause in [2.5, 1.3, 4.0] {
        scene.extend(noise(pause));
        spoken.push((scene.len() as u64, (scene.len() + speech().len()) as u64));
        scene.extend(speech());
    }
    scene.extend(noise(2.0));
    (scene, spoken)
}

/// Events of a stream that comes in chunks of these sizes, over and over.
fn listen(samples: &[f32], chunks: &[usize], options: Options, heard: &mut Heard) -> Vec<Event> {
    let mut listener = Listener::new(Isa::detect(), options, heard).unwrap();
    let (mut rest, mut events) = (samples, Vec::new());
    for &chunk in chunks.iter().cycle() {
        let (now, later) = rest.split_at(chunk.min(rest.len()));
        listener.push(now, &mut |event| events.push(event)).unwrap();
        rest = later;
        if rest.is_empty() {
            break;
        }
    }
    listener.finish(&mut |event| events.push(event)).unwrap();
    events
}

fn spans(events: &[Event]) -> Vec<(u64, u64)> {
    events.iter().filter_map(|event| if let Event::Final { start, end, .. } = event { Some((*start, *end)) } else { None }).collect()
}

#[test]
fn each_command_is_one_utterance_of_its_own_samples() {
    let (scene, spoken) = scene();
    let mut heard = Heard::default();
    let events = listen(&scene, &[1600], Options::default(), &mut heard);
    let found = spans(&events);
    assert_eq!(found.len(), spoken.len(), "{events:?}");
    for ((start, end), (from, to)) in found.iter().zip(&spoken) {
        // The recording has quiet margins of its own.
        assert!(start + 4800 >= *from && start <= &(from + 8000), "{start} of {from}");
        assert!(*end <= to + 8000 && end + 8000 >= *to, "{end} of {to}");
    }
    for (&(start, end), samples) in found.iter().zip(&heard.utterances) {
        assert!(samples == &scene[start as usize..end as usize], "the utterance at {start} has other samples");
    }
    let inside: u64 = found.iter().map(|(start, end)| end - start).sum();
    let end = Event::End { samples: scene.len() as u64, in_utterances: inside, utterances: 3 };
    assert_eq!(events.last(), Some(&end));
    assert_eq!(events.first(), Some(&Event::Listening { at: 0 }));
}

#[test]
fn what_happens_comes_in_order() {
    let mut stream = noise(2.5);
    stream.extend(speech());
    let mut heard = Heard::default();
    let options = Options { partial_every: Some(8000), ..Options::default() };
    let events = listen(&stream, &[999], options, &mut heard);
    let names: Vec<&str> = events
        .iter()
        .map(|event| match event {
            Event::Listening { .. } => "listening",
            Event::Speech { .. } => "speech",
            Event::Partial { .. } => "partial",
            Event::Thinking { .. } => "thinking",
            Event::Final { .. } => "final",
            Event::End { .. } => "end",
            other => panic!("{other:?}"),
        })
        .filter(|&name| name != "partial")
        .collect();
    assert_eq!(names, ["listening", "speech", "thinking", "final", "listening", "end"]);
    assert!(heard.partials.len() >= 3 && heard.partials.windows(2).all(|pair| pair[1] == pair[0] + 8000), "{:?}", heard.partials);
    // Passes agree on their first two words, and on no more.
    let stable: Vec<usize> =
        events.iter().filter_map(|event| if let Event::Partial { stable, .. } = event { Some(*stable) } else { None }).collect();
    assert!(stable[0] == 0 && stable[1..].iter().all(|&stable| stable == "so far".len()), "{stable:?}");
}

#[test]
fn a_listener_in_a_hurry_leaves_partial_texts_out() {
    let mut heard = Heard::default();
    let options = Options { partial_every: Some(8000), ..Options::default() };
    let mut listener = Listener::new(Isa::detect(), options, &mut heard).unwrap();
    listener.set_hurry(true);
    listener.push(&scene().0, &mut |_| {}).unwrap();
    assert!(heard.partials.is_empty() && heard.utterances.len() == 3);
}

#[test]
fn a_button_decides_alone() {
    let options =
        Options { trigger: Trigger::Button, endpoint: EndpointConfig { max_ms: 3000, ..EndpointConfig::default() }, ..Options::default() };
    let stream: Vec<f32> = (0..160_000).map(|n| n as f32 / 160_000.0).collect();
    let (mut heard, mut events) = (Heard::default(), Vec::new());
    let mut listener = Listener::new(Isa::detect(), options, &mut heard).unwrap();
    let mut note = |event| events.push(event);
    listener.push(&stream[..1000], &mut note).unwrap();
    listener.release(&mut note).unwrap();
    listener.press(&mut note).unwrap();
    listener.push(&stream[1000..20_001], &mut note).unwrap();
    listener.press(&mut note).unwrap();
    listener.release(&mut note).unwrap();
    listener.push(&stream[20_001..21_000], &mut note).unwrap();
    listener.press(&mut note).unwrap();
    listener.push(&stream[21_000..], &mut note).unwrap();
    listener.finish(&mut note).unwrap();
    // Nothing before the stream or the last release; cut after three seconds, as often as needed.
    let mut wanted = vec![(0, 20_001), (20_001, 68_001), (68_001, 116_001), (116_001, 160_000)];
    assert_eq!(spans(&events), wanted);
    wanted.retain(|&(start, end)| heard.utterances.iter().any(|samples| samples == &stream[start as usize..end as usize]));
    assert_eq!(wanted.len(), 4);
}

#[test]
fn other_rates_channels_and_levels_give_the_same_utterances() {
    let (scene, spoken) = scene();
    for (rate, channels, encoding, gain) in [
        (8_000, 1, Encoding::S16Le, 1.0),
        (44_100, 2, Encoding::F32Le, 1.0),
        (48_000, 1, Encoding::F32Le, 1.0),
        // Loud enough to be clipped, and rather quiet.
        (16_000, 1, Encoding::S16Le, 12.0),
        (16_000, 2, Encoding::S16Le, 0.1),
    ] {
        // The nearest sample is resampler enough to prepare the input.
        let frames = scene.len() as u64 * u64::from(rate) / 16_000;
        let bytes: Vec<u8> = (0..frames)
            .map(|n| scene[(n * 16_000 / u64::from(rate)) as usize] * gain)
            .flat_map(|x| std::iter::repeat_n(x, usize::from(channels)))
            .flat_map(|x| match encoding {
                Encoding::S16Le => ((x * 32_768.0).clamp(-32_768.0, 32_767.0) as i16).to_le_bytes().to_vec(),
                Encoding::F32Le => x.to_le_bytes().to_vec(),
                other => unreachable!("{other:?} is not among the cases"),
            })
            .collect();
        let mut reader = AudioReader::pcm(Cursor::new(bytes), Pcm { rate, channels, encoding }, Isa::detect()).unwrap();
        let samples = reader.read_to_end().unwrap();
        let found = spans(&listen(&samples, &[800], Options::default(), &mut Heard::default()));
        assert_eq!(found.len(), spoken.len(), "{rate} Hz, {channels} channels, times {gain}: {found:?}");
        for ((start, end), (from, to)) in found.iter().zip(&spoken) {
            assert!(start.abs_diff(*from) <= 9600 && end.abs_diff(*to) <= 9600, "{rate} Hz, times {gain}: {start}..{end} of {from}..{to}");
        }
    }
}

#[test]
fn silence_is_heard_to_its_end() {
    let events = listen(&[0.0; 100_001], &[333], Options::default(), &mut Heard::default());
    assert_eq!(events, [Event::Listening { at: 0 }, Event::End { samples: 100_001, in_utterances: 0, utterances: 0 }]);
}

#[test]
fn samples_that_are_not_numbers_are_refused() {
    let mut heard = Heard::default();
    let mut listener = Listener::new(Isa::detect(), Options::default(), &mut heard).unwrap();
    listener.push(&[0.0; 5000], &mut |_| {}).unwrap();
    for bad in [f32::NAN, f32::INFINITY, 1e30] {
        let error = listener.push(&[0.0, 0.0, bad], &mut |_| {}).unwrap_err();
        assert!(matches!(error, ListenError::BadSample { sample: 5002 }), "{error}");
    }
    // The refused chunk was not heard in part.
    listener.push(&[0.0; 10], &mut |_| {}).unwrap();
    let mut end = None;
    listener.finish(&mut |event| end = Some(event)).unwrap();
    assert_eq!(end, Some(Event::End { samples: 5010, in_utterances: 0, utterances: 0 }));

    let bytes: Vec<u8> = [0.0, f32::NAN].iter().flat_map(|x| x.to_le_bytes()).collect();
    let pcm = Pcm { rate: 16_000, channels: 1, encoding: Encoding::F32Le };
    assert!(AudioReader::pcm(Cursor::new(bytes), pcm, Isa::detect()).is_err());
}

#[test]
fn cutting_a_stream_allocates_nothing() {
    let (scene, _) = scene();
    for trigger in [Trigger::Voice, Trigger::Button] {
        let mut segmenter = Segmenter::new(Isa::detect(), trigger, EndpointConfig::default()).unwrap();
        let (before, mut ended) = (ALLOCATIONS.get(), 0);
        for _ in 0..20 {
            let mut rest = &scene[..];
            segmenter.press();
            loop {
                let progress = segmenter.push(&rest[..rest.len().min(1111)]);
                rest = &rest[progress.read..];
                match progress.boundary {
                    Some(Boundary::End { start, end }) => {
                        ended += 1;
                        assert_eq!(segmenter.samples(start, end).len() as u64, end - start);
                    }
                    Some(Boundary::Start { .. }) => {}
                    None if rest.is_empty() => break,
                    None => {}
                }
            }
            ended += usize::from(segmenter.release().is_some());
        }
        assert_eq!(ALLOCATIONS.get() - before, 0, "{trigger:?}");
        assert_eq!(ended, if trigger == Trigger::Voice { 60 } else { 20 }, "{trigger:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_stream_may_be_cut_anywhere(chunks in prop::collection::vec(1usize..5000, 1..30)) {
        let (scene, _) = scene();
        let options = Options { partial_every: Some(5003), ..Options::default() };
        let (mut one, mut other) = (Heard::default(), Heard::default());
        let wanted = listen(&scene, &[160], options, &mut one);
        prop_assert_eq!(listen(&scene, &chunks, options, &mut other), wanted);
        prop_assert!(one.utterances == other.utterances && one.partials == other.partials);
    }
}
