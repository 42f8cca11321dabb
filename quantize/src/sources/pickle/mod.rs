//! State dicts as `torch.save` writes them, without PyTorch and without running anything: legacy files (`.pth`) and zip archives (`.pt`).
//!
//! A pickle is a program for a small stack machine. Ours has the opcodes that a state dict needs, and of the names that a pickle may call
//! only those of PyTorch's tensors and storages and `OrderedDict`: each stands for a value here, none for code. All else is refused by its
//! name. Values lie in one list and refer to each other by place, so nothing nests and nothing recurses; a pickle of more than 2^20 opcodes,
//! some 20,000 tensors, is refused, which bounds the memory whatever it says. Weights stay in the file's own bytes, unless
//! they are out of order.

mod legacy;
mod machine;
mod zip;

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use crate::Error;
use crate::error::TensorProblem;
use crate::float::Tensor;
use machine::{Object, Pickle, Storage, View};

/// Why a file is refused.
type Refused = String;

/// Where each storage's bytes are in the file, by its key.
type Storages<'a> = BTreeMap<&'a str, Range<usize>>;

/// What training scripts call the state dict that they save among other things.
const NESTED: [&str; 4] = ["state_dict", "model_state_dict", "model", "best_state"];

/// The float tensors of a `.pth` or `.pt` file whose bytes are `file`; `path` is named in errors. Of a training checkpoint those of its
/// `state_dict`, `model_state_dict`, `model` or `best_state`.
///
/// # Errors
/// The file is malformed or cut off, calls a name or holds a value that does not belong in a state dict, or a tensor is not f32, f16 or
/// bf16, or does not fit its storage.
///
/// ```no_run
/// use ossicle_quantize::sources::pickle;
///
/// let bytes = std::fs::read("model.pth")?;
/// for (name, tensor) in pickle::parse("model.pth".as_ref(), bytes.into())? {
///     println!("{name}: {:?}", tensor.shape());
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn parse(path: &Path, file: Arc<Vec<u8>>) -> Result<BTreeMap<String, Tensor>, Error> {
    parse_wanted(path, file, |_| true)
}

/// As [`parse`], of the tensors whose names `wanted` takes.
pub(crate) fn parse_wanted(path: &Path, file: Arc<Vec<u8>>, wanted: impl Fn(&str) -> bool) -> Result<BTreeMap<String, Tensor>, Error> {
    parse_package(path, file, wanted).map(|package| package.tensors)
}

/// A state dict and the texts that were saved beside it.
pub(crate) struct Package {
    pub(crate) tensors: BTreeMap<String, Tensor>,
    pub(crate) texts: BTreeMap<String, String>,
}

/// As [`parse_wanted`], with the texts of the outer dict, as audiocraft's packages have them.
pub(crate) fn parse_package(path: &Path, file: Arc<Vec<u8>>, wanted: impl Fn(&str) -> bool) -> Result<Package, Error> {
    let broken = |reason: String| Error::Pickle { path: path.to_owned(), reason };
    let (pickle, storages) = if file.starts_with(zip::SIGNATURE) { zip::read(&file) } else { legacy::read(&file) }.map_err(broken)?;
    let mut tensors = BTreeMap::new();
    // What is copied, in all, is no more than the file.
    let mut spare = file.len();
    for (name, view) in state_dict(&pickle).map_err(broken)? {
        if !wanted(name) {
            continue;
        }
        let Some(float) = view.storage.element.float() else {
            return Err(Error::tensor(path, name, TensorProblem::NotFloat(view.storage.element.name().to_owned())));
        };
        let place = storages.get(view.storage.key).ok_or_else(|| broken(format!("tensor {name}: its storage is not in the file")))?;
        let bytes = reach(view, place, float.size()).map_err(|why| broken(format!("tensor {name}: {why}")))?;
        let tensor = if view.is_dense() {
            Tensor::new(&file, bytes, float, view.shape.clone())
        } else {
            let copied = ordered(view, &file[bytes], float.size(), &mut spare).map_err(|why| broken(format!("tensor {name}: {why}")))?;
            let bytes = 0..copied.len();
            Tensor::new(&Arc::new(copied), bytes, float, view.shape.clone())
        };
        let tensor = tensor.ok_or_else(|| broken(format!("tensor {name}: its shape {:?} does not fit its storage", view.shape)))?;
        tensors.insert(name.to_owned(), tensor);
    }
    let top = if let Some(Object::Dict(top)) = pickle.object(pickle.top) { &top[..] } else { &[] };
    let texts = top.iter().filter_map(|(key, value)| Some((key.text()?.to_owned(), value.text()?.to_owned())));
    Ok(Package { tensors, texts: texts.collect() })
}

