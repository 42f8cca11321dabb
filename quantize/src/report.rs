//! What int8 costs, layer by layer: the float reference runs on calibration audio, and each linear layer is computed once more with
//! quantised inputs and weights.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Serialize;

use crate::Error;
use crate::calibration::Clip;
use crate::cost::Cost;
use crate::floats::{self, Floats};
use crate::layout::{self, Entry, Linear};
use crate::pack::padded_rows;
use crate::reference::{self, Decoder, Tap};
use crate::signal::{self, Noise};
use crate::source::Source;

/// Input rows of one layer taken from one clip, evenly spread.
const ROWS_PER_CLIP: usize = 64;
/// Products computed for one layer at most; rows are thinned out to stay below.
const PRODUCTS_PER_LAYER: usize = 1 << 30;
/// Tokens the float model generates for one clip at most.
const TOKENS_PER_CLIP: usize = 32;
/// Layers named as the worst.
const WORST: usize = 5;

/// Version of the report's JSON.
pub const SCHEMA: &str = "ossicle-quantize-report/1";

/// Signal-to-noise of one packed layer.
#[derive(Clone, Debug, Serialize)]
pub struct LayerReport {
    /// Name in the model folder.
    pub name: String,
    /// Output channels.
    pub outputs: usize,
    /// Inputs of one output.
    pub inputs: usize,
    /// Bytes in the model folder: weight, scales, bias.
    pub bytes: usize,
    /// Quantised weight against float weight, in decibel.
    pub weight_snr_db: Option<f64>,
    /// Quantised product of quantised inputs against the float product, in decibel; none for a layer that was always silent.
    pub output_snr_db: Option<f64>,
    /// Input rows measured.
    pub rows: usize,
}

/// Size of a part of the model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct GroupReport {
    /// What it is.
    pub name: String,
    /// Bytes as f32.
    pub f32_bytes: usize,
    /// Bytes in the model folder.
    pub bytes: usize,
}

/// One calibration clip.
#[derive(Clone, Debug, Serialize)]
pub struct ClipReport {
    /// File name.
    pub name: String,
    /// Length.
    pub seconds: f64,
    /// Tokens the float model generated, prompt aside.
    pub tokens: Vec<u32>,
    /// The int8 engine beside the float model.
    pub cost: Option<Cost>,
}

/// Everything measured.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// [`SCHEMA`].
    pub schema: &'static str,
    /// Numerics contract the figures hold for.
    pub numerics_version: u32,
    /// True when the clips were synthesised: then the figures are rough.
    pub synthetic: bool,
    /// Calibration audio.
    pub clips: Vec<ClipReport>,
    /// Sizes.
    pub groups: Vec<GroupReport>,
    /// Packed layers in the order they run.
    pub layers: Vec<LayerReport>,
    /// Layers with the lowest output signal-to-noise, worst first.
    pub worst: Vec<String>,
}

/// Runs the float reference over the clips and measures every packed layer. `progress` is told steps done, steps in all and what is
/// running.
///
/// # Errors
/// A tensor is not finite, or the frontend or tract refuses.
pub fn measure(
    source: &Source,
    clips: &[Clip],
    synthetic: bool,
    progress: &mut dyn FnMut(usize, usize, &str),
) -> Result<(Report, Floats), Error> {
    let model = &source.model;
    let config = model.config();
    let frames = 2 * config.max_source_positions;
    let linears: Vec<Linear> = layout::linears(config).collect();
    let total = config.encoder_layers + 2 + clips.len() + linears.len();
    let mut step = 0;
    let mut advance = |what: &str| {
        progress(step, total, what);
        step += 1;
    };

    let windows = clips.iter().map(|clip| clip.mel(config.num_mel_bins, frames)).collect::<Result<Vec<_>, _>>()?;
    let mut samples = Samples::default();
    let encoded = reference::encode(model, &windows, frames, &mut |tap| samples.add(tap), &mut || advance("float encoder"))?;
    let prompt = floats::prompt(&source.generation);
    let length = (prompt.len() + TOKENS_PER_CLIP).min(config.max_target_positions);
    let decoder = Decoder::new(model, length, config.max_source_positions)?;
    let (mut tokens, mut logits) = (Vec::new(), Vec::new());
    for encoded in &encoded {
        advance("float decoder");
        let (all, steps) = floats::greedy(&decoder, encoded, &prompt, length, &source.generation, &mut |tap| samples.add(tap))?;
        tokens.push(all);
        logits.push(steps);
    }

    let mut layers = Vec::new();
    for linear in &linears {
        advance(&linear.name);
        layers.push(layer(model, linear, samples.rows(linear))?);
    }
    progress(total, total, "done");
    let mut worst: Vec<&LayerReport> = layers.iter().filter(|layer| layer.output_snr_db.is_some()).collect();
    worst.sort_by(|a, b| a.output_snr_db.partial_cmp(&b.output_snr_db).unwrap_or(std::cmp::Ordering::Equal));
    let worst = worst.iter().take(WORST).map(|layer| layer.name.clone()).collect();
    let clips = clips.iter().zip(&tokens).map(|(clip, tokens)| ClipReport {
        name: clip.name.clone(),
        seconds: clip.seconds(),
        tokens: tokens[prompt.len()..].to_vec(),
        cost: None,
    });
    let report = Report {
        schema: SCHEMA,
        numerics_version: ossicle_models::folder::NUMERICS_VERSION,
        synthetic,
        clips: clips.collect(),
        groups: groups(source),
        layers,
        worst,
    };
    Ok((report, Floats { windows, frames, encoded, tokens, prompt: prompt.len(), logits }))
}

