//! What was found, written down.

use std::io::Write;

use anyhow::Result;
use ossicle::events::one_field;
use ossicle::find::{Hit, Kind};
use serde_json::{Value, json};

use super::{FormatName, Task};
use crate::fault;

fn round(x: f32) -> f64 {
    (f64::from(x) * 1000.0).round() / 1000.0
}

impl Task<'_> {
    pub(super) fn write(&self, hits: &[Hit<'_>], out: &mut dyn Write) -> Result<()> {
        match self.args.format {
            FormatName::Json => {
                let hits: Vec<_> = hits.iter().map(|hit| self.value(hit)).collect();
                let mut value = json!({"hits": hits});
                if let Some(like) = &self.args.like {
                    value["like"] = like.display().to_string().into();
                } else {
                    value["words"] = self.words.into();
                }
                writeln!(out, "{value:#}")?;
            }
            FormatName::Jsonl => hits.iter().try_for_each(|hit| writeln!(out, "{}", self.value(hit)))?,
            FormatName::Tsv => self.tsv(hits, out)?,
            FormatName::Text => {
                for hit in hits {
                    let (kind, name) = (hit.entry.kind.name(), fault::one_line(&self.shown(&hit.entry.path)));
                    let windows: Vec<String> = hit.windows.iter().map(|w| format!("{:.1}-{:.1} s", w.start, w.end)).collect();
                    writeln!(out, "{}", format!("{:6.2}  {kind:7}  {name}  {}", hit.score, windows.join(", ")).trim_end())?;
                }
            }
        }
        out.flush()?;
        Ok(())
    }

    fn value(&self, hit: &Hit<'_>) -> Value {
        let mut value = json!({"file": self.shown(&hit.entry.path), "kind": hit.entry.kind.name(), "score": round(hit.score)});
        if hit.entry.kind == Kind::Sound {
            let windows = hit.windows.iter().map(|w| json!({"start": round(w.start), "end": round(w.end), "score": round(w.score)}));
            value["windows"] = windows.collect();
        }
        value
    }

    /// A line for each part of a sound, and one for a picture.
    fn tsv(&self, hits: &[Hit<'_>], out: &mut dyn Write) -> Result<()> {
        writeln!(out, "file\tscore\tstart\tend\twindow_score\tkind")?;
        for hit in hits {
            let (name, kind) = (self.shown(&hit.entry.path), hit.entry.kind.name());
            let name = one_field(&name);
            if hit.entry.kind == Kind::Picture {
                writeln!(out, "{name}\t{:.3}\t\t\t\t{kind}", hit.score)?;
            }
            for w in &hit.windows {
                writeln!(out, "{name}\t{:.3}\t{:.3}\t{:.3}\t{:.3}\t{kind}", hit.score, w.start, w.end, w.score)?;
            }
        }
        Ok(())
    }
}
