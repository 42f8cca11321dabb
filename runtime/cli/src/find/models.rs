//! What listens, looks, and understands the words.

use std::fs;
use std::path::PathBuf;

use anyhow::Result;
use ossicle::embed::{ImageEncoder, Options, TextEncoder as Texts};
use ossicle::find::{PictureModel, PictureQuery, Query, SoundModels, SoundWords, TextEncoder, identity};
use ossicle::models;
use ossicle_models::clip::ClipConfig;
use ossicle_models::folder::ModelConfig;
use ossicle_models::network::{MAX_BUFFER_BYTES, NetworkConfig};
use ossicle_models::yamnet::YamnetConfig;

use super::{Args, find_fault};
use crate::fault::{self, Fault};
use crate::{classify, input};

/// Labels of the sound model.
const LABELS: &str = "labels.txt";

/// What listens unless another is named.
const SOUND_MODEL: &str = "yamnet";

/// Models that were named, by what they are for.
#[derive(Default)]
pub(super) struct Chosen {
    sounds: Option<PathBuf>,
    pictures: Option<PathBuf>,
}

impl Chosen {
    pub(super) fn new(args: &Args) -> Result<Self> {
        let mut chosen = Self::default();
        for name in &args.model {
            let path = models::find(name).map_err(fault::model)?;
            let kind = models::info(&path).map_err(fault::model)?.kind;
            let place = match kind.as_str() {
                YamnetConfig::KIND => &mut chosen.sounds,
                ClipConfig::KIND | NetworkConfig::KIND => &mut chosen.pictures,
                _ => {
                    let wanted = "give YAMNet for sounds, or a CLIP or efficientnet-lite0 for pictures";
                    return Err(Fault::new(format!("a model of kind {kind:?} finds nothing"), path.display(), wanted).into());
                }
            };
            if place.replace(path).is_some() {
                return Err(Fault::line(format!("--model {name}: one for the same files is given already: leave one out")).into());
            }
        }
        Ok(chosen)
    }
}

fn found(chosen: Option<&PathBuf>, default: &str) -> Result<PathBuf, Fault> {
    chosen.map_or_else(|| models::find(default).map_err(fault::model), |path| Ok(path.clone()))
}

/// What is needed to listen, and to find what was heard.
pub(super) struct Sounds {
    pub(super) folder: PathBuf,
    pub(super) encoder: TextEncoder,
    pub(super) models: SoundModels,
    pub(super) query: Option<Query>,
}

impl Sounds {
    pub(super) fn new(args: &Args, chosen: &Chosen, words: Option<&str>) -> Result<Self> {
        let folder = found(chosen.sounds.as_ref(), SOUND_MODEL)?;
        let encoder = models::find(&args.find_model).map_err(fault::model)?;
        let (sounds, of_words) = (identity(&folder).map_err(find_fault)?, identity(&encoder).map_err(find_fault)?);
        let mut encoder = TextEncoder::open(&encoder, args.machine.isa(), args.machine.threads()).map_err(find_fault)?;
        let labels = fs::read_to_string(folder.join(LABELS)).map_err(|e| Fault::new(e, folder.join(LABELS).display(), "fetch it again"))?;
        let labels: Vec<String> = labels.lines().map(str::to_owned).collect();
        let known = SoundWords::new(&encoder, &labels).map_err(find_fault)?;
        let query = words.map(|words| Ok(known.query(args.machine.isa(), encoder.encode(words)?))).transpose().map_err(find_fault)?;
        let models = SoundModels { sounds, words: of_words, classes: labels.len(), described: encoder.described() };
        Ok(Self { folder, encoder, models, query })
    }
}

/// What is needed to look, and to find what was seen.
pub(super) struct Pictures {
    pub(super) folder: PathBuf,
    pub(super) options: Options,
    /// Opened when there is something to look at.
    pub(super) encoder: Option<ImageEncoder>,
    pub(super) model: PictureModel,
    pub(super) query: Option<PictureQuery>,
}

impl Pictures {
    pub(super) fn new(args: &Args, chosen: &Chosen, words: Option<&str>) -> Result<Self> {
        let folder = found(chosen.pictures.as_ref(), classify::model_name(None))?;
        let options = Options { isa: args.machine.isa(), threads: args.machine.threads(), most: MAX_BUFFER_BYTES };
        let refused = |error| fault::embed(&folder, error);
        let pictures = identity(&folder).map_err(find_fault)?;
        let mut encoder = None;
        let (width, query) = match (words, &args.like) {
            (Some(words), _) => {
                let mut texts = Texts::open(&folder, options).map_err(refused)?;
                let encoded = texts.encode(words).map_err(refused)?;
                if encoded.left_out > 0 {
                    fault::complain(&format!("{words:?}: the last {} tokens are left out: give a shorter text", encoded.left_out));
                }
                let query = PictureQuery::new(options.isa, encoded.vector);
                (texts.width(), Some(query))
            }
            (None, like) => {
                let encoder = encoder.insert(ImageEncoder::open(&folder, options).map_err(refused)?);
                let query = like.as_ref().map(|like| {
                    let image = input::image(like, usize::MAX)?;
                    Ok::<_, anyhow::Error>(PictureQuery::new(
                        options.isa,
                        encoder.encode(&image).map_err(|error| fault::embed(like, error))?,
                    ))
                });
                (encoder.width(), query.transpose()?)
            }
        };
        Ok(Self { model: PictureModel { pictures, width }, folder, options, encoder, query })
    }

    /// What looks at pictures.
    pub(super) fn encoder(&mut self) -> Result<&mut ImageEncoder> {
        match &mut self.encoder {
            Some(encoder) => Ok(encoder),
            none => {
                let opened = ImageEncoder::open(&self.folder, self.options).map_err(|error| fault::embed(&self.folder, error))?;
                Ok(none.insert(opened))
            }
        }
    }
}
