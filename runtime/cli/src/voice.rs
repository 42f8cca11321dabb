//! Opening a voice for any command.

use std::path::Path;

use anyhow::Result;
use ossicle::speak::{Options, SpeakError, Voice};
use ossicle::whisper::memory::program_bytes;
use ossicle_models::{GraphError, MemoryPlan};

use crate::fault::{self, Fault};
use crate::size;

/// The voice that comes with the program.
pub(crate) const DEFAULT: &str = "hibari";

/// The voice, if these limits, of which each has a name, allow what it needs beside the program; and the bytes of its plan without that.
pub(crate) fn open(folder: &Path, options: Options, limits: Vec<(String, u64)>) -> Result<(Voice, usize)> {
    let failed = |error: SpeakError| match error {
        SpeakError::Folder(error) => fault::folder(error).into(),
        SpeakError::Graph(error @ GraphError::Memory { .. }) => {
            Fault::new(error, folder.display(), "allow more with --memory if the machine has it").into()
        }
        SpeakError::Graph(error) => fault::graph(folder, error),
        error => Fault::line(error).into(),
    };
    let most = limits.iter().map(|limit| limit.1).min().map_or(1 << 30, |most| usize::try_from(most).unwrap_or(usize::MAX));
    let voice = Voice::open_within(folder, options, most).map_err(failed)?;
    let MemoryPlan { weights, buffers, state } = voice.memory_plan();
    let parts = [("weights", weights), ("buffers", buffers), ("state", state), ("program", program_bytes())];
    let total: usize = parts.iter().map(|part| part.1).sum();
    for (limit, allowed) in limits {
        if total as u64 > allowed {
            let (needed, allowed) = (size::megabytes(total as u64), size::megabytes(allowed));
            let parts: Vec<_> = parts.iter().map(|&(name, bytes)| format!("{name} {}", size::megabytes(bytes as u64))).collect();
            return Err(
                Fault::new(format!("the plan needs {needed}, more than {limit} {allowed}"), folder.display(), parts.join(", ")).into()
            );
        }
    }
    Ok((voice, weights + buffers + state))
}
