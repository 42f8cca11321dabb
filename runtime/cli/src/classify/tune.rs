//! `ossicle classify tune`: how high a label's score has to be, learned from a few images.

use std::fs;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Result;
use indicatif::{ProgressBar, ProgressDrawTarget};
use ossicle::classify::{Classifier, Example, LEAST, Labels, NONE, Tuning, held_out};
use ossicle::embed;
use ossicle::find;
use ossicle::label::has_image_ending;
use ossicle_models::network::MAX_BUFFER_BYTES;
use serde_json::json;

use super::{check_names, check_templates, model_name};
use crate::fault::{self, Fault};
use crate::input;
use crate::interrupt;
use crate::model::MachineArgs;

const EXAMPLES: &str = "\
Examples:
  ossicle classify tune my-pictures/ --nothing empty-rooms/ -o rooms.json
  ossicle classify tune my-pictures/ --nothing empty-rooms/ --model clip --template \"a photo of {}\" -o rooms.json
  ossicle classify tune pictures.tsv -o rooms.json
  ossicle classify photo.jpg --tuned rooms.json
  ossicle look --tuned rooms.json camera.mjpeg

my-pictures/ has a folder for each label, with the label's words for a name, and images in each:
  my-pictures/a cat on a sofa/1.jpg
A line of pictures.tsv is a path (relative to the file), a tab and a label; without a label, the image shows none of them.

Three images of each label and of none are the least; ten of each are better. They should be like those that are to be told apart later: of the
same camera, by day and by night. What is written says how each image is classified when it is left out of training.

Exit status: 0 done, 1 some images could not be read, 2 bad usage or bad input.";

/// Largest list of images.
const MAX_LIST_BYTES: usize = 16 << 20;

/// Which images.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// A folder with a folder of images for each label, or a file of lines with a path, a tab and a label
    #[arg(value_name = "FOLDER|FILE.tsv")]
    pictures: PathBuf,
    /// Images and folders of images that show none of the labels
    #[arg(long, value_name = "PATH", num_args = 1..)]
    nothing: Vec<PathBuf>,
    /// Where to write what was learned, for --tuned
    #[arg(short, long, value_name = "FILE.json")]
    output: PathBuf,
    /// Model folder, or the name of one (see `ossicle models list`) [default: efficientnet-lite0]
    #[arg(long, value_name = "NAME|FOLDER")]
    model: Option<String>,
    /// A sentence with {} for the label; with several, a label is the mean of them
    #[arg(long, value_name = "SENTENCE")]
    template: Vec<String>,
    /// Write what became of each image here, an object a line
    #[arg(long, value_name = "FILE.jsonl")]
    scores: Option<PathBuf>,
    #[command(flatten)]
    machine: MachineArgs,
}

/// Images, and which label each shows, if any.
struct Pictures {
    labels: Vec<String>,
    files: Vec<(PathBuf, Option<usize>)>,
}

