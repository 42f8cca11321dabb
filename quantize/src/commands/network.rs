//! `ossicle-quantize --onnx`.

use std::path::Path;

use anyhow::{Context, bail};
use ossicle::label::{Preprocessor, Target};
use ossicle_models::network::InputShape;
use ossicle_quantize::network::{Network, Parts, inputs};

use super::{Args, Maps};

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
    write_network(network, &inputs, args.maps, &args.output, args.force, parts)
}

/// Writes a network, calibrated and measured with what there is to do that with.
pub(crate) fn write_network(
    mut network: Network,
    inputs: &[Vec<f32>],
    maps: Maps,
    output: &Path,
    force: bool,
    parts: Parts,
) -> anyhow::Result<()> {
    if !inputs.is_empty() {
        // Ranges are those of the float model's tensors: channels that were divided since would not fit them.
        if maps == Maps::Floats {
            network.smooth(inputs)?;
        }
        network.calibrate(inputs)?;
        if maps == Maps::Bytes {
            network.maps_to_bytes(inputs)?;
        }
    } else if maps == Maps::Bytes {
        bail!("--maps bytes takes their ranges from --calibration");
    }
    network.write(output, force, parts, |draft, parts| {
        // One input says how channels differ, but not how often both models agree.
        if inputs.len() > 1 {
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
