//! `config.json` of a codec, and the layers that follow from it.

use ossicle_engine::layers::signal::{Edge, Padding};
use ossicle_engine::weights::ModelConfig;
use ossicle_kernels::simd::LANES;
use serde::{Deserialize, Serialize};

/// An EnCodec (Défossez et al. 2022, "High fidelity neural audio compression") of one channel: a SEANet encoder and decoder with recurrent layers,
/// and a residual vector quantiser between them. Names are those of Hugging Face.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EncodecConfig {
    /// Samples a second.
    pub sampling_rate: usize,
    /// Values of a frame between encoder and quantiser.
    pub hidden_size: usize,
    /// Channels next to the samples; each ratio doubles them.
    pub num_filters: usize,
    /// How many rows become one, the decoder's first ratio first.
    pub upsampling_ratios: Vec<usize>,
    /// Window of the first convolution of each side.
    pub kernel_size: usize,
    /// Window of the last one.
    pub last_kernel_size: usize,
    /// Window of the convolutions of residual blocks.
    pub residual_kernel_size: usize,
    /// How many times fewer channels residual blocks have inside.
    pub compress: usize,
    /// Recurrent layers of each side.
    pub num_lstm_layers: usize,
    /// Whether convolutions look back only.
    pub use_causal_conv: bool,
    /// Whether residual blocks have a layer in place of their input.
    pub use_conv_shortcut: bool,
    /// What convolutions see beyond the ends.
    pub pad_mode: PadMode,
    /// How much of what is trimmed off a causal transposed convolution goes at its end.
    pub trim_right_ratio: f64,
    /// Codes of a codebook.
    pub codebook_size: usize,
    /// Codebooks.
    pub num_quantizers: usize,
}

/// What convolutions see beyond the ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PadMode {
    /// Zeros.
    Constant,
    /// The recording backwards.
    Reflect,
}

impl From<PadMode> for Padding {
    fn from(mode: PadMode) -> Self {
        match mode {
            PadMode::Constant => Self::Zeros,
            PadMode::Reflect => Self::Reflect,
        }
    }
}

/// One layer of the encoder or the decoder.
#[derive(Clone, Debug, PartialEq)]
pub struct Part {
    /// Its name: `encoder` or `decoder`, and its place in the list.
    pub name: String,
    /// What it is.
    pub kind: Kind,
    /// Whether an ELU comes before.
    pub elu: bool,
    /// Samples from row to row of its input, and of its output.
    pub hops: (usize, usize),
}

/// What a layer is. Channels are as the checkpoint has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A convolution over time.
    Conv {
        /// Channels of the input.
        inputs: usize,
        /// Channels of the output.
        outputs: usize,
        /// Rows of its window.
        kernel: usize,
        /// Rows of the input for each of the output.
        stride: usize,
    },
    /// A transposed convolution with a window of twice the stride.
    Transposed {
        /// Channels of the input.
        inputs: usize,
        /// Channels of the output.
        outputs: usize,
        /// Rows of the output for each of the input.
        stride: usize,
    },
    /// A residual block: layer 1 a convolution, layer 3 a linear layer of a row, maybe a shortcut.
    Residual {
        /// Channels outside.
        channels: usize,
        /// Channels inside.
        inner: usize,
    },
    /// Recurrent layers.
    Lstm {
        /// Channels.
        channels: usize,
    },
}

/// Channels as the runtime has them: whole vectors.
pub fn padded(channels: usize) -> usize {
    channels.next_multiple_of(LANES)
}

impl EncodecConfig {
    /// Samples of a frame.
    pub fn hop(&self) -> usize {
        self.upsampling_ratios.iter().product()
    }

    /// Channels at the recurrent layers.
    pub fn widest(&self) -> usize {
        self.num_filters << self.upsampling_ratios.len()
    }

    /// Frames of a recording.
    pub fn frames(&self, samples: usize) -> usize {
        samples.div_ceil(self.hop())
    }

    /// What a convolution sees at the ends.
    pub fn edge(&self, kernel: usize, stride: usize) -> Edge {
        Edge::new(self.pad_mode.into(), self.use_causal_conv, kernel, stride)
    }

    /// Rows trimmed off a transposed convolution's beginning.
    pub fn trimmed_left(&self, stride: usize) -> usize {
        match self.use_causal_conv {
            // At most the stride: the ratio is between 0 and 1.
            true => stride - ((stride as f64 * self.trim_right_ratio).ceil() as usize).min(stride),
            false => stride - stride / 2,
        }
    }

