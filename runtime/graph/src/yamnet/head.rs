//! The head: from the maps of a patch's middle third to a score for each class every few frames.
//!
//! Each patch adds the cells of its middle third. Rows of the chosen maps (their bands joined into four by their mean) and the mean of the
//! last map are projected to one width and added; temporal convolutions of three taps with dilation, each around a residual, go over the
//! cells (van den Oord et al. 2016, "WaveNet"; Bai et al. 2018, "TCN"), and a linear layer reads the classes from what they leave. A
//! convolution sees as far ahead as back, so scores come [`HeadConfig::lag`] cells late.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ossicle_kernels::simd::LANES;
use serde::Deserialize;
use tract_core::internal::*;

use super::config::YamnetConfig;
use super::context::Context;
use super::head_ops::{BandMeans, Join, Temporal};
use super::ops::UnsignedLinear;
use crate::folder::{FolderError, ModelFolder};
use crate::ops::ROWS;
use crate::plan::{SlotOp, Slots};

/// Bands that a map's are joined into.
pub(super) const BANDS: usize = 4;

/// A patch's rows in time that are kept: the middle one of three equal parts.
pub(super) const PARTS: usize = 3;

/// Taps of a temporal convolution.
pub(super) const TAPS: usize = 3;

/// Figures of a head, part of `config.json`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct HeadConfig {
    /// The layers whose maps it reads beside the last one's mean, in order; the first has a row for each cell.
    pub inputs: Vec<usize>,
    /// Values of a cell.
    pub width: usize,
    /// Cells between the taps of each temporal convolution.
    pub dilations: Vec<usize>,
}

/// One of a head's inputs: its rows for each patch and their length.
#[derive(Clone, Copy, Debug)]
struct Input {
    rows: usize,
    depth: usize,
}

impl HeadConfig {
    /// Cells by which scores come later than the patch whose middle third they are of.
    pub fn lag(&self) -> usize {
        self.dilations.iter().sum()
    }

    /// What is wrong with the figures for a network of that configuration, if anything.
    pub(super) fn problem(&self, yamnet: &YamnetConfig) -> Option<String> {
        if self.width == 0 || self.width > 512 || !self.width.is_multiple_of(LANES) {
            return Some(format!("head.width is {}, not a multiple of {LANES} within {LANES}..=512", self.width));
        }
        if self.dilations.len() > 16 || self.dilations.iter().any(|dilation| !(1..=64).contains(dilation)) {
            return Some(format!("head.dilations are {:?}, not at most 16 within 1..=64", self.dilations));
        }
        if self.inputs.is_empty()
            || !self.inputs.is_sorted_by(|a, b| a < b)
            || self.inputs.iter().any(|&layer| layer >= yamnet.layers.len())
        {
            return Some(format!("head.inputs are {:?}, not ascending layers below {}", self.inputs, yamnet.layers.len()));
        }
        let maps: Vec<_> = yamnet.shapes().map(|shape| shape.output).collect();
        let cells = self.cells(yamnet);
        let fits = |&layer: &usize| {
            let rows = maps[layer].height / PARTS;
            maps[layer].height.is_multiple_of(PARTS) && maps[layer].width.is_multiple_of(BANDS) && rows > 0 && cells.is_multiple_of(rows)
        };
        match self.inputs.iter().find(|layer| !fits(layer)) {
            Some(&layer) => {
                let (height, width) = (maps[layer].height, maps[layer].width);
                Some(format!("head.inputs: the map of layer {layer} is {height} x {width}: it has no middle third or no four bands"))
            }
            None => (!(1..=ROWS).contains(&cells)).then(|| format!("the head has {cells} cells for each patch, not within 1..={ROWS}")),
        }
    }

    /// Cells of each patch.
    pub(super) fn cells(&self, yamnet: &YamnetConfig) -> usize {
        self.inputs.first().and_then(|&layer| yamnet.shapes().nth(layer)).map_or(0, |shape| shape.output.height / PARTS)
    }

    /// Its inputs, the mean last.
    fn shapes<'a>(&'a self, yamnet: &'a YamnetConfig) -> impl Iterator<Item = Input> + 'a {
        let maps = self.inputs.iter().filter_map(|&layer| yamnet.shapes().nth(layer));
        let maps = maps.map(|shape| Input { rows: shape.output.height / PARTS, depth: BANDS * shape.outputs });
        maps.chain([Input { rows: 1, depth: yamnet.embedding() }])
    }

    /// Longest row that is quantised.
    pub(super) fn widest(&self, yamnet: &YamnetConfig) -> usize {
        self.shapes(yamnet).map(|input| input.depth).fold(TAPS * self.width, usize::max)
    }

