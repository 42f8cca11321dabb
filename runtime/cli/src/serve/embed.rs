//! The encoders of a service.

use anyhow::Result;
use ossicle::embed::Options;
use ossicle_models::folder;
use ossicle_serve::Towers;

use crate::fault;
use crate::model::ModelArgs;

/// Which encoders.
#[derive(clap::Args)]
pub(crate) struct EmbedArgs {
    /// Make embeddings for HTTP clients with this model: a sentence encoder, a CLIP or a network with words, as a folder or a name (see
    /// `ossicle models list`)
    #[arg(long, value_name = "NAME|FOLDER")]
    embeddings: Option<String>,
}

impl EmbedArgs {
    /// The encoders, if they are wanted, and their name; refused if they need more buffers than `--memory` and `--board` allow.
    pub(super) fn open(&self, model: &ModelArgs) -> Result<Option<(String, Towers)>> {
        let Some(name) = &self.embeddings else { return Ok(None) };
        let folder = ossicle::models::find(name).map_err(fault::model)?;
        folder::verify(&folder).map_err(fault::folder)?;
        let most = model.limits()?.iter().map(|limit| limit.1).min().map_or(usize::MAX, |most| usize::try_from(most).unwrap_or(usize::MAX));
        let default = Options::default();
        let options = Options { isa: model.machine.isa(), threads: model.machine.threads(), most: default.most.min(most) };
        let towers = Towers::open(&folder, options).map_err(|error| fault::embed(&folder, error))?;
        Ok(Some((ossicle::models::info(&folder).map_err(fault::model)?.name, towers)))
    }
}
