//! A voice as a model folder.

use std::fs;
use std::path::{Path, PathBuf};

use ossicle_kernels::simd::{Isa, LANES};
use ossicle_models::Options;
use ossicle_models::folder::{ModelFolder, NUMERICS_VERSION};
use ossicle_models::vits::{Manner, VitsConfig, VitsGraph};
use ossicle_phonemes::Phonemizer;
use serde_json::json;

use super::{Conv, Norm, Separable, Voice};
use crate::dense::Dense;
use crate::error::refusal;
use crate::folder::{self, Partial, pretty, write_text};
use crate::tensors::Tensor;
use crate::{Error, card};

/// The voice of espeak-ng whose phonemes the runtime knows how to make of the lexicons'.
const LEXICON: &str = "en-us";

/// What to write.
#[derive(Clone, Debug, Default)]
pub struct Task {
    /// Replace an existing model folder.
    pub force: bool,
    /// Markdown for the model card.
    pub notes: String,
    /// How English is pronounced, `phonemes.bin`, for texts to be said without espeak-ng.
    pub phonemes: Option<PathBuf>,
}

impl Voice {
    /// Writes the model folder, all of it or none, once the runtime has opened it and spoken.
    ///
    /// # Errors
    /// The folder exists, the runtime does not take what was written, or the disk refuses.
    pub fn write(&self, folder: &Path, task: &Task) -> Result<(), Error> {
        let mut partial = Partial::create(folder, task.force)?;
        let at = partial.path.clone();
        folder::put(&at, &self.path, "vits", &self.config, &self.tensors())?;
        write_text(&at.join("vocab.json"), &pretty(&json!(self.symbols)))?;
        if let Some(phonemes) = &task.phonemes {
            self.put_phonemes(phonemes, &at)?;
        }
        self.try_out(&at)?;
        folder::complete(&at, folder, |name, bytes| self.card(name, bytes, &task.notes))?;
        partial.publish(folder)
    }

    /// Copies how English is pronounced.
    fn put_phonemes(&self, phonemes: &Path, at: &Path) -> Result<(), Error> {
        let voice = self.config.espeak_voice.as_deref().unwrap_or("unknown");
        if voice != LEXICON {
            let problem = format!("--phonemes are those of espeak-ng's voice {LEXICON}, this voice's are those of {voice}");
            return Err(Error::unsupported(&self.path, problem));
        }
        Phonemizer::open(phonemes).map_err(|error| Error::unsupported(phonemes, error.to_string()))?;
        fs::copy(phonemes, at.join("phonemes.bin")).map_err(|e| Error::io(phonemes, e))?;
        Ok(())
    }

    /// Runs what was written.
    fn try_out(&self, at: &Path) -> Result<(), Error> {
        let failed = |error: String| Error::unsupported(&self.path, format!("the runtime refuses what was made of it: {error}"));
        let folder = ModelFolder::<VitsConfig>::open(at).map_err(|error| failed(error.to_string()))?;
        let mut voice = VitsGraph::new(folder, Options { isa: Isa::detect(), threads: 1 }).map_err(|error| failed(refusal(error)))?;
        let symbols: Vec<u32> = self.symbols.values().copied().take(3).collect();
        voice.begin(&symbols, Manner::default()).map_err(|error| failed(refusal(error)))?;
        while let Some(samples) = voice.next_chunk().map_err(|error| failed(refusal(error)))? {
            if !samples.iter().all(|value| value.is_finite()) {
                return Err(failed("its samples are not finite".into()));
            }
        }
        Ok(())
    }