/// Input rows by layer.
#[derive(Default)]
struct Samples(BTreeMap<String, Vec<f32>>);

impl Samples {
    fn add(&mut self, tap: Tap<'_>) {
        let rows = self.0.entry(tap.linear.to_owned()).or_default();
        let stride = if tap.linear == "model.encoder.conv2" { 2 } else { 1 };
        let count = tap.values.len() / tap.width / stride;
        let take = count.min(ROWS_PER_CLIP);
        for at in (0..take).map(|i| i * count / take) {
            if tap.linear.starts_with("model.encoder.conv") {
                rows.extend(signal::conv_row(tap.values, tap.width, stride, at));
            } else {
                rows.extend_from_slice(&tap.values[at * tap.width..][..tap.width]);
            }
        }
    }

    /// The rows of a layer, thinned out to the budget.
    fn rows(&mut self, linear: &Linear) -> Vec<f32> {
        let all = self.0.remove(&linear.name).unwrap_or_default();
        let count = all.len() / linear.inputs;
        let budget = (PRODUCTS_PER_LAYER / (linear.outputs * linear.inputs)).max(1);
        if count <= budget {
            return all;
        }
        (0..budget).flat_map(|i| &all[i * count / budget * linear.inputs..][..linear.inputs]).copied().collect()
    }
}

fn layer(model: &crate::FloatModel, linear: &Linear, rows: Vec<f32>) -> Result<LayerReport, Error> {
    let weight = linear.weight(model)?;
    let q = crate::pack::quantize_rows(&weight, linear.outputs, linear.inputs);
    let noise: Noise = signal::output_noise(&rows, &weight, &q);
    Ok(LayerReport {
        name: linear.name.clone(),
        outputs: linear.outputs,
        inputs: linear.inputs,
        bytes: linear_bytes(linear),
        weight_snr_db: signal::weight_noise(&weight, &q).decibels(),
        output_snr_db: noise.decibels(),
        rows: rows.len() / linear.inputs,
    })
}

fn linear_bytes(linear: &Linear) -> usize {
    let vectors = 1 + usize::from(linear.bias);
    padded_rows(linear.outputs) * (linear.inputs + vectors * size_of::<f32>())
}

fn groups(source: &Source) -> Vec<GroupReport> {
    let config = source.model.config();
    let mut list: Vec<GroupReport> = Vec::new();
    for entry in layout::entries(config) {
        let (name, f32_values, bytes) = match &entry {
            Entry::Float(name) => {
                let values = config.shape_of(name).unwrap_or_default().iter().product::<usize>();
                ("norms and positions, f32", values, values * size_of::<f32>())
            }
            Entry::Linear(l) => {
                let values = l.outputs * (l.inputs + usize::from(l.bias));
                (group(&l.name), values, linear_bytes(l))
            }
        };
        let at = list.iter().position(|g| g.name == name).unwrap_or_else(|| {
            list.push(GroupReport { name: name.to_owned(), f32_bytes: 0, bytes: 0 });
            list.len() - 1
        });
        list[at].f32_bytes += f32_values * size_of::<f32>();
        list[at].bytes += bytes;
    }
    list
}