    fn residual(&self, channels: usize) -> Kind {
        Kind::Residual { channels, inner: channels / self.compress }
    }

    /// The encoder's layers, from samples to frames.
    pub fn encoder(&self) -> Vec<Part> {
        let mut list = List::new("encoder", 1);
        let mut channels = self.num_filters;
        list.add(Kind::Conv { inputs: 1, outputs: channels, kernel: self.kernel_size, stride: 1 });
        for &ratio in self.upsampling_ratios.iter().rev() {
            list.add(self.residual(channels));
            list.add_elu(Kind::Conv { inputs: channels, outputs: 2 * channels, kernel: 2 * ratio, stride: ratio });
            channels *= 2;
        }
        list.add(Kind::Lstm { channels });
        list.add_elu(Kind::Conv { inputs: channels, outputs: self.hidden_size, kernel: self.last_kernel_size, stride: 1 });
        list.parts
    }

    /// The decoder's layers, from frames to samples.
    pub fn decoder(&self) -> Vec<Part> {
        let mut list = List::new("decoder", self.hop());
        let mut channels = self.widest();
        list.add(Kind::Conv { inputs: self.hidden_size, outputs: channels, kernel: self.kernel_size, stride: 1 });
        list.add(Kind::Lstm { channels });
        for &stride in &self.upsampling_ratios {
            list.add_elu(Kind::Transposed { inputs: channels, outputs: channels / 2, stride });
            channels /= 2;
            list.add(self.residual(channels));
        }
        list.add_elu(Kind::Conv { inputs: channels, outputs: 1, kernel: self.last_kernel_size, stride: 1 });
        list.parts
    }
}

/// Layers with their places; an ELU has one of its own.
struct List {
    side: &'static str,
    next: usize,
    hop: usize,
    parts: Vec<Part>,
}

impl List {
    fn new(side: &'static str, hop: usize) -> Self {
        Self { side, next: 0, hop, parts: vec![] }
    }

    fn add(&mut self, kind: Kind) {
        self.put(kind, false);
    }

    fn add_elu(&mut self, kind: Kind) {
        self.next += 1;
        self.put(kind, true);
    }

    fn put(&mut self, kind: Kind, elu: bool) {
        let before = self.hop;
        match kind {
            Kind::Conv { stride, .. } => self.hop *= stride,
            Kind::Transposed { stride, .. } => self.hop /= stride,
            Kind::Residual { .. } | Kind::Lstm { .. } => {}
        }
        self.parts.push(Part { name: format!("{}.{}", self.side, self.next), kind, elu, hops: (before, self.hop) });
        self.next += 1;
    }
}

impl ModelConfig for EncodecConfig {
    const KIND: &'static str = "encodec";

    fn problem(&self) -> Option<String> {
        let sizes = [
            ("sampling_rate", self.sampling_rate, 8000, 48_000),
            // One channel is what samples have.
            ("hidden_size", self.hidden_size, 2, 1024),
            ("num_filters", self.num_filters, 2, 256),
            ("upsampling_ratios' number", self.upsampling_ratios.len(), 1, 6),
            ("kernel_size", self.kernel_size, 1, 31),
            ("last_kernel_size", self.last_kernel_size, 1, 31),
            ("residual_kernel_size", self.residual_kernel_size, 1, 31),
            ("compress", self.compress, 1, self.num_filters.max(1)),
            ("num_lstm_layers", self.num_lstm_layers, 1, 8),
            ("codebook_size", self.codebook_size, 1, 1 << 16),
            ("num_quantizers", self.num_quantizers, 1, 32),
        ];
        if let Some((name, value, least, most)) = sizes.iter().find(|(_, value, least, most)| !(least..=most).contains(&value)) {
            return Some(format!("{name} is {value}, {least} to {most} are possible"));
        }
        if let Some(ratio) = self.upsampling_ratios.iter().find(|ratio| !(1..=32).contains(*ratio)) {
            return Some(format!("a ratio of {ratio}, 1 to 32 are possible"));
        }
        if self.widest() > 4096 || self.hop() > 8192 {
            return Some(format!("{} channels and {} samples a frame, at most 4096 and 8192 are possible", self.widest(), self.hop()));
        }
        if !self.codebook_size.is_multiple_of(LANES) {
            return Some(format!("codebook_size is {}, not a multiple of {LANES}", self.codebook_size));
        }
        (!(0.0..=1.0).contains(&self.trim_right_ratio))
            .then(|| format!("trim_right_ratio is {}, 0 to 1 is possible", self.trim_right_ratio))
    }
}
