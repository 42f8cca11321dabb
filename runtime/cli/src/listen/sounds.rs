//! Sound events beside what is said.

use std::path::PathBuf;

use anyhow::Result;
use clap::builder::ArgPredicate;
use ossicle::events::{Detector, EventsError, HOME_SOUNDS, Heard, Options};
use ossicle::listen::Event;
use ossicle_models::folder;

use crate::broker::{BrokerArgs, Link, Sense};
use crate::detect::parse_hop;
use crate::fault::{self, Fault};
use crate::model::MachineArgs;
use crate::reload::{self, Reload};

/// Which events to tell.
#[derive(clap::Args)]
#[command(next_help_heading = "Sound events")]
pub(crate) struct SoundArgs {
    /// Tell sound events of the whole stream too, those that `ossicle detect` finds
    #[arg(long)]
    events: bool,
    /// Classes, thresholds and times: a file (see `ossicle detect --help`), or home-sounds [default: events.toml of the model; without one
    /// every label is a class]
    #[arg(long, value_name = "NAME|FILE.toml", requires = "events")]
    config: Option<PathBuf>,
    /// Only these classes of the settings, or labels of the model; a name may hold commas, as "Baby cry, infant cry" does
    #[arg(long, value_name = "NAME,NAME...", requires = "events")]
    classes: Vec<String>,
    /// Also classes of your own, from a folder that ossicle-quantize events made; may be given several times
    #[arg(long, value_name = "FOLDER", requires = "events")]
    add_classes: Vec<PathBuf>,
    /// Model folder for events, or the name of one
    #[arg(
        long,
        value_name = "NAME|FOLDER",
        default_value = "sound-events",
        default_value_ifs = [("add_classes", ArgPredicate::IsPresent, "yamnet"), ("config", HOME_SOUNDS.name.into(), HOME_SOUNDS.model)],
        requires = "events"
    )]
    event_model: String,
    /// Seconds from one score of events to the next, 0.02 to 0.96 in steps of 0.02; for models without a head [default: 0.24]
    #[arg(long, value_name = "SECONDS", value_parser = parse_hop, requires = "events")]
    hop: Option<usize>,
    #[command(flatten)]
    broker: BrokerArgs,
}

impl SoundArgs {
    /// The detector, if events are wanted, and the bytes it needs.
    pub(crate) fn open(&self, machine: &MachineArgs) -> Result<Option<(Sounds, usize)>> {
        if !self.events && self.broker.is_given() {
            return Err(Fault::line("--mqtt: it is told of sound events, and none are wanted: add --events").into());
        }
        if !self.events {
            return Ok(None);
        }
        let folder = ossicle::models::find(&self.event_model).map_err(fault::model)?;
        folder::verify(&folder).map_err(fault::folder)?;
        let config = self.config.as_deref();
        let (reload, settings) = reload::settings(config, &folder)?;
        let (isa, threads) = (machine.isa(), machine.threads());
        let (classes, add_classes) = (self.classes.clone(), self.add_classes.clone());
        let options = Options { isa, threads, hop_frames: self.hop, classes, add_classes, ..Options::default() };
        let detector = Detector::open(&folder, &settings, options).map_err(|error| fault::detector(&folder, config, error))?;
        let needs = Detector::memory_plan(&folder, isa, threads).map_err(|error| fault::events(&folder, error))?;
        let bytes = needs.total() + detector.added_bytes();
        Ok(Some((Sounds { detector, reload, link: self.broker.connect(Sense::Hearing, &self.event_model) }, bytes)))
    }
}

/// Finds events in all that is heard; settings that change are read again.
pub(crate) struct Sounds {
    detector: Detector,
    reload: Option<Reload>,
    link: Option<Link>,
}

impl Sounds {
    /// Takes finite samples, and tells what begins, goes on and is over.
    pub(crate) fn push(&mut self, samples: &[f32], on_event: &mut dyn FnMut(Event)) -> Result<(), EventsError> {
        let Self { detector, reload, link } = self;
        let mut sink = sink(on_event, link.as_ref());
        if let Some(reload) = reload {
            reload.apply(|settings| detector.set_settings(settings, &mut sink));
        }
        detector.push(samples, &mut sink)
    }

    /// The stream has ended, and with it every event.
    pub(crate) fn finish(&mut self, on_event: &mut dyn FnMut(Event)) -> Result<(), EventsError> {
        self.detector.finish(&mut sink(on_event, self.link.as_ref()))
    }
}

fn sink(on_event: &mut dyn FnMut(Event), link: Option<&Link>) -> impl FnMut(Heard<'_>) {
    move |heard: Heard<'_>| {
        if let Some(link) = link {
            link.tell(&heard);
        }
        if let Some(event) = Event::of_sound(heard) {
            on_event(event);
        }
    }
}
