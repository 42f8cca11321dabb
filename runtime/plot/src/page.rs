//! The figure as one HTML page that needs nothing else.

use std::fmt::Write as _;
use std::io::{self, Write};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::axis;
use crate::clip::{Clip, MOST_SECONDS};
use crate::figure::{Figure, Lane};

/// Pixels of the spectrogram, which the page stretches.
const SPECTROGRAM: (u32, u32) = (1600, 256);

/// Nothing is fetched: the policy would refuse it.
const POLICY: &str = "default-src 'none'; img-src data:; media-src blob:; style-src 'unsafe-inline'; script-src 'unsafe-inline'";

/// Writes a page with the spectrogram, the events on a time line and in a table, and the sound of `clip`, if there is one and it is not too
/// long: whoever clicks on an event hears it.
///
/// # Errors
/// The writer's own.
pub fn write_page(figure: &Figure, clip: Option<&Clip>, out: &mut dyn Write) -> io::Result<()> {
    let name = escape(&figure.name);
    write!(
        out,
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta http-equiv=\"Content-Security-Policy\" content=\"{POLICY}\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>{name}: sound events</title>\n<style>\n{}</style>\n</head>\n<body>\n\
         <main data-seconds=\"{:.3}\">\n<h1>{name} <small>{:.1} s</small></h1>\n",
        include_str!("page.css"),
        figure.seconds.max(0.001),
        figure.seconds,
    )?;
    let playable = clip.filter(|clip| !clip.is_too_long());
    controls(figure, clip, playable.is_some(), out)?;
    let png = STANDARD.encode(figure.spectrogram_png(SPECTROGRAM.0, SPECTROGRAM.1));
    write!(
        out,
        "<div class=\"scroll\"><div class=\"wide\">\n<img alt=\"Spectrogram, 125 to 7500 Hz on the mel scale\" src=\"data:image/png;base64,{png}\">\n"
    )?;
    for (index, lane) in figure.lanes.iter().enumerate() {
        out.write_all(lane_html(figure, index, lane).as_bytes())?;
    }
    out.write_all(b"<div class=\"axis\">")?;
    for (time, label) in axis::times(figure.seconds, 16) {
        write!(out, "<span style=\"left:{:.3}%\">{label}</span>", percent(figure, time))?;
    }
    out.write_all(b"</div>\n<div class=\"head\"></div>\n</div></div>\n")?;
    table(figure, out)?;
    out.write_all(b"</main>\n")?;
    if let Some(clip) = playable {
        out.write_all(b"<script type=\"text/plain\" id=\"wav\">")?;
        clip.write_base64(out)?;
        out.write_all(b"</script>\n")?;
    }
    write!(out, "<script>\n{}</script>\n</body>\n</html>\n", include_str!("page.js"))?;
    out.flush()
}

fn controls(figure: &Figure, clip: Option<&Clip>, playable: bool, out: &mut dyn Write) -> io::Result<()> {
    out.write_all(b"<div class=\"bar\">")?;
    if playable {
        out.write_all(b"<audio controls></audio> ")?;
    }
    out.write_all(
        b"<button type=\"button\" id=\"farther\" title=\"half the size\">\xe2\x88\x92</button> \
          <button type=\"button\" id=\"nearer\" title=\"twice the size\">+</button></div>\n",
    )?;
    if clip.is_some() && !playable {
        writeln!(out, "<p class=\"note\">Without the sound: it is longer than {} minutes.</p>", MOST_SECONDS / 60)?;
    }
    out.write_all(b"<fieldset class=\"classes\">")?;
    for (index, lane) in figure.lanes.iter().enumerate() {
        writeln!(
            out,
            "<label style=\"--c:{}\"><input type=\"checkbox\" checked value=\"{index}\"><span class=\"swatch\"></span>{} <small>{}</small></label>",
            lane.color,
            escape(&lane.class),
            lane.marks.len()
        )?;
    }
    out.write_all(b"</fieldset>\n")?;
    match (figure.lanes.is_empty(), figure.more) {
        (true, _) => writeln!(out, "<p class=\"note\">Nothing was heard at these settings.</p>")?,
        (false, 0) => {}
        (false, more) => writeln!(out, "<p class=\"note\">And {more} more classes, heard less.</p>")?,
    }
    out.write_all(
        b"<p class=\"keys\"><kbd>space</kbd> play or pause, <kbd>n</kbd> <kbd>p</kbd> next and previous event, <kbd>\xe2\x86\x90</kbd> \
          <kbd>\xe2\x86\x92</kbd> a second, <kbd>1</kbd> to <kbd>9</kbd> show or hide a class, <kbd>+</kbd> <kbd>\xe2\x88\x92</kbd> size; a click on \
          an event plays it</p>\n",
    )
}

