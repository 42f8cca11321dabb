//! What people read.

use std::fmt;
use std::io::{self, Write};

use ossicle_trace::{Descriptor, Header, Owned, StepRecord, Trace, Values};

use crate::finding::{Differing, Finding, Parting, Spread};
use crate::spread::{Difference, ulp, unravel};

/// Values shown on either side of the first that differs.
const AROUND: usize = 3;

/// Seconds of one mel frame.
const FRAME_SECONDS: f64 = 0.01;
/// Seconds of one position of the encoder.
const POSITION_SECONDS: f64 = 0.02;

/// What the two sides are called.
#[derive(Clone, Copy, Debug)]
pub struct Sides<'a> {
    /// The traced run.
    pub traced: &'a str,
    /// The one compared with it.
    pub here: &'a str,
}

/// `ossicle 0.1.0 on avx2, 2 threads; AMD EPYC, x86_64 linux`
pub fn run(header: &Header) -> String {
    let threads = if header.threads == 1 { "1 thread".to_owned() } else { format!("{} threads", header.threads) };
    format!("{} on {}, {threads}; {}", header.program, header.isa, header.machine)
}

/// JSON without control characters: those that JSON may hold as they are, from 0x7f to 0x9f, are escaped as well.
pub fn json(value: &serde_json::Value) -> String {
    let mut text = String::new();
    for c in value.to_string().chars() {
        match c {
            c if c.is_control() => text += &format!("\\u{:04x}", u32::from(c)),
            c => text.push(c),
        }
    }
    text
}

/// Writes where two runs part: the first differing tensor, the values around, and how the difference spread; at most `rows` rows of that.
///
/// # Errors
/// If `out` cannot be written.
pub fn finding(out: &mut dyn Write, trace: &Trace, finding: &Finding, sides: Sides<'_>, rows: usize) -> io::Result<()> {
    if let Some(first) = &finding.first {
        differing(out, trace, first, sides)?;
        spread(out, first, rows)?;
    }
    match &finding.parting {
        Some(parting) => parted(out, parting, sides),
        None => Ok(()),
    }
}

fn differing(out: &mut dyn Write, trace: &Trace, first: &Differing, sides: Sides<'_>) -> io::Result<()> {
    let (descriptor, spread) = &first.rows[0];
    writeln!(out, "first differing tensor: {descriptor}")?;
    let step = trace.step_of(first.tensor);
    let place = place(trace, descriptor, first.tensor);
    writeln!(out, "  {place}; tensor {} of {}, all before it are equal", first.tensor + 1, trace.records.len())?;
    match spread {
        Spread::By(difference) => {
            let index = unravel(difference.first, &descriptor.shape);
            let verb = if difference.differing == 1 { "differs" } else { "differ" };
            write!(out, "  {} of {} values {verb}, the first at {index:?}", difference.differing, difference.values)?;
            writeln!(out, "{}", position(descriptor, step, &index))?;
            if let (Some(a), Some(b)) = (&first.traced, &first.here) {
                around(out, descriptor, difference, a, b, sides)?;
            }
        }
        Spread::None | Spread::Unknown => writeln!(out, "  which of its values differ is not known: only one side's values are")?,
    }
    Ok(())
}

/// `layer 2 of the encoder, window from 0.00 s`
fn place(trace: &Trace, descriptor: &Descriptor, tensor: usize) -> String {
    let mut words = vec![];
    let mut parts = descriptor.op.split('.');
    if let (Some(stage), Some("layers"), Some(layer)) = (parts.next(), parts.next(), parts.next()) {
        words.push(format!("layer {layer} of the {stage}"));
    }
    if let Some(step) = trace.step_of(tensor) {
        words.push(match step.stage.as_str() {
            "decoder" => format!("decoder step at token {} ({} tokens)", step.at, step.count),
            "text" => format!("attempt {}", step.at),
            "segment" => format!("segment {}", step.at),
            stage => format!("step {stage}"),
        });
    }
    let before = &trace.steps[..trace.steps.partition_point(|step| step.first <= tensor)];
    if let Some(window) = before.iter().rfind(|step| step.stage == "window") {
        words.push(format!("window from {:.2} s", window.at as f64 * FRAME_SECONDS));
    }
    words.join(", ")
}

/// What the first index of a value stands for, as ` (2.74 s into the window)`.
fn position(descriptor: &Descriptor, step: Option<&StepRecord>, index: &[usize]) -> String {
    let (Some(&row), Some(step)) = (index.first(), step) else { return String::new() };
    match step.stage.as_str() {
        "encoder" => format!(" ({:.2} s into the window)", row as f64 * POSITION_SECONDS),
        "mel" => format!(" ({:.2} s into the window)", row as f64 * FRAME_SECONDS),
        // Logits are those of the last tokens.
        "decoder" if descriptor.shape.first() == Some(&(step.count as usize)) => format!(" (token {})", step.at.saturating_add(row as u64)),
        _ => String::new(),
    }
}

