//! The two graphs.

use std::sync::Arc;

use ossicle_engine::graph::{GraphBuilder, Outlet, Runner};
use ossicle_engine::layers::attention::{FloatAttention, Positions};
use ossicle_engine::layers::sequence::{Chunks, Flow, Past, Sequence};
use ossicle_engine::layers::signal::{LstmPair, LstmPairShape};
use ossicle_engine::layers::{After, Embed, FloatLinear, FlowLinear, FlowLinearShape, Residual as RowResidual, RowConv, Taps, TapsShape};
use ossicle_engine::weights::Weights;
use ossicle_engine::{GraphError, Session};
use ossicle_kernels::simd::LANES;

use super::config::KokoroConfig;
use super::generator::Grow;
use super::head::{HOP, Head};
use super::rows::Rows;
use super::source::{Curves, Source, SourceConv, ToValue};
use super::styled::{Activation, Affine, Join, Pool, Residual, StyledConv, Twice};
use super::text::{Embedding, FeedForward, Styled, Styling, norm};

/// What is multiplied below zero in prosody, the text encoder and the decoder.
const SLOPE: f32 = 0.2;
/// The same before upsampling.
const GENERATOR_SLOPE: f32 = 0.1;

/// A graph while it is wired.
struct Wire<'a> {
    graph: GraphBuilder,
    weights: &'a Weights,
    config: &'a KokoroConfig,
}