fn percent(figure: &Figure, seconds: f64) -> f64 {
    if figure.seconds > 0.0 { (100.0 * seconds / figure.seconds).clamp(0.0, 100.0) } else { 0.0 }
}

fn lane_html(figure: &Figure, index: usize, lane: &Lane) -> String {
    let class = escape(&lane.class);
    let mut html = format!("<div class=\"lane\" data-class=\"{index}\" style=\"--c:{}\"><span class=\"name\">{class}</span>\n", lane.color);
    for mark in &lane.marks {
        let (start, end) = (percent(figure, mark.start), percent(figure, mark.end));
        let _ = writeln!(
            html,
            "<button type=\"button\" class=\"event\" data-start=\"{:.3}\" data-end=\"{:.3}\" style=\"left:{start:.4}%;width:{:.4}%\" \
             title=\"{class}, {:.2} to {:.2} s, peak {:.2}\" aria-label=\"play {class} at {:.2} s\"></button>",
            mark.start,
            mark.end,
            end - start,
            mark.start,
            mark.end,
            mark.peak,
            mark.start
        );
    }
    html.push_str("<svg viewBox=\"0 0 1000 100\" preserveAspectRatio=\"none\" aria-hidden=\"true\">");
    if let Some(threshold) = lane.threshold {
        let y = 100.0 - 100.0 * threshold;
        let _ = write!(html, "<line x1=\"0\" x2=\"1000\" y1=\"{y:.1}\" y2=\"{y:.1}\"></line>");
    }
    html.push_str("<polyline points=\"");
    for &(time, score) in &lane.curve {
        let _ = write!(html, "{:.1},{:.1} ", 10.0 * percent(figure, time), 100.0 - 100.0 * score);
    }
    html.push_str("\"></polyline></svg></div>\n");
    html
}

/// All events in the order in which they begin.
fn table(figure: &Figure, out: &mut dyn Write) -> io::Result<()> {
    let mut rows: Vec<_> =
        figure.lanes.iter().enumerate().flat_map(|(index, lane)| lane.marks.iter().map(move |mark| (index, lane, mark))).collect();
    if rows.is_empty() {
        return Ok(());
    }
    rows.sort_by(|a, b| a.2.start.total_cmp(&b.2.start));
    out.write_all(
        b"<div class=\"rows\"><table>\n<thead><tr><th></th><th>start</th><th>end</th><th>class</th><th>peak</th><th>mean</th></tr></thead>\n<tbody>\n",
    )?;
    for (index, lane, mark) in rows {
        writeln!(
            out,
            "<tr data-class=\"{index}\" data-start=\"{:.3}\" data-end=\"{:.3}\"><td><button type=\"button\" aria-label=\"play\">\u{25b6}</button></td>\
             <td>{:.3}</td><td>{:.3}</td><td>{}</td><td>{:.2}</td><td>{:.2}</td></tr>",
            mark.start,
            mark.end,
            mark.start,
            mark.end,
            escape(&lane.class),
            mark.peak,
            mark.mean
        )?;
    }
    out.write_all(b"</tbody>\n</table></div>\n")
}

/// Text for HTML, in attributes too.
pub(crate) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            // HTML has no way to write these.
            c if c.is_control() => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}
