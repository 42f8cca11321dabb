//! What a transcription is made of, in pieces small enough to measure: a [`Probe`] runs one kernel on a shape that no model has, and
//! [`costs`] turns the probes' costs, in whatever unit they were taken, into costs per multiply-accumulate, output, element or score.

#![forbid(unsafe_code)]

mod data;
mod probes;

pub use probes::{NAMES, Probe, probe};

/// Multiply-accumulates of the shorter and the longer product, and outputs of each.
pub(crate) const ROWS: usize = 192;
pub(crate) const OUTPUTS: usize = 512;
pub(crate) const DEPTHS: [usize; 2] = [256, 1024];
/// The product of one row: 24 KB of weights stay in the first cache.
pub(crate) const VECTOR: [usize; 2] = [384, 64];
/// Rows, depth and outputs of a product of f32; height, width and channels of a map that is filtered by 3 x 3.
pub(crate) const FLOAT_PRODUCT: [usize; 3] = [48, 96, 80];
pub(crate) const FLOAT_FILTER: [usize; 3] = [12, 20, 96];
/// Rows that are normalised or quantised, and their width.
pub(crate) const ELEMENTS: [usize; 2] = [48, 512];
/// Queries and keys of attention, tokens of causal attention.
pub(crate) const QUERIES: usize = 48;
pub(crate) const KEYS: usize = 512;
pub(crate) const TEXT: usize = 64;
/// Frames of the spectrogram.
pub(crate) const FRAMES: usize = 100;
/// Logits.
pub(crate) const LOGITS: usize = 16_384;

/// Costs per unit of work, by name, from the cost of one run of each probe.
///
/// | unit | of |
/// |---|---|
/// | `mac` | a multiply-accumulate of a product of many rows |
/// | `store` | an output of such a product, scaled and stored |
/// | `gelu` | what GELU adds to an output |
/// | `vector_mac` | a multiply-accumulate of a product of one row, its output included |
/// | `float_mac` | a multiply-accumulate of a product of f32 |
/// | `filter_mac` | a multiply-accumulate of f32 filters of one channel |
/// | `quantize` | an element quantised by rows |
/// | `normalize` | an element normalised and quantised |
/// | `head` | an element of queries or keys quantised by heads, keys scattered to their blocks |
/// | `pack` | an element of values packed by channels |
/// | `score` | a pair of query and key in one head: its part of both products and of softmax |
/// | `vector_score` | the same for one query at a time |
/// | `causal_score` | the same over the text so far |
/// | `frame` | a frame of 80 mel bands |
/// | `logit` | a logit that a token is chosen from |
pub fn costs(cost: impl Fn(&str) -> f64) -> [(&'static str, f64); 15] {
    let macs = |depth: usize| (ROWS * OUTPUTS * depth) as f64;
    let outputs = (ROWS * OUTPUTS) as f64;
    let (short, long) = (cost("product-short"), cost("product-long"));
    let mac = (long - short) / (macs(DEPTHS[1]) - macs(DEPTHS[0]));
    let store = ((short - mac * macs(DEPTHS[0])) / outputs).max(0.0);
    let elements = (ELEMENTS[0] * ELEMENTS[1]) as f64;
    let [vector, block] = VECTOR;
    let product = cost("float-product") / FLOAT_PRODUCT.iter().product::<usize>() as f64;
    // A window of 3 x 3 has fewer taps on the map's border.
    let [height, width, channels] = FLOAT_FILTER;
    let filter = cost("float-filter") / ((3 * height - 2) * (3 * width - 2) * channels) as f64;
    [
        ("mac", mac),
        ("store", store),
        ("gelu", ((cost("product-gelu") - short) / outputs).max(0.0)),
        ("vector_mac", cost("vector") / (vector * block) as f64),
        ("float_mac", product),
        ("filter_mac", filter),
        ("quantize", cost("quantize") / elements),
        ("normalize", cost("normalize") / elements),
        ("head", cost("head") / elements),
        ("pack", cost("pack") / (KEYS * 64) as f64),
        ("score", cost("attend") / (QUERIES * KEYS) as f64),
        ("vector_score", cost("attend-one") / KEYS as f64),
        ("causal_score", cost("causal") / TEXT as f64),
        ("frame", cost("mel") / FRAMES as f64),
        ("logit", cost("logits") / LOGITS as f64),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use ossicle_kernels::simd::Isa;

    #[test]
    fn every_probe_runs_on_every_instruction_set() {
        for isa in Isa::available() {
            for name in NAMES {
                let mut probe = probe(name, isa).unwrap();
                probe();
                probe();
            }
        }
        assert!(probe("dance", Isa::detect()).is_none());
    }

    #[test]
    fn costs_are_solved_for() {
        // A machine on which a multiply-accumulate costs 2, an output 30, GELU 7 and every other run 1000.
        let outputs = (ROWS * OUTPUTS) as f64;
        let product = |depth: usize| outputs * (2.0 * depth as f64 + 30.0);
        let found = costs(|name| match name {
            "product-short" => product(DEPTHS[0]),
            "product-long" => product(DEPTHS[1]),
            "product-gelu" => product(DEPTHS[0]) + 7.0 * outputs,
            _ => 1000.0,
        });
        assert_eq!(found[..3], [("mac", 2.0), ("store", 30.0), ("gelu", 7.0)]);
        assert_eq!(found[11], ("vector_score", 1000.0 / KEYS as f64));
    }
}
