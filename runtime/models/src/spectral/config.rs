//! `config.json` of a codec of spectra.

use ossicle_engine::weights::ModelConfig;
use ossicle_frontend::spectral::STEP;
use ossicle_kernels::simd::LANES;
use serde::{Deserialize, Serialize};

/// Rows of the faster blocks for each frame of codes.
pub const ROWS: usize = 2;
/// Spectra of each of those rows.
pub const SPECTRA: usize = 2;

/// A codec of a sound's magnitudes: ConvNeXt blocks (Liu et al. 2022) over short-time spectra, 200 a second, in pairs, and over frames, 50 a second, and
/// a residual vector quantiser between the encoder's and the decoder's. Phases are not kept: `ossicle_frontend::spectral` makes them up.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SpectralConfig {
    /// Samples a second.
    pub sampling_rate: usize,
    /// Width of a row.
    pub hidden_size: usize,
    /// Values of a row within the blocks.
    pub intermediate_size: usize,
    /// Taps of the blocks' convolutions.
    pub kernel_size: usize,
    /// Values of a frame between encoder and decoder.
    pub latent_size: usize,
    /// The encoder's blocks over pairs of spectra, then over frames.
    pub encoder_blocks: [usize; 2],
    /// The decoder's blocks over frames, then over pairs of spectra.
    pub decoder_blocks: [usize; 2],
    /// Codes of a codebook.
    pub codebook_size: usize,
    /// Codebooks.
    pub num_quantizers: usize,
}

impl SpectralConfig {
    /// Samples of a frame.
    pub fn hop(&self) -> usize {
        ROWS * SPECTRA * STEP
    }

    /// Rows that a block looks ahead.
    pub(super) fn reach(&self) -> usize {
        self.kernel_size / 2
    }
}

impl ModelConfig for SpectralConfig {
    const KIND: &'static str = "spectral";

    fn problem(&self) -> Option<String> {
        let range = |name: &str, value: usize, most: usize| {
            (value == 0 || value > most).then(|| format!("{name} is {value}, 1 to {most} are possible"))
        };
        let width = |name: &str, value: usize| {
            let uneven = || (!value.is_multiple_of(LANES)).then(|| format!("{name} is {value}, not a multiple of {LANES}"));
            range(name, value, 4096).or_else(uneven)
        };
        let even = || self.kernel_size.is_multiple_of(2).then(|| format!("kernel_size is {}, not an odd number", self.kernel_size));
        let blocks = self.encoder_blocks.iter().chain(&self.decoder_blocks);
        (self.sampling_rate != 16_000)
            .then(|| format!("sampling_rate is {}, 16000 is possible", self.sampling_rate))
            .or_else(|| width("hidden_size", self.hidden_size))
            .or_else(|| width("intermediate_size", self.intermediate_size))
            .or_else(|| width("latent_size", self.latent_size))
            .or_else(|| range("kernel_size", self.kernel_size, 31))
            .or_else(even)
            .or_else(|| blocks.into_iter().find_map(|&blocks| range("a number of blocks", blocks, 32)))
            .or_else(|| range("codebook_size", self.codebook_size, 1 << 16))
            .or_else(|| range("num_quantizers", self.num_quantizers, 32))
            .or_else(|| (!self.codebook_size.is_multiple_of(LANES)).then(|| format!("codebook_size is not a multiple of {LANES}")))
    }
}