/// An image that cannot be read gives its line, and the others go on.
pub(super) fn run(args: &Args) -> Result<ExitCode> {
    interrupt::catch()?;
    check_templates(&args.template)?;
    let pictures = Pictures::find(args)?;
    pictures.check(&pictures.files.iter().map(|(_, label)| *label).collect::<Vec<_>>(), "")?;
    let folder = ossicle::models::find(model_name(args.model.as_deref())).map_err(fault::model)?;
    let identity = find::identity(&folder)
        .map_err(|error| Fault::new(error, folder.display(), "give a model folder with SHA256SUMS, as the importers write it"))?;
    let mut labels = Labels { names: pictures.labels.clone(), templates: args.template.clone(), tuning: None };
    let options = embed::Options { isa: args.machine.isa(), threads: args.machine.threads(), most: MAX_BUFFER_BYTES };
    let mut classifier = Classifier::open(&folder, &labels, options).map_err(|error| fault::embed(&folder, error))?;
    for (sentence, count) in classifier.cut() {
        fault::complain(&format!("{sentence:?}: the last {count} tokens are left out: give a shorter label"));
    }
    let target = if io::stderr().is_terminal() { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
    let bar = ProgressBar::with_draw_target(Some(pictures.files.len() as u64), target);
    let (mut examples, mut read, mut unread) = (vec![], vec![], 0);
    for (file, label) in &pictures.files {
        if interrupt::came() {
            return Ok(interrupt::status());
        }
        let cosines = input::image(file, usize::MAX)
            .and_then(|image| Ok(classifier.cosines(&image).map_err(|error| fault::embed(file, error))?.to_vec()));
        match cosines {
            Ok(cosines) => {
                examples.push(Example { cosines, label: *label });
                read.push(file);
            }
            Err(error) => {
                unread += 1;
                bar.suspend(|| fault::report(&error));
            }
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    pictures.check(&examples.iter().map(|example| example.label).collect::<Vec<_>>(), " that can be read")?;
    let count = pictures.labels.len();
    let tuning = Tuning::learn(identity, &examples, count).ok_or_else(|| {
        Fault::new("the model does not tell these images apart", args.pictures.display(), "try other words, a template, or another model")
    })?;
    let verdicts = held_out(&examples, count);
    labels.tuning = Some(tuning);
    let text = labels.to_json().unwrap_or_default();
    input::whole_file(&args.output, |out| Ok(out.write_all(text.as_bytes())?))?;
    if let Some(path) = &args.scores {
        let name = |label: Option<usize>| label.map(|label| &pictures.labels[label]);
        input::whole_file(path, |out| {
            for ((file, example), verdict) in read.iter().zip(&examples).zip(&verdicts) {
                let line = json!({"file": file.display().to_string(), "label": name(example.label), "taken_for": verdict.and_then(name), "judged": verdict.is_some(),
                    "cosines": example.cosines});
                writeln!(out, "{line}")?;
            }
            Ok(())
        })?;
    }
    table(&mut io::stdout().lock(), &pictures.labels, &examples, &verdicts)?;
    Ok(if unread == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

impl Pictures {
    fn find(args: &Args) -> Result<Self, Fault> {
        let mut pictures = if args.pictures.is_dir() { Self::of_folders(&args.pictures)? } else { Self::of_list(&args.pictures)? };
        for path in &args.nothing {
            let files = if path.is_dir() { images(path)? } else { vec![path.clone()] };
            if files.is_empty() {
                return Err(Fault::new("no images", path.display(), "give --nothing a folder with some"));
            }
            pictures.files.extend(files.into_iter().map(|file| (file, None)));
        }
        check_names(&pictures.labels)?;
        if pictures.labels.iter().any(|label| label == NONE) {
            return Err(Fault::new(format!("{NONE:?} is not a label"), args.pictures.display(), "give such images with --nothing"));
        }
        Ok(pictures)
    }

    /// A folder for each label.
    fn of_folders(folder: &Path) -> Result<Self, Fault> {
        let mut folders: Vec<PathBuf> = entries(folder)?.into_iter().filter(|path| path.is_dir()).collect();
        folders.sort_unstable();
        let mut pictures = Self { labels: vec![], files: vec![] };
        for path in folders {
            let name = path.file_name().and_then(|name| name.to_str());
            let name = name.ok_or_else(|| Fault::new("its name is not UTF-8", path.display(), "name it as the label"))?;
            let label = pictures.labels.len();
            pictures.labels.push(name.trim().to_owned());
            pictures.files.extend(images(&path)?.into_iter().map(|file| (file, Some(label))));
        }
        if pictures.labels.is_empty() {
            return Err(Fault::new("no folders in it", folder.display(), "give a folder with a folder of images for each label"));
        }
        Ok(pictures)
    }

    /// A path, a tab and a label a line.
    fn of_list(list: &Path) -> Result<Self, Fault> {
        let remedy = "give a folder, or a file of lines with a path, a tab and a label";
        let text = input::text(list, MAX_LIST_BYTES).map_err(|error| Fault::new(error, list.display(), remedy))?;
        let beside = list.parent().unwrap_or(Path::new(""));
        let mut pictures = Self { labels: vec![], files: vec![] };
        for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            let (path, label) = line.split_once('\t').unwrap_or((line, ""));
            let (path, label) = (path.trim(), label.trim());
            if path.is_empty() || label.contains('\t') {
                return Err(Fault::new("not a path, a tab and a label", format!("{}:{}", list.display(), number + 1), remedy));
            }
            let known = pictures.labels.iter().position(|known| known == label);
            let label = match (label, known) {
                ("", _) => None,
                (_, Some(known)) => Some(known),
                (label, None) => {
                    pictures.labels.push(label.to_owned());
                    Some(pictures.labels.len() - 1)
                }
            };
            pictures.files.push((beside.join(path), label));
        }
        if pictures.labels.is_empty() {
            return Err(Fault::new("no labels in it", list.display(), remedy));
        }
        Ok(pictures)
    }

    /// Refuses too few images of a label, or of none.
    fn check(&self, shown: &[Option<usize>], which: &str) -> Result<(), Fault> {
        let count = |label: Option<usize>| shown.iter().filter(|&&of| of == label).count();
        let few = |label: usize| count(Some(label)) < LEAST;
        if let Some(label) = (0..self.labels.len()).find(|&label| few(label)) {
            let (name, have) = (&self.labels[label], count(Some(label)));
            return Err(Fault::line(format!("label {name:?}: {have} images{which}: give {LEAST} at least, better ten")));
        }
        match count(None) {
            have if have < LEAST => {
                Err(Fault::line(format!("{have} images of nothing{which}: give {LEAST} at least, better ten, with --nothing")))
            }
            _ => Ok(()),
        }
    }
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>, Fault> {
    let entries = fs::read_dir(folder).and_then(Iterator::collect::<io::Result<Vec<_>>>);
    let entries = entries.map_err(|error| Fault::new(error, folder.display(), "give a folder that can be read"))?;
    Ok(entries.into_iter().map(|entry| entry.path()).collect())
}

/// Images of a folder, by the endings of their names, sorted.
fn images(folder: &Path) -> Result<Vec<PathBuf>, Fault> {
    let mut images: Vec<PathBuf> = entries(folder)?.into_iter().filter(|path| has_image_ending(path) && path.is_file()).collect();
    images.sort_unstable();
    Ok(images)
}

/// What became of the images of each label, and of those of none.
fn table(out: &mut impl Write, labels: &[String], examples: &[Example], verdicts: &[Option<Option<usize>>]) -> io::Result<()> {
    writeln!(out, "images   right  another  none   (each classified when left out of training)")?;
    let mut sums = [0; 2];
    for label in (0..labels.len()).map(Some).chain([None]) {
        let of_label = examples.iter().zip(verdicts).filter(|(example, _)| example.label == label);
        let own: Vec<Option<usize>> = of_label.filter_map(|(_, verdict)| *verdict).collect();
        let right = own.iter().filter(|&&verdict| verdict == label).count();
        let none = own.iter().filter(|verdict| label.is_some() && verdict.is_none()).count();
        let another = own.iter().filter(|&&verdict| verdict.is_some() && verdict != label).count();
        let name = label.map_or(NONE, |label| &labels[label]);
        writeln!(out, "{:6}  {right:6} {another:8} {none:5}   {name}", own.len())?;
        sums[0] += own.len();
        sums[1] += right;
    }
    writeln!(out, "{} of {} right", sums[1], sums[0])?;
    match verdicts.iter().filter(|verdict| verdict.is_none()).count() {
        0 => Ok(()),
        count => writeln!(out, "{count} images are not judged: without them the others do not tell the labels apart, so give more of each"),
    }
}
