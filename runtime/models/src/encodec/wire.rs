//! A codec's parts as layers of a graph.

use std::sync::Arc;

use ossicle_engine::GraphError;
use ossicle_engine::graph::{GraphBuilder, Outlet};
use ossicle_engine::layers::signal::{Clip, FirstConv, Lstm, LstmLayer, LstmState, SignalConv, SignalResidual, Track, TransposedConv};
use ossicle_engine::weights::Weights;
use ossicle_kernels::activation::Activation;

use super::config::{EncodecConfig, Kind, PadMode, Part, padded};

/// How many frames a chunk has on both sides of what is wanted of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Margins {
    pub(super) before: usize,
    pub(super) after: usize,
}

/// Rows of a signal that are needed, from the chunk's first row.
#[derive(Clone, Copy)]
struct Reach {
    from: isize,
    to: isize,
    hop: usize,
}

impl Margins {
    /// What `parts` look back and ahead for `frames` frames, or their samples.
    pub(super) fn new(config: &EncodecConfig, parts: &[Part], frames: usize) -> Self {
        let hop = parts.last().map_or(1, |part| part.hops.1);
        let mut reach = Reach { from: 0, to: (frames * config.hop() / hop).cast_signed(), hop };
        for part in parts.iter().rev() {
            reach = part.reach(config, reach);
        }
        let frame = (config.hop() / reach.hop).cast_signed();
        let after = (reach.to - frames.cast_signed() * frame).max(0);
        let whole = |rows: isize| rows.cast_unsigned().div_ceil(frame.cast_unsigned());
        Self { before: whole(-reach.from.min(0)), after: whole(after) }
    }
}

impl Part {
    /// What it reads of its input for a part of its output.
    fn reach(&self, config: &EncodecConfig, out: Reach) -> Reach {
        let hop = self.hops.0;
        match self.kind {
            Kind::Lstm { .. } => out,
            Kind::Residual { .. } => window(config.residual_kernel_size, 1, config, out, hop),
            Kind::Conv { kernel, stride, .. } => window(kernel, stride, config, out, hop),
            Kind::Transposed { stride, .. } => {
                let (left, stride) = (config.trimmed_left(stride).cast_signed(), stride.cast_signed());
                Reach { from: (out.from + left).div_euclid(stride) - 1, to: (out.to - 1 + left).div_euclid(stride) + 1, hop }
            }
        }
    }
}

fn window(kernel: usize, stride: usize, config: &EncodecConfig, out: Reach, hop: usize) -> Reach {
    let left = config.edge(kernel, stride).left.cast_signed();
    let stride = stride.cast_signed();
    let (mut from, mut to) = (out.from * stride - left, (out.to - 1) * stride - left + kernel.cast_signed());
    if config.pad_mode == PadMode::Reflect {
        // What lies before the first row is seen behind it, and what the last stride lacks is seen before it.
        from -= stride - 1;
        to = to.max(left + 1);
    }
    Reach { from, to, hop }
}

/// A graph of a codec while it is built.
pub(super) struct Wire<'a> {
    pub(super) config: &'a EncodecConfig,
    pub(super) weights: &'a Weights,
    pub(super) graph: &'a mut GraphBuilder,
    pub(super) clip: &'a Arc<Clip>,
    pub(super) state: &'a Arc<LstmState>,
    /// Frames that are wanted.
    pub(super) frames: usize,
    pub(super) margins: Margins,
}

