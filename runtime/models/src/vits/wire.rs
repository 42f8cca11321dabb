//! The two graphs.

use std::collections::HashMap;
use std::sync::Arc;

use ossicle_engine::graph::{GraphBuilder, Outlet, Runner};
use ossicle_engine::layers::attention::{FloatAttention, Positions, RelativePositions};
use ossicle_engine::layers::sequence::{Chunks, Flow, Past, Sequence};
use ossicle_engine::layers::{After, Embed, FloatLinear, Norm, Project, Residual, RowConv, Taps, TapsShape, ToSamples, Upsample};
use ossicle_engine::weights::{FolderError, Weights};
use ossicle_engine::{GraphError, Session};

use super::CHUNK;
use super::config::VitsConfig;
use super::durations::{LogDurations, NOISES, Separable, Spline, SplineInput};
use super::flow::{Enter, Leave, WaveNet};

/// Taps of the decoder's first and last convolution.
const ENDS: usize = 7;

/// What is multiplied below zero before the last convolution, whatever the configuration says of the others.
const LAST_SLOPE: f32 = 0.01;

/// What a convolution of the decoder is added to.
enum Added {
    Nothing,
    Own,
    /// What came earlier, and where.
    Other(Outlet, Flow),
}

/// A graph while it is wired.
struct Wire<'a> {
    graph: GraphBuilder,
    weights: &'a Weights,
    config: &'a VitsConfig,
    pasts: &'a mut Vec<Arc<Past>>,
    /// Rows of whole clauses, by width and reach: nothing is left of them after a layer, so that all layers share them.
    whole: HashMap<(usize, usize), Arc<Past>>,
}

