//! The figure as PNG.

use tiny_skia::Color;

use crate::axis;
use crate::canvas::{Align, Canvas};
use crate::figure::{Figure, Lane};
use crate::spectrogram::{RANGE_DB, Spectrogram, shade};

/// Pixels of the plot's parts.
pub(crate) const WIDTH: u32 = 1280;
pub(crate) const LEFT: u32 = 176;
pub(crate) const RIGHT: u32 = 72;
pub(crate) const TOP: u32 = 44;
pub(crate) const SPECTROGRAM: u32 = 320;
pub(crate) const LANE: u32 = 44;
pub(crate) const GAP: u32 = 12;
const BOTTOM: u32 = 40;

/// Events that are framed and named on the spectrogram; more would hide it, and are in the lanes alone.
const MOST_FRAMES: usize = 30;

/// Names on the spectrogram, in rows.
const TAG_ROWS: usize = 4;
const TAG: f32 = 17.0;
const TAG_WIDTH: f32 = 240.0;

const TEXT: f32 = 12.0;
const TITLE: f32 = 15.0;

fn ink() -> Color {
    Color::from_rgba8(0x22, 0x22, 0x22, 255)
}

fn faint() -> Color {
    Color::from_rgba8(0x66, 0x66, 0x66, 255)
}

/// `#rrggbb`, so opaque.
fn color(hex: &str, alpha: u8) -> Color {
    let part = |at: usize| hex.get(at..at + 2).and_then(|part| u8::from_str_radix(part, 16).ok()).unwrap_or(0);
    Color::from_rgba8(part(1), part(3), part(5), alpha)
}

/// The plot's rectangle and what is in it.
struct Plot<'a> {
    figure: &'a Figure,
    canvas: Canvas,
}

impl Figure {
    /// The figure as PNG, 1280 pixels wide: the spectrogram with the events on it, if they are few, below a lane for each class with its events
    /// and scores.
    pub fn png(&self) -> Vec<u8> {
        let lanes = self.lanes.len() as u32;
        let notes = if self.more > 0 || lanes == 0 { GAP + TEXT as u32 } else { 0 };
        let height = TOP + SPECTROGRAM + GAP + lanes * LANE + notes + BOTTOM;
        let mut plot = Plot { figure: self, canvas: Canvas::new(WIDTH, height) };
        plot.title();
        plot.spectrogram();
        plot.time_axis();
        plot.marks();
        plot.lanes();
        plot.canvas.png()
    }

    /// The spectrogram alone.
    pub(crate) fn spectrogram_png(&self, width: u32, height: u32) -> Vec<u8> {
        let mut canvas = Canvas::new(width, height);
        self.paint(&mut canvas, 0, 0, width, height);
        canvas.png()
    }

    /// Paints the spectrogram; gives the decibels of the brightest colour.
    fn paint(&self, canvas: &mut Canvas, left: u32, top: u32, width: u32, height: u32) -> f32 {
        let spectrogram = Spectrogram::new(&self.bands, self.seconds, width as usize, height as usize);
        for y in 0..height {
            for x in 0..width {
                canvas.set(left + x, top + y, spectrogram.color(x as usize, y as usize));
            }
        }
        spectrogram.top
    }
}

