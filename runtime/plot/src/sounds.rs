//! Sounds that were made, next to each other on one HTML page that needs nothing else.

use std::io::{self, Write};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ossicle::speak::{to_pcm, wav_header};
use ossicle_kernels::simd::Isa;

use crate::page::escape;
use crate::sketch::Sketch;

/// Pixels of a spectrogram, which the page stretches.
const SPECTROGRAM: (u32, u32) = (480, 128);

/// The rate of spectrograms; sounds of another have none.
const RATE: u32 = 16_000;

/// Nothing is fetched: the policy would refuse it.
const POLICY: &str = "default-src 'none'; img-src data:; media-src data:; style-src 'unsafe-inline'";

const STYLE: &str = "\
body { font-family: sans-serif; margin: 1.5rem; color: #222; background: #fff; }
table { border-collapse: collapse; }
th, td { padding: .5rem; text-align: left; vertical-align: top; }
th { font-weight: normal; max-width: 14rem; }
img { display: block; width: 15rem; height: 5rem; }
audio { width: 15rem; height: 2rem; }
@media (prefers-color-scheme: dark) { body { color: #ddd; background: #111; } }
";

/// A sound and what it was made from.
#[derive(Clone, Debug)]
pub struct Sound {
    /// The description.
    pub text: String,
    /// The seed.
    pub seed: u64,
    /// Samples in -1.0..=1.0.
    pub samples: Vec<f32>,
}

/// Writes a page with a line for each description and a column for each seed: spectrogram (of sounds at 16 kHz) and player of each sound.
///
/// # Errors
/// The writer's own.
pub fn write_sounds(sounds: &[Sound], rate: u32, out: &mut dyn Write) -> io::Result<()> {
    let mut seeds: Vec<u64> = sounds.iter().map(|sound| sound.seed).collect();
    seeds.sort_unstable();
    seeds.dedup();
    let mut texts: Vec<&str> = vec![];
    for sound in sounds {
        if !texts.contains(&sound.text.as_str()) {
            texts.push(&sound.text);
        }
    }
    write!(
        out,
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta http-equiv=\"Content-Security-Policy\" content=\"{POLICY}\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>Sounds from text</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n\
         <h1>Sounds from text</h1>\n<table>\n<tr><th></th>"
    )?;
    for seed in &seeds {
        write!(out, "<th>seed {seed}</th>")?;
    }
    writeln!(out, "</tr>")?;
    for text in texts {
        write!(out, "<tr><th>{}</th>", escape(text))?;
        for seed in &seeds {
            match sounds.iter().find(|sound| sound.text == text && sound.seed == *seed) {
                Some(sound) => cell(sound, rate, out)?,
                None => write!(out, "<td></td>")?,
            }
        }
        writeln!(out, "</tr>")?;
    }
    writeln!(out, "</table>\n</body>\n</html>")
}

fn cell(sound: &Sound, rate: u32, out: &mut dyn Write) -> io::Result<()> {
    let Sound { text, seed, samples } = sound;
    let label = format!("{}, seed {seed}", escape(text));
    write!(out, "<td>")?;
    if rate == RATE {
        let mut sketch = Sketch::new(Isa::detect(), 0);
        sketch.samples(samples);
        let png = sketch.finish(text, std::iter::empty()).spectrogram_png(SPECTROGRAM.0, SPECTROGRAM.1);
        write!(out, "<img alt=\"Spectrogram: {label}\" src=\"data:image/png;base64,{}\">", STANDARD.encode(png))?;
    }
    let mut wav = wav_header(rate, 2 * samples.len() as u64).to_vec();
    to_pcm(samples, &mut wav);
    write!(out, "<audio controls aria-label=\"{label}\" src=\"data:audio/wav;base64,{}\"></audio></td>", STANDARD.encode(wav))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_sound_has_its_place() {
        let sound = |text: &str, seed, value| Sound { text: text.into(), seed, samples: vec![value; 16_000] };
        let mut page = vec![];
        write_sounds(&[sound("a \"dog\" & <b>", 7, 0.1), sound("rain", 8, 0.2), sound("rain", 7, 0.3)], 16_000, &mut page).unwrap();
        let page = String::from_utf8(page).unwrap();
        assert!(page.contains("<th>seed 7</th><th>seed 8</th>") && page.contains("<th>a &quot;dog&quot; &amp; &lt;b&gt;</th>"), "{page}");
        assert_eq!((page.matches("<audio").count(), page.matches("<img").count(), page.matches("<td></td>").count()), (3, 3, 1));
        let wav = page.split("audio/wav;base64,").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
        let wav = STANDARD.decode(wav).unwrap();
        assert_eq!((&wav[..4], wav.len(), i16::from_le_bytes([wav[44], wav[45]])), (&b"RIFF"[..], 32_044, 3277));
    }
}
