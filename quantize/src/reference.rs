//! Whisper in f32 on tract's own operators: what int8 is measured against. Host only.
//!
//! One plan per block, so that memory stays at one block's weights and activations whatever the model's size. Every block also hands
//! out the inputs of its linear layers, which is what [`crate::report`] quantises.

use std::sync::Arc;

use tract_core::internal::*;
use tract_core::ops::cnn::{Conv, KernelFormat, PaddingSpec, PoolSpec};
use tract_core::ops::einsum::EinSum;
use tract_core::ops::math::{add, erf, mul, rsqrt, sub};
use tract_core::ops::nn::{DataFormat, Reduce, Reducer, Softmax};

use crate::Error;
use crate::float::{CONV_TAPS, FloatModel};

/// Whisper's layer norm epsilon.
const EPSILON: f32 = 1e-5;
/// Added to the score of a token that lies in the future; `exp` of it is 0.
const MASKED: f32 = -1e9;

/// The input of one linear layer, as rows.
#[derive(Clone, Copy, Debug)]
pub struct Tap<'a> {
    /// Name of the packed layer in the model folder, without `.weight`.
    pub linear: &'a str,
    /// Values of one row; for a convolution this is one frame, not yet a window of three.
    pub width: usize,
    /// Rows one after the other.
    pub values: &'a [f32],
}

/// A rank-two result, row-major.
#[derive(Clone, Debug, PartialEq)]
pub struct Rows {
    /// Values of one row.
    pub width: usize,
    /// Rows one after the other.
    pub values: Vec<f32>,
}

impl Rows {
    /// Number of rows.
    pub fn len(&self) -> usize {
        self.values.len() / self.width
    }

    /// True without any row.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Row `i`.
    ///
    /// # Panics
    /// When there is no such row.
    pub fn row(&self, i: usize) -> &[f32] {
        &self.values[i * self.width..][..self.width]
    }
}

/// Encodes windows of `frames` mel frames each, frame-major, block after block over all windows. `tap` sees every linear layer's input;
/// `done` is called after each block. Returns the encoder output of each window, `frames / 2` rows.
///
/// # Errors
/// A tensor is not finite, `frames` is odd or too long for the model, or tract refuses.
pub fn encode(
    model: &FloatModel,
    windows: &[Vec<f32>],
    frames: usize,
    tap: &mut dyn FnMut(Tap<'_>),
    done: &mut dyn FnMut(),
) -> Result<Vec<Rows>, Error> {
    let config = model.config();
    let positions = frames / 2;
    if !frames.is_multiple_of(2) || positions == 0 || positions > config.max_source_positions {
        let what = format!("{frames} frames: expected an even number up to {}", 2 * config.max_source_positions);
        return Err(Error::unsupported(model.path(), what));
    }
    let mut states: Vec<Rows> = windows.iter().map(|values| Rows { width: config.num_mel_bins, values: values.clone() }).collect();
    for block in 0..config.encoder_layers + 2 {
        let name = match block {
            0 => "model.encoder stem".to_owned(),
            b if b <= config.encoder_layers => format!("model.encoder.layers.{}", b - 1),
            _ => "model.encoder.layer_norm".to_owned(),
        };
        let plan = Plan::build(model, &name, |g| {
            if block == 0 {
                let mel = g.input("mel", &[frames, config.num_mel_bins])?;
                g.stem(mel, positions)
            } else {
                let x = g.input("x", &[positions, config.d_model])?;
                if block <= config.encoder_layers {
                    let x = g.self_attention(x, &name, config.encoder_attention_heads, false)?;
                    g.feed_forward(x, &name)
                } else {
                    g.layer_norm(x, &name)
                }
            }
        })?;
        for state in &mut states {
            *state = plan.run(&[state], tap)?;
        }
        done();
    }
    Ok(states)
}

/// The float decoder over a fixed number of tokens and encoder positions.
pub struct Decoder<'a> {
    model: &'a FloatModel,
    tokens: usize,
    positions: usize,
    layers: Vec<DecoderLayer>,
    output: Plan,
    embeddings: Vec<f32>,
    places: Vec<f32>,
}

struct DecoderLayer {
    cross: Plan,
    body: Plan,
}

/// Keys and values of one window for every decoder layer.
pub struct Cross(Vec<Rows>);