impl Wire<'_> {
    fn linear(&mut self, name: &str, flow: &Flow, x: Outlet, [width, outputs]: [usize; 2]) -> Result<Outlet, GraphError> {
        let layer = FlowLinear::new(self.weights, name, FlowLinearShape { width, outputs, parts: 1 }, flow)?;
        Ok(self.graph.add(format!("kokoro.{name}"), layer, &[x])?[0])
    }

    fn lstm(&mut self, name: &str, flow: &Flow, x: Outlet, width: usize, slope: f32) -> Result<Outlet, GraphError> {
        let shape = LstmPairShape { width, hidden: self.config.width / 2, slope };
        Ok(self.graph.add(format!("kokoro.{name}"), LstmPair::new(self.weights, name, shape, flow)?, &[x])?[0])
    }

    /// Phonemes to rows that know their context.
    fn bert(&mut self, flow: &Flow, ids: Outlet) -> Result<Outlet, GraphError> {
        let (config, weights) = (self.config, self.weights);
        let embedding = Embedding::new(weights, "bert.embedding", config, flow)?;
        let x = self.graph.add("kokoro.bert.embedding", embedding, &[ids])?[0];
        let mut x = self.linear("bert.input", flow, x, [config.embedding_size, config.hidden_size])?;
        let width = config.hidden_size;
        let qkv = FlowLinearShape { width, outputs: 3 * width, parts: 1 };
        let feed_forward = FeedForward::new(weights, "bert.layer", config, flow)?;
        for i in 0..config.num_hidden_layers {
            let name = |part: &str| format!("kokoro.bert.{i}.{part}");
            let qkv = self.graph.add(name("qkv"), FlowLinear::new(weights, "bert.layer.qkv", qkv, flow)?, &[x])?[0];
            let attention = FloatAttention {
                flow: flow.clone(),
                heads: config.num_attention_heads,
                head: config.head_size(),
                positions: Positions::None,
            };
            let attention = self.graph.add(name("attention"), attention, &[qkv])?[0];
            x = self.graph.add(name("feed_forward"), feed_forward.clone(), &[attention, x])?[0];
        }
        self.linear("bert.output", flow, x, [width, config.width])
    }

    /// Rows with a style after each, once they have been read from both ends as often as there are layers.
    fn prosody_text(&mut self, flow: &Flow, x: Outlet, style: Outlet) -> Result<Outlet, GraphError> {
        let (width, size) = (self.config.width, self.config.style_size);
        let layer = |styling| Styled { flow: flow.clone(), styling, width, style: size };
        let mut x = self.graph.add("kokoro.prosody_text.input", layer(None), &[x, style])?[0];
        for i in 0..self.config.num_layers {
            let name = format!("prosody_text.{i}");
            let read = self.lstm(&format!("{name}.lstm"), flow, x, width + size, 1.0)?;
            let styling = Styling::new(self.weights, &format!("{name}.style"), size, width)?;
            x = self.graph.add(format!("kokoro.{name}.norm"), layer(Some(styling)), &[read, style])?[0];
        }
        Ok(x)
    }

    /// Phonemes to rows that say how they sound.
    fn text_encoder(&mut self, flow: &Flow, ids: Outlet) -> Result<(Outlet, Arc<Past>), GraphError> {
        let (config, weights, width) = (self.config, self.weights, self.config.width);
        let table = weights.f32_span("text.embedding", &[config.vocab_size, width])?;
        let embed = Embed { flow: flow.clone(), table, width };
        let mut x = self.graph.add("kokoro.text.embedding", embed, &[ids])?[0];
        let past = Arc::new(Past::new(flow.clone(), width, config.kernel_size / 2, Chunks::One));
        for i in 0..config.num_layers {
            let name = format!("text.convs.{i}");
            let conv = RowConv {
                past: Arc::clone(&past),
                taps: Taps::new(weights, &name, TapsShape { inputs: width, outputs: width, taps: config.kernel_size, dilation: 1 })?,
                inputs: 1,
                slope: if i == 0 { 1.0 } else { SLOPE },
                residual: RowResidual::None,
                after: After::Norm(norm(weights, &format!("{name}.norm"), width)?),
            };
            x = self.graph.add(format!("kokoro.{name}"), conv, &[x])?[0];
        }
        Ok((self.lstm("text.lstm", flow, x, width, SLOPE)?, past))
    }

    fn affine(&mut self, name: &str, rows: &Rows, x: Outlet, style: Outlet, width: usize) -> Result<Outlet, GraphError> {
        let size = self.config.style_size;
        let styling = Styling::new(self.weights, &format!("{name}.style"), size, width)?;
        let layer = Affine { rows: rows.clone(), styling, width, style: size };
        Ok(self.graph.add(format!("kokoro.{name}.affine"), layer, &[x, style])?[0])
    }

    fn conv(&mut self, name: &str, rows: &Rows, shape: TapsShape, conv: Conv<'_>) -> Result<Outlet, GraphError> {
        let Conv { inputs, activation, residual, factor } = conv;
        let layer = StyledConv { rows: rows.clone(), taps: Taps::new(self.weights, name, shape)?, activation, residual, factor };
        Ok(self.graph.add(format!("kokoro.{name}"), layer, inputs)?[0])
    }

    /// `(x + second(first(x))) / sqrt(2)`, each convolution after a normalisation; of as many values or of others, once for each row or twice.
    fn block(&mut self, name: &str, flow: &Flow, block: Block) -> Result<Outlet, GraphError> {
        let Block { x, style, inputs, outputs, twice, kept } = block;
        let mut rows = Rows::new(flow, 0);
        let taps = |inputs, taps| TapsShape { inputs, outputs, taps, dilation: 1 };
        let shortcut = if inputs == outputs && !twice {
            x
        } else {
            let conv = Conv { inputs: &[x], activation: None, residual: Residual::None, factor: 1.0 };
            let short = self.conv(&format!("{name}.shortcut"), &rows, taps(inputs, 1), conv)?;
            if twice {
                self.graph.add(format!("kokoro.{name}.shortcut.twice"), Twice { rows: rows.clone(), width: outputs }, &[short])?[0]
            } else {
                short
            }
        };
        let affine = self.affine(&format!("{name}.first"), &rows, x, style, inputs)?;
        let (first, second) = (format!("{name}.first"), format!("{name}.second"));
        let leaky = Some(Activation::Leaky(SLOPE));
        let between = if twice {
            let pool = Pool::new(self.weights, &format!("{name}.pool"), &rows, inputs, SLOPE)?;
            let grown = self.graph.add(format!("kokoro.{name}.pool"), pool, &[x, affine])?[0];
            rows = rows.twice();
            self.conv(&first, &rows, taps(inputs, 3), Conv { inputs: &[grown], activation: None, residual: Residual::None, factor: 1.0 })?
        } else {
            let conv = Conv { inputs: &[x, affine], activation: leaky.clone(), residual: Residual::None, factor: 1.0 };
            self.conv(&first, &rows, taps(inputs, 3), conv)?
        };
        let affine = self.affine(&second, &rows, between, style, outputs)?;
        let residual = if kept && shortcut == x { Residual::Kept } else { Residual::TakenOver };
        let factor = std::f32::consts::FRAC_1_SQRT_2;
        self.conv(&second, &rows, taps(outputs, 3), Conv { inputs: &[between, affine, shortcut], activation: leaky, residual, factor })
    }

    /// Pitch or energy of half frames.
    fn curve(&mut self, name: &str, flow: &Flow, x: Outlet, style: Outlet) -> Result<Outlet, GraphError> {
        let (width, half) = (self.config.width, self.config.width / 2);
        let first = Block { x, style, inputs: width, outputs: width, twice: false, kept: true };
        let x = self.block(&format!("{name}.0"), flow, first)?;
        let x = self.block(&format!("{name}.1"), flow, Block { x, style, inputs: width, outputs: half, twice: true, kept: false })?;
        let flow = flow.repeated(2);
        let x = self.block(&format!("{name}.2"), &flow, Block { x, style, inputs: half, outputs: half, twice: false, kept: false })?;
        let layer = FloatLinear::new(self.weights, &format!("{name}.output"), half, LANES)?;
        Ok(self.graph.add(format!("kokoro.{name}.output"), ToValue { flow, layer, width: half }, &[x])?[0])
    }

    /// Pairs of convolutions, each after a normalisation and a snake, added to their input; the first input is read later too if it is `kept`.
    fn residual(&mut self, name: &str, rows: &Rows, shape: TapsShape, [x, style]: [Outlet; 2], kept: bool) -> Result<Outlet, GraphError> {
        let (width, mut x) = (shape.inputs, x);
        for (i, &dilation) in self.config.resblock_dilations.iter().enumerate() {
            let [first, second] = ["first", "second"].map(|part| format!("{name}.{i}.{part}"));
            let affine = self.affine(&first, rows, x, style, width)?;
            let activation = Some(Activation::snake(self.weights, &first, width)?);
            let conv = Conv { inputs: &[x, affine], activation, residual: Residual::None, factor: 1.0 };
            let between = self.conv(&first, rows, TapsShape { dilation, ..shape }, conv)?;
            let affine = self.affine(&second, rows, between, style, width)?;
            let activation = Some(Activation::snake(self.weights, &second, width)?);
            let residual = if kept && i == 0 { Residual::Kept } else { Residual::TakenOver };
            let conv = Conv { inputs: &[between, affine, x], activation, residual, factor: 1.0 };
            x = self.conv(&second, rows, shape, conv)?;
        }
        Ok(x)
    }

    /// Rows of half frames and their pitch to samples.
    fn generator(&mut self, flow: &Flow, [x, pitch, style]: [Outlet; 3]) -> Result<Outlet, GraphError> {
        let (config, weights) = (self.config, self.weights);
        let source = Source::new(weights, "source", flow, config.pitch_samples(), config.sampling_rate)?;
        let har = self.graph.add("kokoro.source", source, &[pitch])?[0];
        let har_rows = Rows::new(&flow.repeated(config.pitch_samples() / HOP), 1);
        let (mut flow, mut x, mut rows) = (flow.clone(), vec![x], Rows::new(flow, 0));
        let stages = config.upsample_rates.len();
        for (stage, &rate) in config.upsample_rates.iter().enumerate() {
            let (name, last) = (format!("generator.{stage}"), stage + 1 == stages);
            flow = flow.repeated(rate);
            let grown = Rows::new(&flow, usize::from(last));
            let (width, channels) = (config.channels(stage), config.channels(stage + 1));
            let stride: usize = config.upsample_rates[stage + 1..].iter().product();
            let conv = SourceConv::new(weights, &format!("{name}.source"), [&har_rows, &grown], channels, stride)?;
            let from_source = self.graph.add(format!("kokoro.{name}.source"), conv, &[har])?[0];
            let shape = |taps| TapsShape { inputs: channels, outputs: channels, taps, dilation: 1 };
            let taps = config.source_kernel_sizes[stage];
            let from_source = self.residual(&format!("{name}.source.block"), &grown, shape(taps), [from_source, style], false)?;
            let sizes = (x.len(), width, channels);
            let grow = Grow::new(weights, &format!("{name}.upsample"), [&rows, &grown], sizes, (rate, GENERATOR_SLOPE))?;
            x.push(from_source);
            let begin = self.graph.add(format!("kokoro.{name}.upsample"), grow, &x)?[0];
            rows = grown;
            x.clear();
            let blocks = config.resblock_kernel_sizes.len();
            for (block, &taps) in config.resblock_kernel_sizes.iter().enumerate() {
                let name = format!("{name}.blocks.{block}");
                x.push(self.residual(&name, &rows, shape(taps), [begin, style], block + 1 < blocks)?);
            }
        }
        let head = Head::new(weights, "head", &rows, x.len(), config.channels(stages))?;
        Ok(self.graph.add("kokoro.samples", head, &x)?[0])
    }
}

