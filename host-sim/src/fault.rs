//! Errors as one line, and exit statuses.

use std::fmt;
use std::io::ErrorKind;
use std::process::ExitCode;

/// The exit status for bad usage and bad input.
pub(crate) const BAD_INPUT: u8 = 2;

/// Bad input: what is wrong, where, and what would be right.
#[derive(Debug)]
pub(crate) struct Fault(String);

impl Fault {
    /// The three parts, any of which may already hold the next.
    pub(crate) fn new(what: impl fmt::Display, place: impl fmt::Display, remedy: impl fmt::Display) -> Self {
        Self(format!("{what}: {place}: {remedy}"))
    }

    /// A line that says it all.
    pub(crate) fn line(line: impl fmt::Display) -> Self {
        Self(line.to_string())
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Fault {}

/// Prints one line on stderr, whatever line ends `message` has.
pub(crate) fn complain(message: &str) {
    let words: Vec<&str> = message.split_whitespace().collect();
    eprintln!("ossicle-sim: {}", words.join(" "));
}

/// The end of the program: every error is bad input, as 1 means that two runs differ. A closed pipe is none.
pub(crate) fn exit(outcome: anyhow::Result<ExitCode>) -> ExitCode {
    outcome.unwrap_or_else(|error| {
        let io = |cause: &(dyn std::error::Error + 'static)| {
            cause.downcast_ref::<std::io::Error>().is_some_and(|io| io.kind() == ErrorKind::BrokenPipe)
        };
        if error.chain().any(io) {
            return ExitCode::SUCCESS;
        }
        complain(&format!("{error:#}"));
        ExitCode::from(BAD_INPUT)
    })
}