impl<'a> Decoder<'a> {
    /// Builds plans for sequences of exactly `tokens` tokens (shorter ones are padded) over `positions` encoder rows.
    ///
    /// # Errors
    /// A tensor is not finite, a length is out of the model's range, or tract refuses.
    pub fn new(model: &'a FloatModel, tokens: usize, positions: usize) -> Result<Self, Error> {
        let config = model.config();
        if tokens == 0 || tokens > config.max_target_positions || positions == 0 {
            let what = format!("{tokens} tokens: expected 1 to {}", config.max_target_positions);
            return Err(Error::unsupported(model.path(), what));
        }
        let d = config.d_model;
        let mut layers = Vec::new();
        for i in 0..config.decoder_layers {
            let name = format!("model.decoder.layers.{i}");
            let cross = Plan::build(model, &name, |g| {
                let encoded = g.input("encoded", &[positions, d])?;
                g.tap(&format!("{name}.encoder_attn.kv"), encoded);
                g.stacked(encoded, &format!("{name}.encoder_attn"), &["k_proj", "v_proj"])
            })?;
            let body = Plan::build(model, &name, |g| {
                let x = g.input("x", &[tokens, d])?;
                let kv = g.input("kv", &[positions, 2 * d])?;
                let x = g.self_attention(x, &name, config.decoder_attention_heads, true)?;
                let x = g.cross_attention(x, kv, &name, config.decoder_attention_heads)?;
                g.feed_forward(x, &name)
            })?;
            layers.push(DecoderLayer { cross, body });
        }
        let output = Plan::build(model, "model.decoder.embed_tokens", |g| {
            let x = g.input("x", &[1, d])?;
            let x = g.layer_norm(x, "model.decoder.layer_norm")?;
            g.tap("model.decoder.embed_tokens", x);
            let weight = g.constant("model.decoder.embed_tokens.weight", &[config.vocab_size, d])?;
            g.matmul(x, weight)
        })?;
        let embeddings = model.values("model.decoder.embed_tokens.weight")?;
        let places = model.values("model.decoder.embed_positions.weight")?;
        Ok(Self { model, tokens, positions, layers, output, embeddings, places })
    }

