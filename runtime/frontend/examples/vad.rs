//! What the voice activity detector makes of 16 kHz mono signed 16-bit little-endian samples on standard input.
//!
//!     vad hops            for each 10 ms: power, whether the network ran (1 or 0), the probability of speech
//!     vad events [MS]     `start SAMPLE HEARD` and `end SAMPLE HEARD`, HEARD being the sample at which it was known; MS is the hangover
//!     vad rounds N        the input N times and nothing written: how much work it is

use std::error::Error;
use std::hint::black_box;
use std::io::{Read, Write};

use ossicle_frontend::endpoint::{Config, Endpointer, Event};
use ossicle_frontend::mel::HOP_SAMPLES;
use ossicle_frontend::samples::from_i16;
use ossicle_frontend::vad::Vad;
use ossicle_kernels::simd::Isa;

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let isa = match std::env::var("OSSICLE_ISA") {
        Ok(name) => Isa::from_name(&name).map_err(|error| format!("{name}: {error}"))?,
        Err(_) => Isa::detect(),
    };
    let mut bytes = Vec::new();
    std::io::stdin().read_to_end(&mut bytes)?;
    let pcm: Vec<i16> = bytes.as_chunks().0.iter().map(|&pair| i16::from_le_bytes(pair)).collect();
    let mut samples = vec![0.0; pcm.len()];
    from_i16(&pcm, &mut samples);

    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    let mut vad = Box::new(Vad::new(isa));
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["hops"] => {
            let mut lines = Ok(());
            vad.push(&samples, |hop| {
                if lines.is_ok() {
                    lines = writeln!(out, "{} {} {}", hop.power, u8::from(hop.awake), hop.probability);
                }
            });
            lines?;
        }
        ["events", ref hangover @ ..] => {
            let mut config = Config::default();
            if let Some(ms) = hangover.first() {
                config.hangover_ms = ms.parse()?;
            }
            let mut endpointer = Endpointer::new(config)?;
            for (count, hop) in samples.chunks(HOP_SAMPLES).enumerate() {
                let mut events = ossicle_frontend::endpoint::Events::new();
                vad.push(hop, |activity| events = endpointer.push(activity.probability));
                for event in events {
                    print(&mut out, event, (count + 1) * HOP_SAMPLES)?;
                }
            }
            if let Some(event) = endpointer.finish(samples.len() as u64) {
                print(&mut out, event, samples.len())?;
            }
        }
        ["rounds", count] => {
            for _ in 0..count.parse()? {
                vad.push(black_box(&samples), |activity| {
                    black_box(activity);
                });
            }
        }
        _ => return Err("usage: vad hops | events [MS] | rounds N".into()),
    }
    Ok(())
}

fn print(out: &mut impl Write, event: Event, heard: usize) -> std::io::Result<()> {
    match event {
        Event::SpeechStart { sample } => writeln!(out, "start {sample} {heard}"),
        Event::SpeechEnd { sample } => writeln!(out, "end {sample} {heard}"),
    }
}