impl Plot<'_> {
    fn inner(&self) -> f32 {
        (WIDTH - LEFT - RIGHT) as f32
    }

    fn x(&self, seconds: f64) -> f32 {
        let part = if self.figure.seconds > 0.0 { (seconds / self.figure.seconds).clamp(0.0, 1.0) } else { 0.0 };
        LEFT as f32 + part as f32 * self.inner()
    }

    fn lane_top(&self, index: usize) -> f32 {
        (TOP + SPECTROGRAM + GAP) as f32 + index as f32 * LANE as f32
    }

    fn lanes_bottom(&self) -> f32 {
        self.lane_top(self.figure.lanes.len())
    }

    fn title(&mut self) {
        let seconds = format!("{:.1} s", self.figure.seconds);
        let room = self.inner() - self.canvas.width(&seconds, TEXT) - 20.0;
        let name = self.canvas.fitted(&self.figure.name, TITLE, room);
        self.canvas.text(&name, LEFT as f32, TOP as f32 - 16.0, TITLE, Align::Left, ink());
        self.canvas.text(&seconds, (WIDTH - RIGHT) as f32, TOP as f32 - 16.0, TEXT, Align::Right, faint());
    }

    fn spectrogram(&mut self) {
        let (left, top, height) = (LEFT as f32, TOP as f32, SPECTROGRAM as f32);
        let loudest = self.figure.paint(&mut self.canvas, LEFT, TOP, WIDTH - LEFT - RIGHT, SPECTROGRAM);
        self.canvas.outline(left - 0.5, top - 0.5, self.inner() + 1.0, height + 1.0, faint(), 1.0);
        for (hertz, label) in [(250.0, "250"), (500.0, "500"), (1000.0, "1 k"), (2000.0, "2 k"), (4000.0, "4 k"), (7000.0, "7 k")] {
            let y = (top + height * (1.0 - axis::height(hertz) as f32)).round() + 0.5;
            self.canvas.line([(left - 5.0, y), (left, y)], faint(), 1.0);
            self.canvas.text(label, left - 9.0, y + 4.0, TEXT, Align::Right, ink());
        }
        self.canvas.text("Hz", left - 9.0, top - 8.0, TEXT - 1.0, Align::Right, faint());
        // What the colours mean.
        let bar = (WIDTH - RIGHT) as f32 + 14.0;
        for y in 0..SPECTROGRAM {
            for x in 0..10 {
                self.canvas.set(bar as u32 + x, TOP + y, shade(1.0 - (y as f32 + 0.5) / height));
            }
        }
        let first = (loudest / 10.0).floor() as i32 * 10;
        for level in (0..=RANGE_DB as i32 / 10).map(|i| first - 10 * i) {
            let y = top + (loudest - level as f32) / RANGE_DB * height;
            if y <= top + height + 0.5 {
                self.canvas.line([(bar + 10.0, y), (bar + 14.0, y)], faint(), 1.0);
                self.canvas.text(&format!("{level}").replace('-', "\u{2212}"), bar + 17.0, y + 4.0, TEXT - 1.0, Align::Left, ink());
            }
        }
        self.canvas.text("dB", bar, top - 8.0, TEXT - 1.0, Align::Left, faint());
    }

    fn time_axis(&mut self) {
        let bottom = self.lanes_bottom().max((TOP + SPECTROGRAM) as f32);
        for (time, label) in axis::times(self.figure.seconds, 12) {
            let x = self.x(time).round() + 0.5;
            self.canvas.line([(x, (TOP + SPECTROGRAM) as f32), (x, bottom + 5.0)], Color::from_rgba8(0, 0, 0, 0x30), 1.0);
            self.canvas.text(&label, x, bottom + 19.0, TEXT, Align::Middle, ink());
        }
    }

    /// The events on the spectrogram: a frame for each, with its class's name where there is room. None if they are too many.
    fn marks(&mut self) {
        let figure = self.figure;
        if figure.lanes.iter().map(|lane| lane.marks.len()).sum::<usize>() > MOST_FRAMES {
            return;
        }
        let mut taken = [f32::MIN; TAG_ROWS];
        let mut marks: Vec<_> =
            figure.lanes.iter().enumerate().flat_map(|(i, lane)| lane.marks.iter().map(move |mark| (i, lane, mark))).collect();
        marks.sort_by(|a, b| a.2.start.total_cmp(&b.2.start));
        for &(index, lane, mark) in &marks {
            let (from, to) = (self.x(mark.start), self.x(mark.end));
            // Frames of classes that are heard at once lie inside each other.
            let inset = 2.0 + 3.0 * index as f32;
            let (top, height) = (TOP as f32 + inset, SPECTROGRAM as f32 - 2.0 * inset);
            self.canvas.outline(from, top, (to - from).max(1.0), height, color(&lane.color, 255), 1.6);
        }
        for (_, lane, mark) in marks {
            let name = self.canvas.fitted(&lane.class, TEXT, TAG_WIDTH);
            let width = self.canvas.width(&name, TEXT) + 8.0;
            let x = self.x(mark.start).min((WIDTH - RIGHT) as f32 - width);
            if let Some(row) = taken.iter().position(|&end| x >= end + 2.0) {
                taken[row] = x + width;
                let y = TOP as f32 + 4.0 + row as f32 * (TAG + 2.0);
                self.canvas.fill(x, y, width, TAG, Color::from_rgba8(0, 0, 0, 0xb0));
                self.canvas.fill(x, y, 3.0, TAG, color(&lane.color, 255));
                self.canvas.text(&name, x + 6.0, y + 12.5, TEXT, Align::Left, Color::WHITE);
            }
        }
    }

    fn lanes(&mut self) {
        let figure = self.figure;
        for (index, lane) in figure.lanes.iter().enumerate() {
            self.lane(index, lane);
        }
        let note = match (figure.lanes.is_empty(), figure.more) {
            (true, _) => "nothing was heard at these settings".to_owned(),
            (false, 0) => return,
            (false, more) => format!("and {more} more classes, heard less"),
        };
        self.canvas.text(&note, LEFT as f32, self.lanes_bottom() + 19.0 + GAP as f32 + 4.0, TEXT, Align::Left, faint());
    }

    /// A lane: events as boxes, scores as a line from 0 at its bottom to 1 at its top.
    fn lane(&mut self, index: usize, lane: &Lane) {
        let (left, top, height) = (LEFT as f32, self.lane_top(index) + 4.0, LANE as f32 - 8.0);
        let bottom = top + height;
        self.canvas.fill(left, top, self.inner(), height, Color::from_rgba8(0, 0, 0, 0x0d));
        let name = self.canvas.fitted(&lane.class, TEXT, left - 20.0);
        self.canvas.text(&name, left - 9.0, top + height / 2.0 - 2.0, TEXT, Align::Right, ink());
        let count = if lane.marks.len() == 1 { "1 event".to_owned() } else { format!("{} events", lane.marks.len()) };
        self.canvas.text(&count, left - 9.0, top + height / 2.0 + 12.0, TEXT - 2.0, Align::Right, faint());
        for mark in &lane.marks {
            let (from, to) = (self.x(mark.start), self.x(mark.end));
            self.canvas.fill(from, top, (to - from).max(1.5), height, color(&lane.color, 0x50));
            // A moment in hours can still be found.
            self.canvas.fill(from, bottom - 3.0, (to - from).max(2.5), 3.0, color(&lane.color, 255));
        }
        if let Some(threshold) = lane.threshold {
            let y = (bottom - threshold * height).round() + 0.5;
            self.canvas.dashes([(left, y), (left + self.inner(), y)], Color::from_rgba8(0, 0, 0, 0x60), 1.0);
        }
        let points: Vec<_> = lane.curve.iter().map(|&(time, score)| (self.x(time), bottom - score * height)).collect();
        self.canvas.line(points, ink(), 1.0);
        let right = (WIDTH - RIGHT) as f32 + 6.0;
        self.canvas.text("1", right, top + 9.0, TEXT - 2.0, Align::Left, faint());
        self.canvas.text("0", right, bottom, TEXT - 2.0, Align::Left, faint());
    }
}
