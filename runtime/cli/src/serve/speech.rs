//! The voice of a service.

use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};

use anyhow::Result;
use ossicle::speak::{Options, Voice};
use ossicle_models::folder::{self, ModelConfig};
use ossicle_models::hibari::HibariConfig;
use ossicle_models::kokoro::KokoroConfig;
use ossicle_serve::mqtt::Player;
use ossicle_serve::{Address, VoiceCard};

use crate::fault::{self, Fault};
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

/// Where texts go that an MQTT broker wants said.
#[derive(clap::Args)]
pub(crate) struct SayArgs {
    /// Play what the broker wants said (topic ossicle/NAME/say): raw samples, 24 kHz, 16 bits, to a file or pipe, or - for standard output
    /// [default: publish it as wav]
    #[arg(long, value_name = "FILE|-", requires = "mqtt")]
    say_output: Option<PathBuf>,
}

impl SayArgs {
    /// Refuses what cannot be.
    pub(super) fn check(&self, speaks: bool, uris: &[Address]) -> Result<(), Fault> {
        let Some(path) = &self.say_output else { return Ok(()) };
        if !speaks {
            return Err(Fault::new("nothing can be said without a voice", "--say-output", "leave it out, or give --voice"));
        }
        if path != Path::new("-") {
            return Ok(());
        }
        match () {
            () if uris.contains(&Address::Stdio) => {
                Err(Fault::new("standard output is taken by --uri stdio://", "--say-output", "give a file or pipe"))
            }
            () if io::stdout().is_terminal() => {
                Err(Fault::line("standard output is a terminal: --say-output: pipe the samples into a player"))
            }
            () => Ok(()),
        }
    }

    /// Opens it.
    pub(super) fn player(&self) -> Result<Option<Player>> {
        let Some(path) = &self.say_output else { return Ok(None) };
        let mut out: Box<dyn Write + Send> = match path == Path::new("-") {
            true => Box::new(io::stdout()),
            false => {
                let opened = File::options().create(true).append(true).open(path);
                Box::new(opened.map_err(|error| Fault::new(format!("cannot write: {error}"), path.display(), "give another file"))?)
            }
        };
        Ok(Some(Box::new(move |samples| out.write_all(samples).and_then(|()| out.flush()))))
    }
}

fn open(name: &str, model: &ModelArgs) -> Result<(VoiceCard, Voice, usize)> {
    let folder = ossicle::models::find(name).map_err(fault::model)?;
    folder::verify(&folder).map_err(fault::folder)?;
    let options = Options { isa: model.machine.isa(), threads: THREADS };
    let (voice, bytes) = voice::open(&folder, options, model.limits()?)?;
    // What says phonemes only is of no use to clients.
    drop(voice.pronounce("").map_err(Fault::line)?);
    let info = ossicle::models::info(&folder).map_err(fault::model)?;
    let card = match info.kind.as_str() {
        HibariConfig::KIND => VoiceCard::hibari(&info.name),
        KokoroConfig::KIND => VoiceCard::kokoro(&info.name, voice.voices()),
        _ => VoiceCard::piper(&info.name, voice.language(), voice.sample_rate()),
    };
    Ok((card, voice, bytes))
}