    fn tensors(&self) -> Vec<Tensor> {
        let (config, width) = (&self.config, self.config.hidden_size);
        let mut out = Out(vec![]);
        let root = (width as f32).sqrt();
        let embedding: Vec<f32> = self.embedding.iter().map(|value| value * root).collect();
        out.floats("text.embedding".into(), &[config.vocab_size, width], &embedding);
        let (head, distances) = (config.head_size(), 2 * config.window_size + 1);
        for (i, layer) in self.layers.iter().enumerate() {
            let name = format!("text.layers.{i}");
            let factor = 1.0 / (head as f32).sqrt();
            let scaled = |values: &[f32]| values.iter().map(|value| value * factor).collect();
            let query = Conv { weight: scaled(&layer.query.weight), bias: scaled(&layer.query.bias), ..layer.query.clone() };
            let all = [&query, &layer.key, &layer.value];
            let join = |part: fn(&Conv) -> &[f32]| all.iter().flat_map(|conv| part(conv)).copied().collect();
            let qkv = Conv { weight: join(|conv| &conv.weight), bias: join(|conv| &conv.bias), outputs: 3 * width, ..query };
            out.conv(&format!("{name}.qkv"), &qkv);
            let places = distances.next_multiple_of(LANES);
            let keys: Vec<f32> = (0..head * places)
                .map(|at| (at / places, at % places))
                .map(|(value, place)| if place < distances { layer.relative_keys[place * head + value] } else { 0.0 })
                .collect();
            let mut values = layer.relative_values.clone();
            values.resize(places * head, 0.0);
            out.floats(format!("{name}.relative_keys"), &[head, places], &keys);
            out.floats(format!("{name}.relative_values"), &[places, head], &values);
            out.conv(&format!("{name}.output"), &layer.output);
            out.norm(&format!("{name}.norm"), &layer.norm);
            out.conv(&format!("{name}.feed_forward.up"), &layer.up);
            out.conv(&format!("{name}.feed_forward.down"), &layer.down);
            out.norm(&format!("{name}.feed_forward.norm"), &layer.feed_forward_norm);
        }
        out.conv("text.output", &self.stats);
        self.put_durations(&mut out);
        for (i, coupling) in self.couplings.iter().enumerate() {
            let name = format!("flow.{i}");
            // Between coupling layers all values change places; the runtime leaves them where they are.
            let turned = i.is_multiple_of(2);
            let enter = if turned { turned_inputs(&coupling.enter) } else { coupling.enter.clone() };
            let leave = if turned { turned_outputs(&coupling.leave) } else { coupling.leave.clone() };
            out.conv(&format!("{name}.enter"), &enter);
            for (j, [enter, leave]) in coupling.layers.iter().enumerate() {
                out.conv(&format!("{name}.layers.{j}.in"), enter);
                out.conv(&format!("{name}.layers.{j}.out"), leave);
            }
            out.conv(&format!("{name}.leave"), &leave);
        }
        self.put_decoder(&mut out);
        out.0
    }

    fn put_durations(&self, out: &mut Out) {
        let (width, bins) = (self.config.hidden_size, self.config.duration_predictor_flow_bins);
        out.float_linear("durations.input", &self.duration_input);
        out.stack("durations.convs", &self.duration_convs);
        out.float_linear("durations.condition", &self.duration_condition);
        for (i, spline) in self.splines.iter().enumerate() {
            let name = format!("durations.splines.{i}");
            out.floats(format!("{name}.input.weight"), &[width], &spline.input.weight);
            out.floats(format!("{name}.input.bias"), &[width], &spline.input.bias);
            out.stack(&format!("{name}.convs"), &spline.convs);
            // Widths and heights are divided by the root of the width.
            let (mut output, root) = (spline.output.clone(), (width as f32).sqrt());
            output.weight[..2 * bins * width].iter_mut().for_each(|value| *value /= root);
            output.bias[..2 * bins].iter_mut().for_each(|value| *value /= root);
            out.float_linear(&format!("{name}.output"), &output);
        }
        let mut affine = self.affine.to_vec();
        affine.resize(LANES, 0.0);
        out.floats("durations.affine".into(), &[LANES], &affine);
    }

    fn put_decoder(&self, out: &mut Out) {
        out.conv("decoder.input", &self.decoder_input);
        for (stage, parts) in self.stages.iter().enumerate() {
            let name = format!("decoder.stages.{stage}");
            upsample(&parts.upsample).put(&mut out.0, &format!("{name}.upsample"));
            for (block, steps) in parts.blocks.iter().enumerate() {
                for (i, convs) in steps.iter().enumerate() {
                    let name = format!("{name}.blocks.{block}.{i}");
                    match convs.as_slice() {
                        [one] => out.conv(&name, one),
                        pair => pair.iter().zip(["first", "second"]).for_each(|(conv, part)| out.conv(&format!("{name}.{part}"), conv)),
                    }
                }
            }
        }
        let last = &self.decoder_output;
        let padded = last.taps.next_multiple_of(LANES);
        let at = |at: usize| last.weight.get(at / padded * last.taps + at % padded).filter(|_| at % padded < last.taps);
        let values: Vec<f32> = (0..last.inputs * padded).map(|i| at(i).copied().unwrap_or(0.0)).collect();
        out.floats("decoder.output.weight".into(), &[last.inputs, padded], &values);
        let mut bias = last.bias.clone();
        bias.resize(LANES, 0.0);
        out.floats("decoder.output.bias".into(), &[LANES], &bias);
    }

