//! Where what is heard goes.

use std::io::{self, Write};

use indicatif::ProgressBar;
use ossicle::events::{Event, Heard, InOrder, Writer};

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
    /// Events that wait for others which began before them, if they are written in that order.
    pub(super) order: Option<InOrder>,
    pub(super) link: Option<&'a Link>,
    /// How many were heard.
    pub(super) events: usize,
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
        // The line on how far it is need not be drawn again for scores that nobody reads.
        if self.args.top.is_some() || !matches!(heard, Heard::Scores(_)) {
            self.attempt(|output| output.write(heard));
        }
    }

    /// Writes what has waited; every event still to come begins at `settled` seconds or later.
    pub(super) fn settle(&mut self, settled: f64) {
        while let Some(event) = self.order.as_mut().and_then(|order| order.next(settled)) {
            self.attempt(|output| output.event(&event));
        }
    }

    fn attempt(&mut self, write: impl FnOnce(&mut Self) -> io::Result<()>) {
        if self.written.is_ok() {
            self.written = self.bar.clone().suspend(|| write(self));
        }
    }

    fn event(&mut self, event: &Event) -> io::Result<()> {
        self.writer.event(self.out, &self.name, event)?;
        self.out.flush()
    }

    fn write(&mut self, heard: Heard<'_>) -> io::Result<()> {
        match (heard, self.args.top) {
            (Heard::Event(event), None) => {
                self.events += 1;
                let next = match &mut self.order {
                    Some(order) => order.push(event),
                    None => Some(event),
                };
                return next.map_or(Ok(()), |event| self.event(&event));
            }
            (Heard::Scores(scores), Some(count)) => self.writer.top(self.out, &self.name, &self.labels, scores, count.into())?,
            (Heard::Start(lasting), None) if self.starts => self.writer.start(self.out, &self.name, lasting)?,
            (Heard::Repeat(lasting), None) if self.starts => self.writer.repeat(self.out, &self.name, lasting)?,
            _ => return Ok(()),
        }
        self.out.flush()
    }
}
