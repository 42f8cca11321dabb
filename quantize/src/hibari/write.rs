//! A voice as a model folder.

use std::fs;
use std::path::Path;

use ossicle_kernels::simd::{Isa, LANES};
use ossicle_models::Options;
use ossicle_models::folder::{ModelFolder, NUMERICS_VERSION};
use ossicle_models::hibari::{CURVE, CURVES, HibariGraph};

use super::{BINS, Block, Encoder, FloatLinear, Linear, Norm, Voice};
use crate::folder::{self, Partial, Task, write_text};
use crate::pack;
use crate::tensors::Tensor;
use crate::{Error, card, phonemes};

impl Voice {
    /// Writes the model folder, all of it or none, once the runtime has opened it and spoken.
    ///
    /// # Errors
    /// The folder exists, the runtime does not take what was written, or the disk refuses.
    pub fn write(&self, folder: &Path, task: &Task) -> Result<(), Error> {
        let mut partial = Partial::create(folder, task.force)?;
        let at = partial.path.clone();
        folder::put(&at, &self.path, "hibari", &self.config, &self.tensors())?;
        write_text(&at.join("vocab.json"), &self.vocabulary)?;
        if !self.notice.is_empty() {
            write_text(&at.join("NOTICE"), &self.notice)?;
        }
        // The package has what says how text is pronounced next to the network.
        let assets = self.path.parent().filter(|assets| assets.join("lexicon_us_gold.json.gz").is_file());
        if let Some(assets) = assets {
            let bytes = phonemes::read(assets)?.write().map_err(|problem| Error::unsupported(assets, problem))?;
            let path = at.join("phonemes.bin");
            fs::write(&path, bytes).map_err(|e| Error::io(&path, e))?;
        }
        self.try_out(&at)?;
        folder::complete(&at, folder, |name, bytes| self.card(name, bytes, &task.notes))?;
        partial.publish(folder)
    }

    /// Runs what was written.
    fn try_out(&self, at: &Path) -> Result<(), Error> {
        let failed = |error: String| Error::unsupported(&self.path, format!("the runtime refuses what was made of it: {error}"));
        let folder = ModelFolder::open(at).map_err(|error| failed(error.to_string()))?;
        let mut voice = HibariGraph::new(folder, Options { isa: Isa::detect(), threads: 1 }).map_err(|error| failed(error.to_string()))?;
        voice.begin(&[0, 1, 0], 1.0).map_err(|error| failed(error.to_string()))?;
        while let Some(chunk) = voice.next_chunk().map_err(|error| failed(error.to_string()))? {
            if !chunk.pitch.iter().chain(chunk.spectra).all(|value| value.is_finite()) {
                return Err(failed("its spectra are not finite".into()));
            }
        }
        Ok(())
    }

    fn tensors(&self) -> Vec<Tensor> {
        let mut out = Out(vec![]);
        out.encoder("text", &self.text, self.config.vocab_size);
        out.encoder("prosody_text", &self.prosody_text, self.config.vocab_size);
        out.float_linear("durations.hidden", &self.duration_hidden);
        out.float_linear("durations.output", &self.duration_output);
        out.float_linear("prosody.input", &self.prosody_input);
        for (i, block) in self.prosody.iter().enumerate() {
            out.block(&format!("prosody.blocks.{i}"), block);
        }
        out.float_linear("prosody.output", &self.prosody_output);
        out.float_linear("decoder.input", &self.input);
        for (i, block) in self.decoder.iter().enumerate() {
            out.block(&format!("decoder.blocks.{i}"), block);
        }
        out.norm("decoder.norm", &self.decoder_norm);
        out.linear("decoder.head", &padded_curves(&self.head));
        out.0
    }

    fn card(&self, name: &str, bytes: u64, notes: &str) -> String {
        let config = &self.config;
        let rows = [
            ("kind", "hibari: phonemes to spectra, 24 kHz".to_owned()),
            ("text encoders", format!("{} and {} wide", config.text.hidden_size, config.prosody_text.hidden_size)),
            ("decoder", format!("{} ConvNeXt blocks, {} wide", config.decoder.dilations.len(), config.decoder.hidden_size)),
            ("longest clause", format!("{} phonemes", config.max_tokens - 2)),
            ("parameters in 8 bits", self.parameters().to_string()),
            ("weights here", format!("{bytes} bytes: products int8 as the source has them, the rest f32")),
            ("numerics version", NUMERICS_VERSION.to_string()),
        ];
        card::page(name, "A voice for the Ossicle runtime, made by `ossicle-quantize hibari`.", &rows, notes)
    }
}

