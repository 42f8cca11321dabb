//! Runs one probe over and over, so that its executed instructions can be counted as the difference of two runs:
//! `ossicle-units PROBE ROUNDS`, on the instruction set of `OSSICLE_ISA` or the best of the CPU. Prints the instruction set; without
//! arguments the names of all probes.

#![forbid(unsafe_code)]

use std::error::Error;

use ossicle_kernels::simd::Isa;

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [name, rounds] = args.as_slice() else {
        println!("{}", ossicle_units::NAMES.join("\n"));
        return Ok(());
    };
    let isa = match std::env::var("OSSICLE_ISA") {
        Ok(name) => Isa::from_name(&name).map_err(|error| format!("{name}: {error}"))?,
        Err(_) => Isa::detect(),
    };
    let rounds: usize = rounds.parse()?;
    let mut probe = ossicle_units::probe(name, isa).ok_or_else(|| format!("{name}: no such probe"))?;
    for _ in 0..rounds {
        probe();
    }
    println!("{}", isa.name());
    Ok(())
}
