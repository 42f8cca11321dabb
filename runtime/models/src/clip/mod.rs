//! Images and texts as vectors of one space, by two towers: CLIP and its kin.
//!
//! ```no_run
//! use ossicle_models::Options;
//! use ossicle_models::clip::ImageGraph;
//! use ossicle_models::folder::ModelFolder;
//! use ossicle_kernels::simd::Isa;
//!
//! let folder = ModelFolder::open("clip-vit-base-patch32".as_ref())?;
//! let mut tower = ImageGraph::new(folder, Options { isa: Isa::detect(), threads: 1 }, usize::MAX)?;
//! let grey = vec![0.0; 224 * 224 * 3];
//! assert_eq!(tower.run(&grey)?.len(), 512);
//! # Ok::<(), ossicle_models::GraphError>(())
//! ```

mod config;
mod image;
mod text;

pub use config::{Cleaning, ClipConfig, ImageTower, MAX_TOKENS, MAX_WIDTH, Scores, TextTower};
pub use image::ImageGraph;
pub use text::TextGraph;

use ossicle_engine::GraphError;
use ossicle_engine::weights::{FolderError, ModelFolder};

/// A folder has only the other tower.
fn missing(folder: &ModelFolder<ClipConfig>, tower: &str) -> GraphError {
    FolderError::Malformed { path: folder.path().join("config.json"), problem: format!("has no {tower} tower") }.into()
}
