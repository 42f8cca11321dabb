//! Towers as a model folder.

use std::path::Path;

use ossicle::label::Preprocessor;
use ossicle_models::clip::{self, ClipConfig, ImageTower, Scores, TextTower};
use ossicle_models::folder::NUMERICS_VERSION;
use ossicle_models::network::{Layer, Op};
use ossicle_text::Cleaning;

use super::config::Scored;
use super::{Clip, Report};
use crate::folder::{self, Partial, write_text};
use crate::pack;
use crate::tensors::{self, Tensor};
use crate::{Error, card};

/// Texts that rounding is chosen with unless others are given.
const TEXTS: &str = include_str!("../minilm/sentences.txt");

/// Of those, as many as are enough.
const CALIBRATED: usize = 48;

/// What to write.
#[derive(Clone, Debug, Default)]
pub struct Task {
    /// Replace an existing model folder.
    pub force: bool,
    /// Markdown for the model card.
    pub notes: String,
    /// Images as the tower reads them, to choose the rounding with and to measure on.
    pub images: Vec<Vec<f32>>,
    /// Texts, one a line, to choose the rounding with and to measure on; built-in ones, unmeasured, if empty.
    pub texts: String,
}

impl Clip {
    /// What becomes of an image, if there is an image tower.
    pub fn preprocessor(&self) -> Option<&Preprocessor> {
        self.image.as_ref().map(|tower| &tower.preprocessor)
    }

    /// Side of the images.
    pub fn image_side(&self) -> usize {
        self.config.image.side
    }

    /// Writes the model folder, all of it or none, once the runtime has opened it and run it. `progress` gets what is being done.
    ///
    /// # Errors
    /// The folder exists, the runtime does not take what was written, or the disk refuses.
    pub fn write(&mut self, folder: &Path, task: &Task, progress: &mut dyn FnMut(&str)) -> Result<Report, Error> {
        let mut partial = Partial::create(folder, task.force)?;
        let at = partial.path.clone();
        let given: Vec<&str> = lines(&task.texts);
        let texts = if given.is_empty() { lines(TEXTS) } else { given.clone() };
        self.calibrate(task, &texts[..texts.len().min(CALIBRATED)], progress)?;
        progress("packing");
        let (config, tensors) = self.parts()?;
        folder::put(&at, &self.path, "clip", &config, &tensors)?;
        if let Some(tower) = &self.image {
            write_text(&at.join("preprocessor_config.json"), &tower.preprocessor.to_json())?;
            let side = self.config.image.side;
            self.int8_images(&at, &[vec![0.0; side * side * 3]])?;
        }
        if let Some(tower) = &self.text {
            write_text(&at.join("tokenizer.json"), &tower.tokenizer_json)?;
            self.int8_texts(&at, &["a photo of a cat"])?;
        }
        progress("measuring");
        let report = self.measure(&at, &task.images, &given)?;
        let notes = format!("{}\n\n{}", task.notes.trim_end(), report.markdown());
        folder::complete(&at, folder, |name, bytes| self.card(name, bytes, &notes))?;
        partial.publish(folder)?;
        Ok(report)
    }

    fn calibrate(&mut self, task: &Task, texts: &[&str], progress: &mut dyn FnMut(&str)) -> Result<(), Error> {
        let config = &self.config.text;
        if let Some(tower) = &mut self.text {
            progress("float vectors of the calibration texts");
            let inputs = tower.inputs(texts, config);
            tower.network.smooth(&inputs)?;
            tower.network.calibrate(&inputs)?;
        }
        if let Some(tower) = self.image.as_mut().filter(|_| !task.images.is_empty()) {
            progress("float vectors of the calibration images");
            tower.network.smooth(&task.images)?;
            tower.network.calibrate(&task.images)?;
        }
        Ok(())
    }

    /// Configuration and weights of both towers.
    fn parts(&self) -> Result<(ClipConfig, Vec<Tensor>), Error> {
        let mut tensors = vec![];
        let image = match &self.image {
            None => None,
            Some(tower) => {
                let (layers, own) = tower.network.layers("image.")?;
                tensors.extend(own);
                Some(ImageTower { input: tower.network.input(), layers })
            }
        };
        let text = match &self.text {
            None => None,
            Some(tower) => {
                let (layers, own) = tower.network.layers("text.")?;
                let (vocab_size, max_tokens, width) = (self.config.text.vocabulary, self.config.text.tokens, self.config.text.blocks.width);
                let words = pack::quantize_rows(&tower.words, vocab_size, width);
                tensors::put_rows(&mut tensors, "text.tokens", &words, None);
                tensors.push(Tensor::floats("text.positions".into(), vec![max_tokens, width], tower.positions.clone()));
                tensors.extend(own);
                let pad = self.config.text.pad;
                let ended = |layer| if pad.is_none() { at_the_end(layer, max_tokens) } else { layer };
                let layers = layers.into_iter().map(ended).collect();
                let cleaning = match tower.cleaning {
                    Cleaning::None => clip::Cleaning::None,
                    Cleaning::Ftfy => clip::Cleaning::Ftfy,
                };
                Some(TextTower { vocab_size, width, max_tokens, pad_token_id: pad.unwrap_or(0), eos_token_id: tower.end, cleaning, layers })
            }
        };
        let config = ClipConfig {
            projection_dim: self.config.projection,
            logit_scale: self.logit_scale,
            logit_bias: self.logit_bias,
            scores: match self.config.scores {
                Scored::Softmax => Scores::Softmax,
                Scored::Sigmoid => Scores::Sigmoid,
            },
            image,
            text,
        };
        Ok((config, tensors))
    }

    fn card(&self, name: &str, bytes: u64, notes: &str) -> String {
        let (image, text) = (&self.config.image, &self.config.text);
        let mut rows = vec![("kind", "clip".to_owned()), ("width of a vector", self.config.projection.to_string())];
        if self.image.is_some() {
            let side = image.side;
            rows.push(("image tower", format!("{}; {side} x {side} pixels", image.trunk.describe())));
        }
        if self.text.is_some() {
            rows.push(("text tower", format!("{}; {} tokens of {}", text.blocks.describe(), text.tokens, text.vocabulary)));
        }
        if self.text.as_ref().is_some_and(|tower| tower.cleaning == Cleaning::Ftfy) {
            rows.push(("texts", "cleaned as ftfy 6.3.1 and HTML do".into()));
        }
        rows.extend([
            ("parameters", self.parameters().to_string()),
            ("weights here", format!("{bytes} bytes: products and tokens int8 with one f32 scale per output or token")),
            ("numerics version", NUMERICS_VERSION.to_string()),
        ]);
        let family = if self.config.scores == Scored::Sigmoid { "SigLIP" } else { "CLIP" };
        card::page(name, &format!("{family} for the Ossicle runtime, made by `ossicle-quantize clip`."), &rows, notes)
    }
}

/// The last position, where the graph that was lowered takes it, is wherever a text ends.
fn at_the_end(layer: Layer, tokens: usize) -> Layer {
    let op = match layer.op {
        Op::Take { first, count: 1 } if first + 1 == tokens => Op::TextEnd,
        op => op,
    };
    Layer { op, ..layer }
}

fn lines(text: &str) -> Vec<&str> {
    text.lines().map(str::trim).filter(|line| !line.is_empty()).collect()
}
