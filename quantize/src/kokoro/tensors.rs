//! The tensors of a model folder, in the runtime's names and layouts.

use ossicle_kernels::simd::LANES;
use ossicle_models::kokoro::{KokoroConfig, sizes};

use super::read::{FloatLinear, Linear, Network, padded_runs};
use crate::Error;
use crate::tensors::{Tensor, put_rows};

/// Where the transformer layer is.
pub(super) const ALBERT: &str = "encoder.bert.encoder.albert_layer_groups.0.albert_layers.0";
/// Its nodes: the first time that the layer is applied.
pub(super) const ALBERT_PATH: &str = "/encoder/bert/encoder/albert_layer_groups.0/albert_layers.0";
/// Where the generator is.
pub(super) const GENERATOR: &str = "decoder.decoder.generator";

/// What is read, and what it becomes.
pub(super) struct Builder<'a> {
    pub(super) network: &'a Network<'a>,
    pub(super) config: &'a KokoroConfig,
    pub(super) out: Vec<Tensor>,
}

/// The path of a layer's nodes.
fn path(name: &str) -> String {
    format!(
        "/{}",
        name.replacen("encoder.predictor.", "encoder/", 1).replacen("decoder.decoder.", "decoder/decoder/", 1).replacen(
            "generator.",
            "generator/",
            1
        )
    )
}