/// A convolution: its inputs, and what is done around it.
struct Conv<'i> {
    inputs: &'i [Outlet],
    activation: Option<Activation>,
    residual: Residual,
    factor: f32,
}

/// A block of prosody or of the decoder.
struct Block {
    x: Outlet,
    style: Outlet,
    inputs: usize,
    outputs: usize,
    /// Whether each row becomes two.
    twice: bool,
    /// Whether `x` is read later too.
    kept: bool,
}

/// Phonemes i32 `[max_tokens]` and half a style to rows of prosody `[max_tokens][width + style]`, rows of sound `[max_tokens][width]`, and what
/// says how long each lasts, `[max_tokens][max_duration]`, rounded up to whole vectors; and the rows that convolutions keep.
pub(super) fn text(session: &Arc<Session>, config: &KokoroConfig, piece: &Arc<Sequence>) -> Result<(Runner, Arc<Past>), GraphError> {
    let flow = Flow::new(piece, config.max_tokens);
    let mut wire = Wire { graph: GraphBuilder::new(session), weights: session.weights(), config };
    let ids = wire.graph.input::<i32>("kokoro.phonemes", &[config.max_tokens])?;
    let style = wire.graph.input::<f32>("kokoro.prosody_style", &[config.style_size])?;
    let x = wire.bert(&flow, ids)?;
    let prosody = wire.prosody_text(&flow, x, style)?;
    let read = wire.lstm("durations.lstm", &flow, prosody, config.width + config.style_size, 1.0)?;
    let durations = wire.linear("durations.output", &flow, read, [config.width, config.max_duration.next_multiple_of(LANES)])?;
    let (sound, past) = wire.text_encoder(&flow, ids)?;
    Ok((wire.graph.plan(&[prosody, sound, durations])?, past))
}

