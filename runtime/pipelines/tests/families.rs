//! Every family that is registered, on every model that is in the repository and on models with weights by formula.

mod classes;
#[path = "../../models/tests/toy/mod.rs"]
mod toy;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use ossicle::families::{self, FAMILIES, Family, FamilyError, Options, Workload};
use ossicle_kernels::simd::Isa;
use ossicle_trace::{Step, Tap, Tensor};

/// Kinds that no model in the repository has, and that weights by formula are not made for here. Their importers' tests open them.
const NOT_HERE: [&str; 1] = ["clip"];

fn options() -> Options {
    Options { isa: Isa::detect(), threads: 1 }
}

fn bundled() -> Vec<PathBuf> {
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models-int8");
    let entries = fs::read_dir(&models).expect("the models of the repository");
    let folders: Vec<_> = entries.flatten().map(|entry| entry.path()).filter(|path| path.join("config.json").is_file()).collect();
    assert!(folders.len() >= 8, "{} has {} models", models.display(), folders.len());
    folders
}

/// A folder that goes away.
struct Temporary(PathBuf);

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Models of kinds that the repository has none of.
fn made() -> (Vec<toy::Folder>, Temporary) {
    let own = Temporary(std::env::temp_dir().join(format!("ossicle-families-{}", std::process::id())));
    let yamnet = bundled().into_iter().find(|path| path.ends_with("yamnet")).expect("yamnet");
    classes::write(&own.0, &yamnet, &["always", "never"], 3.0, 1024);
    let (codec, spectral) = (toy::encodec::folder("reflect", true), toy::spectral::folder());
    (vec![toy::sounds::folder(), codec, spectral, toy::t5::folder(), toy::vits::folder(false), toy::kokoro::folder()], own)
}

/// Names of the layers that are heard.
#[derive(Debug, Default)]
struct Names(Mutex<Vec<String>>);

impl Tap for Names {
    fn step(&self, _: Step<'_>) {}

    fn tensor(&self, tensor: &Tensor<'_>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(tensor.op.to_owned());
    }
}

/// What a family says of a model of its kind, and what it runs.
fn holds(family: &dyn Family, path: &Path) {
    let (found, info) = families::of(path).unwrap_or_else(|error| panic!("{error}"));
    let at = format!("{} {}", family.kind(), path.display());
    assert_eq!(found.kind(), family.kind());
    assert!(!family.gives(&info).is_empty() && family.gives(&info).len() < 40, "{at}: {}", family.gives(&info));
    let workload = Workload::default();
    let needs = family.memory(path, options(), &workload).unwrap_or_else(|error| panic!("{at}: {error}"));
    let weights = fs::metadata(path.join("model.safetensors")).expect("weights").len() as usize;
    assert!(needs.total() >= weights, "{at}: {needs:?}");
    family.check(path, options()).unwrap_or_else(|error| panic!("{at}: {error}"));
    let job = family.job(path, options(), &workload).unwrap_or_else(|error| panic!("{at}: {error}"));
    assert!(!job.phases.is_empty());
    for phase in &job.phases {
        let computes = phase.work.multiplications() + phase.frames + phase.logits;
        assert!(computes > 0.0 && phase.runs >= 1.0, "{at}: {phase:?}");
    }
    for graph in family.graphs() {
        let mut exercise = family.exercise(path, graph, options(), None).unwrap_or_else(|error| panic!("{at}, {graph}: {error}"));
        exercise.run().unwrap_or_else(|error| panic!("{at}, {graph}: {error}"));
        let heard = Arc::new(Names::default());
        exercise.graph_mut().set_tap(Some(heard.clone()));
        exercise.run().unwrap_or_else(|error| panic!("{at}, {graph}: {error}"));
        exercise.graph_mut().set_tap(None);
        // Each layer that was heard has its work.
        let layers = exercise.graph().layers();
        let heard = std::mem::take(&mut *heard.0.lock().unwrap_or_else(PoisonError::into_inner));
        let known = |name: &String| layers.iter().any(|(layer, _)| layer == name);
        let missing: Vec<_> =
            heard.iter().filter(|name| !known(name) && ![".tokens", ".samples"].iter().any(|what| name.ends_with(what))).collect();
        assert!(!heard.is_empty() && missing.is_empty(), "{at}, {graph}: {missing:?}");
        assert!(layers.iter().map(|(_, work)| work.multiplications()).sum::<f64>() > 0.0, "{at}, {graph}");
        assert!(exercise.graph().memory_plan().weights > 0);
    }
}

#[test]
fn every_family_keeps_its_word() {
    let (made, own) = made();
    let folders: Vec<PathBuf> = bundled().into_iter().chain(made.iter().map(|folder| folder.0.clone())).chain([own.0.clone()]).collect();
    let mut seen = vec![];
    for path in &folders {
        let (family, _) = families::of(path).unwrap_or_else(|error| panic!("{error}"));
        holds(family, path);
        seen.push(family.kind());
    }
    let unseen: Vec<_> = FAMILIES.iter().map(|family| family.kind()).filter(|kind| !seen.contains(kind)).collect();
    assert_eq!(unseen, NOT_HERE);
}

#[test]
fn bundled_models_are_as_recorded() {
    for path in bundled() {
        families::verify(&path, options()).unwrap_or_else(|error| panic!("{error}"));
    }
}

#[test]
fn the_parts_of_a_model_are_planned_with_it() {
    let folder = toy::sounds::folder();
    let (family, _) = families::of(&folder.0).expect("a family");
    let job = |seconds: f64| {
        let workload = Workload { seconds: Some(seconds), tokens: Some(9), ..Workload::default() };
        family.job(&folder.0, options(), &workload).expect("a job")
    };
    let (short, long) = (job(0.1), job(0.5));
    let names: Vec<_> = short.phases.iter().map(|phase| phase.name).collect();
    assert_eq!(names, ["text", "description", "step", "decoder"]);
    // 53 frames, and 267 in five windows of at most 98, as many as there are positions for, each 53 frames after the one before; two steps
    // more in each for the delays.
    let steps = |job: &families::Job| job.phases[2].runs;
    assert_eq!((steps(&short), steps(&long)), (55.0, 457.0));
    let needs = |seconds: f64| {
        let workload = Workload { seconds: Some(seconds), ..Workload::default() };
        family.memory(&folder.0, options(), &workload).expect("memory").total()
    };
    assert!(needs(0.1) < needs(0.5));
    fs::remove_dir_all(folder.0.join("codec")).expect("the codec");
    let error = family.check(&folder.0, options()).expect_err("no codec").to_string();
    assert!(error.contains("codec"), "{error}");
}

#[test]
fn what_is_not_known_is_said() {
    let folder = toy::t5::folder();
    let (family, _) = families::of(&folder.0).expect("a family");
    let error = family.job(&folder.0, options(), &Workload { tokens: Some(71), ..Workload::default() }).expect_err("too long");
    assert_eq!(error.to_string(), "71 tokens: 1 to 70 are possible");
    fs::write(folder.0.join("config.json"), r#"{"kind": "dance"}"#).expect("config.json");
    let error = families::of(&folder.0).map(drop).expect_err("no family");
    assert!(matches!(&error, FamilyError::Kind { kind, .. } if kind == "dance"));
    let line = error.to_string();
    assert!(line.contains("a model of kind \"dance\", this version knows whisper, ") && line.ends_with(", t5"), "{line}");
}
