//! Sounds from text.

use std::path::{Path, PathBuf};

use ossicle_models::audiogen::{AudiogenConfig, AudiogenGraph, Limits};
use ossicle_models::folder::{ModelConfig, ModelFolder};

use super::exercise::{exercise, tokens, values};
use super::{Exercise, Family, FamilyError, Job, Needs, Options, Phase, Workload, of};
use crate::generate::{CODEC, GenerationPlan, Request, SoundGenerator, text_folder};
use crate::models::ModelInfo;

/// Steps that an exercise has behind it: a second of sound.
const STEPS: usize = 50;

pub(super) struct Audiogen;

impl Audiogen {
    /// Rows of a description, one for each of its tokens.
    fn rows(workload: &Workload) -> Result<usize, FamilyError> {
        workload.text(ossicle_models::audiogen::MAX_TEXT)
    }
}

impl Family for Audiogen {
    fn kind(&self) -> &'static str {
        AudiogenConfig::KIND
    }

    fn gives(&self, _: &ModelInfo) -> String {
        "sounds from text".into()
    }

    fn parts(&self, model: &Path) -> Result<Vec<PathBuf>, FamilyError> {
        Ok(vec![model.join(CODEC), text_folder(model)?])
    }

    fn memory(&self, model: &Path, options: Options, workload: &Workload) -> Result<Needs, FamilyError> {
        let request = Request::new(model, workload.seconds())?;
        let plan = SoundGenerator::plan(model, options, request, Self::rows(workload)?)?;
        let GenerationPlan { text, model, codec, codes } = plan;
        let parts = [
            ("text", text[0] + text[1]),
            ("weights", model.weights),
            ("buffers", model.buffers),
            ("caches", model.state),
            ("codec", codec.total()),
            ("codes", codes),
        ];
        Ok(Needs::at_most(parts, plan.total()))
    }

    fn check(&self, model: &Path, options: Options) -> Result<(), FamilyError> {
        self.parts(model)?.iter().try_for_each(|part| of(part)?.0.check(part, options))?;
        self.memory(model, options, &Workload::default()).map(drop)
    }

    fn job(&self, model: &Path, options: Options, workload: &Workload) -> Result<Job, FamilyError> {
        let (seconds, rows, folder) = (workload.seconds(), Self::rows(workload)?, ModelFolder::<AudiogenConfig>::open(model)?);
        let (limits, steps) = SoundGenerator::steps(model, Request::new(model, seconds)?, rows)?;
        let [description, step] = AudiogenGraph::work(&folder, options, limits)?;
        let logits = (limits.rows * folder.config().logits()) as f64;
        // The parts know what they compute: the encoder of descriptions for one of so many tokens, the codec for the sound.
        let part = |path: &Path| of(path)?.0.job(path, options, &Workload { tokens: Some(rows), ..*workload });
        let mut phases = part(&text_folder(model)?)?.phases;
        phases.push(Phase::new("description", description).times(1.0, format!("{rows} tokens")));
        phases.push(Phase { logits, ..Phase::new("step", step) }.times(steps as f64, format!("{steps} in all")));
        let codec = part(&model.join(CODEC))?;
        phases.extend(codec.phases);
        Ok(Job { figures: vec![("tokens", rows.into())], without: codec.without, ..Job::of_seconds("sound", seconds, phases) })
    }

    fn graphs(&self) -> &'static [&'static str] {
        &["step"]
    }

    /// A step after a second of sound, with guidance.
    fn exercise(&self, model: &Path, _: &str, options: Options, length: Option<usize>) -> Result<Box<dyn Exercise>, FamilyError> {
        let folder = ModelFolder::<AudiogenConfig>::open(model)?;
        let config = folder.config();
        let steps = (STEPS + 1).min(config.max_position_embeddings);
        let limits = Limits { rows: 2, steps, text: Self::rows(&Workload { tokens: length, ..Workload::default() })? };
        let (description, codes) = (values(limits.text * config.text_size), tokens(config.num_codebooks, config.vocab_size));
        let mut graph = AudiogenGraph::new(folder, options, limits)?;
        graph.start(&description)?;
        for _ in 1..steps {
            graph.step(&codes)?;
        }
        exercise(graph, move |graph| {
            graph.rewind(steps - 1);
            graph.step(&codes).map(drop)
        })
    }
}