/// A line for each value near the first that differs, in its row.
fn around(out: &mut dyn Write, descriptor: &Descriptor, difference: &Difference, a: &Owned, b: &Owned, sides: Sides<'_>) -> io::Result<()> {
    let width = descriptor.shape.last().copied().unwrap_or(1).max(1);
    let row = difference.first / width * width;
    let from = difference.first.saturating_sub(AROUND).max(row);
    let to = (difference.first + AROUND + 1).min(row + width).min(a.values().len());
    writeln!(out, "    {:<20} {:>28} {:>28}", "", sides.traced, sides.here)?;
    for i in from..to {
        let (x, y) = (value(a.values(), i), value(b.values(), i));
        let distance = match (x, y) {
            (Value::Float(x), Value::Float(y)) if x.to_bits() != y.to_bits() => format!("  {} ulp", ulp(x, y)),
            (Value::Integer(x), Value::Integer(y)) if x != y => format!("  {:+}", y - x),
            _ => String::new(),
        };
        let mark = if distance.is_empty() { ' ' } else { '>' };
        let index = format!("{:?}", unravel(i, &descriptor.shape));
        writeln!(out, "  {mark} {index:<20} {:>28} {:>28}{distance}", x.to_string(), y.to_string())?;
    }
    Ok(())
}

#[derive(Clone, Copy)]
enum Value {
    Float(f32),
    Integer(i64),
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Float(x) => write!(f, "{x:.8e} {:08x}", x.to_bits()),
            Self::Integer(x) => write!(f, "{x}"),
        }
    }
}

fn value(values: Values<'_>, index: usize) -> Value {
    match values {
        Values::F32(values) => Value::Float(values[index]),
        Values::I8(values) => Value::Integer(values[index].into()),
        Values::I32(values) => Value::Integer(values[index].into()),
        Values::U32(values) => Value::Integer(values[index].into()),
    }
}

/// A row for each tensor from the first that differs on.
fn spread(out: &mut dyn Write, first: &Differing, rows: usize) -> io::Result<()> {
    let name = |descriptor: &Descriptor| descriptor.name();
    let width = first.rows.iter().map(|(descriptor, _)| name(descriptor).len()).max().unwrap_or(0).max(6);
    writeln!(out, "how it spread")?;
    writeln!(out, "  {:<width$} {:>9} {:>9} {:>12} {:>10}", "tensor", "differing", "of", "largest", "ulp")?;
    for (descriptor, spread) in first.rows.iter().take(rows) {
        let total = descriptor.len();
        let name = name(descriptor);
        match spread {
            Spread::None => writeln!(out, "  {name:<width$} {:>9} {total:>9}", 0)?,
            Spread::Unknown => writeln!(out, "  {name:<width$} {:>9} {total:>9}", "some")?,
            Spread::By(by) => {
                let ulp = by.ulp.map_or_else(|| "-".to_owned(), |ulp| ulp.to_string());
                writeln!(out, "  {name:<width$} {:>9} {total:>9} {:>12.3e} {ulp:>10}", by.differing, by.largest)?;
            }
        }
    }
    if first.rows.len() > rows {
        writeln!(out, "  and {} more tensors looked at: --rows N shows them", first.rows.len() - rows)?;
    }
    Ok(())
}

fn parted(out: &mut dyn Write, parting: &Parting, sides: Sides<'_>) -> io::Result<()> {
    let does = |what: &Option<String>| what.clone().unwrap_or_else(|| "nothing more".to_owned());
    writeln!(out, "after {} tensors the two runs no longer do the same", parting.tensor)?;
    writeln!(out, "  {}: {}", sides.traced, does(&parting.traced))?;
    writeln!(out, "  {}: {}", sides.here, does(&parting.here))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_has_no_control_characters() {
        let value = serde_json::json!({"prompt": "a\nb\u{7f}\u{9b}2J\u{fc}"});
        let text = json(&value);
        assert_eq!(text, r#"{"prompt":"a\nb\u007f\u009b2Jü"}"#);
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), value);
    }

    #[test]
    fn a_token_beyond_all_positions_is_the_last() {
        let descriptor = Descriptor {
            op: "decoder.embed".into(),
            kernel: String::new(),
            part: String::new(),
            dtype: ossicle_trace::Dtype::F32,
            shape: vec![2, 1],
        };
        let step = StepRecord { stage: "decoder".into(), at: u64::MAX, count: 2, first: 0 };
        assert_eq!(position(&descriptor, Some(&step), &[1, 0]), format!(" (token {})", u64::MAX));
    }
}
