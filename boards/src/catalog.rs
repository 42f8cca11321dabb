//! The profiles that are built in, and those in files.
//!
//! ```
//! let pi4 = ossicle_boards::catalog::find("pi4")?;
//! assert_eq!(pi4.cpu.core, "cortex-a72");
//! # Ok::<(), ossicle_boards::BoardError>(())
//! ```

use std::fs;
use std::path::Path;

use include_dir::{Dir, include_dir};

use crate::BoardError;
use crate::profile::{Hat, Profile};

static PROFILES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/profiles");
static HATS: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/hats");

/// Names of the built-in boards, in alphabetical order.
pub fn names() -> Vec<String> {
    stems(&PROFILES)
}

/// Names of the built-in microphone boards, in alphabetical order.
pub fn hat_names() -> Vec<String> {
    stems(&HATS)
}

/// The board called `name`, or the one in the file `name` if that ends in `.toml`.
///
/// # Errors
/// If there is none, or it is malformed.
pub fn find(name: &str) -> Result<Profile, BoardError> {
    let path = Path::new(name);
    if path.extension().is_some_and(|extension| extension == "toml") {
        let text = fs::read_to_string(path).map_err(|source| BoardError::Read { path: path.to_owned(), source })?;
        return Profile::parse(&text, path);
    }
    let (text, path) = built_in(&PROFILES, name)?;
    Profile::parse(text, path)
}

/// All built-in boards with their names.
///
/// # Errors
/// If one is malformed, which a test rules out.
pub fn all() -> Result<Vec<(String, Profile)>, BoardError> {
    names().into_iter().map(|name| find(&name).map(|profile| (name, profile))).collect()
}

/// The microphone board called `name`.
///
/// # Errors
/// If there is none, or it is malformed.
pub fn hat(name: &str) -> Result<Hat, BoardError> {
    let (text, path) = built_in(&HATS, name)?;
    Hat::parse(text, path)
}

fn stems(folder: &Dir<'_>) -> Vec<String> {
    let mut names: Vec<String> =
        folder.files().filter_map(|file| file.path().file_stem()).map(|stem| stem.to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

fn built_in<'a>(folder: &'a Dir<'_>, name: &str) -> Result<(&'a str, &'a Path), BoardError> {
    let file = folder.get_file(format!("{name}.toml"));
    file.and_then(|file| Some((file.contents_utf8()?, file.path())))
        .ok_or_else(|| BoardError::Unknown { name: name.to_owned(), known: stems(folder) })
}
