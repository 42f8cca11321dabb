//! Where what is heard goes.

use std::io::{self, Write};

use indicatif::ProgressBar;
use ossicle::events::{Heard, Writer};

use super::Args;
use super::show::Show;
use crate::broker::Link;

/// Where what is heard in one recording goes.
pub(super) struct Output<'a> {
    pub(super) args: &'a Args,
    pub(super) out: &'a mut dyn Write,
    pub(super) name: String,
    pub(super) writer: Writer,
    pub(super) bar: ProgressBar,
    pub(super) labels: Vec<String>,
    pub(super) show: Option<Show>,
    /// Whether events are written that go on.
    pub(super) starts: bool,
    pub(super) link: Option<&'a Link>,
    pub(super) written: io::Result<()>,
}

impl Output<'_> {
    /// Takes what the detector tells; the first failure to write it stays.
    pub(super) fn hear(&mut self, heard: Heard<'_>) {
        if let Some(show) = &mut self.show {
            show.heard(&heard);
        }
        if let Some(link) = self.link {
            link.tell(&heard);
        }
        if self.written.is_ok() {
            self.written = self.bar.clone().suspend(|| self.write(heard));
        }
    }

    fn write(&mut self, heard: Heard<'_>) -> io::Result<()> {
        match (heard, self.args.top) {
            (Heard::Event(event), None) => self.writer.event(self.out, &self.name, &event)?,
            (Heard::Scores(scores), Some(count)) => self.writer.top(self.out, &self.name, &self.labels, scores, count.into())?,
            (Heard::Start(lasting), None) if self.starts => self.writer.start(self.out, &self.name, lasting)?,
            (Heard::Repeat(lasting), None) if self.starts => self.writer.repeat(self.out, &self.name, lasting)?,
            _ => return Ok(()),
        }
        self.out.flush()
    }
}
