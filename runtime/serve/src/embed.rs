//! Texts and images as vectors, for clients.

use std::fmt;
use std::io;
use std::path::Path;

use ossicle::embed::{EmbedError, Encoded, ImageEncoder, Options, TextEncoder};
use ossicle::label::Image;

use crate::job_error::JobError;
use crate::limits::Limits;
use crate::slots::Peer;
use crate::worker::{Step, Worker};

/// Most bytes that decoding an image may take.
const IMAGE_BYTES: usize = 96 << 20;

/// What is to be encoded.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// A text.
    Text(String),
    /// The bytes of an image's file.
    Image(Vec<u8>),
}

/// A vector, and how much of a text it is of.
#[derive(Clone, Debug, PartialEq)]
pub struct Vector {
    /// Of length 1.
    pub values: Vec<f32>,
    /// Tokens that were read; none of an image.
    pub tokens: usize,
    /// Tokens at the text's end that the model does not read.
    pub left_out: usize,
}

/// Why there is no vector.
#[derive(Debug)]
pub enum InputError {
    /// The model encodes nothing of the sort.
    Kind(&'static str),
    /// The image cannot be read: why.
    Image(String),
    /// The model fails.
    Embed(EmbedError),
}

impl fmt::Display for InputError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kind(what) => write!(f, "this model has no vectors of {what}"),
            Self::Image(problem) => f.write_str(problem),
            Self::Embed(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for InputError {}

/// What turns inputs into vectors.
pub trait Embedder: Send {
    /// Values of a vector.
    fn width(&self) -> usize;

    /// The vector of an input.
    ///
    /// # Errors
    /// If it cannot be encoded.
    fn embed(&mut self, input: &Input) -> Result<Vector, InputError>;
}

/// The encoders of a model folder.
#[derive(Debug)]
pub struct Towers {
    texts: Option<TextEncoder>,
    images: Option<ImageEncoder>,
}

impl Towers {
    /// Opens whatever the model has.
    ///
    /// # Errors
    /// If the folder cannot be used, has neither, or needs more memory than allowed.
    pub fn open(model: &Path, options: Options) -> Result<Self, EmbedError> {
        let texts = match TextEncoder::open(model, options) {
            Err(EmbedError::Kind { what: "texts", .. }) => None,
            opened => Some(opened?),
        };
        let images = match ImageEncoder::open(model, options) {
            Err(EmbedError::Kind { .. }) if texts.is_some() => None,
            opened => Some(opened?),
        };
        Ok(Self { texts, images })
    }

    /// Bytes in use, all of them from the start but for an image that is being decoded: for that the most is counted.
    pub fn planned_bytes(&self) -> usize {
        let plans = [self.texts.as_ref().map(TextEncoder::memory_plan), self.images.as_ref().map(ImageEncoder::memory_plan)];
        let images = if self.images.is_some() { IMAGE_BYTES } else { 0 };
        plans.into_iter().flatten().map(|plan| plan.weights + plan.buffers + plan.state).sum::<usize>() + images
    }
}

impl Embedder for Towers {
    fn width(&self) -> usize {
        self.texts.as_ref().map_or_else(|| self.images.as_ref().map_or(0, ImageEncoder::width), TextEncoder::width)
    }

    fn embed(&mut self, input: &Input) -> Result<Vector, InputError> {
        match input {
            Input::Text(text) => {
                let encoder = self.texts.as_mut().ok_or(InputError::Kind("texts"))?;
                let Encoded { vector, tokens, left_out } = encoder.encode(text).map_err(InputError::Embed)?;
                Ok(Vector { values: vector.to_vec(), tokens, left_out })
            }
            Input::Image(bytes) => {
                let encoder = self.images.as_mut().ok_or(InputError::Kind("images"))?;
                let image = Image::decode_within(bytes, IMAGE_BYTES).map_err(InputError::Image)?;
                let values = encoder.encode(&image).map_err(InputError::Embed)?.to_vec();
                Ok(Vector { values, tokens: 0, left_out: 0 })
            }
        }
    }
}

/// Encoders that clients take turns with.
pub(crate) struct Embeddings {
    pub(crate) name: String,
    pub(crate) width: usize,
    worker: Worker<Box<dyn Embedder>>,
}

impl Embeddings {
    /// # Errors
    /// If no thread can be started.
    pub(crate) fn start(name: String, embedder: Box<dyn Embedder>, limits: &Limits) -> io::Result<Self> {
        Ok(Self { name, width: embedder.width(), worker: Worker::start(embedder, limits.wait)? })
    }

    pub(crate) fn worker(&self) -> &Worker<Box<dyn Embedder>> {
        &self.worker
    }

    /// The vector of an input; waits for it as long as `alive` holds.
    ///
    /// # Errors
    /// If the service is busy or stops, or `alive` does not hold any more; within, if the input cannot be encoded.
    pub(crate) fn embed(&self, input: Input, peer: Peer, alive: &mut dyn FnMut() -> bool) -> Result<Result<Vector, InputError>, JobError> {
        let work = move |embedder: &mut Box<dyn Embedder>, _: &mut dyn FnMut(()) -> bool| embedder.embed(&input);
        let mut ticket = self.worker.submit(peer, work);
        loop {
            if let Step::Done(done) = ticket.next(alive)? {
                return Ok(done);
            }
        }
    }
}
