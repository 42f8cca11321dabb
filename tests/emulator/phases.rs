//! Runs one phase of a transcription over and over, so that its executed instructions can be counted as the difference of two runs:
//! `phases MODEL mel|encoder|prefill|token ROUNDS [SECONDS]`, on the instruction set of `OSSICLE_ISA` or the best of the CPU, one thread.
//!
//! The input is noise: no kernel's work depends on the values. A token is decoded with 16 tokens before it.

use std::error::Error;
use std::hint::black_box;

use ossicle_frontend::mel::{LogMel, MelScratch};
use ossicle_kernels::simd::Isa;
use ossicle_models::folder::ModelFolder;
use ossicle_models::whisper::{LogitsFor, Options, WhisperGraph};

const PROMPT: [u32; 2] = [50257, 50362];
const TEXT: [u32; 14] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14];

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [model, phase, rounds, rest @ ..] = args.as_slice() else { return Err("usage: phases MODEL PHASE ROUNDS [SECONDS]".into()) };
    let rounds: usize = rounds.parse()?;
    let seconds: usize = rest.first().map_or(Ok(30), |seconds| seconds.parse())?;
    let isa = match std::env::var("OSSICLE_ISA") {
        Ok(name) => Isa::from_name(&name).map_err(|error| format!("{name}: {error}"))?,
        Err(_) => Isa::detect(),
    };
    let mut graph = WhisperGraph::new(ModelFolder::open(model.as_ref())?, Options { isa, threads: 1 })?;
    let (frames, bins) = (100 * seconds, graph.config().num_mel_bins);
    let mut state = 1u32;
    let samples: Vec<f32> = (0..160 * frames)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / 16_777_216.0 - 0.5
        })
        .collect();
    let log_mel = LogMel::new(isa, bins).map_err(|error| format!("{error:?}"))?;
    let mut scratch = Box::<MelScratch>::default();
    let mut mel = vec![0.0; frames * bins];
    let mel_rounds = if phase == "mel" { rounds } else { 1 };
    for _ in 0..mel_rounds {
        log_mel.window(black_box(&samples), 0, &mut mel, &mut scratch).map_err(|error| format!("{error:?}"))?;
    }
    let encoder_rounds = if phase == "encoder" { rounds } else { 1 };
    for _ in 0..encoder_rounds {
        graph.encode(black_box(&mel), frames)?;
    }
    match phase.as_str() {
        "mel" | "encoder" => {}
        "prefill" => {
            for _ in 0..rounds {
                graph.rewind(0);
                black_box(graph.decode(&PROMPT, LogitsFor::Last)?);
            }
        }
        "token" => {
            graph.decode(&PROMPT, LogitsFor::None)?;
            graph.decode(&TEXT, LogitsFor::None)?;
            for _ in 0..rounds {
                graph.rewind(16);
                black_box(graph.decode(&[15], LogitsFor::Last)?);
            }
        }
        other => return Err(format!("{other}: a phase is mel, encoder, prefill or token").into()),
    }
    println!("{}", isa.name());
    Ok(())
}