impl Builder<'_> {
    fn floats(&mut self, name: &str, shape: &[usize], values: Vec<f32>) {
        self.out.push(Tensor::floats(name.to_owned(), shape.to_vec(), values));
    }

    fn linear(&mut self, name: &str, layer: Linear) {
        let bias = (!layer.bias.is_empty()).then_some(layer.bias);
        put_rows(&mut self.out, name, &layer.rows, bias);
    }

    fn float_linear(&mut self, name: &str, layer: FloatLinear) {
        let (outputs, depth) = (layer.bias.len(), layer.weight.len() / layer.bias.len());
        let padded = outputs.next_multiple_of(LANES);
        self.floats(&format!("{name}.weight"), &[depth, padded], padded_runs(&layer.weight, outputs, padded));
        self.floats(&format!("{name}.bias"), &[padded], padded_runs(&layer.bias, outputs, padded));
    }

    /// A normalisation's factors and shifts.
    fn norm(&mut self, name: &str, [factors, shifts]: [&str; 2], width: usize) -> Result<(), Error> {
        for (part, from) in [("weight", factors), ("bias", shifts)] {
            let values = self.network.graph.floats(from, &[width])?;
            self.floats(&format!("{name}.{part}"), &[width], values);
        }
        Ok(())
    }

    fn lstm(&mut self, name: &str, path: &str, inputs: usize) -> Result<(), Error> {
        let [forward, backward] = self.network.lstm(path, inputs, self.config.width / 2)?;
        for (way, [input, recurrent]) in [("forward", forward), ("backward", backward)] {
            self.linear(&format!("{name}.{way}.input"), input);
            self.linear(&format!("{name}.{way}.recurrent"), recurrent);
        }
        Ok(())
    }

    pub(super) fn all(&mut self) -> Result<(), Error> {
        self.bert()?;
        self.prosody_text()?;
        self.text()?;
        self.curves()?;
        self.decoder()?;
        self.source()?;
        self.generator()?;
        self.head()
    }

    fn bert(&mut self) -> Result<(), Error> {
        let (config, network) = (self.config, self.network);
        let (small, width, inner) = (config.embedding_size, config.hidden_size, config.intermediate_size);
        let table = |name: &str, rows: usize| network.table(&format!("encoder.bert.embeddings.{name}.weight"), rows, small);
        let words = table("word_embeddings", config.vocab_size)?;
        // All phonemes are of the first type.
        let types = table("token_type_embeddings", network.size("encoder.bert.embeddings.token_type_embeddings.weight_quantized", 0)?)?;
        let mut positions = table("position_embeddings", config.max_tokens)?;
        for row in positions.chunks_exact_mut(small) {
            row.iter_mut().zip(&types).for_each(|(value, own)| *value += own);
        }
        self.floats("bert.embedding.words", &[config.vocab_size, small], words);
        self.floats("bert.embedding.positions", &[config.max_tokens, small], positions);
        let norm = "encoder.bert.embeddings.LayerNorm";
        self.norm("bert.embedding.norm", [&format!("{norm}.weight"), &format!("{norm}.bias")], small)?;
        let input = network.linear(
            "/encoder/bert/encoder/embedding_hidden_mapping_in",
            "encoder.bert.encoder.embedding_hidden_mapping_in.bias",
            [width, small],
        )?;
        self.linear("bert.input", input);
        let part = |name: &str, shape| {
            network.linear(&format!("{ALBERT_PATH}/{name}"), &format!("{ALBERT}.{}.bias", name.replace('/', ".")), shape)
        };
        let [mut qkv, key, value] =
            [part("attention/query", [width, width])?, part("attention/key", [width, width])?, part("attention/value", [width, width])?];
        let factor = 1.0 / (config.head_size() as f32).sqrt();
        qkv.rows.scales.iter_mut().chain(&mut qkv.bias).for_each(|value| *value *= factor);
        for other in [key, value] {
            qkv.rows.rows += other.rows.rows;
            qkv.rows.values.extend(other.rows.values);
            qkv.rows.scales.extend(other.rows.scales);
            qkv.bias.extend(other.bias);
        }
        self.linear("bert.layer.qkv", qkv);
        self.linear("bert.layer.output", part("attention/dense", [width, width])?);
        self.linear("bert.layer.feed_forward.up", part("ffn", [inner, width])?);
        self.linear("bert.layer.feed_forward.down", part("ffn_output", [width, inner])?);
        for (name, from) in [("norm", "attention.LayerNorm"), ("feed_forward.norm", "full_layer_layer_norm")] {
            self.norm(&format!("bert.layer.{name}"), [&format!("{ALBERT}.{from}.weight"), &format!("{ALBERT}.{from}.bias")], width)?;
        }
        self.linear("bert.output", network.linear("/encoder/bert_encoder", "encoder.bert_encoder.bias", [config.width, width])?);
        Ok(())
    }

    fn prosody_text(&mut self) -> Result<(), Error> {
        let (network, width, size) = (self.network, self.config.width, self.config.style_size);
        for i in 0..self.config.num_layers {
            self.lstm(&format!("prosody_text.{i}.lstm"), &format!("/encoder/predictor/text_encoder/lstms.{}", 2 * i), width + size)?;
            let style = network.style(&format!("encoder.predictor.text_encoder.lstms.{}", 2 * i + 1), width, width, size)?;
            self.linear(&format!("prosody_text.{i}.style"), style);
        }
        self.lstm("durations.lstm", "/encoder/predictor/lstm", width + size)?;
        let bias = "encoder.predictor.duration_proj.linear_layer.bias";
        self.linear(
            "durations.output",
            network.linear("/encoder/predictor/duration_proj/linear_layer", bias, [self.config.max_duration, width])?,
        );
        self.lstm("prosody.lstm", "/encoder/shared", width + size)
    }

    fn text(&mut self) -> Result<(), Error> {
        let (network, width, taps) = (self.network, self.config.width, self.config.kernel_size);
        let embedding = network.table("encoder.text_encoder.embedding.weight", self.config.vocab_size, width)?;
        self.floats("text.embedding", &[self.config.vocab_size, width], embedding);
        for i in 0..self.config.num_layers {
            let (name, from) = (format!("text.convs.{i}"), format!("encoder.text_encoder.cnn.{i}"));
            let conv = network.conv(
                &format!("/encoder/text_encoder/cnn.{i}/cnn.{i}.0"),
                Some(&format!("{from}.0.bias")),
                [width, width, taps],
                width,
                1,
            )?;
            self.linear(&name, conv);
            self.norm(&format!("{name}.norm"), [&format!("{from}.1.gamma"), &format!("{from}.1.beta")], width)?;
        }
        self.lstm("text.lstm", "/encoder/text_encoder/lstm", width)
    }

    /// A block of prosody or of the decoder; `real` inputs are padded to `inputs`.
    fn block(&mut self, name: &str, from: &str, [real, inputs, outputs]: [usize; 3], twice: bool) -> Result<(), Error> {
        let (network, size) = (self.network, self.config.style_size);
        let path = path(from);
        if real != outputs || twice {
            self.linear(&format!("{name}.shortcut"), network.conv(&format!("{path}/conv1x1"), None, [outputs, real, 1], inputs, 1)?);
        }
        if twice {
            let bias = format!("{from}.pool.bias");
            let node = network.with_bias(&bias, "ConvTranspose")?;
            let shaped = node.ints("strides") == [2] && node.ints("pads") == [1, 1] && node.ints("group") == [real as i64];
            if !shaped || node.ints("output_padding") != [1] {
                return Err(network.wrong(format!("{bias}: not the transposed convolution of a block")));
            }
            let weights = network.graph.floats(network.input(node, 1)?, &[real, 1, 3])?;
            let taps = (0..3).flat_map(|tap| weights.iter().skip(tap).step_by(3).copied().chain(std::iter::repeat_n(0.0, inputs - real)));
            self.floats(&format!("{name}.pool.weight"), &[3, inputs], taps.collect());
            self.floats(&format!("{name}.pool.bias"), &[inputs], padded_runs(&network.graph.floats(&bias, &[real])?, real, inputs));
        }
        for (part, conv, norm, real, inputs) in [("first", "conv1", "norm1", real, inputs), ("second", "conv2", "norm2", outputs, outputs)]
        {
            let bias = format!("{from}.{conv}.bias");
            self.linear(&format!("{name}.{part}"), network.conv(&format!("{path}/{conv}"), Some(&bias), [outputs, real, 3], inputs, 1)?);
            self.linear(&format!("{name}.{part}.style"), network.style(&format!("{from}.{norm}"), real, inputs, size)?);
        }
        Ok(())
    }

    fn curves(&mut self) -> Result<(), Error> {
        let (network, width, half) = (self.network, self.config.width, self.config.width / 2);
        let mut filters = vec![0.0; 2 * LANES];
        for (curve, (name, from)) in [("pitch", "F0"), ("energy", "N")].into_iter().enumerate() {
            let block = |i: usize| format!("encoder.predictor.{from}.{i}");
            self.block(&format!("{name}.0"), &block(0), [width, width, width], false)?;
            self.block(&format!("{name}.1"), &block(1), [width, width, half], true)?;
            self.block(&format!("{name}.2"), &block(2), [half, half, half], false)?;
            let output = network.conv(&format!("/encoder/{from}_proj"), None, [1, half, 1], half, 1)?;
            let weight = output.rows.values.iter().map(|&value| f32::from(value) * output.rows.scales[0]).collect();
            let bias = network.graph.floats(&format!("encoder.predictor.{from}_proj.bias"), &[1])?;
            self.float_linear(&format!("{name}.output"), FloatLinear { weight, bias });
            let path = format!("/decoder/decoder/{from}_conv/Conv_output_0_output_quantized");
            let node = network.node(&path, "ConvInteger")?;
            if node.ints("strides") != [2] || node.ints("pads") != [1, 1] {
                return Err(network.wrong(format!("{path}: not a convolution of stride 2")));
            }
            let (values, scale) = network.around_zero(node, &[1, 1, 3])?;
            let filter = &mut filters[curve * LANES..];
            filter.iter_mut().zip(values).for_each(|(filter, value)| *filter = f32::from(value) * scale);
            filter[3] = network.graph.floats(&format!("decoder.decoder.{from}_conv.bias"), &[1])?[0];
        }
        self.floats("curves", &[2, LANES], filters);
        Ok(())
    }

    fn decoder(&mut self) -> Result<(), Error> {
        let (config, network) = (self.config, self.network);
        let (width, outputs) = (config.width, config.decoder_width);
        self.block("decoder.encode", "decoder.decoder.encode", [width + 2, config.text_row(), outputs], false)?;
        let bias = "decoder.decoder.asr_res.0.bias";
        let residual = network.conv("/decoder/decoder/asr_res/asr_res.0", Some(bias), [config.residual_width, width, 1], width, 1)?;
        self.linear("decoder.residual", residual);
        for i in 0..sizes::BLOCKS {
            let last = i + 1 == sizes::BLOCKS;
            let outputs = if last { width } else { outputs };
            let inputs = config.decoder_width + config.residual_width + 2;
            self.block(&format!("decoder.{i}"), &format!("decoder.decoder.decode.{i}"), [inputs, config.decoder_row(), outputs], last)?;
        }
        Ok(())
    }

    fn source(&mut self) -> Result<(), Error> {
        let network = self.network;
        let path = "/decoder/decoder/generator/m_source/l_linear/MatMul_output_0";
        let mut mix = network.graph.floats(network.input(network.node(path, "MatMul")?, 1)?, &[sizes::HARMONICS])?;
        mix.extend(network.graph.floats(&format!("{GENERATOR}.m_source.l_linear.bias"), &[1])?);
        mix.resize(LANES, 0.0);
        self.floats("source.mix", &[LANES], mix);
        let transform = network.graph.nodes.iter().find(|node| node.op == "STFT");
        let transform = transform.ok_or_else(|| network.wrong("no STFT: not a Kokoro of the int8 export"))?;
        let [hop, frame] = [1, 3].map(|at| transform.inputs.get(at).and_then(|name| network.graph.integer(name)));
        if hop != Some(sizes::HOP as i64) || frame != Some(sizes::FRAME as i64) {
            return Err(network.wrong(format!(
                "spectra of {frame:?} samples, {hop:?} apart: {} and {} are possible",
                sizes::FRAME,
                sizes::HOP
            )));
        }
        let window = network.graph.floats(network.input(transform, 2)?, &[sizes::FRAME])?;
        let mut basis = vec![0.0; sizes::FRAME * sizes::PARTS];
        for (at, (row, weight)) in basis.chunks_exact_mut(sizes::PARTS).zip(&window).enumerate() {
            for bin in 0..sizes::BINS {
                let (sine, cosine) = turn(bin * at % sizes::FRAME);
                row[bin] = (f64::from(*weight) * cosine) as f32;
                row[LANES + bin] = (f64::from(*weight) * -sine) as f32;
            }
        }
        self.floats("source.basis", &[sizes::FRAME, sizes::PARTS], basis);
        Ok(())
    }

    /// Pairs of convolutions after snakes.
    fn residual(&mut self, name: &str, from: &str, [channels, taps]: [usize; 2]) -> Result<(), Error> {
        let (network, config) = (self.network, self.config);
        let path = path(from);
        for (i, &dilation) in config.resblock_dilations.iter().enumerate() {
            for (part, which, dilation) in [("first", 1, dilation), ("second", 2, 1)] {
                let name = format!("{name}.{i}.{part}");
                let bias = format!("{from}.convs{which}.{i}.bias");
                let conv =
                    network.conv(&format!("{path}/convs{which}.{i}"), Some(&bias), [channels, channels, taps], channels, dilation)?;
                self.linear(&name, conv);
                self.linear(
                    &format!("{name}.style"),
                    network.style(&format!("{from}.adain{which}.{i}"), channels, channels, config.style_size)?,
                );
                let alpha = format!("{from}.alpha{which}.{i}");
                let values = network.graph.floats(&alpha, &[1, channels])?;
                let inverse: Vec<f32> = values.iter().map(|value| 1.0 / value).collect();
                if inverse.iter().any(|value| !value.is_finite()) {
                    return Err(network.wrong(format!("{alpha}: a snake of zero")));
                }
                self.floats(
                    &format!("{name}.turns"),
                    &[channels],
                    values.iter().map(|value| value * std::f32::consts::FRAC_1_PI).collect(),
                );
                self.floats(&format!("{name}.inverse"), &[channels], inverse);
            }
        }
        Ok(())
    }

    fn generator(&mut self) -> Result<(), Error> {
        let (network, config) = (self.network, self.config);
        let (stages, blocks) = (config.upsample_rates.len(), config.resblock_kernel_sizes.len());
        for (stage, &rate) in config.upsample_rates.iter().enumerate() {
            let (name, width, channels) = (format!("generator.{stage}"), config.channels(stage), config.channels(stage + 1));
            let stride: usize = config.upsample_rates[stage + 1..].iter().product();
            let window = if stage + 1 == stages { 1 } else { 2 * stride };
            let node =
                network.node(&format!("/decoder/decoder/generator/noise_convs.{stage}/Conv_output_0_output_quantized"), "ConvInteger")?;
            let (values, scale) = network.around_zero(node, &[channels, sizes::SPECTRUM, window])?;
            let places = (0..window).flat_map(|tap| (0..sizes::SPECTRUM).map(move |input| (tap, input)));
            let places = places.flat_map(|(tap, input)| (0..channels).map(move |output| (output * sizes::SPECTRUM + input) * window + tap));
            let weight = places.map(|at| f32::from(values[at]) * scale).collect();
            let bias = network.graph.floats(&format!("{GENERATOR}.noise_convs.{stage}.bias"), &[channels])?;
            self.float_linear(&format!("{name}.source"), FloatLinear { weight, bias });
            let taps = config.source_kernel_sizes[stage];
            self.residual(&format!("{name}.source.block"), &format!("{GENERATOR}.noise_res.{stage}"), [channels, taps])?;
            self.linear(&format!("{name}.upsample"), network.upsample(&format!("{GENERATOR}.ups.{stage}.bias"), [width, channels, rate])?);
            for (block, &taps) in config.resblock_kernel_sizes.iter().enumerate() {
                let from = format!("{GENERATOR}.resblocks.{}", stage * blocks + block);
                self.residual(&format!("{name}.blocks.{block}"), &from, [channels, taps])?;
            }
        }
        Ok(())
    }

    fn head(&mut self) -> Result<(), Error> {
        let (network, width) = (self.network, self.config.channels(self.config.upsample_rates.len()));
        let (spectrum, taps) = (sizes::SPECTRUM, sizes::TAPS);
        let name = format!("{GENERATOR}.conv_post.bias");
        let own = network.graph.floats(network.input(network.with_bias(&name, "Conv")?, 1)?, &[spectrum, width, taps])?;
        let mut weight = vec![0.0; width * sizes::PRODUCTS];
        for (input, row) in weight.chunks_exact_mut(sizes::PRODUCTS).enumerate() {
            for (at, value) in row.iter_mut().take(taps * spectrum).enumerate() {
                *value = own[(at % spectrum * width + input) * taps + at / spectrum];
            }
        }
        self.float_linear("head", FloatLinear { weight, bias: vec![0.0; sizes::PRODUCTS] });
        let bias = network.graph.floats(&name, &[spectrum])?;
        self.floats("head.spectrum_bias", &[2 * LANES], padded_runs(&bias, sizes::BINS, LANES));
        // The export leaves out the division by the windows' sum but for the first samples; so do we, for the same loudness.
        let factor = network.graph.floats("/decoder/decoder/generator/istft/stft/Constant_19_output_0", &[])?[0];
        let own = network.graph.floats(&format!("{GENERATOR}.stft.istft.stft.inverse_basis"), &[spectrum, 1, sizes::FRAME])?;
        let rows: Vec<f32> = padded_runs(&own, sizes::FRAME, sizes::WINDOW).iter().map(|value| value * factor).collect();
        let basis = padded_runs(&rows, sizes::BINS * sizes::WINDOW, LANES * sizes::WINDOW);
        self.floats("head.basis", &[2 * LANES, sizes::WINDOW], basis);
        Ok(())
    }
}

/// Sine and cosine of `at` parts of a window's length, exact where they are 0, 1 or -1.
fn turn(at: usize) -> (f64, f64) {
    let quarter = sizes::FRAME / 4;
    let within = std::f64::consts::TAU * (at % quarter) as f64 / sizes::FRAME as f64;
    let (sine, cosine) = if at.is_multiple_of(quarter) { (0.0, 1.0) } else { within.sin_cos() };
    match at / quarter % 4 {
        0 => (sine, cosine),
        1 => (cosine, -sine),
        2 => (-sine, -cosine),
        _ => (-cosine, sine),
    }
}