fn group(linear: &str) -> &'static str {
    let decoder = linear.starts_with("model.decoder");
    match (decoder, linear) {
        (_, l) if l.contains("embed_tokens") => "token embedding",
        (_, l) if l.contains(".conv") => "encoder convolutions",
        (_, l) if l.contains("encoder_attn") => "decoder cross attention",
        (false, l) if l.contains("self_attn") => "encoder attention",
        (true, l) if l.contains("self_attn") => "decoder self attention",
        (false, _) => "encoder feed-forward",
        (true, _) => "decoder feed-forward",
    }
}

/// Cells of a table; the first row is its head.
type Table = Vec<Vec<String>>;

impl Report {
    /// A table for people: aligned columns, the worst layers marked.
    pub fn text(&self) -> String {
        let mut out = self.audio();
        out.push('\n');
        for table in self.tables() {
            out.push('\n');
            aligned(&mut out, &table);
        }
        out
    }

    /// The same as Markdown, for the model card.
    pub fn markdown(&self) -> String {
        let mut out = format!(
            "## Quantisation report\n\nSignal-to-noise against f32: of the weights, and of each layer's products with its inputs quantised \
             too, taken from the float model's own activations. Cosines compare the int8 engine with the float model, \
             both decoders being given the float model's tokens. {}\n",
            self.audio()
        );
        for table in self.tables() {
            out.push('\n');
            for (i, row) in table.iter().enumerate() {
                let _ = writeln!(out, "| {} |", row.join(" | "));
                if i == 0 {
                    let _ = writeln!(out, "|{}", " --- |".repeat(row.len()));
                }
            }
        }
        out
    }

    fn audio(&self) -> String {
        let seconds: f64 = self.clips.iter().map(|clip| clip.seconds).sum();
        let kind = match self.synthetic {
            true => "synthetic clips (no speech: give recordings for figures that count)",
            false => "recordings",
        };
        format!("Calibration: {} {kind}, {seconds:.0} s in all.", self.clips.len())
    }

    fn tables(&self) -> Vec<Table> {
        let costs = self.clips.iter().any(|clip| clip.cost.is_some()).then(|| self.costs());
        [Some(self.sizes()), costs, Some(self.signals())].into_iter().flatten().collect()
    }

    fn costs(&self) -> Table {
        let head = ["clip", "seconds", "encoder cosine", "lowest", "logits cosine", "same tokens"];
        let mut table = vec![head.map(str::to_owned).to_vec()];
        for clip in &self.clips {
            if let Some(cost) = &clip.cost {
                table.push(vec![
                    clip.name.clone(),
                    format!("{:.1}", clip.seconds),
                    format!("{:.5}", cost.encoder_cosine),
                    format!("{:.5}", cost.encoder_cosine_min),
                    format!("{:.5}", cost.logits_cosine),
                    format!("{}/{}", cost.same_tokens, cost.positions),
                ]);
            }
        }
        table
    }

    fn sizes(&self) -> Table {
        let mut table = vec![["part", "f32 bytes", "bytes"].map(str::to_owned).to_vec()];
        let total = GroupReport {
            name: "all".to_owned(),
            f32_bytes: self.groups.iter().map(|g| g.f32_bytes).sum(),
            bytes: self.groups.iter().map(|g| g.bytes).sum(),
        };
        let rows = self.groups.iter().chain([&total]);
        table.extend(rows.map(|g| vec![g.name.clone(), g.f32_bytes.to_string(), g.bytes.to_string()]));
        table
    }

    fn signals(&self) -> Table {
        let mut table = vec![["layer", "outputs", "inputs", "weight dB", "output dB", ""].map(str::to_owned).to_vec()];
        let db = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |v| format!("{v:.1}"));
        for layer in &self.layers {
            let place = self.worst.iter().position(|name| *name == layer.name);
            table.push(vec![
                layer.name.clone(),
                layer.outputs.to_string(),
                layer.inputs.to_string(),
                db(layer.weight_snr_db),
                db(layer.output_snr_db),
                place.map_or_else(String::new, |i| format!("worst {}", i + 1)),
            ]);
        }
        table
    }
}

/// First column to the left, the others to the right.
fn aligned(out: &mut String, table: &Table) {
    let columns = table.first().map_or(0, Vec::len);
    let width = |c: usize| table.iter().map(|row| row[c].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    for row in table {
        let mut line = format!("{:<w$}", row[0], w = widths[0]);
        for (cell, w) in row.iter().zip(&widths).skip(1) {
            let _ = write!(line, "  {cell:>w$}");
        }
        let _ = writeln!(out, "{}", line.trim_end());
    }
}
