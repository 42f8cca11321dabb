//! What a transcription allocates never exceeds its plan, counted by the allocator: true as well on emulated cores, where resident memory is
//! the emulator's. (`runtime/cli/tests/memory.rs` compares the plan with the resident memory of the whole program.)

use std::alloc::{GlobalAlloc, Layout, System};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use ossicle::audio::AudioReader;
use ossicle::source::{SampleSource, SourceError};
use ossicle::whisper::memory::{Memory, Request};
use ossicle::whisper::options::TranscribeOptions;
use ossicle::whisper::transcriber::{Options, Transcriber};
use ossicle_frontend::mel::WINDOW_FRAMES;
use ossicle_kernels::simd::Isa;
use ossicle_models::folder::ModelFolder;

static NOW: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

struct Counting;

// SAFETY: every call goes to the system's allocator; counting touches no memory of its blocks.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let now = NOW.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        PEAK.fetch_max(now, Ordering::Relaxed);
        // SAFETY: the caller's promises are the system allocator's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        NOW.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: as above.
        unsafe { System.dealloc(block, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// A recording again and again.
struct Repeated<'a> {
    recording: &'a [f32],
    at: usize,
    left: usize,
}

impl SampleSource for Repeated<'_> {
    fn read(&mut self, out: &mut [f32]) -> Result<usize, SourceError> {
        let n = out.len().min(self.left).min(self.recording.len() - self.at);
        out[..n].copy_from_slice(&self.recording[self.at..][..n]);
        self.at = (self.at + n) % self.recording.len();
        self.left -= n;
        Ok(n)
    }
}

// One test: the counters are the process's.
#[test]
fn the_heap_stays_below_the_plan() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let recording = AudioReader::open(root.join("samples/kitchen.wav")).and_then(|mut reader| reader.read_to_end());
    let recording = recording.expect("the sample");
    // Emulated cores take minutes for longer ones.
    let lengths: &[usize] = if std::env::var_os("OSSICLE_QUICK").is_some() { &[1, 3] } else { &[1, 3, 11, 30, 70] };
    let models = ["whisper-tiny.en", "whisper-base"].map(|name| root.join("models-int8").join(name));
    for model in models {
        if !model.join("model.safetensors").exists() {
            assert!(model.ends_with("whisper-base"), "{} belongs to the repository and is absent", model.display());
            eprintln!("SKIPPED: {} is absent (cargo xtask models makes it)", model.display());
            continue;
        }
        for (&seconds, words) in lengths.iter().flat_map(|seconds| [(seconds, false), (seconds, true)]) {
            let options = Options { isa: Isa::detect(), threads: 2 };
            let graph = ossicle_models::whisper::Options { isa: options.isa, threads: options.threads };
            let before = NOW.load(Ordering::Relaxed);
            PEAK.store(before, Ordering::Relaxed);
            {
                let mut transcriber = Transcriber::open_folder(&model, options).expect("the model");
                let wanted = TranscribeOptions { word_timestamps: words, ..TranscribeOptions::default() };
                let mut source = Repeated { recording: &recording, at: 0, left: 16_000 * seconds };
                transcriber.transcribe_source(&mut source, &wanted, &mut |_| {}).expect("transcription");
            }
            let peak = PEAK.load(Ordering::Relaxed) - before;
            let folder = ModelFolder::open(&model).expect("the model's folder");
            let plan = Memory::plan(&folder, Request { options: graph, frames: WINDOW_FRAMES, words, lanes: false, others: 0, program: 0 })
                .expect("a plan");
            // Weights are mapped, and stacks are not the allocator's.
            let planned = plan.total() - plan.network.weights - plan.stacks;
            let case = format!("{}, {seconds} s, words {words}: {peak} bytes of {planned} planned", model.display());
            assert!(peak <= planned, "{case}");
            assert!(seconds < 30 || 2 * peak > planned, "the plan is far off: {case}");
        }
    }
}
