//! What the kernels' units of work cost on a board.
//!
//! Either measured in cycles on the core itself (`boards/costs/CORE.toml`, written by `ossicle-sim calibrate`), or instructions counted on an
//! emulated core (`instructions.toml`, written by `cargo xtask units`) times cycles per instruction (`cores.toml`).

use std::collections::BTreeMap;
use std::path::Path;

use include_dir::{Dir, include_dir};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::BoardError;
use crate::profile::{Profile, describe};

static COSTS: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/costs");

/// Names each unit once, with what its instructions cost: as products, or as anything else.
macro_rules! units {
    ($($unit:ident: $kind:ident,)*) => {
        /// An amount for each unit of work; the crate `ossicle-units` says what the units are.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
        #[serde(deny_unknown_fields)]
        #[allow(missing_docs)]
        pub struct Units {
            $(pub $unit: f64,)*
        }

        impl Units {
            fn combine(&self, other: &Self, f: impl Fn(f64, f64) -> f64) -> Self {
                Self { $($unit: f(self.$unit, other.$unit),)* }
            }

            fn values(&self) -> impl Iterator<Item = f64> {
                [$(self.$unit),*].into_iter()
            }

            /// Instructions to cycles.
            fn with_cpi(&self, cpi: &Cpi) -> Self {
                Self { $($unit: self.$unit * cpi.$kind,)* }
            }
        }
    };
}

units! {
    mac: products,
    store: other,
    gelu: other,
    vector_mac: products,
    float_mac: other,
    filter_mac: other,
    quantize: other,
    normalize: other,
    head: other,
    pack: other,
    score: products,
    vector_score: products,
    causal_score: other,
    frame: other,
    logit: other,
}

impl Units {
    /// The sum of `self` times `other`, unit by unit: of work times costs, the cost.
    pub fn dot(&self, other: &Self) -> f64 {
        self.combine(other, |a, b| a * b).values().sum()
    }

    /// The sum, unit by unit.
    #[must_use]
    pub fn plus(&self, other: &Self) -> Self {
        self.combine(other, |a, b| a + b)
    }
}

/// Cycles per instruction of a core with one instruction set.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Cpi {
    /// Integer products, and the encoder's and cross attention.
    products: f64,
    /// Everything else.
    other: f64,
    /// By which part predicted times may be off.
    error: f64,
}

/// Measured on the core itself.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Measured {
    /// What one core reads from a working set of so many MiB, in 10^9 bytes a second; sets grow.
    bandwidth: Vec<(f64, f64)>,
    /// By which part predicted times may be off.
    error: f64,
    cycles: Units,
}

/// Costs on a core.
#[derive(Clone, Debug, PartialEq)]
pub struct Costs {
    /// The instruction set they hold for.
    pub isa: &'static str,
    /// Cycles of each unit.
    pub cycles: Units,
    /// Instructions of each unit, where the cycles come from those.
    pub instructions: Option<Units>,
    /// What one core reads from a working set of so many MiB, in 10^9 bytes a second; sets grow, and there is at least one.
    pub bandwidth: Vec<(f64, f64)>,
    /// By which part predicted times may be off.
    pub error: f64,
    /// Where the figures come from, in a few words.
    pub basis: &'static str,
}

impl Costs {
    /// What one core reads from a working set of `bytes`, in 10^9 bytes a second: between two measured sets by the logarithm of their size.
    pub fn gb_per_s(&self, bytes: f64) -> f64 {
        let mib = bytes / 1_048_576.0;
        let after = self.bandwidth.partition_point(|&(size, _)| size < mib);
        let (Some(&low), Some(&high)) = (self.bandwidth[..after].last(), self.bandwidth.get(after)) else {
            // Outside the measured sets the nearest one counts.
            return self.bandwidth[after.min(self.bandwidth.len() - 1)].1;
        };
        let part = (mib / low.0).ln() / (high.0 / low.0).ln();
        low.1 + part * (high.1 - low.1)
    }
}

/// The instruction set that the kernels take on a board.
pub fn isa(profile: &Profile) -> &'static str {
    let has = |feature: &str| profile.cpu.features.iter().any(|name| name == feature);
    match profile.arch.as_str() {
        "aarch64" if has("i8mm") && has("asimddp") => "i8mm",
        "aarch64" if has("asimddp") => "dotprod",
        "aarch64" => "neon",
        _ if has("avx512_vnni") => "avx512vnni",
        _ if has("avx2") => "avx2",
        _ => "scalar",
    }
}