    /// Projects an encoder output to every layer's keys and values.
    ///
    /// # Errors
    /// The number of rows differs from the plan's, or tract refuses.
    pub fn cross(&self, encoded: &Rows, tap: &mut dyn FnMut(Tap<'_>)) -> Result<Cross, Error> {
        if encoded.len() != self.positions {
            let what = format!("{} encoder rows: the plan has {}", encoded.len(), self.positions);
            return Err(Error::unsupported(self.model.path(), what));
        }
        let all = self.layers.iter().map(|layer| layer.cross.run(&[encoded], tap));
        Ok(Cross(all.collect::<Result<_, _>>()?))
    }

    /// Logits after each of the tokens from `first` on.
    ///
    /// # Errors
    /// More tokens than the plan takes, an unknown token, or tract refuses.
    pub fn logits(&self, tokens: &[u32], first: usize, cross: &Cross, tap: &mut dyn FnMut(Tap<'_>)) -> Result<Vec<Vec<f32>>, Error> {
        let config = self.model.config();
        let d = config.d_model;
        let known = tokens.iter().all(|&t| (t as usize) < config.vocab_size);
        if tokens.len() > self.tokens || !known || first > tokens.len() {
            let what = format!("{} tokens of a vocabulary of {}: the plan takes {}", tokens.len(), config.vocab_size, self.tokens);
            return Err(Error::unsupported(self.model.path(), what));
        }
        let mut x = Rows { width: d, values: vec![0.0; self.tokens * d] };
        for (i, row) in x.values.chunks_exact_mut(d).enumerate() {
            let token = tokens.get(i).map_or(0, |&t| t as usize);
            let sum = self.embeddings[token * d..][..d].iter().zip(&self.places[i * d..][..d]).map(|(e, p)| e + p);
            row.iter_mut().zip(sum).for_each(|(slot, v)| *slot = v);
        }
        // Padding rows are computed but never shown.
        let real = &mut |t: Tap<'_>| tap(Tap { values: &t.values[..tokens.len() * t.width], ..t });
        for (layer, kv) in self.layers.iter().zip(&cross.0) {
            x = layer.body.run(&[&x, kv], real)?;
        }
        let rows = (first..tokens.len()).map(|i| Rows { width: d, values: x.row(i).to_vec() });
        rows.map(|row| Ok(self.output.run(&[&row], tap)?.values)).collect()
    }
}

/// A runnable block: its first output is the result, the others are taps.
struct Plan {
    what: String,
    plan: Arc<TypedRunnableModel>,
    taps: Vec<String>,
    path: std::path::PathBuf,
}

impl Plan {
    fn build(model: &FloatModel, what: &str, wire: impl FnOnce(&mut Graph<'_>) -> TractResult<OutletId>) -> Result<Self, Error> {
        let path = model.path().to_owned();
        let failed = |e: TractError| Error::unsupported(&path, format!("float reference, {what}: {e:#}"));
        let mut graph = Graph { model: TypedModel::default(), weights: model, taps: Vec::new(), next: 0 };
        let mut outputs = vec![wire(&mut graph).map_err(failed)?];
        outputs.extend(graph.taps.iter().map(|(_, outlet)| *outlet));
        let mut typed = graph.model;
        typed.select_output_outlets(&outputs).map_err(failed)?;
        let plan = typed.into_optimized().and_then(|m| m.into_runnable()).map_err(failed)?;
        let taps = graph.taps.into_iter().map(|(name, _)| name).collect();
        Ok(Self { what: what.to_owned(), plan, taps, path })
    }

    fn run(&self, inputs: &[&Rows], tap: &mut dyn FnMut(Tap<'_>)) -> Result<Rows, Error> {
        self.try_run(inputs, tap).map_err(|e| Error::unsupported(&self.path, format!("float reference, {}: {e:#}", self.what)))
    }

    fn try_run(&self, inputs: &[&Rows], tap: &mut dyn FnMut(Tap<'_>)) -> TractResult<Rows> {
        let tensors = inputs.iter().map(|rows| Ok(Tensor::from_shape(&[rows.len(), rows.width], &rows.values)?.into_tvalue()));
        let outputs = self.plan.run(tensors.collect::<TractResult<_>>()?)?;
        for (linear, tensor) in self.taps.iter().zip(&outputs[1..]) {
            let view = tensor.try_as_plain_ram()?;
            tap(Tap { linear, width: tensor.shape()[1], values: view.as_slice::<f32>()? });
        }
        let values = outputs[0].try_as_plain_ram()?.as_slice::<f32>()?.to_vec();
        Ok(Rows { width: outputs[0].shape()[1], values })
    }
}

/// Wires blocks of Whisper into one tract model. Activations are `[rows, width]`.
struct Graph<'a> {
    model: TypedModel,
    weights: &'a FloatModel,
    taps: Vec<(String, OutletId)>,
    next: usize,
}

impl Graph<'_> {
    fn name(&mut self, what: &str) -> String {
        self.next += 1;
        format!("{what}.{}", self.next)
    }

    fn wire(&mut self, what: &str, op: impl Into<Box<dyn TypedOp>>, inputs: &[OutletId]) -> TractResult<OutletId> {
        let name = self.name(what);
        Ok(self.model.wire_node(name, op, inputs)?[0])
    }

    fn input(&mut self, name: &str, shape: &[usize]) -> TractResult<OutletId> {
        self.model.add_source(name, f32::fact(shape))
    }

    fn tap(&mut self, linear: &str, outlet: OutletId) {
        self.taps.push((linear.to_owned(), outlet));
    }

    fn tensor(&mut self, shape: &[usize], values: &[f32]) -> TractResult<OutletId> {
        let name = self.name("const");
        self.model.add_const(name, Tensor::from_shape(shape, values)?)
    }

    fn constant(&mut self, name: &str, shape: &[usize]) -> TractResult<OutletId> {
        let values = self.weights.values(name)?;
        self.tensor(shape, &values)
    }

    fn scalar(&mut self, value: f32) -> TractResult<OutletId> {
        self.tensor(&[1, 1], &[value])
    }

    fn width(&self, x: OutletId) -> TractResult<(usize, usize)> {
        let shape = self.model.outlet_fact(x)?.shape.as_concrete().map(<[usize]>::to_vec);
        match shape.as_deref() {
            Some([rows, width]) => Ok((*rows, *width)),
            other => bail!("expected rows, found {other:?}"),
        }
    }

    fn einsum(&mut self, expr: &str, a: OutletId, b: OutletId) -> TractResult<OutletId> {
        self.wire("einsum", EinSum::new(expr.parse()?, f32::datum_type()), &[a, b])
    }

    /// `x W^T`, W being `[outputs, inputs]`.
    fn matmul(&mut self, x: OutletId, weight: OutletId) -> TractResult<OutletId> {
        self.einsum("mk,nk->mn", x, weight)
    }

    fn linear(&mut self, x: OutletId, name: &str) -> TractResult<OutletId> {
        let (_, inputs) = self.width(x)?;
        let outputs = self.weights.config().shape_of(&format!("{name}.weight")).map_or(0, |s| s[0]);
        let weight = self.constant(&format!("{name}.weight"), &[outputs, inputs])?;
        let y = self.matmul(x, weight)?;
        let bias = format!("{name}.bias");
        if name.ends_with(".k_proj") && !self.weights.contains(&bias) {
            return Ok(y);
        }
        let bias = self.constant(&bias, &[1, outputs])?;
        self.wire("bias", add(), &[y, bias])
    }

    /// Several layers of one input side by side.
    fn stacked(&mut self, x: OutletId, prefix: &str, parts: &[&str]) -> TractResult<OutletId> {
        let outputs = parts.iter().map(|part| self.linear(x, &format!("{prefix}.{part}")));
        let outputs = outputs.collect::<TractResult<Vec<_>>>()?;
        self.wire("concat", tract_core::ops::array::TypedConcat::new(1), &outputs)
    }

    fn mean(&mut self, x: OutletId) -> TractResult<OutletId> {
        let (_, width) = self.width(x)?;
        let sum = self.wire("sum", Reduce { axes: tvec!(1), reducer: Reducer::Sum }, &[x])?;
        let scale = self.scalar(1.0 / width as f32)?;
        self.wire("mean", mul(), &[sum, scale])
    }

    fn layer_norm(&mut self, x: OutletId, name: &str) -> TractResult<OutletId> {
        let (_, width) = self.width(x)?;
        let mean = self.mean(x)?;
        let centred = self.wire("centred", sub(), &[x, mean])?;
        let square = self.wire("square", mul(), &[centred, centred])?;
        let variance = self.mean(square)?;
        let epsilon = self.scalar(EPSILON)?;
        let padded = self.wire("epsilon", add(), &[variance, epsilon])?;
        let inverse = self.wire("rsqrt", rsqrt(), &[padded])?;
        let unit = self.wire("unit", mul(), &[centred, inverse])?;
        let gamma = self.constant(&format!("{name}.weight"), &[1, width])?;
        let beta = self.constant(&format!("{name}.bias"), &[1, width])?;
        let scaled = self.wire("gamma", mul(), &[unit, gamma])?;
        self.wire("beta", add(), &[scaled, beta])
    }

    /// `x / 2 (1 + erf(x / sqrt 2))`.
    fn gelu(&mut self, x: OutletId) -> TractResult<OutletId> {
        let root = self.scalar(std::f32::consts::FRAC_1_SQRT_2)?;
        let scaled = self.wire("scaled", mul(), &[x, root])?;
        let erf = self.wire("erf", erf(), &[scaled])?;
        let one = self.scalar(1.0)?;
        let gate = self.wire("gate", add(), &[erf, one])?;
        let half = self.scalar(0.5)?;
        let gate = self.wire("half", mul(), &[gate, half])?;
        self.wire("gelu", mul(), &[x, gate])
    }

    /// A convolution over frames with GELU; `x` is `[channels, frames]`.
    fn conv(&mut self, x: OutletId, name: &str, stride: usize) -> TractResult<OutletId> {
        let (channels, _) = self.width(x)?;
        let d = self.weights.config().d_model;
        let kernel = self.constant(&format!("{name}.weight"), &[d, channels, CONV_TAPS])?;
        let bias = self.constant(&format!("{name}.bias"), &[d])?;
        let pool = PoolSpec::new(
            DataFormat::CHW,
            tvec!(CONV_TAPS),
            PaddingSpec::Explicit(tvec!(1), tvec!(1)),
            None,
            Some(tvec!(stride)),
            channels,
            d,
        );
        let y = self.wire(name, Conv::new(pool, KernelFormat::OIHW, 1, None), &[x, kernel, bias])?;
        self.gelu(y)
    }

    fn stem(&mut self, mel: OutletId, positions: usize) -> TractResult<OutletId> {
        let d = self.weights.config().d_model;
        self.tap("model.encoder.conv1", mel);
        let x = self.wire("transpose", AxisOp::Move(0, 1), &[mel])?;
        let x = self.conv(x, "model.encoder.conv1", 1)?;
        let frames = self.wire("transpose", AxisOp::Move(0, 1), &[x])?;
        self.tap("model.encoder.conv2", frames);
        let x = self.conv(x, "model.encoder.conv2", 2)?;
        let x = self.wire("transpose", AxisOp::Move(0, 1), &[x])?;
        let places = self.weights.values("model.encoder.embed_positions.weight")?;
        let places = self.tensor(&[positions, d], &places[..positions * d])?;
        self.wire("positions", add(), &[x, places])
    }

    /// `[rows, width]` to `[rows, heads, width / heads]`.
    fn split_heads(&mut self, x: OutletId, heads: usize) -> TractResult<OutletId> {
        let (_, width) = self.width(x)?;
        let parts = tvec!(heads.to_dim(), (width / heads).to_dim());
        self.wire("split", AxisOp::Reshape(1, tvec!(width.to_dim()), parts), &[x])
    }

    fn attend(&mut self, q: OutletId, k: OutletId, v: OutletId, heads: usize, causal: bool) -> TractResult<OutletId> {
        let (rows, width) = self.width(q)?;
        let [q, k, v] = [self.split_heads(q, heads)?, self.split_heads(k, heads)?, self.split_heads(v, heads)?];
        let scores = self.einsum("qhd,khd->hqk", q, k)?;
        let scale = self.tensor(&[1, 1, 1], &[((width / heads) as f32).powf(-0.5)])?;
        let mut scores = self.wire("scale", mul(), &[scores, scale])?;
        if causal {
            let mask: Vec<f32> = (0..rows * rows).map(|i| if i % rows > i / rows { MASKED } else { 0.0 }).collect();
            let mask = self.tensor(&[1, rows, rows], &mask)?;
            scores = self.wire("mask", add(), &[scores, mask])?;
        }
        let weights = self.wire("softmax", Softmax { axes: tvec!(2), ..Softmax::default() }, &[scores])?;
        let context = self.einsum("hqk,khd->qhd", weights, v)?;
        let parts = tvec!(heads.to_dim(), (width / heads).to_dim());
        self.wire("merge", AxisOp::Reshape(1, parts, tvec!(width.to_dim())), &[context])
    }

    fn self_attention(&mut self, x: OutletId, layer: &str, heads: usize, causal: bool) -> TractResult<OutletId> {
        let normed = self.layer_norm(x, &format!("{layer}.self_attn_layer_norm"))?;
        let attention = format!("{layer}.self_attn");
        self.tap(&format!("{attention}.qkv"), normed);
        let q = self.linear(normed, &format!("{attention}.q_proj"))?;
        let k = self.linear(normed, &format!("{attention}.k_proj"))?;
        let v = self.linear(normed, &format!("{attention}.v_proj"))?;
        let context = self.attend(q, k, v, heads, causal)?;
        self.project(x, context, &attention)
    }

    fn cross_attention(&mut self, x: OutletId, kv: OutletId, layer: &str, heads: usize) -> TractResult<OutletId> {
        let d = self.weights.config().d_model;
        let normed = self.layer_norm(x, &format!("{layer}.encoder_attn_layer_norm"))?;
        let attention = format!("{layer}.encoder_attn");
        self.tap(&format!("{attention}.q_proj"), normed);
        let q = self.linear(normed, &format!("{attention}.q_proj"))?;
        let k = self.wire("keys", tract_core::ops::array::Slice::new(1, 0, d), &[kv])?;
        let v = self.wire("values", tract_core::ops::array::Slice::new(1, d, 2 * d), &[kv])?;
        let context = self.attend(q, k, v, heads, false)?;
        self.project(x, context, &attention)
    }

    fn project(&mut self, x: OutletId, context: OutletId, attention: &str) -> TractResult<OutletId> {
        self.tap(&format!("{attention}.out_proj"), context);
        let y = self.linear(context, &format!("{attention}.out_proj"))?;
        self.wire("residual", add(), &[x, y])
    }

    fn feed_forward(&mut self, x: OutletId, layer: &str) -> TractResult<OutletId> {
        let normed = self.layer_norm(x, &format!("{layer}.final_layer_norm"))?;
        self.tap(&format!("{layer}.fc1"), normed);
        let hidden = self.linear(normed, &format!("{layer}.fc1"))?;
        let hidden = self.gelu(hidden)?;
        self.tap(&format!("{layer}.fc2"), hidden);
        let y = self.linear(hidden, &format!("{layer}.fc2"))?;
        self.wire("residual", add(), &[x, y])
    }
}
