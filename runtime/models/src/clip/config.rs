//! `config.json` of a model with an image tower, a text tower, or both.

use ossicle_engine::layers::map::Shape;
use ossicle_engine::weights::ModelConfig;
use ossicle_kernels::conv::Size;
use ossicle_kernels::simd::LANES;
use serde::{Deserialize, Serialize};

use crate::network::{InputShape, Layer, Op, shapes};

/// Most tokens of a text.
pub const MAX_TOKENS: usize = 512;

/// Most values of a vector.
pub const MAX_WIDTH: usize = 4096;

/// Lengths that a text tower is planned for, next to its longest: a text is computed by the shortest that holds it.
const LENGTHS: [usize; 4] = [8, 16, 32, 48];

/// Towers that bring images and texts to one space of vectors (Radford et al. 2021, Zhai et al. 2023).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClipConfig {
    /// Values of a vector.
    pub projection_dim: usize,
    /// What the product of two vectors of length 1 is multiplied by before scores are made of it.
    pub logit_scale: f32,
    /// What is added to that.
    #[serde(default)]
    pub logit_bias: f32,
    /// What becomes of an image's products with several texts.
    pub scores: Scores,
    /// Images to vectors.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<ImageTower>,
    /// Texts to vectors.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<TextTower>,
}

/// What becomes of an image's products with several texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scores {
    /// Probabilities that sum to one: exactly one text is right (CLIP).
    Softmax,
    /// A probability for each text by itself (SigLIP).
    Sigmoid,
}

/// What is done to a text before its tokens are made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cleaning {
    /// Nothing but what `tokenizer.json` says.
    #[default]
    None,
    /// What ftfy 6.3.1 and HTML make of it, as the tokenizers of OpenAI's CLIP and of open_clip do.
    Ftfy,
}

/// Images to vectors.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ImageTower {
    /// `[height][width][channels]`, f32.
    pub input: InputShape,
    /// In the order they are computed; the last gives one position of `projection_dim` values. Tensors are named `image.NAME`.
    pub layers: Vec<Layer>,
}

/// Texts to vectors.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TextTower {
    /// Tokens known. `text.tokens` has a row for each.
    pub vocab_size: usize,
    /// Values of a row.
    pub width: usize,
    /// Most tokens of a text, those around it included. `text.positions` has a row for each.
    pub max_tokens: usize,
    /// What follows the last token up to `max_tokens`.
    pub pad_token_id: u32,
    /// The token that ends a text: [`Op::TextEnd`] takes its first position. (SigLIP takes the last of `max_tokens`, whatever is there.)
    pub eos_token_id: u32,
    /// What is done to a text first.
    #[serde(default)]
    pub cleaning: Cleaning,
    /// In the order they are computed; the last gives one position of `projection_dim` values. Tensors are named `text.NAME`.
    pub layers: Vec<Layer>,
}

impl ImageTower {
    pub(super) fn shape(&self) -> Shape {
        Shape { size: Size { height: self.input.height, width: self.input.width }, channels: self.input.channels }
    }
}

impl TextTower {
    /// Rows of so many tokens.
    pub(super) fn shape(&self, tokens: usize) -> Shape {
        Shape { size: Size { height: tokens, width: 1 }, channels: self.width }
    }

    /// Whether a layer asks where the text ends.
    pub(super) fn has_end(&self) -> bool {
        self.layers.iter().any(|layer| layer.op == Op::TextEnd)
    }

    /// Whether what follows a position changes nothing of it.
    fn is_causal(&self) -> bool {
        let each = |op: &Op| match op {
            Op::Attention { causal, .. } => *causal,
            op => matches!(
                op,
                Op::Linear { .. } | Op::Norm { .. } | Op::Add { .. } | Op::Affine { .. } | Op::Activate { .. } | Op::Multiply | Op::TextEnd
            ),
        };
        self.layers.iter().all(|layer| each(&layer.op))
    }

    /// Lengths that the tower is planned for, shortest first.
    pub(super) fn lengths(&self) -> Vec<usize> {
        let short = if self.is_causal() { &LENGTHS[..] } else { &[] };
        short.iter().copied().filter(|&length| length < self.max_tokens).chain([self.max_tokens]).collect()
    }

    fn problem(&self) -> Option<String> {
        let sizes =
            [("vocab_size", self.vocab_size, 1 << 20), ("width", self.width, MAX_WIDTH), ("max_tokens", self.max_tokens, MAX_TOKENS)];
        if let Some((name, value, most)) = sizes.iter().find(|(_, value, most)| !(1..=*most).contains(value)) {
            return Some(format!("text: {name} is {value}, 1 to {most} are possible"));
        }
        if !self.width.is_multiple_of(LANES) {
            return Some(format!("text: width is {}, not a multiple of {LANES}", self.width));
        }
        let token = [self.pad_token_id, self.eos_token_id].into_iter().find(|&id| id as usize >= self.vocab_size)?;
        Some(format!("text: token {token} is beyond the vocabulary of {}", self.vocab_size))
    }
}

impl ModelConfig for ClipConfig {
    const KIND: &'static str = "clip";

    fn problem(&self) -> Option<String> {
        let Self { projection_dim: width, logit_scale, logit_bias, .. } = *self;
        if !(1..=MAX_WIDTH).contains(&width) || !width.is_multiple_of(LANES) {
            return Some(format!("projection_dim is {width}: multiples of {LANES} up to {MAX_WIDTH} are possible"));
        }
        if !(logit_scale.is_finite() && logit_scale > 0.0 && logit_bias.is_finite()) {
            return Some(format!("logit_scale {logit_scale}, logit_bias {logit_bias}: finite numbers, the scale above 0, are possible"));
        }
        if self.image.is_none() && self.text.is_none() {
            return Some("neither image nor text: there is no tower".into());
        }
        if let Some(problem) = self.text.as_ref().and_then(TextTower::problem) {
            return Some(problem);
        }
        let one = |tower: &str, input: Shape, layers: &[Layer]| match shapes(input, layers) {
            Err(problem) => Some(format!("{tower}: {problem}")),
            Ok(shapes) => match shapes.last() {
                Some((last, _)) if *last == Shape::line(1, width) || (last.positions() == 1 && last.channels == width) => None,
                Some((last, _)) => Some(format!("{tower}: the last layer gives {last:?}, not projection_dim {width} at one position")),
                None => Some(format!("{tower}: no layers")),
            },
        };
        let image = self.image.as_ref().and_then(|tower| {
            if tower.layers.iter().any(|layer| layer.op == Op::TextEnd) {
                return Some("image: op text_end is for texts".into());
            }
            one("image", tower.shape(), &tower.layers)
        });
        image.or_else(|| {
            let tower = self.text.as_ref()?;
            tower.lengths().into_iter().find_map(|length| one("text", tower.shape(length), &tower.layers))
        })
    }
}
