//! `ossicle-quantize events`.

use std::path::PathBuf;

use indicatif::ProgressBar;
use ossicle_quantize::events::{self, Progress};
use ossicle_quantize::folder;

const EXAMPLES: &str = "\
Examples:
  ossicle-quantize events --add doorbell clips/ --background home/ -o my-sounds
  ossicle detect --add-classes my-sounds hall.wav

A class needs at least 3 recordings, of different occasions; 10 and more are better; the first 30 s of each are used. --background takes
recordings of the place, an hour if it can be, in which no class is heard: from them come the false alarms an hour; the first 2 h are used.";

/// What to learn.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// A class and its recordings, or a folder of them; for each class once
    #[arg(long, num_args = 2, value_names = ["NAME", "PATH"], required = true)]
    add: Vec<String>,
    /// Recordings, or folders of them, without any of the classes
    #[arg(long, value_name = "PATH", num_args = 1..)]
    background: Vec<PathBuf>,
    /// YAMNet whose embedding is used: a name (see `ossicle models list`) or a folder
    #[arg(long, value_name = "NAME|FOLDER", default_value = "yamnet")]
    model: String,
    /// Folder to write
    #[arg(short, long, value_name = "FOLDER")]
    output: PathBuf,
    /// Replace FOLDER if it is a model folder already
    #[arg(long)]
    force: bool,
}

/// Learns classes and says how good they are.
pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    folder::check_target(&args.output, args.force)?;
    let task = events::Task {
        model: ossicle::models::find(&args.model)?,
        classes: args.add.chunks_exact(2).map(|pair| (pair[0].clone(), PathBuf::from(&pair[1]))).collect(),
        background: args.background.clone(),
    };
    if task.background.is_empty() {
        eprintln!("ossicle-quantize: no --background: false alarms are not known, and there will be more of them");
    }
    let bar = ProgressBar::new_spinner();
    let classes = events::train(&task, &mut |progress| match progress {
        Progress::Step(what) => {
            bar.set_message(what.to_owned());
            bar.tick();
        }
        Progress::LeftOut(what) => bar.suspend(|| eprintln!("ossicle-quantize: {what}")),
    })?;
    bar.finish_and_clear();
    events::write(&task, &classes, &args.output, args.force)?;
    print!("{}", events::table(&classes));
    Ok(())
}