impl Wire<'_> {
    fn past(&mut self, flow: &Flow, width: usize, reach: usize, chunks: Chunks) -> Arc<Past> {
        let past = Arc::new(Past::new(flow.clone(), width, reach, chunks));
        self.pasts.push(Arc::clone(&past));
        past
    }

    fn norm(&self, name: &str) -> Result<Norm, FolderError> {
        let span = |part: &str| self.weights.f32_span(&format!("{name}.{part}"), &[self.config.hidden_size]);
        Ok(Norm { gamma: span("weight")?, beta: span("bias")? })
    }

    /// A convolution over the whole clause; `residual` is added.
    fn clause(
        &mut self,
        name: &str,
        shape: (usize, usize, usize),
        flow: &Flow,
        x: Outlet,
        residual: Option<Outlet>,
        after: After,
    ) -> Result<Outlet, GraphError> {
        let (inputs, outputs, taps) = shape;
        let taps = Taps::new(self.weights, name, TapsShape { inputs, outputs, taps, dilation: 1 })?;
        let past = match self.whole.get(&(inputs, taps.reach())) {
            Some(past) => Arc::clone(past),
            None => {
                let past = self.past(flow, inputs, taps.reach(), Chunks::One);
                self.whole.insert((inputs, taps.reach()), Arc::clone(&past));
                past
            }
        };
        let added = if residual.is_some() { Residual::Other } else { Residual::None };
        let layer = RowConv { past, taps, inputs: 1, slope: 1.0, residual: added, after };
        let inputs: Vec<Outlet> = [Some(x), residual].into_iter().flatten().collect();
        Ok(self.graph.add(format!("vits.{name}"), layer, &inputs)?[0])
    }

    fn encoder(&mut self, flow: &Flow, ids: Outlet) -> Result<Outlet, GraphError> {
        let (config, width) = (self.config, self.config.hidden_size);
        let table = self.weights.f32_span("text.embedding", &[config.vocab_size, width])?;
        let mut x = self.graph.add("vits.text.embed".to_owned(), Embed { flow: flow.clone(), table, width }, &[ids])?[0];
        let (head, window) = (config.head_size(), config.window_size);
        let distances = RelativePositions::distances(window);
        for i in 0..config.num_hidden_layers {
            let name = format!("text.layers.{i}");
            let qkv = self.clause(&format!("{name}.qkv"), (width, 3 * width, 1), flow, x, None, After::Nothing)?;
            let positions = Positions::Relative(RelativePositions {
                keys: self.weights.f32_span(&format!("{name}.relative_keys"), &[head, distances])?,
                values: self.weights.f32_span(&format!("{name}.relative_values"), &[distances, head])?,
                window,
            });
            let attention = FloatAttention { flow: flow.clone(), heads: config.num_attention_heads, head, positions };
            let attention = self.graph.add(format!("vits.{name}.attention"), attention, &[qkv])?[0];
            let norm = After::Norm(self.norm(&format!("{name}.norm"))?);
            x = self.clause(&format!("{name}.output"), (width, width, 1), flow, attention, Some(x), norm)?;
            let (inner, taps) = (config.ffn_dim, config.ffn_kernel_size);
            let up = self.clause(&format!("{name}.feed_forward.up"), (width, inner, taps), flow, x, None, After::Relu)?;
            let norm = After::Norm(self.norm(&format!("{name}.feed_forward.norm"))?);
            x = self.clause(&format!("{name}.feed_forward.down"), (inner, width, taps), flow, up, Some(x), norm)?;
        }
        Ok(x)
    }

    fn project(&mut self, name: &str, flow: &Flow, x: Outlet) -> Result<Outlet, GraphError> {
        let width = self.config.hidden_size;
        let layer = FloatLinear::new(self.weights, name, width, width)?;
        Ok(self.graph.add(format!("vits.{name}"), Project { flow: flow.clone(), layer, width }, &[x])?[0])
    }

    fn stack(&mut self, name: &str, flow: &Flow, mut x: Outlet) -> Result<Outlet, GraphError> {
        let shape = (self.config.hidden_size, self.config.duration_predictor_kernel_size);
        for i in 0..self.config.depth_separable_num_layers {
            let layer = Separable::new(self.weights, name, i, shape, flow)?;
            x = self.graph.add(format!("vits.{name}.{i}"), layer, &[x])?[0];
        }
        Ok(x)
    }

    /// Logarithms of durations.
    fn durations(&mut self, flow: &Flow, x: Outlet, mut z: Outlet) -> Result<Outlet, GraphError> {
        let (config, width) = (self.config, self.config.hidden_size);
        let x = self.project("durations.input", flow, x)?;
        let x = self.stack("durations.convs", flow, x)?;
        let condition = self.project("durations.condition", flow, x)?;
        // Before each spline, and before the last shift, the two values change places.
        for i in 0..config.duration_predictor_num_flows {
            let name = format!("durations.splines.{i}");
            let (from, to) = ((i + 1) % NOISES, i % NOISES);
            let input = SplineInput::new(self.weights, &format!("{name}.input"), width, from, flow)?;
            let x = self.graph.add(format!("vits.{name}.input"), input, &[z, condition])?[0];
            let x = self.stack(&format!("{name}.convs"), flow, x)?;
            let sizes = (width, config.duration_predictor_flow_bins);
            let spline = Spline::new(self.weights, &format!("{name}.output"), sizes, config.duration_predictor_tail_bound, to, flow)?;
            z = self.graph.add(format!("vits.{name}.output"), spline, &[z, x])?[0];
        }
        let from = (config.duration_predictor_num_flows + 1) % NOISES;
        let layer = LogDurations::new(self.weights, "durations.affine", from, flow)?;
        Ok(self.graph.add("vits.durations".to_owned(), layer, &[z])?[0])
    }

    /// Coupling layer `i`: which half it reads alternates.
    fn coupling(&mut self, i: usize, flow: &mut Flow, x: Outlet) -> Result<Outlet, GraphError> {
        let (config, width, name) = (self.config, self.config.hidden_size, format!("flow.{i}"));
        let (from, to) = if i.is_multiple_of(2) { (width / 2, 0) } else { (0, width / 2) };
        let begin = flow.clone();
        let enter = Enter::new(self.weights, &format!("{name}.enter"), width, from, flow)?;
        let mut rows = self.graph.add(format!("vits.{name}.enter"), enter, &[x])?[0];
        for layer in 0..config.prior_encoder_num_wavenet_layers {
            let last = layer + 1 == config.prior_encoder_num_wavenet_layers;
            let taps = (config.wavenet_kernel_size, config.wavenet_dilation(layer));
            let layer_name = format!("{name}.layers.{layer}");
            let wave = WaveNet::new(self.weights, &layer_name, width, taps, last, flow)?;
            self.pasts.push(Arc::clone(wave.past()));
            *flow = wave.past().output();
            rows = self.graph.add(format!("vits.{layer_name}"), wave, &[rows])?[0];
        }
        let leave = Leave::new(self.weights, &format!("{name}.leave"), width, to, &begin, flow.late() - begin.late())?;
        self.pasts.push(Arc::clone(leave.past()));
        Ok(self.graph.add(format!("vits.{name}.leave"), leave, &[x, rows])?[0])
    }

    /// A convolution on the decoder's way: late by what it looks ahead, and by `extra` rows.
    fn conv(
        &mut self,
        name: &str,
        shape: TapsShape,
        flow: &mut Flow,
        x: (Outlet, f32),
        added: Added,
        extra: usize,
    ) -> Result<Outlet, GraphError> {
        let (x, slope) = x;
        let taps = Taps::new(self.weights, name, shape)?;
        let past = self.past(flow, shape.inputs, taps.reach(), Chunks::Many { extra });
        *flow = past.output();
        let (residual, other) = match added {
            Added::Nothing => (Residual::None, None),
            Added::Own => (Residual::Own, None),
            Added::Other(other, begin) => {
                let late = Chunks::Many { extra: flow.late() - begin.late() };
                (Residual::Late(self.past(&begin, shape.outputs, 0, late)), Some(other))
            }
        };
        let layer = RowConv { past, taps, inputs: 1, slope, residual, after: After::Nothing };
        let inputs: Vec<Outlet> = [Some(x), other].into_iter().flatten().collect();
        Ok(self.graph.add(format!("vits.{name}"), layer, &inputs)?[0])
    }

    /// Residual block `block` of a stage, late by `late` rows in all.
    fn block(&mut self, stage: usize, block: usize, flow: &mut Flow, mut x: Outlet, late: usize) -> Result<Outlet, GraphError> {
        let (config, channels, slope) = (self.config, self.config.channels(stage + 1), self.config.leaky_relu_slope);
        let taps = config.resblock_kernel_sizes[block];
        let dilations = &config.resblock_dilation_sizes[block];
        for (i, &dilation) in dilations.iter().enumerate() {
            let name = format!("decoder.stages.{stage}.blocks.{block}.{i}");
            let extra = if i + 1 == dilations.len() { late - config.resblock_reach(block) } else { 0 };
            let shape = TapsShape { inputs: channels, outputs: channels, taps, dilation };
            x = match config.resblock_pairs {
                false => self.conv(&name, shape, flow, (x, slope), Added::Own, extra)?,
                true => {
                    let begin = flow.clone();
                    let between = self.conv(&format!("{name}.first"), shape, flow, (x, slope), Added::Nothing, 0)?;
                    let shape = TapsShape { dilation: 1, ..shape };
                    self.conv(&format!("{name}.second"), shape, flow, (between, slope), Added::Other(x, begin), extra)?
                }
            };
        }
        Ok(x)
    }

    /// Frames to samples.
    fn decoder(&mut self, flow: &mut Flow, x: Outlet) -> Result<Outlet, GraphError> {
        let (config, slope) = (self.config, self.config.leaky_relu_slope);
        let shape = TapsShape { inputs: config.hidden_size, outputs: config.channels(0), taps: ENDS, dilation: 1 };
        let mut rows = vec![self.conv("decoder.input", shape, flow, (x, 1.0), Added::Nothing, 0)?];
        let blocks = config.resblock_kernel_sizes.len();
        for (stage, &rate) in config.upsample_rates.iter().enumerate() {
            let name = format!("decoder.stages.{stage}.upsample");
            let widths = (rows.len(), config.channels(stage), config.channels(stage + 1));
            let upsample = Upsample::new(self.weights, &name, flow, widths, rate, slope)?;
            self.pasts.push(Arc::clone(upsample.past()));
            *flow = upsample.output();
            let x = self.graph.add(format!("vits.{name}"), upsample, &rows)?[0];
            let late = (0..blocks).map(|block| config.resblock_reach(block)).max().unwrap_or(0);
            let begin = flow.clone();
            rows.clear();
            for block in 0..blocks {
                *flow = begin.clone();
                let x = self.block(stage, block, flow, x, late)?;
                rows.push(x);
            }
        }
        let sizes = (rows.len(), config.channels(config.upsample_rates.len()), ENDS);
        let last = ToSamples::new(self.weights, "decoder.output", flow, sizes, LAST_SLOPE)?;
        self.pasts.push(Arc::clone(last.past()));
        *flow = last.past().output();
        Ok(self.graph.add("vits.samples".to_owned(), last, &rows)?[0])
    }
}

