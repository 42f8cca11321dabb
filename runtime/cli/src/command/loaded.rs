//! Sentences by name: a pack, a file or a folder.

use std::sync::Arc;

use anyhow::Result;
use ossicle::command::recogniser::Recogniser;
use ossicle::command::set::CommandSet;
use ossicle::whisper::transcriber::Transcriber;
use ossicle_sentences::Grammar;
use ossicle_sentences::hass::Intents;

use super::folder::{self, HouseArgs};
use super::sentences;
use crate::fault::{self, Fault};

/// Sentences, read and not compiled for a model yet.
#[derive(Clone)]
pub(crate) enum Loaded {
    File(Arc<Grammar>),
    Folder(Arc<Intents>),
}

impl Loaded {
    /// Reads the sentences called `name`, of a folder those in `language`.
    pub(crate) fn open(name: &str, language: Option<&str>, house: &HouseArgs) -> Result<Self, Fault> {
        if folder::is_folder(name) {
            let language = language.filter(|language| *language != "auto");
            return house.intents(name, language).map(|intents| Self::Folder(intents.into()));
        }
        for (option, given) in [("--home", house.home.is_some()), ("--area", house.area.is_some())] {
            if given {
                return Err(Fault::new(format!("{option} for sentences that name no house"), name, "give a folder of sentences"));
            }
        }
        sentences::load(name).map(|grammar| Self::File(grammar.into()))
    }

    pub(crate) fn language(&self) -> &str {
        match self {
            Self::File(grammar) => grammar.language(),
            Self::Folder(intents) => intents.corpus().language(),
        }
    }

    /// Whether there is anything to answer; what Home Assistant's files have is the key of a template.
    pub(crate) fn has_answers(&self) -> bool {
        match self {
            Self::File(grammar) => grammar.has_answers(),
            Self::Folder(_) => false,
        }
    }

    /// The sentences, called `name`, compiled for a model; tells what cannot be recognised.
    pub(crate) fn compile(&self, model: &mut Transcriber, name: &str) -> Result<CommandSet> {
        let pipeline = model.pipeline();
        let eot = pipeline.specials().eot;
        let tokenizer = pipeline.tokenizer().map_err(|error| fault::transcription("", error))?;
        let set = match self {
            Self::File(grammar) => CommandSet::new(grammar.clone(), tokenizer, eot)
                .map_err(|error| Fault::new(error, name, "check it with ossicle command sentences"))?,
            Self::Folder(intents) => CommandSet::of_intents(intents.clone(), tokenizer, eot),
        };
        if let Some(note) = set.note() {
            fault::tell(format_args!("{name}: {note}"));
        }
        Ok(set)
    }

    /// What recognises the sentences, called `name`, with a model.
    pub(crate) fn recogniser(&self, model: &mut Transcriber, name: &str) -> Result<Recogniser<CommandSet>> {
        self.compile(model, name).map(Recogniser::new)
    }
}