/// The tensors of the dict that a pickle holds, or of the state dict in it.
fn state_dict<'a, 'p>(pickle: &'p Pickle<'a>) -> Result<Vec<(&'a str, &'p View<'a>)>, Refused> {
    let advice = "save the state dict alone: torch.save(model.state_dict(), FILE)";
    let Some(Object::Dict(top)) = pickle.object(pickle.top) else { return Err(format!("no state dict: {advice}")) };
    let nested = NESTED.iter().find_map(|name| {
        let (_, value) = top.iter().find(|(key, _)| key.text() == Some(name))?;
        match pickle.object(*value) {
            Some(Object::Dict(dict)) => Some(dict),
            _ => None,
        }
    });
    let mut tensors = vec![];
    for &(key, value) in nested.unwrap_or(top) {
        let name = key.text().ok_or_else(|| format!("a key of the state dict is not text: {advice}"))?;
        if name.contains(char::is_control) {
            return Err(format!("tensor {name:?} has control characters in its name"));
        }
        match pickle.object(value) {
            Some(Object::Tensor(view)) => tensors.push((name, view)),
            _ => return Err(format!("{name:?} is not a tensor: {advice}")),
        }
    }
    Ok(tensors)
}

/// The bytes of the file between a tensor's first element and its last.
fn reach(view: &View<'_>, storage: &Range<usize>, element: usize) -> Result<Range<usize>, Refused> {
    let steps = || view.shape.iter().zip(&view.stride).map(|(&n, &stride)| (n.saturating_sub(1)).checked_mul(stride));
    let span = match view.shape.contains(&0) {
        true => Some(0),
        false => steps().try_fold(1usize, |span, step| span.checked_add(step?)),
    };
    let end = span.and_then(|span| span.checked_add(view.offset)?.checked_mul(element));
    match (span, end.filter(|&end| end <= storage.len())) {
        (Some(span), Some(end)) => Ok(storage.start + end - span * element..storage.start + end),
        _ => {
            let View { shape, stride, offset, .. } = view;
            Err(format!("shape {shape:?} with strides {stride:?} from value {offset} on does not fit its storage of {}", view.storage.len))
        }
    }
}

/// A strided tensor's elements, row-major: checkpoints that came from TensorFlow have their windows in another order. `spare` is how many
/// bytes may still be copied, which elements that are read more than once might exceed.
fn ordered(view: &View<'_>, bytes: &[u8], element: usize, spare: &mut usize) -> Result<Vec<u8>, Refused> {
    let count = view.shape.iter().try_fold(element, |count, &n| count.checked_mul(n));
    let left = count.and_then(|count| spare.checked_sub(count));
    *spare = left.ok_or_else(|| format!("shape {:?} repeats more values than the file has", view.shape))?;
    let mut out = vec![];
    let mut index = vec![0; view.shape.len()];
    for _ in 0..count.unwrap_or(0) / element {
        let at: usize = index.iter().zip(&view.stride).map(|(i, stride)| i * stride * element).sum();
        out.extend_from_slice(&bytes[at..at + element]);
        for (i, &n) in index.iter_mut().zip(&view.shape).rev() {
            *i += 1;
            if *i < n {
                break;
            }
            *i = 0;
        }
    }
    Ok(out)
}

/// The storages that a pickle names, each of one type and length.
fn named<'a>(pickle: &Pickle<'a>) -> Result<BTreeMap<&'a str, Storage<'a>>, Refused> {
    let mut named = BTreeMap::new();
    for object in &pickle.objects {
        let Object::Storage(storage) = object else { continue };
        if named.insert(storage.key, *storage).is_some_and(|other| other != *storage) {
            return Err(format!("storage {:?} has two types or lengths", storage.key));
        }
    }
    Ok(named)
}

#[cfg(test)]
mod tests;
