//! `cargo xtask bench`: how fast this checkout is, and beside other runtimes if they are there.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};
use serde_json::Value;

use crate::models::python;
use crate::process::{execute, output};
use crate::root;

/// The recording of the repository, 3.9 s of speech.
const SAMPLE: &str = "samples/kitchen.wav";

/// What to measure.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Recording [default: samples/kitchen.wav]
    file: Option<PathBuf>,
    /// Threads
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// Rounds that count
    #[arg(long, default_value_t = 8)]
    rounds: usize,
    /// Folder with other runtimes' models and jfk.wav, to measure them in turn with ours (tests/peers/interleave.py says what it holds)
    #[arg(long, value_name = "DIR")]
    peers: Option<PathBuf>,
}

/// Each row: its name and the options of `ossicle bench whisper`.
const ROWS: [(&str, &[&str]); 2] = [("greedy, 30 s window", &["--window", "full"]), ("as transcribe does", &["--window", "auto"])];

/// Columns of the table: heading, and where the figure is in the report.
const COLUMNS: [(&str, &str); 7] = [
    ("mel ms", "/min/mel"),
    ("encoder", "/min/encoder"),
    ("prefill", "/min/prefill"),
    ("token", "/min/token"),
    ("whole", "/min/whole"),
    ("load", "/load"),
    ("peak MiB", "/rss_mb"),
];

/// Builds the command line, prints its figures, and runs the comparison if there are peers.
///
/// # Errors
/// The build, a run or the comparison fails.
pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let root = &root()?;
    let ossicle = crate::built::command_line()?;

    let sample = root.join(SAMPLE);
    let file = args.file.as_deref().unwrap_or(&sample);
    println!("{}, threads: {}, minima of {} rounds in ms", file.display(), args.threads, args.rounds);
    print!("{:<20}", "");
    COLUMNS.iter().for_each(|(heading, _)| print!("{heading:>10}"));
    println!();
    for (name, options) in ROWS {
        let report = measure(&ossicle, root, file, options, args)?;
        print!("{name:<20}");
        for (_, figure) in COLUMNS {
            match report.pointer(figure).and_then(Value::as_f64) {
                Some(value) => print!("{value:>10.2}"),
                None => print!("{:>10}", "-"),
            }
        }
        println!();
    }
    match &args.peers {
        Some(peers) => compare(&ossicle, root, peers, args),
        None => Ok(()),
    }
}

fn measure(ossicle: &Path, root: &Path, file: &Path, options: &[&str], args: &Args) -> anyhow::Result<Value> {
    let mut command = Command::new(ossicle);
    command.args(["bench", "whisper", "--json"]).args(options).arg(file).arg("--model").arg(root.join("models-int8/whisper-tiny.en"));
    command.args(["--threads", &args.threads.to_string(), "--rounds", &args.rounds.to_string()]);
    serde_json::from_str(&output(&mut command)?).context("the report is not JSON")
}

fn compare(ossicle: &Path, root: &Path, peers: &Path, args: &Args) -> anyhow::Result<()> {
    let recording = peers.join("jfk.wav");
    if !recording.is_file() {
        bail!("{}: no such file: --peers wants a folder with jfk.wav and the other runtimes' models", recording.display());
    }
    let model = root.join("models-int8/whisper-tiny.en");
    let words = [ossicle, &recording, &model].map(|path| format!("'{}'", path.display()));
    let ours = format!("{} bench whisper --threads {} --serve {} --model {}", words[0], args.threads, words[1], words[2]);
    let mut script = python();
    script.arg(root.join("tests/peers/interleave.py")).arg("--peers-dir").arg(peers).arg("--ours").arg(ours);
    script.args(["--threads", &args.threads.to_string(), "--rounds", &args.rounds.to_string()]);
    execute(&mut script)
}