    fn card(&self, name: &str, bytes: u64, notes: &str) -> String {
        let config = &self.config;
        let rows = [
            ("kind", format!("vits: phonemes to samples, {} Hz", config.sampling_rate)),
            ("language", config.language.clone().unwrap_or_else(|| "unknown".into())),
            ("speaker", self.speaker.clone().unwrap_or_else(|| "the only one".into())),
            ("phonemes", config.espeak_voice.as_ref().map_or("its own".into(), |voice| format!("those of espeak-ng's voice {voice}"))),
            ("text encoder", format!("{} layers, {} wide", config.num_hidden_layers, config.hidden_size)),
            ("decoder", format!("{} channels, upsampled {:?} times", config.upsample_initial_channel, config.upsample_rates)),
            ("longest clause", format!("{} phonemes", (config.max_tokens - 3) / 2)),
            ("parameters", self.parameters().to_string()),
            ("weights here", format!("{bytes} bytes: convolutions int8 with one f32 scale per tap and channel; durations f32")),
            ("numerics version", NUMERICS_VERSION.to_string()),
        ];
        card::page(name, "A voice for the Ossicle runtime, made by `ossicle-quantize piper`.", &rows, notes)
    }
}

/// The same for inputs in reverse order.
fn turned_inputs(conv: &Conv) -> Conv {
    let weight = conv.weight.chunks_exact(conv.inputs).flat_map(|row| row.iter().rev()).copied().collect();
    Conv { weight, ..conv.clone() }
}

/// The same with outputs in reverse order.
fn turned_outputs(conv: &Conv) -> Conv {
    let weight = conv.weight.chunks_exact(conv.inputs).rev().flatten().copied().collect();
    Conv { weight, bias: conv.bias.iter().rev().copied().collect(), ..conv.clone() }
}

/// A transposed convolution as the runtime's layer: of a row its own results, then what it adds to those of the row after it and of the one before.
fn upsample(conv: &Conv) -> Dense {
    let (channels, stride) = (conv.outputs, conv.taps / 2);
    let half = stride / 2;
    let taps = (half..half + stride).chain(half + stride..2 * stride).chain(0..half);
    let rows = taps.flat_map(|tap| (0..channels).map(move |output| (tap, output)));
    let weight = |(tap, output): (usize, usize)| (0..conv.inputs).map(move |input| (input * channels + output) * conv.taps + tap);
    let weights = rows.flat_map(weight).map(|at| conv.weight[at]).collect();
    let mut bias = conv.bias.repeat(stride);
    bias.resize(2 * stride * channels, 0.0);
    Dense { weights, bias, inputs: conv.inputs }
}

struct Out(Vec<Tensor>);

impl Out {
    fn floats(&mut self, name: String, shape: &[usize], values: &[f32]) {
        self.0.push(Tensor::floats(name, shape.to_vec(), values.to_vec()));
    }

    fn norm(&mut self, name: &str, norm: &Norm) {
        norm.put(&mut self.0, name);
    }

    /// A convolution in 8 bits, tap by tap.
    fn conv(&mut self, name: &str, conv: &Conv) {
        let (taps, inputs) = (conv.taps, conv.inputs);
        let rows = (0..taps).flat_map(|tap| (0..conv.outputs).map(move |output| (tap, output)));
        let weights = rows.flat_map(|(tap, output)| (0..inputs).map(move |input| (output * inputs + input) * taps + tap));
        let weights = weights.map(|at| conv.weight[at]).collect();
        let mut bias = conv.bias.clone();
        bias.resize(taps * conv.outputs, 0.0);
        Dense { weights, bias, inputs }.put(&mut self.0, name);
    }

    /// A convolution of one tap in f32, `[inputs][outputs]`, outputs rounded up to whole vectors.
    fn float_linear(&mut self, name: &str, conv: &Conv) {
        let padded = conv.outputs.next_multiple_of(LANES);
        let mut weights = vec![0.0; conv.inputs * padded];
        for (output, row) in conv.weight.chunks_exact(conv.inputs).enumerate() {
            row.iter().enumerate().for_each(|(input, weight)| weights[input * padded + output] = *weight);
        }
        let mut bias = conv.bias.clone();
        bias.resize(padded, 0.0);
        self.floats(format!("{name}.weight"), &[conv.inputs, padded], &weights);
        self.floats(format!("{name}.bias"), &[padded], &bias);
    }

    fn stack(&mut self, name: &str, stack: &[Separable]) {
        for (i, Separable { depthwise, norm_1, point, norm_2 }) in stack.iter().enumerate() {
            let name = format!("{name}.{i}");
            let filters: Vec<f32> =
                (0..depthwise.taps).flat_map(|tap| depthwise.weight.iter().skip(tap).step_by(depthwise.taps)).copied().collect();
            self.floats(format!("{name}.depthwise.weight"), &[depthwise.taps, depthwise.outputs], &filters);
            self.floats(format!("{name}.depthwise.bias"), &[depthwise.outputs], &depthwise.bias);
            self.norm(&format!("{name}.norm_1"), norm_1);
            self.float_linear(&format!("{name}.point"), point);
            self.norm(&format!("{name}.norm_2"), norm_2);
        }
    }
}
