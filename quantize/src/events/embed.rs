//! YAMNet's embeddings of samples, as a layer of classes reads them.

use std::path::Path;

use ossicle::events::HOP_FRAMES;
use ossicle_frontend::yamnet::{BINS, HOP_SAMPLES, PATCH_FRAMES, PATCH_SAMPLES, YamnetMel, YamnetScratch, frames_of};
use ossicle_kernels::rows::{UnsignedRows, quantize_unsigned_rows};
use ossicle_kernels::simd::Isa;
use ossicle_models::folder::ModelFolder;
use ossicle_models::yamnet::{MAX_PATCHES, YamnetConfig, YamnetGraph};
use ossicle_models::{Options, default_threads};

use crate::Error;

/// Samples from one patch to the next, as the detector steps by default.
pub(super) const STEP: usize = HOP_FRAMES * HOP_SAMPLES;

/// Samples of a patch.
pub(super) const PATCH: usize = PATCH_SAMPLES;

/// A YAMNet that gives its embedding.
pub(super) struct Embedder {
    graph: YamnetGraph,
    mel: YamnetMel,
    scratch: Box<YamnetScratch>,
    isa: Isa,
}

impl Embedder {
    pub(super) fn open(model: &Path) -> Result<Self, Error> {
        let refused = |what: &dyn std::fmt::Display| Error::unsupported(model, what.to_string());
        let isa = Isa::detect();
        let folder = ModelFolder::<YamnetConfig>::open(model).map_err(|e| refused(&e))?;
        if (folder.config().patch_frames, folder.config().num_mel_bins) != (PATCH_FRAMES, BINS) {
            return Err(refused(&format!("patches are not of {PATCH_FRAMES} frames and {BINS} bands")));
        }
        if folder.config().head.is_some() {
            return Err(refused(&"has a head: classes are learned on a YAMNet without one, such as yamnet"));
        }
        let graph = YamnetGraph::new(folder, Options { isa, threads: default_threads() }).map_err(|e| refused(&e))?;
        Ok(Self { graph, mel: YamnetMel::new(isa), scratch: Box::default(), isa })
    }

    /// The embedding of the patch at every [`STEP`] samples, silence behind the end of what is shorter than one. Each is rounded to 8 bits as
    /// the layer's input is.
    pub(super) fn embed(&mut self, samples: &[f32]) -> Vec<Vec<f32>> {
        let mut padded = samples.to_vec();
        padded.resize(samples.len().max(PATCH), 0.0);
        let mut frames = vec![0.0; frames_of(padded.len()) * BINS];
        self.mel.frames(&padded, &mut frames, &mut self.scratch).expect("as many samples as the frames see");
        let starts: Vec<usize> = (0..=frames.len() / BINS - PATCH_FRAMES).step_by(HOP_FRAMES).collect();
        let mut embeddings = vec![];
        for starts in starts.chunks(MAX_PATCHES) {
            let mel: Vec<f32> = starts.iter().flat_map(|&start| &frames[start * BINS..][..PATCH_FRAMES * BINS]).copied().collect();
            self.graph.run(&mel, starts.len()).expect("at most as many patches as a run may have");
            let all = self.graph.embeddings();
            embeddings.extend(all.chunks_exact(all.len() / starts.len()).map(|embedding| rounded(self.isa, embedding)));
        }
        embeddings
    }
}

/// A row after quantisation and back.
fn rounded(isa: Isa, embedding: &[f32]) -> Vec<f32> {
    let (mut values, mut scale) = (vec![0; embedding.len()], [0.0]);
    let mut rows = UnsignedRows::new(&mut values, &mut scale, 1, embedding.len());
    quantize_unsigned_rows(isa, embedding, &mut rows);
    values.iter().map(|&value| f32::from(value) * scale[0]).collect()
}
