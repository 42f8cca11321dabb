//! What our command lines have in common: bad input is one line on stderr (what, where, what would be right) and exit status 2.

#![forbid(unsafe_code)]

use std::error::Error;
use std::fmt;
use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;

use clap::error::ErrorKind as UsageError;

/// The exit status for bad usage and bad input.
pub const BAD_INPUT: u8 = 2;

/// Bad input: what is wrong, where, and what would be right.
#[derive(Debug)]
pub struct Fault(String);

impl Fault {
    /// The three parts, any of which may already hold the next.
    pub fn new(what: impl fmt::Display, place: impl fmt::Display, remedy: impl fmt::Display) -> Self {
        Self(format!("{what}: {place}: {remedy}"))
    }

    /// A line that says it all.
    pub fn line(line: impl fmt::Display) -> Self {
        Self(line.to_string())
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for Fault {}

/// `message` in one line, whatever line ends it has.
pub fn one_line(message: &str) -> String {
    message.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Writes a line on stderr. That may be closed or full, and what people are told is no reason to stop: `eprintln!` would panic.
pub fn tell(line: impl fmt::Display) {
    // In one write, so that lines of several threads stay whole.
    let _ = io::stderr().write_all(format!("{line}\n").as_bytes());
}

/// Writes one line on stderr, behind the program's name.
pub fn complain(program: &str, message: &str) {
    tell(format_args!("{program}: {}", one_line(message)));
}

/// Whether the reader of our output went away, which is no failure.
pub fn is_broken_pipe(error: &(dyn Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if error.downcast_ref::<io::Error>().is_some_and(|io| io.kind() == ErrorKind::BrokenPipe) {
            return true;
        }
        cause = error.source();
    }
    false
}

/// Prints help where it was asked for, or says in one line what is wrong with the arguments of `command`.
pub fn refuse(command: &clap::Command, error: &clap::Error) -> ExitCode {
    let program = command.get_name();
    match error.kind() {
        UsageError::DisplayHelp | UsageError::DisplayVersion => {
            // A closed pipe (`ossicle --help | head -1`) is no failure.
            let _ = error.print();
            return ExitCode::SUCCESS;
        }
        UsageError::DisplayHelpOnMissingArgumentOrSubcommand | UsageError::MissingSubcommand => {
            let names: Vec<&str> = command.get_subcommands().map(clap::Command::get_name).collect();
            complain(program, &format!("no command: give one of {}: see {program} --help", names.join(", ")));
        }
        _ => {
            let text = error.to_string();
            let reason = text.split("\n\n").next().unwrap_or("").trim_start_matches("error: ");
            let tip = text.lines().find_map(|line| line.trim().strip_prefix("tip: ")).unwrap_or("see --help");
            complain(program, &format!("{reason}: {tip}"));
        }
    }
    ExitCode::from(BAD_INPUT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broken_pipe_is_found_behind_other_errors() {
        #[derive(Debug)]
        struct Outer(io::Error);
        impl fmt::Display for Outer {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("outer")
            }
        }
        impl Error for Outer {
            fn source(&self) -> Option<&(dyn Error + 'static)> {
                Some(&self.0)
            }
        }
        assert!(is_broken_pipe(&Outer(ErrorKind::BrokenPipe.into())));
        assert!(!is_broken_pipe(&Outer(ErrorKind::NotFound.into())));
    }

    #[test]
    fn messages_become_one_line() {
        assert_eq!(one_line("a\n  b\r\n\tc "), "a b c");
        assert_eq!(Fault::new("bad", "file", "mend it").to_string(), "bad: file: mend it");
    }
}
