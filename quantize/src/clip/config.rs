//! What a checkpoint says of itself, in Hugging Face's words.

use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use super::fast_vit::FastVit;
use crate::Error;
use crate::source::read_json;

/// Sizes of a tower of transformer blocks.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Blocks {
    pub(super) width: usize,
    pub(super) inner: usize,
    pub(super) heads: usize,
    pub(super) layers: usize,
    pub(super) epsilon: f32,
    pub(super) activation: Activation,
}

/// The function inside a feed-forward part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Activation {
    /// `x * sigmoid(1.702 x)`
    QuickGelu,
    /// By the error function.
    Gelu,
    /// By the hyperbolic tangent.
    TanhGelu,
}

/// What a file that does not say it means.
#[derive(Clone, Copy)]
pub(super) struct Defaults {
    pub(super) width: usize,
    pub(super) inner: usize,
    pub(super) heads: usize,
    pub(super) epsilon: f32,
    pub(super) activation: Activation,
}

/// How positions become the vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pooled {
    /// A position in front of the patches is it.
    Class,
    /// A learned probe asks all patches (SigLIP).
    Probe,
}

/// What becomes of an image's products with several texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scored {
    Softmax,
    Sigmoid,
}

/// A vision transformer.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Vit {
    pub(super) blocks: Blocks,
    /// Side of a patch.
    pub(super) patch: usize,
    pub(super) pooled: Pooled,
}

/// What looks at images.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Trunk {
    Vit(Vit),
    FastVit(FastVit),
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct ImageConfig {
    pub(super) trunk: Trunk,
    /// Side of the images.
    pub(super) side: usize,
}

impl Trunk {
    /// What it is made of, for people.
    pub(super) fn describe(&self) -> String {
        match self {
            Self::Vit(Vit { blocks, patch, .. }) => format!("{} in patches of {patch}", blocks.describe()),
            Self::FastVit(trunk) => trunk.describe(),
        }
    }

