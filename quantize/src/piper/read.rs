//! The network's tensors, by name.

use std::collections::HashMap;
use std::path::Path;

use ossicle_models::folder::ModelConfig;
use ossicle_models::vits::VitsConfig;

use super::settings::Settings;
use super::{Conv, Coupling, DecoderStage, Layer, Norm, Separable, Spline, Voice};
use crate::Error;
use crate::onnx::read::{Node, OnnxGraph};

/// Most symbols of a clause, in the runtime: some 500 phonemes.
const TOKENS: usize = 1024;
/// Up to where Piper's splines bend.
const TAIL_BOUND: f32 = 5.0;
/// What is multiplied below zero before the last convolution.
const LAST_SLOPE: f32 = 0.01;

pub(super) fn voice(path: &Path, settings: Settings, speaker: Option<&str>) -> Result<Voice, Error> {
    let graph = crate::onnx::read::read(path)?;
    let network = Network::of(&graph);
    let config = network.config(&settings)?;
    if let Some(problem) = config.problem() {
        return Err(network.wrong(problem));
    }
    if let Some((symbol, number)) = settings.symbols.iter().find(|(_, number)| **number as usize >= config.vocab_size) {
        return Err(network.wrong(format!("phoneme {symbol:?} is {number}, beyond the vocabulary of {}", config.vocab_size)));
    }
    let (width, distances) = (config.hidden_size, 2 * config.window_size + 1);
    let layer = |i: usize| -> Result<Layer, Error> {
        let attention = format!("enc_p.encoder.attn_layers.{i}");
        let conv = |part: &str| network.conv(&format!("{attention}.{part}"), Pads::Same);
        let relative = |part: &str| graph.floats(&format!("{attention}.{part}"), &[1, distances, config.head_size()]);
        let feed_forward = |part: &str| network.conv(&format!("enc_p.encoder.ffn_layers.{i}.{part}"), Pads::Before);
        Ok(Layer {
            query: conv("conv_q")?,
            key: conv("conv_k")?,
            value: conv("conv_v")?,
            output: conv("conv_o")?,
            relative_keys: relative("emb_rel_k")?,
            relative_values: relative("emb_rel_v")?,
            norm: network.norm(&format!("enc_p.encoder.norm_layers_1.{i}"), width)?,
            up: feed_forward("conv_1")?,
            down: feed_forward("conv_2")?,
            feed_forward_norm: network.norm(&format!("enc_p.encoder.norm_layers_2.{i}"), width)?,
        })
    };
    let spline = |i: &usize| -> Result<Spline, Error> {
        let name = format!("dp.flows.{i}");
        let conv = |part: &str| network.conv(&format!("{name}.{part}"), Pads::Same);
        Ok(Spline { input: conv("pre")?, convs: network.stack(&format!("{name}.convs"), &config)?, output: conv("proj")? })
    };
    let coupling = |i: &usize| -> Result<Coupling, Error> {
        let name = format!("flow.flows.{i}");
        let conv = |part: &str| network.conv(&format!("{name}.{part}"), Pads::Same);
        let layer =
            |j| -> Result<[Conv; 2], Error> { Ok([conv(&format!("enc.in_layers.{j}"))?, conv(&format!("enc.res_skip_layers.{j}"))?]) };
        let layers = (0..config.prior_encoder_num_wavenet_layers).map(layer).collect::<Result<_, Error>>()?;
        Ok(Coupling { enter: conv("pre")?, layers, leave: conv("post")? })
    };
    let couplings = network.numbers("flow.flows", "pre.bias");
    let mut voice = Voice {
        path: path.to_owned(),
        speaker: None,
        symbols: settings.symbols.clone(),
        embedding: graph.floats(network.embedding()?, &[config.vocab_size, width])?,
        layers: (0..config.num_hidden_layers).map(layer).collect::<Result<_, _>>()?,
        stats: network.conv("enc_p.proj", Pads::Same)?,
        duration_input: network.conv("dp.pre", Pads::Same)?,
        duration_convs: network.stack("dp.convs", &config)?,
        duration_condition: network.conv("dp.proj", Pads::Same)?,
        splines: network.numbers("dp.flows", "pre.bias").iter().map(spline).collect::<Result<_, _>>()?,
        affine: network.affine()?,
        couplings: couplings.iter().map(coupling).collect::<Result<_, _>>()?,
        decoder_input: network.conv("dec.conv_pre", Pads::Same)?,
        stages: (0..config.upsample_rates.len()).map(|i| network.stage(i, &config)).collect::<Result<_, _>>()?,
        decoder_output: network.conv("dec.conv_post", Pads::Same)?,
        config,
    };
    check(&voice, &network)?;
    super::speaker::choose(&mut voice, &network, &settings, &couplings, speaker)?;
    Ok(voice)
}