impl Wire<'_> {
    /// A signal of the whole chunk.
    pub(super) fn track(&self, hop: usize, channels: usize) -> Track {
        let frame = self.config.hop() / hop;
        let rows = (self.frames + self.margins.before + self.margins.after) * frame;
        Track { clip: Arc::clone(self.clip), rows, before: self.margins.before * frame, channels, hop }
    }

    /// A signal of what is wanted only.
    fn wanted(&self, hop: usize, channels: usize) -> Track {
        Track { clip: Arc::clone(self.clip), rows: self.frames * self.config.hop() / hop, before: 0, channels, hop }
    }

    /// Adds layers. The last gives what is wanted only, and so does what comes before recurrent layers: these see each row once.
    pub(super) fn add(&mut self, parts: &[Part], mut x: Outlet) -> Result<Outlet, GraphError> {
        for (i, part) in parts.iter().enumerate() {
            let last = parts.get(i + 1).is_none_or(|next| matches!(next.kind, Kind::Lstm { .. }));
            x = self.part(part, last, x)?;
        }
        Ok(x)
    }

    fn part(&mut self, part: &Part, last: bool, x: Outlet) -> Result<Outlet, GraphError> {
        let (config, weights) = (self.config, self.weights);
        let (input_hop, hop) = part.hops;
        let name = format!("encodec.{}", part.name);
        let activation = if part.elu { Activation::Elu } else { Activation::Identity };
        let output = |wire: &Self, channels: usize| if last { wire.wanted(hop, channels) } else { wire.track(hop, channels) };
        let outlets = match part.kind {
            Kind::Conv { inputs: 1, outputs, kernel, .. } => {
                let channels = padded(outputs);
                let layer = FirstConv {
                    weights: weights.f32_span(&format!("{}.weight", part.name), &[kernel, channels])?,
                    bias: weights.f32_span(&format!("{}.bias", part.name), &[channels])?,
                    kernel,
                    edge: config.edge(kernel, 1),
                    input: self.track(input_hop, 1),
                    output: output(self, channels),
                };
                self.graph.add(name, layer, &[x])?
            }
            Kind::Conv { inputs, outputs, kernel, stride } => {
                let layer = SignalConv {
                    layer: weights.linear_span(&part.name, padded(outputs), kernel * padded(inputs), true)?,
                    kernel,
                    edge: config.edge(kernel, stride),
                    activation,
                    input: self.track(input_hop, padded(inputs)),
                    output: output(self, if outputs == 1 { 1 } else { padded(outputs) }),
                };
                self.graph.add(name, layer, &[x])?
            }
            Kind::Transposed { inputs, outputs, stride } => {
                let layer = TransposedConv {
                    layer: weights.linear_span(&part.name, stride * padded(outputs), 2 * padded(inputs), true)?,
                    stride,
                    left: config.trimmed_left(stride),
                    activation,
                    input: self.track(input_hop, padded(inputs)),
                    output: self.track(hop, padded(outputs)),
                };
                self.graph.add(name, layer, &[x])?
            }
            Kind::Residual { channels, inner } => {
                let (channels, inner, kernel) = (padded(channels), padded(inner), config.residual_kernel_size);
                let linear = |index: &str, outputs, depth| weights.linear_span(&format!("{}.{index}", part.name), outputs, depth, true);
                let layer = SignalResidual {
                    first: linear("1", inner, kernel * channels)?,
                    second: linear("3", channels, inner)?,
                    shortcut: config.use_conv_shortcut.then(|| linear("shortcut", channels, channels)).transpose()?,
                    inner,
                    kernel,
                    edge: config.edge(kernel, 1),
                    activation: Activation::Elu,
                    track: self.track(hop, channels),
                };
                self.graph.add(name, layer, &[x])?
            }
            Kind::Lstm { channels } => {
                let channels = padded(channels);
                let layers = (0..config.num_lstm_layers).map(|i| {
                    let linear = |what, bias| weights.linear_span(&format!("{}.{i}.{what}", part.name), 4 * channels, channels, bias);
                    Ok(LstmLayer { input: linear("input", true)?, recurrent: linear("recurrent", false)? })
                });
                let layers = layers.collect::<Result<_, GraphError>>()?;
                let layer = Lstm { layers, state: Arc::clone(self.state), track: self.wanted(hop, channels) };
                self.graph.add(name, layer, &[x])?
            }
        };
        Ok(outlets[0])
    }
}
