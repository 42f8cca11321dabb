//! A model that makes sounds: the language model with its codec and its encoder of descriptions, all with weights by formula.

use std::fs;

use super::{Folder, audiogen, encodec, t5};

pub(crate) fn folder() -> Folder {
    let folder = audiogen::folder(true);
    for (part, name) in [(encodec::folder("constant", false), "codec"), (t5::folder(), "text")] {
        let to = folder.0.join(name);
        fs::create_dir_all(&to).expect("a folder");
        for file in ["config.json", "model.safetensors"] {
            fs::copy(part.0.join(file), to.join(file)).expect("a file");
        }
    }
    folder
}
