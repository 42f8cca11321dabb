//! The network's tensors by name, and the figures that only nodes tell.

use std::collections::HashMap;

use ossicle_models::vits::VitsConfig;

use super::settings::Settings;
use super::{Conv, DecoderStage, Norm, Separable};
use crate::Error;
use crate::onnx::read::{Node, OnnxGraph};

/// Most symbols of a clause, in the runtime: some 500 phonemes.
const TOKENS: usize = 1024;

/// Up to where Piper's splines bend.
const TAIL_BOUND: f32 = 5.0;

/// What is multiplied below zero before the last convolution.
const LAST_SLOPE: f32 = 0.01;

/// How a convolution keeps the length.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Pads {
    /// By itself.
    Same,
    /// By a node before it, or by itself.
    Before,
}

/// Where tensors are read from.
pub(super) struct Network<'a> {
    pub(super) graph: &'a OnnxGraph,
    /// Convolutions by the names of their biases, and of their weights.
    convs: HashMap<&'a str, &'a Node>,
}

impl<'a> Network<'a> {
    pub(super) fn of(graph: &'a OnnxGraph) -> Self {
        let convs = graph.nodes.iter().filter(|node| node.op == "Conv" || node.op == "ConvTranspose");
        let names = convs.flat_map(|node| node.inputs.iter().skip(1).map(move |name| (name.as_str(), node)));
        Self { graph, convs: names.collect() }
    }

    pub(super) fn wrong(&self, reason: impl Into<String>) -> Error {
        Error::Onnx { path: self.graph.path.clone(), reason: reason.into() }
    }

