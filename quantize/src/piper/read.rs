//! From the network's tensors to a voice.

use std::path::Path;

use ossicle_models::folder::ModelConfig;

use super::network::{Network, Pads};
use super::settings::Settings;
use super::{Conv, Coupling, Layer, Spline, Voice};
use crate::Error;

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