/// The head with each curve rounded up to whole vectors.
fn padded_curves(head: &Linear) -> Linear {
    let inputs = head.rows.inputs;
    let mut padded = head.clone();
    padded.rows.rows = CURVES * CURVE;
    padded.rows.values = spread(&head.rows.values, BINS * inputs, CURVE * inputs);
    padded.rows.scales = spread(&head.rows.scales, BINS, CURVE);
    padded.bias = spread(&head.bias, BINS, CURVE);
    padded
}

/// Runs of `from` values, each followed by zeros up to `to`.
fn spread<T: Copy + Default>(values: &[T], from: usize, to: usize) -> Vec<T> {
    values.chunks(from).flat_map(|run| run.iter().copied().chain(std::iter::repeat_n(T::default(), to - from))).collect()
}

struct Out(Vec<Tensor>);

impl Out {
    fn floats(&mut self, name: String, shape: &[usize], values: &[f32]) {
        self.0.push(Tensor::floats(name, shape.to_vec(), values.to_vec()));
    }

    fn norm(&mut self, name: &str, norm: &Norm) {
        norm.put(&mut self.0, name);
    }

    /// Outputs are rounded up to whole vectors.
    fn float_linear(&mut self, name: &str, layer: &FloatLinear) {
        let outputs = layer.bias.len();
        let (padded, depth) = (outputs.next_multiple_of(LANES), layer.weight.len() / outputs);
        self.floats(format!("{name}.weight"), &[depth, padded], &spread(&layer.weight, outputs, padded));
        self.floats(format!("{name}.bias"), &[padded], &spread(&layer.bias, outputs, padded));
    }

    fn linear(&mut self, name: &str, layer: &Linear) {
        let q = &layer.rows;
        let rows = pack::padded_rows(q.rows);
        let shape = vec![rows / pack::BLOCK_ROWS, q.inputs / pack::BLOCK_INPUTS, pack::BLOCK_ROWS, pack::BLOCK_INPUTS];
        self.0.push(Tensor::bytes(format!("{name}.weight"), shape, pack::pack(&q.values, q.rows, q.inputs)));
        self.floats(format!("{name}.weight_scale"), &[rows], &spread(&q.scales, q.rows, rows));
        self.floats(format!("{name}.bias"), &[rows], &spread(&layer.bias, q.rows, rows));
    }

    fn block(&mut self, name: &str, block: &Block) {
        let width = block.bias.len();
        self.floats(format!("{name}.depthwise.weight"), &[block.filters.len() / width, width], &block.filters);
        self.floats(format!("{name}.depthwise.bias"), &[width], &block.bias);
        self.norm(&format!("{name}.norm"), &block.norm);
        self.linear(&format!("{name}.up"), &block.up);
        self.linear(&format!("{name}.down"), &block.down);
    }

    fn encoder(&mut self, name: &str, encoder: &Encoder, vocabulary: usize) {
        let width = encoder.norm.bias.len();
        self.floats(format!("{name}.embedding"), &[vocabulary, width], &encoder.embedding);
        for (i, block) in encoder.convs.iter().enumerate() {
            self.block(&format!("{name}.convs.{i}"), block);
        }
        self.norm(&format!("{name}.layer.norm"), &encoder.norm);
        self.linear(&format!("{name}.layer.qkv"), &encoder.qkv);
        self.linear(&format!("{name}.layer.output"), &encoder.output);
        self.norm(&format!("{name}.layer.feed_forward.norm"), &encoder.feed_forward_norm);
        self.linear(&format!("{name}.layer.feed_forward.up"), &encoder.up);
        self.linear(&format!("{name}.layer.feed_forward.down"), &encoder.down);
        self.norm(&format!("{name}.norm"), &encoder.last_norm);
    }
}