    /// The convolution of a layer.
    fn node(&self, name: &str) -> Result<&'a Node, Error> {
        let named = |part: &str| self.convs.get(format!("{name}.{part}").as_str()).copied();
        named("bias").or_else(|| named("weight")).ok_or_else(|| self.wrong(format!("no convolution {name}: not one of Piper's voices")))
    }

    fn shape(&self, name: &str, axis: usize) -> Result<usize, Error> {
        let found = self.graph.shape(name).and_then(|shape| shape.get(axis)).copied();
        found.ok_or_else(|| self.wrong(format!("no tensor {name}: not one of Piper's voices")))
    }

    pub(super) fn conv(&self, name: &str, pads: Pads) -> Result<Conv, Error> {
        let node = self.node(name)?;
        let weights = node.inputs.get(1).map_or("", String::as_str);
        let shape = self.graph.shape(weights).filter(|shape| shape.len() == 3);
        let Some(&[first, second, taps]) = shape else { return Err(self.wrong(format!("{name}: no weights of three dimensions"))) };
        let one = |attribute: &str| node.ints(attribute).first().copied().and_then(|value| usize::try_from(value).ok()).unwrap_or(1);
        let (dilation, stride, groups) = (one("dilations"), one("strides"), one("group"));
        let transposed = node.op == "ConvTranspose";
        let wanted = match transposed {
            true => stride / 2,
            false => taps / 2 * dilation,
        };
        let padded = node.ints("pads").iter().all(|&pad| usize::try_from(pad) == Ok(wanted));
        let padded = padded || (pads == Pads::Before && node.ints("pads").iter().all(|&pad| pad == 0));
        let keeps = if transposed { stride * 2 == taps && dilation == 1 && groups == 1 } else { stride == 1 && taps % 2 == 1 };
        let plain = node.ints("output_padding").iter().all(|&more| more == 0) && (groups == 1 || (groups == first && second == 1));
        if !(padded && keeps && plain) {
            let reason = "a window, stride, padding or groups that the runtime does not have";
            return Err(self.wrong(format!("{name}: {reason}")));
        }
        let (outputs, inputs) = if transposed { (second, first) } else { (first, second) };
        let bias = match node.inputs.get(2).filter(|bias| !bias.is_empty()) {
            Some(bias) => self.graph.floats(bias, &[outputs])?,
            None => vec![0.0; outputs],
        };
        Ok(Conv { weight: self.graph.floats(weights, &[first, second, taps])?, bias, inputs, outputs, taps, dilation })
    }

    pub(super) fn norm(&self, name: &str, width: usize) -> Result<Norm, Error> {
        let part = |part: &str| self.graph.floats(&format!("{name}.{part}"), &[width]);
        Ok(Norm { weight: part("gamma")?, bias: part("beta")? })
    }

    pub(super) fn stack(&self, name: &str, config: &VitsConfig) -> Result<Vec<Separable>, Error> {
        let layer = |i| -> Result<Separable, Error> {
            Ok(Separable {
                depthwise: self.conv(&format!("{name}.convs_sep.{i}"), Pads::Same)?,
                norm_1: self.norm(&format!("{name}.norms_1.{i}"), config.hidden_size)?,
                point: self.conv(&format!("{name}.convs_1x1.{i}"), Pads::Same)?,
                norm_2: self.norm(&format!("{name}.norms_2.{i}"), config.hidden_size)?,
            })
        };
        (0..config.depth_separable_num_layers).map(layer).collect()
    }

    pub(super) fn stage(&self, stage: usize, config: &VitsConfig) -> Result<DecoderStage, Error> {
        let blocks = config.resblock_kernel_sizes.len();
        let lists: &[&str] = if config.resblock_pairs { &["convs1", "convs2"] } else { &["convs"] };
        let block = |block: usize| -> Result<Vec<Vec<Conv>>, Error> {
            let name = format!("dec.resblocks.{}", stage * blocks + block);
            let step =
                |i| -> Result<Vec<Conv>, Error> { lists.iter().map(|list| self.conv(&format!("{name}.{list}.{i}"), Pads::Same)).collect() };
            (0..config.resblock_dilation_sizes[block].len()).map(step).collect()
        };
        Ok(DecoderStage {
            upsample: self.conv(&format!("dec.ups.{stage}"), Pads::Same)?,
            blocks: (0..blocks).map(block).collect::<Result<_, _>>()?,
        })
    }

    /// How many of `NAME.0.PART`, `NAME.1.PART` there are.
    fn count(&self, name: &str, part: &str) -> usize {
        (0..256).take_while(|i| self.graph.shape(&format!("{name}.{i}.{part}")).is_some()).count()
    }

    /// Which numbers `i` there are of `NAME.i.PART`, the largest first.
    pub(super) fn numbers(&self, name: &str, part: &str) -> Vec<usize> {
        (0..64).rev().filter(|i| self.graph.shape(&format!("{name}.{i}.{part}")).is_some()).collect()
    }

    /// The table that an input of the graph is looked up in; optimisers may give it another constant's name.
    pub(super) fn table(&self, input: &str) -> Option<&'a str> {
        let gather = self.graph.nodes.iter().find(|node| node.op == "Gather" && node.inputs.get(1).is_some_and(|ids| ids == input));
        gather.and_then(|node| node.inputs.first()).map(String::as_str)
    }

    pub(super) fn embedding(&self) -> Result<&'a str, Error> {
        self.table("input").ok_or_else(|| self.wrong("no table that symbols are looked up in: not one of Piper's voices"))
    }

    /// Mean and scale of what durations are made of, of the first of two values; the scale is there as a logarithm below zero, or computed already.
    pub(super) fn affine(&self) -> Result<[f32; 2], Error> {
        let mean = self.graph.floats("dp.flows.0.m", &[2])?[0];
        if self.graph.shape("dp.flows.0.logs").is_some() {
            return Ok([mean, (-self.graph.floats("dp.flows.0.logs", &[2])?[0]).exp()]);
        }
        let products = self.graph.nodes.iter().filter(|node| node.op == "Mul");
        let scale =
            products.flat_map(|node| &node.inputs).find(|name| name.starts_with("/dp/flows.0/") && self.graph.shape(name).is_some());
        match scale {
            Some(scale) => Ok([mean, self.graph.floats(scale, &[2])?[0]]),
            None => Err(self.wrong("dp.flows.0: no scale")),
        }
    }

    /// Slopes below zero: one before the last convolution, one for all others.
    fn slope(&self) -> Result<f32, Error> {
        let slopes: Vec<f32> =
            self.graph.nodes.iter().filter(|node| node.op == "LeakyRelu").map(|node| node.float("alpha").unwrap_or(LAST_SLOPE)).collect();
        match slopes.as_slice() {
            [first, middle @ .., last] if middle.iter().all(|slope| slope == first) && *last == LAST_SLOPE => Ok(*first),
            _ => Err(self.wrong(format!("slopes below zero are {slopes:?}: one for all, and {LAST_SLOPE} at the end, are possible"))),
        }
    }

    /// The figures, from the shapes of tensors and from nodes.
    pub(super) fn config(&self, settings: &Settings) -> Result<VitsConfig, Error> {
        let splines = self.numbers("dp.flows", "pre.bias");
        let Some(&spline) = splines.first() else {
            let plain = self.graph.shape("dp.conv_1.bias").is_some();
            let what = if plain { "durations without noise (dp.conv_1)" } else { "no splines of durations (dp.flows)" };
            return Err(self.wrong(format!("{what}: the stochastic duration predictor of Piper's voices is expected")));
        };
        let couplings = self.numbers("flow.flows", "pre.bias");
        let flow = format!("flow.flows.{}.enc.in_layers", couplings.first().unwrap_or(&0));
        let attention = "enc_p.encoder.attn_layers.0.emb_rel_k";
        let (hidden, head) = (self.shape("enc_p.encoder.norm_layers_1.0.gamma", 0)?, self.shape(attention, 2)?);
        let dilation = |name: &str| -> Result<(usize, usize), Error> {
            let conv = self.conv(name, Pads::Same)?;
            Ok((conv.taps, conv.dilation))
        };
        let stages = self.count("dec.ups", "bias");
        let rates = (0..stages).map(|i| -> Result<usize, Error> { Ok(self.conv(&format!("dec.ups.{i}"), Pads::Same)?.taps / 2) });
        let pairs = self.graph.shape("dec.resblocks.0.convs1.0.bias").is_some();
        let list = if pairs { "convs1" } else { "convs" };
        let all = self.count("dec.resblocks", &format!("{list}.0.bias"));
        let blocks = all.checked_div(stages).unwrap_or(0);
        if blocks * stages != all {
            return Err(self.wrong(format!("dec.resblocks: {all} for {stages} stages")));
        }
        let mut kernels = vec![];
        let mut dilations = vec![];
        for block in 0..blocks {
            let name = format!("dec.resblocks.{block}.{list}");
            let convs: Vec<_> = (0..self.count(&name, "bias")).map(|i| dilation(&format!("{name}.{i}"))).collect::<Result<_, _>>()?;
            kernels.push(convs.first().map_or(0, |conv| conv.0));
            dilations.push(convs.into_iter().map(|conv| conv.1).collect());
        }
        let wavenet = self.count(&flow, "bias");
        Ok(VitsConfig {
            sampling_rate: settings.rate,
            vocab_size: self.shape(self.embedding()?, 0)?,
            max_tokens: TOKENS,
            hidden_size: hidden,
            ffn_dim: self.shape("enc_p.encoder.ffn_layers.0.conv_1.bias", 0)?,
            ffn_kernel_size: self.conv("enc_p.encoder.ffn_layers.0.conv_1", Pads::Before)?.taps,
            num_hidden_layers: self.count("enc_p.encoder.attn_layers", "emb_rel_k"),
            num_attention_heads: hidden.checked_div(head).unwrap_or(0),
            window_size: self.shape(attention, 1)? / 2,
            depth_separable_num_layers: self.count("dp.convs.convs_sep", "bias"),
            duration_predictor_kernel_size: self.conv("dp.convs.convs_sep.0", Pads::Same)?.taps,
            duration_predictor_num_flows: splines.len(),
            duration_predictor_flow_bins: (self.shape(&format!("dp.flows.{spline}.proj.bias"), 0)? + 1) / 3,
            duration_predictor_tail_bound: TAIL_BOUND,
            prior_encoder_num_flows: couplings.len(),
            prior_encoder_num_wavenet_layers: wavenet,
            wavenet_kernel_size: dilation(&format!("{flow}.0"))?.0,
            wavenet_dilation_rate: if wavenet > 1 { dilation(&format!("{flow}.1"))?.1 } else { 1 },
            upsample_initial_channel: self.shape("dec.conv_pre.bias", 0)?,
            upsample_rates: rates.collect::<Result<_, Error>>()?,
            resblock_kernel_sizes: kernels,
            resblock_dilation_sizes: dilations,
            resblock_pairs: pairs,
            leaky_relu_slope: self.slope()?,
            noise_scale: settings.noise_scale,
            noise_scale_duration: settings.noise_scale_duration,
            length_scale: settings.length_scale,
            espeak_voice: Some(settings.espeak_voice.clone()),
            language: settings.language.clone(),
        })
    }
}
