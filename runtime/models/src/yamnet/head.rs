//! The head: from the maps of a patch's middle third to a score for each class every few frames.
//!
//! Each patch adds the cells of its middle third. Rows of the chosen maps (their bands joined into four by their mean) and the mean of the
//! last map are projected to one width and added; temporal convolutions of three taps with dilation, each around a residual, go over the
//! cells (van den Oord et al. 2016, "WaveNet"; Bai et al. 2018, "TCN"), and a linear layer reads the classes from what they leave. A
//! convolution sees as far ahead as back, so scores come [`HeadConfig::lag`] cells late.

use ossicle_engine::GraphError;
use ossicle_engine::graph::{GraphBuilder, Outlet};
use ossicle_engine::weights::{FolderError, ModelFolder};

use super::config::{HeadConfig, PARTS, YamnetConfig};
use super::head_ops::{BandMeans, HeadJoin};
use ossicle_engine::layers::{Temporals, UnsignedLinear};

/// Where a head's weights are, and what it remembers.
#[derive(Debug)]
pub(super) struct Head {
    inputs: Vec<UnsignedLinear>,
    blocks: Temporals,
}

impl Head {
    pub(super) fn new(folder: &ModelFolder<YamnetConfig>, head: &HeadConfig) -> Result<Self, FolderError> {
        let config = folder.config();
        let inputs = head.depths(config).enumerate().map(|(i, depth)| {
            // The sum of all has one bias, that of the first.
            UnsignedLinear::new(folder.weights(), &format!("head.inputs.{i}"), head.width, depth, i == 0)
        });
        let inputs = inputs.collect::<Result<_, _>>()?;
        Ok(Self { inputs, blocks: Temporals::new(folder.weights(), "head.blocks", &head.dilations, head.width, head.cells(config))? })
    }

    /// Forgets the recording so far.
    pub(super) fn reset(&self) {
        self.blocks.reset();
    }

    /// Adds the head to a graph of one patch: from the layers' maps and the last one's mean to the values of its cells.
    pub(super) fn wire(
        &self,
        config: &YamnetConfig,
        head: &HeadConfig,
        graph: &mut GraphBuilder,
        maps: &[Outlet],
        mean: Outlet,
    ) -> Result<Outlet, GraphError> {
        let cells = head.cells(config);
        let (mut rows, mut counts) = (vec![], vec![]);
        let shapes: Vec<_> = config.shapes().collect();
        for (i, &layer) in head.inputs.iter().enumerate() {
            let shape = shapes[layer];
            let means = BandMeans { size: shape.output, channels: shape.outputs };
            rows.push(graph.add(format!("yamnet.head.inputs.{i}"), means, &[maps[layer]])?[0]);
            counts.push(shape.output.height / PARTS);
        }
        rows.push(mean);
        counts.push(1);
        let join = HeadJoin { inputs: self.inputs.clone(), rows: counts, cells, width: head.width };
        let x = graph.add("yamnet.head.cells", join, &rows)?[0];
        self.blocks.wire(graph, "yamnet.head.blocks", x)
    }
}
