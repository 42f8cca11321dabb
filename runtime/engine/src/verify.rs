//! Whole model folders against their sums, and every weight against what kernels take.

use std::path::Path;

use ossicle_kernels::dot::LowestWeight;
use safetensors::Dtype;
use sha2::{Digest, Sha256};

use crate::weights::{FolderError, WEIGHTS, hex, map, map_weights, not_finite, read};

/// Checks every file of a model folder against `SHA256SUMS`, and then its weights as [`check_weights`] does; then the model folders in it in the
/// same way. Reads everything.
///
/// # Errors
/// [`FolderError::Hash`] for the first file that differs, or as for [`check_weights`].
pub fn verify(path: &Path) -> Result<(), FolderError> {
    let sums_path = path.join("SHA256SUMS");
    let sums = String::from_utf8_lossy(&read(&sums_path)?).into_owned();
    let mut seen_weights = false;
    for line in sums.lines().filter(|line| !line.is_empty()) {
        let entry = line.split_once("  ").filter(|(sum, name)| sum.len() == 64 && !name.contains(['/', '\\']));
        let Some((sum, name)) = entry else {
            return Err(FolderError::Malformed { path: sums_path, problem: format!("not a line of sha256sum: {line:?}") });
        };
        let file = path.join(name);
        if !hex(&Sha256::digest(map(&file)?.as_ref())).eq_ignore_ascii_case(sum) {
            return Err(FolderError::Hash { path: file });
        }
        seen_weights |= name == WEIGHTS;
    }
    if !seen_weights {
        return Err(FolderError::Malformed { path: sums_path, problem: format!("has no entry for {WEIGHTS}") });
    }
    check_weights(path)?;
    let unreadable = |source| FolderError::Read { path: path.to_owned(), source };
    let mut parts =
        std::fs::read_dir(path).map_err(unreadable)?.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>, _>>().map_err(unreadable)?;
    parts.retain(|part| part.join("config.json").is_file());
    parts.sort_unstable();
    parts.iter().try_for_each(|part| verify(part))
}

/// Checks every weight of a model folder, whatever its kind: those of 8 bits are within -127..=127, the others finite. Reads all of them.
///
/// # Errors
/// [`FolderError::Tensor`] for the first tensor by name with another value, or as for [`ModelFolder::open`](crate::weights::ModelFolder::open).
pub fn check_weights(path: &Path) -> Result<(), FolderError> {
    let file = path.join(WEIGHTS);
    let (map, tensors) = map_weights(&file)?;
    let mut names: Vec<&String> = tensors.keys().collect();
    names.sort_unstable();
    for name in names {
        let (dtype, _, range) = &tensors[name];
        let bytes = &map[range.clone()];
        let problem = match dtype {
            Dtype::I8 => bytes.contains(&i8::MIN.cast_unsigned()).then(|| LowestWeight.to_string()),
            Dtype::F32 => match bytemuck::try_cast_slice(bytes) {
                Ok(values) => not_finite(values),
                Err(_) => Some("is not aligned to 64 bytes".into()),
            },
            other => Some(format!("is {other:?}, not I8 or F32")),
        };
        if let Some(problem) = problem {
            return Err(FolderError::Tensor { path: file, name: name.clone(), problem });
        }
    }
    Ok(())
}