    /// Values of its slots beside those of scores.
    pub(super) fn slot_values(&self, yamnet: &YamnetConfig) -> usize {
        let cells = self.cells(yamnet);
        let inputs: usize = self.shapes(yamnet).map(|input| input.rows * input.depth).sum();
        // Of the cells' values two are alive at a time, what is projected from one input among them; beside them a convolution's taps.
        let gathered = if self.dilations.is_empty() { 0 } else { TAPS * cells * self.width };
        inputs - yamnet.embedding() + 2 * cells * self.width + gathered
    }

    /// Values of what it remembers from patch to patch.
    pub(super) fn state_values(&self, yamnet: &YamnetConfig) -> usize {
        let cells = self.cells(yamnet);
        self.dilations.iter().map(|dilation| (2 * dilation + cells) * self.width).sum()
    }
}

/// Where a head's weights are, and what it remembers.
#[derive(Debug)]
pub(super) struct Head {
    inputs: Vec<UnsignedLinear>,
    blocks: Vec<(UnsignedLinear, Arc<Memory>)>,
}

/// What a temporal convolution remembers of the cells so far.
#[derive(Debug)]
pub(super) struct Memory(Mutex<Cells>);

/// The last cells that a temporal convolution reads, oldest first.
#[derive(Debug)]
pub(super) struct Cells {
    /// `[2 * dilation + cells of a patch][width]`
    pub(super) values: Vec<f32>,
    /// Cells taken since the recording began.
    pub(super) taken: usize,
}

impl Memory {
    fn new(values: usize) -> Self {
        Self(Mutex::new(Cells { values: vec![0.0; values], taken: 0 }))
    }

    pub(super) fn cells(&self) -> MutexGuard<'_, Cells> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Head {
    pub(super) fn new(folder: &ModelFolder<YamnetConfig>, head: &HeadConfig) -> Result<Self, FolderError> {
        let config = folder.config();
        let inputs = head.shapes(config).enumerate().map(|(i, input)| {
            // The sum of all has one bias, that of the first.
            UnsignedLinear::new(folder, &format!("head.inputs.{i}"), head.width, input.depth, i == 0)
        });
        let blocks = head.dilations.iter().enumerate().map(|(i, dilation)| {
            let linear = UnsignedLinear::new(folder, &format!("head.blocks.{i}"), head.width, TAPS * head.width, true)?;
            Ok((linear, Arc::new(Memory::new((2 * dilation + head.cells(config)) * head.width))))
        });
        Ok(Self { inputs: inputs.collect::<Result<_, _>>()?, blocks: blocks.collect::<Result<_, FolderError>>()? })
    }

    /// Forgets the recording so far.
    pub(super) fn reset(&self) {
        for (_, memory) in &self.blocks {
            let mut cells = memory.cells();
            cells.values.fill(0.0);
            cells.taken = 0;
        }
    }

    /// Adds the head to a graph of one patch: from the layers' maps and the last one's mean to the values of its cells.
    pub(super) fn wire(
        &self,
        context: &Arc<Context>,
        model: &mut TypedModel,
        slots: &Arc<Slots>,
        maps: &[OutletId],
        mean: OutletId,
    ) -> TractResult<OutletId> {
        let config = context.folder.config();
        let Some(head) = &config.head else { bail!("the model has no head") };
        let cells = head.cells(config);
        let mut rows = tvec![];
        for (i, &layer) in head.inputs.iter().enumerate() {
            let Some(shape) = config.shapes().nth(layer) else { bail!("there is no layer {layer}") };
            let means = BandMeans { context: Arc::clone(context), size: shape.output, channels: shape.outputs };
            rows.push(model.wire_node(format!("yamnet.head.inputs.{i}"), SlotOp::new(means, slots), &[maps[layer]])?[0]);
        }
        rows.push(mean);
        let join = Join { context: Arc::clone(context), inputs: self.inputs.clone(), cells, width: head.width };
        let mut x = model.wire_node("yamnet.head.cells", SlotOp::new(join, slots), &rows)?[0];
        let mut lag = 0;
        for (i, ((linear, memory), &dilation)) in self.blocks.iter().zip(&head.dilations).enumerate() {
            lag += dilation;
            let (linear, memory) = (linear.clone(), Arc::clone(memory));
            let block = Temporal { context: Arc::clone(context), linear, memory, dilation, lag, cells, width: head.width };
            x = model.wire_node(format!("yamnet.head.blocks.{i}"), SlotOp::new(block, slots), &[x])?[0];
        }
        Ok(x)
    }
}
