//! Recognises one command over and over, so that its executed instructions can be counted as the difference of two runs:
//! `command MODEL PACK RECORDING ROUNDS`, on the instruction set of `OSSICLE_ISA` or the best of the CPU, one thread.

use std::error::Error;
use std::path::Path;

use ossicle::audio::AudioReader;
use ossicle::command::recogniser::{CommandOptions, Recogniser};
use ossicle::command::set::CommandSet;
use ossicle::whisper::transcriber::{Options, Transcriber};
use ossicle::whisper::transcript::Stats;
use ossicle_kernels::simd::Isa;
use ossicle_sentences::{Grammar, pack};

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [model, name, recording, rounds] = args.as_slice() else { return Err("usage: command MODEL PACK RECORDING ROUNDS".into()) };
    let isa = match std::env::var("OSSICLE_ISA") {
        Ok(name) => Isa::from_name(&name).map_err(|error| format!("{name}: {error}"))?,
        Err(_) => Isa::detect(),
    };
    let mut transcriber = Transcriber::open_folder(model.as_ref(), Options { isa, threads: 1 })?;
    let pipeline = transcriber.pipeline();
    let grammar = Grammar::parse(name, pack(name).ok_or("no such pack")?.text)?;
    let eot = pipeline.specials().eot;
    let mut recogniser = Recogniser::new(CommandSet::new(grammar, pipeline.tokenizer()?, eot)?);
    let mut reader = AudioReader::open_with(Path::new(recording), isa)?;
    let mut samples = vec![0.0; 30 * 16_000];
    let mut len = 0;
    loop {
        match reader.read(&mut samples[len..])? {
            0 => break,
            read => len += read,
        }
    }
    let mut found = String::new();
    for _ in 0..rounds.parse()? {
        let recognised = recogniser.recognise(pipeline, &samples[..len], &CommandOptions::default())?;
        let Stats { decoder_steps, search_tokens, .. } = recognised.stats;
        let text = recognised.command.map_or_else(|| "none".into(), |command| command.text);
        found = format!("{:.2} {decoder_steps} {search_tokens} {text}", len as f64 / 16_000.0);
    }
    println!("{} {found}", isa.name());
    Ok(())
}
