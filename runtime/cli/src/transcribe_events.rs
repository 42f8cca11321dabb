//! Sound events beside a transcript.

use std::path::PathBuf;

use anyhow::Result;
use ossicle::events::EncodedEvents;
use ossicle::formats::Format;
use ossicle::trace;
use ossicle_models::Options;
use ossicle_trace::Model;

use crate::fault::{self, Fault};
use crate::model::ModelArgs;
use crate::reload;

/// Which events to tell beside the text.
#[derive(clap::Args)]
#[command(next_help_heading = "Sound events")]
pub(crate) struct EventArgs {
    /// Tell sound events beside the text, heard in what the encoder gives anyway (json, jsonl)
    #[arg(long)]
    events: bool,
    /// Classes, thresholds and times (see `ossicle detect --help`) [default: events.toml of the head]
    #[arg(long, value_name = "FILE.toml", requires = "events")]
    config: Option<PathBuf>,
    /// Only these classes of the settings, or labels of the head; a name may hold commas
    #[arg(long, value_name = "NAME,NAME...", requires = "events")]
    classes: Vec<String>,
    /// Folder of the head that hears events, or the name of one
    #[arg(long, value_name = "NAME|FOLDER", default_value = "whisper-events", requires = "events")]
    event_model: String,
}

impl EventArgs {
    /// Refuses formats without a place for events.
    pub(crate) fn check(&self, format: Format) -> Result<(), Fault> {
        if self.events && !format.holds_events() {
            return Err(Fault::line(format!("--events: {} has no place for them: use --format json or jsonl", format.name())));
        }
        Ok(())
    }

    fn folder(&self) -> Result<PathBuf, Fault> {
        ossicle::models::find(&self.event_model).map_err(fault::model)
    }

    /// What hears events, as a trace names it.
    pub(crate) fn traced(&self) -> Result<Vec<Model>> {
        Ok(if self.events { vec![trace::events(&self.folder()?)?] } else { vec![] })
    }

    /// What hears events, if they are wanted, and the bytes it needs.
    pub(crate) fn open(&self, model: &ModelArgs) -> Result<Option<(EncodedEvents, usize)>> {
        if !self.events {
            return Ok(None);
        }
        let folder = self.folder()?;
        let config = self.config.as_deref();
        let settings = reload::read(config, &folder)?;
        let options = Options { isa: model.machine.isa(), threads: 1 };
        let needs = EncodedEvents::memory_plan(&folder, options).map_err(|error| fault::events(&folder, error))?;
        let events = EncodedEvents::open(&folder, &model.path()?, &settings, &self.classes, options)
            .map_err(|error| fault::detector(&folder, config, error))?;
        Ok(Some((events, needs.total())))
    }
}