/// Every convolution has the channels that the wiring takes for granted.
fn check(voice: &Voice, network: &Network<'_>) -> Result<(), Error> {
    let (config, width) = (&voice.config, voice.config.hidden_size);
    let fits = |name: &str, conv: &Conv, outputs: usize, inputs: usize, taps: usize, dilation: usize| {
        let have = (conv.outputs, conv.inputs, conv.taps, conv.dilation);
        let wanted = (outputs, inputs, taps, dilation);
        let problem = || network.wrong(format!("{name}: outputs, inputs, taps and dilation are {have:?}, {wanted:?} are expected"));
        if have == wanted { Ok(()) } else { Err(problem()) }
    };
    for layer in &voice.layers {
        for conv in [&layer.query, &layer.key, &layer.value, &layer.output] {
            fits("enc_p.encoder.attn_layers", conv, width, width, 1, 1)?;
        }
        fits("enc_p.encoder.ffn_layers.conv_1", &layer.up, config.ffn_dim, width, config.ffn_kernel_size, 1)?;
        fits("enc_p.encoder.ffn_layers.conv_2", &layer.down, width, config.ffn_dim, config.ffn_kernel_size, 1)?;
    }
    fits("enc_p.proj", &voice.stats, 2 * width, width, 1, 1)?;
    fits("dp.pre", &voice.duration_input, width, width, 1, 1)?;
    fits("dp.proj", &voice.duration_condition, width, width, 1, 1)?;
    for spline in &voice.splines {
        fits("dp.flows.pre", &spline.input, width, 1, 1, 1)?;
        fits("dp.flows.proj", &spline.output, config.spline_values(), width, 1, 1)?;
    }
    for stack in std::iter::once(&voice.duration_convs).chain(voice.splines.iter().map(|spline| &spline.convs)) {
        for (i, separable) in stack.iter().enumerate() {
            let taps = config.duration_predictor_kernel_size;
            fits("dp.convs.convs_sep", &separable.depthwise, width, 1, taps, taps.saturating_pow(i as u32))?;
            fits("dp.convs.convs_1x1", &separable.point, width, width, 1, 1)?;
        }
    }
    for coupling in &voice.couplings {
        fits("flow.flows.pre", &coupling.enter, width, width / 2, 1, 1)?;
        fits("flow.flows.post", &coupling.leave, width / 2, width, 1, 1)?;
        for (i, [enter, leave]) in coupling.layers.iter().enumerate() {
            fits("flow.flows.enc.in_layers", enter, 2 * width, width, config.wavenet_kernel_size, config.wavenet_dilation(i))?;
            let outputs = if i + 1 == coupling.layers.len() { width } else { 2 * width };
            fits("flow.flows.enc.res_skip_layers", leave, outputs, width, 1, 1)?;
        }
    }
    fits("dec.conv_pre", &voice.decoder_input, config.channels(0), width, 7, 1)?;
    fits("dec.conv_post", &voice.decoder_output, 1, config.channels(voice.stages.len()), 7, 1)?;
    for (i, stage) in voice.stages.iter().enumerate() {
        let channels = config.channels(i + 1);
        fits("dec.ups", &stage.upsample, channels, config.channels(i), 2 * config.upsample_rates[i], 1)?;
        for ((block, &taps), dilations) in stage.blocks.iter().zip(&config.resblock_kernel_sizes).zip(&config.resblock_dilation_sizes) {
            for (step, &dilation) in block.iter().zip(dilations) {
                for (conv, dilation) in step.iter().zip([dilation, 1]) {
                    fits("dec.resblocks", conv, channels, channels, taps, dilation)?;
                }
            }
        }
    }
    Ok(())
}

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
    fn of(graph: &'a OnnxGraph) -> Self {
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

    fn norm(&self, name: &str, width: usize) -> Result<Norm, Error> {
        let part = |part: &str| self.graph.floats(&format!("{name}.{part}"), &[width]);
        Ok(Norm { weight: part("gamma")?, bias: part("beta")? })
    }

    fn stack(&self, name: &str, config: &VitsConfig) -> Result<Vec<Separable>, Error> {
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

    fn stage(&self, stage: usize, config: &VitsConfig) -> Result<DecoderStage, Error> {
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
    fn numbers(&self, name: &str, part: &str) -> Vec<usize> {
        (0..64).rev().filter(|i| self.graph.shape(&format!("{name}.{i}.{part}")).is_some()).collect()
    }

    /// The table that an input of the graph is looked up in; optimisers may give it another constant's name.
    pub(super) fn table(&self, input: &str) -> Option<&'a str> {
        let gather = self.graph.nodes.iter().find(|node| node.op == "Gather" && node.inputs.get(1).is_some_and(|ids| ids == input));
        gather.and_then(|node| node.inputs.first()).map(String::as_str)
    }

    fn embedding(&self) -> Result<&'a str, Error> {
        self.table("input").ok_or_else(|| self.wrong("no table that symbols are looked up in: not one of Piper's voices"))
    }

    /// Mean and scale of what durations are made of, of the first of two values; the scale is there as a logarithm below zero, or computed already.
    fn affine(&self) -> Result<[f32; 2], Error> {
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
    fn config(&self, settings: &Settings) -> Result<VitsConfig, Error> {
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
