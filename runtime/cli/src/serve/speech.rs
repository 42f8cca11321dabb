//! The voice of a service.

use anyhow::Result;
use ossicle::speak::{Options, Voice};
use ossicle_models::folder;
use ossicle_serve::VoiceCard;

use crate::fault;
use crate::model::ModelArgs;
use crate::voice;

/// What says "no voice".
const NONE: &str = "none";

/// Texts of clients run on one thread: it says them faster than anybody can hear them, and leaves the others to the models.
const THREADS: usize = 1;

/// Which voice.
#[derive(clap::Args)]
pub(crate) struct SpeechArgs {
    /// Voice that says the texts of clients: a model folder, or the name of one (see `ossicle models list`); none for a service without
    /// [default: hibari, if it is there and --memory and --board allow it]
    #[arg(long, value_name = "NAME|FOLDER|none")]
    voice: Option<String>,
}

impl SpeechArgs {
    /// The voice, and what `models` opens beside so many bytes. A voice that nobody asked for is left out, with a line that says so, where it
    /// cannot be had.
    pub(super) fn open_beside<M>(&self, model: &ModelArgs, models: impl Fn(usize) -> Result<M>) -> Result<(M, Option<(VoiceCard, Voice)>)> {
        let asked = self.voice.is_some();
        let without = |error: &anyhow::Error| fault::tell(format_args!("speech: none: {}", fault::one_line(&format!("{error:#}"))));
        let opened = match self.voice.as_deref() {
            Some(NONE) => return Ok((models(0)?, None)),
            name => open(name.unwrap_or(voice::DEFAULT), model),
        };
        let (card, voice, bytes) = match opened {
            Ok(opened) => opened,
            Err(error) if asked => return Err(error),
            Err(error) => {
                without(&error);
                return Ok((models(0)?, None));
            }
        };
        match models(bytes) {
            Ok(models) => Ok((models, Some((card, voice)))),
            Err(error) if asked => Err(error),
            Err(error) => {
                let alone = models(0)?;
                without(&error);
                Ok((alone, None))
            }
        }
    }
}

fn open(name: &str, model: &ModelArgs) -> Result<(VoiceCard, Voice, usize)> {
    let folder = ossicle::models::find(name).map_err(fault::model)?;
    folder::verify(&folder).map_err(fault::folder)?;
    let options = Options { isa: model.machine.isa(), threads: THREADS };
    let (voice, bytes) = voice::open(&folder, options, model.limits()?)?;
    // What says phonemes only is of no use to clients.
    drop(voice.pronounce("").map_err(fault::Fault::line)?);
    let info = ossicle::models::info(&folder).map_err(fault::model)?;
    Ok((VoiceCard::hibari(&info.name), voice, bytes))
}