/// Rows of prosody and of sound, each repeated for its frames, and both halves of a style to samples.
pub(super) fn frames(session: &Arc<Session>, config: &KokoroConfig, sequence: &Arc<Sequence>) -> Result<Runner, GraphError> {
    let (flow, width) = (Flow::new(sequence, config.max_frames), config.width);
    let mut wire = Wire { graph: GraphBuilder::new(session), weights: session.weights(), config };
    let prosody = wire.graph.input::<f32>("kokoro.prosody", &[config.max_frames, width + config.style_size])?;
    let sound = wire.graph.input::<f32>("kokoro.sound", &[config.max_frames, width])?;
    let style = wire.graph.input::<f32>("kokoro.style", &[config.style_size])?;
    let prosody_style = wire.graph.input::<f32>("kokoro.prosody_style", &[config.style_size])?;
    let shared = wire.lstm("prosody.lstm", &flow, prosody, width + config.style_size, 1.0)?;
    let pitch = wire.curve("pitch", &flow, shared, prosody_style)?;
    let energy = wire.curve("energy", &flow, shared, prosody_style)?;
    let filters = wire.weights.f32_span("curves", &[2, LANES])?;
    let curves = wire.graph.add("kokoro.curves", Curves { flow: flow.clone(), filters }, &[pitch, energy])?[0];
    let rows = Rows::new(&flow, 0);
    let join = Join { rows: rows.clone(), widths: vec![width, LANES] };
    let x = wire.graph.add("kokoro.decoder.input", join, &[sound, curves])?[0];
    let outputs = config.decoder_width;
    let first = Block { x, style, inputs: config.text_row(), outputs, twice: false, kept: false };
    let mut x = wire.block("decoder.encode", &flow, first)?;
    let residual = wire.linear("decoder.residual", &flow, sound, [width, config.residual_width])?;
    for i in 0..BLOCKS {
        let name = format!("decoder.{i}");
        let widths = vec![outputs, config.residual_width, LANES];
        x = wire.graph.add(format!("kokoro.{name}.input"), Join { rows: rows.clone(), widths }, &[x, residual, curves])?[0];
        let last = i + 1 == BLOCKS;
        let outputs = if last { width } else { outputs };
        x = wire.block(&name, &flow, Block { x, style, inputs: config.decoder_row(), outputs, twice: last, kept: false })?;
    }
    let samples = wire.generator(&flow.repeated(2), [x, pitch, style])?;
    wire.graph.plan(&[samples, pitch])
}

/// Blocks of the decoder after its first.
pub const BLOCKS: usize = 4;
