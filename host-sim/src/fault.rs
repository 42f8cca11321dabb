//! Exit statuses, and errors under this program's name.

use std::process::ExitCode;

pub(crate) use ossicle_usage::{BAD_INPUT, Fault};

/// Prints one line on stderr.
pub(crate) fn complain(message: &str) {
    ossicle_usage::complain("ossicle-sim", message);
}

/// The end of the program: every error is bad input, as 1 means that two runs differ. A closed pipe is none.
pub(crate) fn exit(outcome: anyhow::Result<ExitCode>) -> ExitCode {
    outcome.unwrap_or_else(|error| {
        if ossicle_usage::is_broken_pipe(error.as_ref()) {
            return ExitCode::SUCCESS;
        }
        complain(&format!("{error:#}"));
        ExitCode::from(BAD_INPUT)
    })
}
