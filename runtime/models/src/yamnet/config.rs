//! `config.json` of a YAMNet.

use ossicle_engine::layers::{SeparableShape, Temporals, dilations_problem};
use ossicle_engine::session::ROWS;
use ossicle_engine::weights::{ModelConfig, ModelFolder};
use ossicle_kernels::conv::Size;
use ossicle_kernels::simd::LANES;
use serde::Deserialize;

/// Most patches of one run.
pub const MAX_PATCHES: usize = 16;

// The classifier's rows have to fit a thread's scratch memory.
const _: () = assert!(MAX_PATCHES <= ROWS);

/// Most values of one patch's maps in all: those of [`MAX_PATCHES`] take 1 GiB, which 32 bits can count.
const MAX_VALUES: usize = 1 << 24;

/// Bands that a head joins a map's into.
pub const BANDS: usize = 4;

/// A patch's rows in time that are kept: the middle one of three equal parts.
pub(super) const PARTS: usize = 3;

/// Figures of a network like YAMNet: a convolution, then layers of a depthwise and a 1 x 1 convolution, a mean and a classifier.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct YamnetConfig {
    /// Frames of one patch.
    pub patch_frames: usize,
    /// Mel bands of a frame.
    pub num_mel_bins: usize,
    /// Channels behind the first convolution, whose stride is 2.
    pub stem_channels: usize,
    /// The layers behind it.
    pub layers: Vec<YamnetLayer>,
    /// Classes; `labels.txt` has a line for each.
    pub num_labels: usize,
    /// What scores cells of a few frames instead of whole patches.
    #[serde(default)]
    pub head: Option<HeadConfig>,
    /// Labels that are scored for whole patches beside a head's classes, from the embedding; `near_labels.txt` has a line for each.
    #[serde(default)]
    pub near_labels: usize,
}

/// A depthwise convolution of 3 x 3 and a 1 x 1 convolution, ReLU behind each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub struct YamnetLayer {
    /// Channels behind it.
    pub channels: usize,
    /// 1 or 2.
    pub stride: usize,
}

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

impl ModelConfig for YamnetConfig {
    const KIND: &'static str = "yamnet";

    fn problem(&self) -> Option<String> {
        let widths =
            [("stem_channels", self.stem_channels)].into_iter().chain(self.layers.iter().map(|layer| ("channels", layer.channels)));
        for (name, value) in widths {
            if value == 0 || value > 2048 || !value.is_multiple_of(LANES) {
                return Some(format!("{name} is {value}, not a multiple of {LANES} within {LANES}..=2048"));
            }
        }
        if let Some(layer) = self.layers.iter().find(|layer| !matches!(layer.stride, 1 | 2)) {
            return Some(format!("stride is {}, not 1 or 2", layer.stride));
        }
        let sizes = [
            ("patch_frames", self.patch_frames, 1024),
            ("num_mel_bins", self.num_mel_bins, 128),
            ("layers", self.layers.len(), 64),
            ("num_labels", self.num_labels, 1 << 16),
        ];
        if let Some((name, value, most)) = sizes.into_iter().find(|&(_, value, most)| value == 0 || value > most) {
            return Some(format!("{name} is {value}, not within 1..={most}"));
        }
        if self.near_labels > 1 << 16 || self.near_labels > 0 && self.head.is_none() {
            return Some(format!("near_labels is {}, not within 0..={}, and 0 without a head", self.near_labels, 1 << 16));
        }
        let stem = self.stem().positions() * self.stem_channels;
        let values = self.shapes().fold(stem, |sum, shape| sum.saturating_add(shape.output.positions() * shape.outputs));
        let large = (values > MAX_VALUES).then(|| format!("the maps have {values} values, more than {MAX_VALUES}"));
        large.or_else(|| self.head.as_ref()?.problem(self))
    }
}

/// SHA-256 of all weights that the embedding depends on, in lower-case hexadecimal: the same for a YAMNet with a head and without.
pub fn embedding_sha256(folder: &ModelFolder<YamnetConfig>) -> String {
    folder.weights().tensors_sha256(|name| name.starts_with("stem.") || name.starts_with("layers."))
}

impl YamnetConfig {
    /// Size of one patch.
    pub(super) fn patch(&self) -> Size {
        Size { height: self.patch_frames, width: self.num_mel_bins }
    }

    /// Size of the map behind the first convolution.
    pub(super) fn stem(&self) -> Size {
        self.patch().strided(2)
    }

    /// The layers' maps.
    pub(super) fn shapes(&self) -> impl Iterator<Item = SeparableShape> {
        let start = (self.stem(), self.stem_channels);
        self.layers.iter().scan(start, |(size, channels), layer| {
            let shape = SeparableShape { input: *size, output: size.strided(layer.stride), inputs: *channels, outputs: layer.channels };
            (*size, *channels) = (shape.output, shape.outputs);
            Some(shape)
        })
    }

    /// Values of the embedding: channels of the last map.
    pub fn embedding(&self) -> usize {
        self.layers.last().map_or(self.stem_channels, |layer| layer.channels)
    }

    /// Values that the classifier reads.
    pub(super) fn classified(&self) -> usize {
        self.head.as_ref().map_or(self.embedding(), |head| head.width)
    }

    /// Scores of every class that a patch gives: 1, or a head's cells.
    pub fn cells(&self) -> usize {
        self.head.as_ref().map_or(1, |head| head.cells(self))
    }
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
        if let Some(problem) = dilations_problem(&self.dilations) {
            return Some(format!("head.{problem}"));
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

    /// Lengths of the rows of its inputs, the mean's last.
    pub(super) fn depths<'a>(&'a self, yamnet: &'a YamnetConfig) -> impl Iterator<Item = usize> + 'a {
        let maps = self.inputs.iter().filter_map(|&layer| yamnet.shapes().nth(layer));
        maps.map(|shape| BANDS * shape.outputs).chain([yamnet.embedding()])
    }

    /// Values of what it remembers from patch to patch.
    pub(super) fn state_values(&self, yamnet: &YamnetConfig) -> usize {
        Temporals::state_values(&self.dilations, self.width, self.cells(yamnet))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_that_would_overflow_are_refused() {
        let layers = vec![YamnetLayer { channels: 2048, stride: 1 }; 3];
        let config = |patch_frames, layers| YamnetConfig {
            patch_frames,
            num_mel_bins: 128,
            stem_channels: 16,
            layers,
            num_labels: 1,
            head: None,
            near_labels: 0,
        };
        assert_eq!(config(16, layers.clone()).problem(), None);
        let problem = config(1024, layers.clone()).problem().unwrap();
        assert!(problem.starts_with("the maps have 201850880 values"), "{problem}");
        assert!(config(2048, layers).problem().unwrap().starts_with("patch_frames is 2048"));
        let problem = config(96, vec![YamnetLayer { channels: 24, stride: 1 }]).problem().unwrap();
        assert!(problem.starts_with("channels is 24"), "{problem}");
        let problem = YamnetConfig { near_labels: 2, ..config(96, vec![YamnetLayer { channels: 32, stride: 1 }]) }.problem().unwrap();
        assert!(problem.starts_with("near_labels is 2"), "{problem}");
    }
}
