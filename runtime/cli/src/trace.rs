//! `--trace`: a digest of every tensor, written while a recording is worked on.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Result;
use ossicle::trace;
use ossicle_trace::{Header, Input, Key, Pattern, Tap, Writer, WriterOptions};

use crate::fault::Fault;

/// Whether to write a trace, and what is in it.
#[derive(clap::Args)]
#[command(next_help_heading = "Trace")]
pub(crate) struct TraceArgs {
    /// Write a digest of every tensor to FILE, for ossicle-sim to compare (one input)
    #[arg(long, value_name = "FILE")]
    pub(crate) trace: Option<PathBuf>,
    /// Also write the values of tensors of this name; * stands for any characters
    #[arg(long, value_name = "PATTERN", requires = "trace")]
    trace_values: Option<String>,
    /// Make the trace's checksums with the bytes of FILE, so that nobody without them can alter it unnoticed
    #[arg(long, value_name = "FILE", requires = "trace")]
    pub(crate) trace_key: Option<PathBuf>,
}

/// A trace being written.
pub(crate) struct Recording {
    writer: Arc<Writer<File>>,
    path: PathBuf,
}

impl TraceArgs {
    /// Starts the trace of `file` (`None` for standard input), if one is asked for; `header` says what runs.
    pub(crate) fn start(
        &self,
        file: Option<&Path>,
        raw_rate: Option<u32>,
        header: impl FnOnce(Input) -> Result<Header>,
    ) -> Result<Option<Recording>> {
        let Some(path) = &self.trace else { return Ok(None) };
        if self.trace_key.as_deref().is_some_and(|key| same_file(key, path)) {
            return Err(Fault::new("--trace would overwrite the key", path.display(), "name another file").into());
        }
        let key = self.trace_key.as_deref().map(key).transpose()?;
        let input = match file {
            Some(file) if same_file(file, path) => {
                return Err(Fault::new("--trace would overwrite the recording", path.display(), "name another file").into());
            }
            // Reading a pipe by name for its digest would leave nothing to transcribe.
            Some(file) if !file.is_file() => Input { name: trace::file_name(file), sha256: None, raw_rate },
            Some(file) => trace::input(file, raw_rate)?,
            None => Input { name: "-".to_owned(), sha256: None, raw_rate },
        };
        let header = header(input)?;
        let values = self.trace_values.as_deref().map(Pattern::new);
        let writer = File::create(path)
            .and_then(|file| Writer::new(file, &header, WriterOptions { key, values }))
            .map_err(|error| Fault::new(format!("cannot write the trace: {error}"), path.display(), "give a writable file"))?;
        Ok(Some(Recording { writer: Arc::new(writer), path: path.clone() }))
    }
}

impl Recording {
    /// What a pipeline writes to.
    pub(crate) fn tap(&self) -> Arc<dyn Tap> {
        self.writer.clone()
    }

    /// Ends the trace of a transcription that came to its end; any other ends early, and says so when it is read.
    pub(crate) fn finish(self) -> Result<()> {
        self.writer.close().map_err(|error| anyhow::anyhow!("cannot write the trace {}: {error}", self.path.display()))
    }
}

fn key(path: &Path) -> Result<Key> {
    let unreadable = |error| Fault::new(format!("cannot read the key: {error}"), path.display(), "give a readable file");
    let bytes = fs::read(path).map_err(unreadable)?;
    let short = |error| Fault::new(error, path.display(), "give a file of at least 16 bytes, such as head -c 32 /dev/urandom makes");
    Ok(Key::new(bytes).map_err(short)?)
}

fn same_file(a: &Path, b: &Path) -> bool {
    matches!((a.canonicalize(), b.canonicalize()), (Ok(a), Ok(b)) if a == b)
}
