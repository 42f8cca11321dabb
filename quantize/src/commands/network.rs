//! `ossicle-quantize --onnx`.

use std::path::Path;

use anyhow::Context;
use ossicle::label::{Preprocessor, Target};
use ossicle_models::network::InputShape;
use ossicle_quantize::network::{Network, Parts, inputs};

use super::Args;

/// An ONNX classifier as a model folder, calibrated and measured with what there is to do that with.
pub(crate) fn run(args: &Args, onnx: &Path, notes: String) -> anyhow::Result<()> {
    let beside = onnx.parent().unwrap_or(Path::new(""));
    let network = Network::read(onnx)?;
    let InputShape { height, width, channels } = network.input();
    let target = Target { height, width, channels };
    let preprocessor = Preprocessor::read(beside, target)?;
    let labels = beside.join("labels.txt");
    let labels = std::fs::read_to_string(&labels)
        .with_context(|| format!("{}: a name for each of {} scores, one a line", labels.display(), network.outputs()))?;
    let mut inputs = vec![];
    if !args.calibration.is_empty() {
        inputs = inputs::read(&args.calibration, args.clips.unwrap_or(64), &preprocessor, target)?;
    }
    let labels = labels.lines().map(str::to_owned).collect();
    let parts = Parts { labels, preprocessor: preprocessor.to_json(), notes, ..Parts::default() };
    write_network(network, &inputs, &args.output, args.force, parts)
}

/// Writes a network, calibrated and measured with what there is to do that with.
pub(crate) fn write_network(mut network: Network, inputs: &[Vec<f32>], output: &Path, force: bool, parts: Parts) -> anyhow::Result<()> {
    if !inputs.is_empty() {
        network.calibrate(inputs)?;
    }
    network.write(output, force, parts, |draft, parts| {
        if !inputs.is_empty() {
            let report = network.measure(draft, inputs)?;
            print!("{}", report.text());
            parts.notes = format!("{}\n\n{}", parts.notes.trim_end(), report.markdown());
            parts.extra.push(("report.json".to_owned(), report.json()));
        }
        Ok(())
    })?;
    eprintln!("{}: {} parameters quantised", output.display(), network.parameters());
    Ok(())
}
