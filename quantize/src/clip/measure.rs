//! The float towers on tract's operators, and how far the INT8 vectors are from theirs.

use std::path::Path;

use ossicle_kernels::simd::Isa;
use ossicle_models::clip::{ClipConfig, ImageGraph, TextGraph};
use ossicle_models::folder::{FolderError, ModelFolder};
use ossicle_models::{GraphError, Options};

use super::config::TextConfig;
use super::tower::{self, Taken};
use super::{Clip, TextTower};
use crate::Error;
use crate::network::Reference;
use crate::onnx::builder::Builder;
use crate::vectors::{self, unit};

/// A cosine from which on two vectors say the same.
const CLOSE: f64 = 0.99;

/// What INT8 costs, for each tower that was measured.
#[derive(Clone, Copy, Debug, Default)]
pub struct Report {
    /// Of images.
    pub images: Option<vectors::Report>,
    /// Of texts.
    pub texts: Option<vectors::Report>,
}

impl Report {
    /// Tables for the model card; empty if nothing was measured.
    pub fn markdown(&self) -> String {
        let of = |report: Option<vectors::Report>, what: &str| report.map(|report| report.markdown(what));
        [of(self.images, "images"), of(self.texts, "texts")].into_iter().flatten().collect::<Vec<_>>().join("\n")
    }
}

/// Why the runtime refuses what was written, in one line.
pub(super) fn refusal(error: GraphError) -> String {
    match error {
        GraphError::Folder(FolderError::Malformed { problem, .. }) => problem,
        GraphError::Folder(FolderError::Tensor { name, problem, .. }) => format!("tensor {name} {problem}"),
        other => other.to_string(),
    }
}

impl Clip {
    /// The float tower's vectors of images `[height][width][3]`, of length 1.
    ///
    /// # Errors
    /// There is no image tower, or an image has another length.
    pub fn image_vectors(&self, images: &[Vec<f32>]) -> Result<Vec<Vec<f32>>, Error> {
        let tower = self.image.as_ref().ok_or_else(|| Error::unsupported(&self.path, "no image tower was read"))?;
        let mut vectors = tower.network.float_scores(images)?;
        vectors.iter_mut().for_each(|vector| unit(vector));
        Ok(vectors)
    }

    /// The float tower's vectors of texts, of length 1; a text that is too long is cut off.
    ///
    /// # Errors
    /// There is no text tower.
    pub fn text_vectors(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>, Error> {
        let tower = self.text.as_ref().ok_or_else(|| Error::unsupported(&self.path, "no text tower was read"))?;
        let (config, width) = (&self.config.text, self.config.text.blocks.width);
        let mut graph = Builder::new(&self.path, tower.tensors.clone());
        let file = tower::text(&mut graph, config, config.tokens, self.config.projection, Taken::Never)?;
        let reference = Reference::parse(&self.path, &file)?;
        let mut vectors = vec![];
        for text in texts {
            let tokens = tower.tokens(text, config.tokens);
            let end = match config.pad {
                None => tokens.iter().position(|&token| token == tower.end).unwrap_or(tokens.len() - 1),
                Some(_) => config.tokens - 1,
            };
            let rows = tower.embed(&padded(tokens, config), width);
            // Channels first, as the graph wants them.
            let turned: Vec<f32> = (0..width).flat_map(|c| rows.iter().skip(c).step_by(width).copied()).collect();
            let all = reference.run(&turned)?;
            let mut vector = all[end * self.config.projection..][..self.config.projection].to_vec();
            unit(&mut vector);
            vectors.push(vector);
        }
        Ok(vectors)
    }

    /// Runs a model folder of these towers on images and texts, and compares; what is empty is not measured.
    ///
    /// # Errors
    /// The runtime does not take the folder, or its vectors are not finite.
    pub(super) fn measure(&self, folder: &Path, images: &[Vec<f32>], texts: &[&str]) -> Result<Report, Error> {
        let mut report = Report::default();
        if self.image.is_some() && !images.is_empty() {
            report.images = Some(vectors::compare(&self.image_vectors(images)?, &self.int8_images(folder, images)?, CLOSE));
        }
        if self.text.is_some() && !texts.is_empty() {
            report.texts = Some(vectors::compare(&self.text_vectors(texts)?, &self.int8_texts(folder, texts)?, CLOSE));
        }
        Ok(report)
    }

    pub(super) fn int8_images(&self, folder: &Path, images: &[Vec<f32>]) -> Result<Vec<Vec<f32>>, Error> {
        let mut graph = ImageGraph::new(self.reopen(folder)?, options(), usize::MAX).map_err(|e| self.refused(refusal(e)))?;
        images.iter().map(|image| self.finite(graph.run(image))).collect()
    }

    pub(super) fn int8_texts(&self, folder: &Path, texts: &[&str]) -> Result<Vec<Vec<f32>>, Error> {
        let mut graph = TextGraph::new(self.reopen(folder)?, options(), usize::MAX).map_err(|e| self.refused(refusal(e)))?;
        let tower = self.text.as_ref();
        let tokens = texts.iter().filter_map(|text| Some(tower?.tokens(text, self.config.text.tokens)));
        tokens.map(|tokens| self.finite(graph.run(&tokens))).collect()
    }

    fn finite(&self, vector: Result<&[f32], GraphError>) -> Result<Vec<f32>, Error> {
        match vector {
            Ok(vector) if vector.iter().all(|x| x.is_finite()) => Ok(vector.to_vec()),
            Ok(_) => Err(self.refused("a vector is not finite".into())),
            Err(e) => Err(self.refused(refusal(e))),
        }
    }

    fn refused(&self, reason: String) -> Error {
        Error::unsupported(&self.path, format!("the runtime does not take this model: {reason}"))
    }

    fn reopen(&self, folder: &Path) -> Result<std::sync::Arc<ModelFolder<ClipConfig>>, Error> {
        ModelFolder::open(folder).map_err(|e| self.refused(refusal(e.into())))
    }
}

/// One thread, as fast as this machine can: no bit depends on it.
fn options() -> Options {
    Options { isa: Isa::detect(), threads: 1 }
}

/// As many tokens as the tower reads: the text's, then its own.
fn padded(mut tokens: Vec<u32>, config: &TextConfig) -> Vec<u32> {
    tokens.resize(config.tokens, config.pad.unwrap_or(0));
    tokens
}

impl TextTower {
    /// A text's tokens; one that is too long is cut off.
    fn tokens(&self, text: &str, most: usize) -> Vec<u32> {
        self.tokenizer.encode(text, most).ids
    }

    /// What the tower reads of each text, all of its positions.
    pub(super) fn inputs(&self, texts: &[&str], config: &TextConfig) -> Vec<Vec<f32>> {
        texts.iter().map(|text| self.embed(&padded(self.tokens(text, config.tokens), config), config.blocks.width)).collect()
    }
}