/// Costs on a board, measured ones first.
///
/// # Errors
/// If a file of costs is malformed, or says nothing about this core.
pub fn costs(profile: &Profile) -> Result<Costs, BoardError> {
    let (core, isa) = (profile.cpu.core.as_str(), isa(profile));
    let own = format!("{core}.toml");
    if let Some(measured) = read::<BTreeMap<String, Measured>>(&own)?.and_then(|mut file| file.remove(isa)) {
        if measured.bandwidth.is_empty() || !measured.bandwidth.is_sorted_by(|a, b| a.0 < b.0) {
            let problem = format!("{isa}.bandwidth should be a list of [MiB, GB/s] with growing MiB");
            return Err(BoardError::Malformed { path: Path::new(&own).to_owned(), problem });
        }
        return Ok(Costs {
            isa,
            cycles: measured.cycles,
            instructions: None,
            bandwidth: measured.bandwidth,
            error: measured.error,
            basis: "kernels measured on this core",
        });
    }
    let cpi = read::<BTreeMap<String, BTreeMap<String, Cpi>>>("cores.toml")?.and_then(|cores| cores.get(core)?.get(isa).copied());
    let instructions = read::<BTreeMap<String, Units>>("instructions.toml")?.and_then(|sets| sets.get(isa).copied());
    let (Some(cpi), Some(instructions)) = (cpi, instructions) else {
        let problem = format!("no costs of {isa} on {core}: measure them with ossicle-sim calibrate on the board, or add the core");
        return Err(BoardError::Malformed { path: Path::new("cores.toml").to_owned(), problem });
    };
    Ok(Costs {
        isa,
        cycles: instructions.with_cpi(&cpi),
        instructions: Some(instructions),
        bandwidth: vec![(1.0, profile.memory.stream_gb_per_s)],
        error: cpi.error,
        basis: "instructions counted on an emulated core, cycles per instruction from models; never compared with a board",
    })
}

/// A built-in file of costs, if there is one.
fn read<T: DeserializeOwned>(name: &str) -> Result<Option<T>, BoardError> {
    let Some(text) = COSTS.get_file(name).and_then(|file| file.contents_utf8()) else { return Ok(None) };
    let malformed = |error| BoardError::Malformed { path: Path::new(name).to_owned(), problem: describe(text, &error) };
    toml::from_str(text).map(Some).map_err(malformed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog;

    #[test]
    fn every_board_has_costs() {
        for (name, profile) in catalog::all().unwrap() {
            let costs = costs(&profile).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert!(costs.cycles.values().all(|cycles| (0.0..1e6).contains(&cycles)), "{name}: {costs:?}");
            assert!(costs.cycles.mac > 0.0 && (0.01..1.0).contains(&costs.error), "{name}: {costs:?}");
        }
    }

    #[test]
    fn an_unknown_core_is_said() {
        let mut profile = catalog::find("pi4").unwrap();
        profile.cpu.core = "cortex-m0".into();
        let error = costs(&profile).unwrap_err().to_string();
        assert!(error.contains("no costs of neon on cortex-m0"), "{error}");
    }

    #[test]
    fn bandwidth_lies_between_the_sets_measured() {
        let mut costs = costs(&catalog::find("pi4").unwrap()).unwrap();
        assert_eq!(costs.gb_per_s(1e9), 5.5);
        costs.bandwidth = vec![(1.0, 100.0), (4.0, 50.0)];
        let rates = [0.5, 1.0, 2.0, 4.0, 64.0].map(|mib| costs.gb_per_s(mib * 1_048_576.0));
        assert_eq!(rates, [100.0, 100.0, 75.0, 50.0, 50.0]);
    }

    #[test]
    fn instructions_become_cycles() {
        let one = Units { mac: 1.0, quantize: 10.0, ..Units::default() };
        let cycles = one.with_cpi(&Cpi { products: 0.5, other: 2.0, error: 0.1 });
        assert_eq!((cycles.mac, cycles.quantize), (0.5, 20.0));
        assert_eq!(one.dot(&cycles), 200.5);
    }
}