/// Symbols i32 `[max_tokens]` and noise `[2][max_tokens]` to means and logarithms of deviations, `[max_tokens][2][hidden_size]`, and to logarithms of
/// durations.
pub(super) fn text(
    session: &Arc<Session>,
    config: &VitsConfig,
    clause: &Arc<Sequence>,
    pasts: &mut Vec<Arc<Past>>,
) -> Result<Runner, GraphError> {
    let (flow, width) = (Flow::new(clause, config.max_tokens), config.hidden_size);
    let mut wire = Wire { graph: GraphBuilder::new(session), weights: session.weights(), config, pasts, whole: HashMap::new() };
    let ids = wire.graph.input::<i32>("vits.symbols", &[config.max_tokens])?;
    let noise = wire.graph.input::<f32>("vits.noise", &[NOISES, config.max_tokens])?;
    let x = wire.encoder(&flow, ids)?;
    let stats = wire.clause("text.output", (width, 2 * width, 1), &flow, x, None, After::Nothing)?;
    let durations = wire.durations(&flow, x, noise)?;
    wire.graph.plan(&[stats, durations])
}

/// Frames to samples, and where those are.
pub(super) fn frames(
    session: &Arc<Session>,
    config: &VitsConfig,
    sequence: &Arc<Sequence>,
    pasts: &mut Vec<Arc<Past>>,
) -> Result<(Runner, Flow), GraphError> {
    let mut flow = Flow::new(sequence, CHUNK);
    let mut wire = Wire { graph: GraphBuilder::new(session), weights: session.weights(), config, pasts, whole: HashMap::new() };
    let mut x = wire.graph.input::<f32>("vits.frames", &[CHUNK, config.hidden_size])?;
    for i in 0..config.prior_encoder_num_flows {
        x = wire.coupling(i, &mut flow, x)?;
    }
    let samples = wire.decoder(&mut flow, x)?;
    Ok((wire.graph.plan(&[samples])?, flow))
}