    /// Whether images may have sides of so many pixels. What is less than a patch at the right and the lower edge is not looked at.
    fn takes(&self, side: usize) -> Result<(), String> {
        match self {
            Self::Vit(Vit { patch: 0, .. }) => Err("patches of no size".into()),
            Self::Vit(Vit { patch, .. }) if side < *patch => Err(format!("image size {side} is less than the patch size {patch}")),
            Self::FastVit(_) if !side.is_multiple_of(FastVit::REDUCTION) => {
                Err(format!("image size {side} is not a multiple of {}", FastVit::REDUCTION))
            }
            _ => Ok(()),
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct TextConfig {
    pub(super) blocks: Blocks,
    pub(super) vocabulary: usize,
    /// Most tokens of a text.
    pub(super) tokens: usize,
    /// Whether a token looks only at itself and those before it.
    pub(super) causal: bool,
    /// What a text is filled up with where the vector is made of the last position; otherwise it is made of the text's end.
    pub(super) pad: Option<u32>,
}

/// A checkpoint's configuration.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Config {
    /// Values of a vector.
    pub(super) projection: usize,
    pub(super) image: ImageConfig,
    pub(super) text: TextConfig,
    pub(super) scores: Scored,
}

/// `config.json` of a `CLIPModel` or a `SiglipModel`. What is left out has the values of `CLIPConfig`, which are those of ViT-B/32, or of
/// `SiglipConfig`.
#[derive(Deserialize)]
pub(super) struct File {
    model_type: String,
    projection_dim: Option<usize>,
    #[serde(default)]
    pub(super) text_config: Tower,
    #[serde(default)]
    pub(super) vision_config: Tower,
}

#[derive(Default, Deserialize)]
pub(super) struct Tower {
    hidden_size: Option<usize>,
    intermediate_size: Option<usize>,
    num_attention_heads: Option<usize>,
    num_hidden_layers: Option<usize>,
    layer_norm_eps: Option<f32>,
    hidden_act: Option<String>,
    projection_dim: Option<usize>,
    pub(super) projection_size: Option<usize>,
    pub(super) vocab_size: Option<usize>,
    pub(super) max_position_embeddings: Option<usize>,
    pub(super) pad_token_id: Option<u32>,
    pub(super) image_size: Option<usize>,
    pub(super) patch_size: Option<usize>,
    pub(super) vision_use_head: Option<bool>,
    num_channels: Option<usize>,
}

/// Largest figure of any kind.
const MOST: usize = 1 << 20;

impl Tower {
    pub(super) fn blocks(&self, unsaid: Defaults) -> Result<Blocks, String> {
        let (width, heads) = (self.hidden_size.unwrap_or(unsaid.width), self.num_attention_heads.unwrap_or(unsaid.heads));
        let (inner, layers) = (self.intermediate_size.unwrap_or(unsaid.inner), self.num_hidden_layers.unwrap_or(12));
        let activation = match self.hidden_act.as_deref() {
            None => unsaid.activation,
            Some("quick_gelu") => Activation::QuickGelu,
            Some("gelu") => Activation::Gelu,
            Some("gelu_pytorch_tanh") => Activation::TanhGelu,
            Some(other) => {
                return Err(format!("hidden_act {other:?}: \"quick_gelu\", \"gelu\" and \"gelu_pytorch_tanh\" are possible"));
            }
        };
        let blocks = Blocks { width, inner, heads, layers, epsilon: self.layer_norm_eps.unwrap_or(unsaid.epsilon), activation };
        blocks.problem().map_or(Ok(blocks), Err)
    }
}

fn within(name: &str, value: usize) -> Result<(), String> {
    if (1..=MOST).contains(&value) { Ok(()) } else { Err(format!("{name} is {value}, 1 to {MOST} are possible")) }
}

impl Blocks {
    /// Their sizes, for people.
    pub(super) fn describe(&self) -> String {
        format!("{} wide, {} layers, {} heads, {} wide inside", self.width, self.layers, self.heads, self.inner)
    }

    /// What is wrong with the figures, if anything.
    pub(super) fn problem(&self) -> Option<String> {
        let Self { width, inner, heads, layers, .. } = *self;
        let figures = [("width", width), ("width inside", inner), ("heads", heads), ("layers", layers)];
        let problem = figures.into_iter().find_map(|(name, value)| within(name, value).err());
        problem.or_else(|| (!width.is_multiple_of(heads)).then(|| format!("width {width} is not a multiple of {heads} heads")))
    }
}

/// What `SiglipConfig` takes for both towers where a file says nothing.
const SIGLIP: Defaults = Defaults { width: 768, inner: 3072, heads: 12, epsilon: 1e-6, activation: Activation::TanhGelu };

impl Config {
    /// Reads `config.json`.
    ///
    /// # Errors
    /// It is missing, malformed, of another kind of model, or asks for what is not supported.
    pub(super) fn read(path: &Path) -> Result<Self, Error> {
        let value: Value = read_json(path)?;
        let file = File::deserialize(&value).map_err(|e| Error::json(path, e))?;
        Self::new(&file).map_err(|problem| Error::unsupported(path, problem))
    }

    fn new(file: &File) -> Result<Self, String> {
        if let Some(channels) = file.vision_config.num_channels.filter(|&channels| channels != 3) {
            return Err(format!("num_channels is {channels}: images of 3 are possible"));
        }
        let config = match file.model_type.as_str() {
            "clip" => Self::of_clip(file)?,
            "siglip" => Self::of_siglip(file)?,
            other => return Err(format!("model_type is {other:?}: \"clip\" and \"siglip\" are possible")),
        };
        config.problem().map_or(Ok(config), Err)
    }

    /// The configuration of a `SiglipModel`.
    fn of_siglip(file: &File) -> Result<Self, String> {
        let (text, vision) = (&file.text_config, &file.vision_config);
        if vision.vision_use_head == Some(false) {
            return Err("vision_config: vision_use_head is false: towers with their pooling are possible".into());
        }
        let blocks = vision.blocks(SIGLIP).map_err(|e| format!("vision_config: {e}"))?;
        let projection = blocks.width;
        let trunk = Trunk::Vit(Vit { blocks, patch: vision.patch_size.unwrap_or(16), pooled: Pooled::Probe });
        let image = ImageConfig { trunk, side: vision.image_size.unwrap_or(224) };
        let blocks = text.blocks(SIGLIP).map_err(|e| format!("text_config: {e}"))?;
        let wide = text.projection_size.unwrap_or(blocks.width);
        if wide != projection {
            return Err(format!("texts become {wide} values and images {projection}: one number is possible"));
        }
        let text = TextConfig {
            blocks,
            vocabulary: text.vocab_size.unwrap_or(32_000),
            tokens: text.max_position_embeddings.unwrap_or(64),
            causal: false,
            pad: Some(text.pad_token_id.unwrap_or(1)),
        };
        Ok(Self { projection, image, text, scores: Scored::Sigmoid })
    }

    fn of_clip(file: &File) -> Result<Self, String> {
        let unsaid =
            |width: usize, heads: usize| Defaults { width, inner: 4 * width, heads, epsilon: 1e-5, activation: Activation::QuickGelu };
        let (text, vision) = (&file.text_config, &file.vision_config);
        let projection = file.projection_dim.or(vision.projection_dim).unwrap_or(512);
        let blocks = vision.blocks(unsaid(768, 12)).map_err(|e| format!("vision_config: {e}"))?;
        let trunk = Trunk::Vit(Vit { blocks, patch: vision.patch_size.unwrap_or(32), pooled: Pooled::Class });
        let image = ImageConfig { trunk, side: vision.image_size.unwrap_or(224) };
        let text = TextConfig {
            blocks: text.blocks(unsaid(512, 8)).map_err(|e| format!("text_config: {e}"))?,
            vocabulary: text.vocab_size.unwrap_or(49_408),
            tokens: text.max_position_embeddings.unwrap_or(77),
            causal: true,
            pad: None,
        };
        Ok(Self { projection, image, text, scores: Scored::Softmax })
    }

    /// What is wrong with the figures, if anything.
    pub(super) fn problem(&self) -> Option<String> {
        let Self { projection, image: ImageConfig { side, ref trunk }, text: TextConfig { vocabulary, tokens, .. }, .. } = *self;
        let figures = [("values of a vector", projection), ("image size", side), ("vocabulary", vocabulary), ("tokens of a text", tokens)];
        let problem = figures.into_iter().find_map(|(name, value)| within(name, value).err());
        problem.or_else(|| trunk.takes(side).err())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> Result<Config, String> {
        Config::new(&serde_json::from_str(text).unwrap())
    }

    #[test]
    fn what_is_left_out_is_as_in_vit_b_32() {
        let config = config(r#"{"model_type": "clip"}"#).unwrap();
        let Trunk::Vit(Vit { blocks: Blocks { width, inner, heads, layers, activation, .. }, patch, .. }) = config.image.trunk else {
            panic!("a vision transformer")
        };
        assert_eq!((width, inner, heads, layers, config.image.side, patch), (768, 3072, 12, 12, 224, 32));
        let Blocks { width, inner, heads, layers, .. } = config.text.blocks;
        assert_eq!((width, inner, heads, layers, config.text.vocabulary, config.text.tokens), (512, 2048, 8, 12, 49_408, 77));
        assert_eq!((activation, config.projection), (Activation::QuickGelu, 512));
    }

    #[test]
    fn what_is_left_out_is_as_in_siglip_base() {
        let config = config(r#"{"model_type": "siglip"}"#).unwrap();
        let Trunk::Vit(Vit { blocks: Blocks { width, epsilon, activation, .. }, patch, pooled }) = config.image.trunk else {
            panic!("a vision transformer")
        };
        assert_eq!((width, epsilon, activation, patch, pooled), (768, 1e-6, Activation::TanhGelu, 16, Pooled::Probe));
        let TextConfig { blocks: Blocks { width, layers, .. }, vocabulary, tokens, causal, pad } = config.text;
        assert_eq!((width, layers, vocabulary, tokens, causal, pad), (768, 12, 32_000, 64, false, Some(1)));
        assert_eq!((config.projection, config.scores), (768, Scored::Sigmoid));
    }

    #[test]
    fn what_is_not_done_is_refused_by_name() {
        for (text, named) in [
            (r#"{"model_type": "siglip2"}"#, "model_type"),
            (r#"{"model_type": "siglip", "vision_config": {"vision_use_head": false}}"#, "vision_use_head"),
            (r#"{"model_type": "siglip", "text_config": {"projection_size": 512}}"#, "512 values"),
            (r#"{"model_type": "siglip", "text_config": {"hidden_act": "gelu_new"}}"#, "hidden_act"),
            (r#"{"model_type": "clip", "text_config": {"hidden_act": "relu"}}"#, "text_config: hidden_act"),
            (r#"{"model_type": "clip", "vision_config": {"num_channels": 4}}"#, "num_channels"),
            (r#"{"model_type": "clip", "vision_config": {"patch_size": 225}}"#, "patch size"),
            (r#"{"model_type": "clip", "vision_config": {"num_attention_heads": 7}}"#, "7 heads"),
            (r#"{"model_type": "clip", "projection_dim": 0}"#, "values of a vector"),
        ] {
            assert!(config(text).unwrap_err().contains(named), "{text}");
        }
    }
}
