//! Recordings named on a command line, and where their results go.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, BufWriter, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::ValueEnum;
use ossicle::audio::{AudioError, AudioReader, Damage, ENDINGS, Encoding, Pcm, SAMPLE_RATE};
use ossicle::label::Image;
use ossicle_kernels::simd::Isa;
use sha2::{Digest, Sha256};

use crate::fault::{self, Fault};
use crate::interrupt;

/// An image that takes at most `most` bytes.
pub(crate) fn image(file: &Path, most: usize) -> Result<Image> {
    let image = if is_stdin(file) {
        if io::stdin().is_terminal() {
            return Err(Fault::line("standard input is a terminal: -: pipe an image into it").into());
        }
        Image::read_from(file, &mut io::stdin().lock(), most)
    } else {
        Image::read_within(file, most)
    };
    image.map_err(|error| fault::label(file, error))
}

/// How to read recordings.
#[derive(clap::Args)]
pub(crate) struct RawArgs {
    /// Read FILE as mono samples without a header: signed 16-bit little-endian, unless --raw-encoding says otherwise
    #[arg(long)]
    raw: bool,
    /// The rate of such samples
    #[arg(long, value_name = "HZ", default_value_t = SAMPLE_RATE, requires = "raw")]
    raw_rate: u32,
    /// How such samples are written
    #[arg(long, value_enum, default_value = "s16le", requires = "raw")]
    raw_encoding: RawEncoding,
    /// Take this channel, counted from 1, instead of the mean of all
    #[arg(long, value_name = "N")]
    channel: Option<usize>,
    /// Refuse a recording from which something is missing, with exit status 2, instead of reading what is there
    #[arg(long)]
    strict: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum RawEncoding {
    /// Signed 16-bit, little-endian
    S16le,
    /// Signed 24-bit, little-endian
    S24le,
    /// Signed 32-bit, little-endian
    S32le,
    /// 32-bit floating point, little-endian
    F32le,
    /// Unsigned 8-bit
    U8,
    /// Mu-law of telephones (G.711)
    Mulaw,
    /// A-law of telephones (G.711)
    Alaw,
}

impl From<RawEncoding> for Encoding {
    fn from(encoding: RawEncoding) -> Self {
        match encoding {
            RawEncoding::S16le => Self::S16Le,
            RawEncoding::S24le => Self::S24Le,
            RawEncoding::S32le => Self::S32Le,
            RawEncoding::F32le => Self::F32Le,
            RawEncoding::U8 => Self::U8,
            RawEncoding::Mulaw => Self::MuLaw,
            RawEncoding::Alaw => Self::ALaw,
        }
    }
}

impl RawArgs {
    /// The rate of samples without a header, if that is what recordings are.
    pub(crate) fn rate(&self) -> Option<u32> {
        self.raw.then_some(self.raw_rate)
    }

    /// Refuses what is for recordings, where none is read; `why` says so.
    pub(crate) fn check_unused(&self, why: &str) -> Result<(), Fault> {
        let given = [("--raw", self.raw), ("--channel", self.channel.is_some()), ("--strict", self.strict)];
        match given.iter().find(|(_, given)| *given) {
            Some((option, _)) => Err(Fault::line(format!("{option}: {why}, and this is for recordings: leave it out"))),
            None => Ok(()),
        }
    }

    /// Refuses what a trace cannot say of its recording.
    pub(crate) fn check_traced(&self) -> Result<(), Fault> {
        if self.channel.is_some() {
            return Err(Fault::line("--trace: a trace is of all channels: leave out --channel, or take the channel out beforehand"));
        }
        if self.raw_encoding != RawEncoding::S16le {
            return Err(Fault::line("--trace: a trace knows samples without a header as s16le only: leave out --raw-encoding"));
        }
        Ok(())
    }

    /// Opens a recording.
    pub(crate) fn open(&self, file: &Path, isa: Isa) -> Result<AudioReader, Fault> {
        self.open_channel(file, self.channel, isa)
    }

    /// Opens a recording, and takes one channel of it.
    pub(crate) fn open_channel(&self, file: &Path, channel: Option<usize>, isa: Isa) -> Result<AudioReader, Fault> {
        let raw = self.rate().map(|rate| Pcm { rate, channels: 1, encoding: self.raw_encoding.into() });
        let mut reader = open(file, raw, isa)?;
        let refuse = |error| fault::audio(&name(file), &error);
        if let Some(channel) = channel {
            reader = reader.channel(channel).map_err(refuse)?;
        }
        if self.strict { reader.strict().map_err(refuse) } else { Ok(reader) }
    }
}

/// Says that a signal came before `file`, if one did; gives the exit status.
pub(crate) fn stopped_before(file: &Path) -> Option<ExitCode> {
    interrupt::came().then(|| {
        fault::complain(&format!("stopped by a signal before {}", name(file)));
        interrupt::status()
    })
}

/// Whether this is no damage because a signal cut the input on purpose.
fn is_excused(damage: &Damage) -> bool {
    interrupt::came() && matches!(damage, Damage::NoEnd { .. } | Damage::Short { .. })
}

/// What a recording lacks, in words.
pub(crate) fn warnings(damage: &[Damage]) -> Vec<String> {
    damage.iter().filter(|damage| !is_excused(damage)).map(ToString::to_string).collect()
}

/// Says in one line what a recording lacks, if anything; gives the exit status that this deserves.
pub(crate) fn tell_damage(name: &str, damage: &[Damage]) -> ExitCode {
    let told = warnings(damage);
    if told.is_empty() {
        return ExitCode::SUCCESS;
    }
    fault::complain(&format!("warning: {}: {name}", told.join("; ")));
    let is_loss = |damage: &Damage| damage.is_loss() && !is_excused(damage);
    if damage.iter().any(is_loss) { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// Opens a file, or standard input for `-`; with `raw`, as samples without a header.
pub(crate) fn open(file: &Path, raw: Option<Pcm>, isa: Isa) -> Result<AudioReader, Fault> {
    let stdin = is_stdin(file);
    if stdin && io::stdin().is_terminal() {
        return Err(Fault::line("standard input is a terminal: -: pipe a recording into it"));
    }
    let reader = match (raw, stdin) {
        (Some(pcm), true) => AudioReader::pcm(interrupt::stdin(), pcm, isa),
        (Some(pcm), false) => File::open(file).map_err(open_error).and_then(|file| AudioReader::pcm(file, pcm, isa)),
        (None, true) => AudioReader::stream(interrupt::stdin(), isa),
        (None, false) => AudioReader::open_with(file, isa),
    };
    reader.map_err(|error| fault::audio(&name(file), &error))
}

/// The first samples of a recording, at most `most`.
pub(crate) fn read(file: &Path, isa: Isa, most: usize) -> Result<Vec<f32>, Fault> {
    read_from(&mut open(file, None, isa)?, file, most)
}

/// The next samples of an open recording, at most `most`.
pub(crate) fn read_from(reader: &mut AudioReader, file: &Path, most: usize) -> Result<Vec<f32>, Fault> {
    let (mut samples, mut block) = (Vec::new(), vec![0.0; SAMPLE_RATE as usize]);
    while samples.len() < most {
        match reader.read(&mut block).map_err(|error| fault::audio(&name(file), &error))? {
            0 => break,
            read => samples.extend_from_slice(&block[..read]),
        }
    }
    samples.truncate(most);
    Ok(samples)
}

/// A text file of at most `most` bytes; no more is read of one that has no end.
pub(crate) fn text(path: &Path, most: usize) -> io::Result<String> {
    text_of(File::open(path)?, most)
}

/// As [`text`], of a stream.
pub(crate) fn text_of(stream: impl Read, most: usize) -> io::Result<String> {
    let mut bytes = Vec::new();
    stream.take(most as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > most {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("larger than {most} bytes")));
    }
    String::from_utf8(bytes).map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "not text in UTF-8"))
}

/// Whether this is standard input.
pub(crate) fn is_stdin(file: &Path) -> bool {
    file.as_os_str() == "-"
}

/// As it was named.
pub(crate) fn name(file: &Path) -> String {
    file.display().to_string()
}

fn open_error(error: io::Error) -> AudioError {
    match error.kind() {
        io::ErrorKind::NotFound => AudioError::NotFound,
        io::ErrorKind::IsADirectory => AudioError::Directory,
        _ => AudioError::Io(error),
    }
}

/// Refuses what no command can do with its recordings: reading standard input twice.
pub(crate) fn check(files: &[PathBuf]) -> Result<(), Fault> {
    let stdin = files.iter().filter(|file| is_stdin(file)).count();
    if stdin > 1 { Err(Fault::line("standard input twice: -: name it once")) } else { Ok(()) }
}

/// Refuses outputs that would overwrite an input or each other. Inputs by what they are, outputs by their options.
pub(crate) fn distinct(inputs: &[(&str, &Path)], outputs: &[(&str, &Path)]) -> Result<(), Fault> {
    let mut taken: HashMap<PathBuf, String> = inputs.iter().map(|&(what, path)| (place(path), what.to_owned())).collect();
    for &(option, path) in outputs {
        // What is written as a whole is a part first.
        for path in [path, &part(path)] {
            if let Some(other) = taken.insert(place(path), format!("what {option} writes")) {
                return Err(Fault::new(format!("{option} would overwrite {other}"), path.display(), "name another file"));
            }
        }
    }
    Ok(())
}

/// Where a path leads, whether or not anything is there yet.
fn place(path: &Path) -> PathBuf {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let known = path.ancestors().find_map(|known| Some((known.canonicalize().ok()?, path.strip_prefix(known).ok()?)));
    // Nothing joined would still add a slash.
    known.map_or(path.clone(), |(known, rest)| known.join(rest).components().collect())
}

/// A file in `folder` for each recording's result, the folder made if it is missing.
pub(crate) fn outputs(files: &[PathBuf], folder: &Path, extension: &str) -> Result<Vec<PathBuf>, Fault> {
    let outputs = output_paths(files, folder, extension)?;
    fs::create_dir_all(folder)
        .map_err(|error| Fault::new(format!("cannot create: {error}"), folder.display(), "give a writable folder"))?;
    Ok(outputs)
}

/// The file in `folder` of each recording's result.
pub(crate) fn output_paths(files: &[PathBuf], folder: &Path, extension: &str) -> Result<Vec<PathBuf>, Fault> {
    let mut seen: HashMap<PathBuf, &Path> = HashMap::new();
    let mut outputs = Vec::new();
    for file in files {
        let output = folder.join(output_name(file, extension));
        if let Some(other) = seen.insert(output.clone(), file) {
            let what = format!("{} and {} would both be written", other.display(), file.display());
            return Err(Fault::new(what, output.display(), "take them one after the other into two folders"));
        }
        outputs.push(output);
    }
    Ok(outputs)
}

/// Endings of recordings other than [`ENDINGS`]: raw samples, and what is refused by name. Whatever else stands after a point belongs to the name.
const OTHERS: [&str; 10] = ["raw", "pcm", "s16", "ul", "al", "spx", "3gp", "amr", "awb", "wma"];

/// Most bytes of a name in the file systems of Linux.
const MOST_NAME: usize = 255;

/// What a recording's result is called.
fn output_name(file: &Path, extension: &str) -> OsString {
    let name = if is_stdin(file) { OsStr::new("stdin") } else { file.file_name().unwrap_or(file.as_os_str()) };
    let known = file.extension().is_some_and(|ending| ENDINGS.iter().chain(&OTHERS).any(|known| ending.eq_ignore_ascii_case(known)));
    let stem = if known { file.file_stem().unwrap_or(name) } else { name };
    let most = MOST_NAME - PART.len() - 1 - extension.len();
    let mut output = if stem.len() > most { shortened(stem, most) } else { stem.to_owned() };
    output.push(".");
    output.push(extension);
    output
}

/// The beginning of a name and a digest of the whole, so that names stay different.
fn shortened(name: &OsStr, most: usize) -> OsString {
    let digest: String = Sha256::digest(name.as_encoded_bytes()).iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    let name = name.to_string_lossy();
    let end = name.floor_char_boundary(most - 1 - digest.len());
    format!("{}~{digest}", &name[..end]).into()
}

/// What the name of a file ends with until it is whole.
const PART: &str = ".part";

/// Where a file is written until it is whole.
fn part(output: &Path) -> PathBuf {
    let mut part = output.as_os_str().to_owned();
    part.push(PART);
    part.into()
}

/// Writes a file that is there as a whole or not at all.
pub(crate) fn whole_file<T>(output: &Path, write: impl FnOnce(&mut dyn Write) -> Result<T>) -> Result<T> {
    let part = part(output);
    let cannot = |verb: &str, path: &Path| format!("cannot {verb} {}", path.display());
    let mut out = BufWriter::new(File::create(&part).with_context(|| cannot("create", &part))?);
    let written = write(&mut out).and_then(|value| {
        out.flush().with_context(|| cannot("write", &part))?;
        fs::rename(&part, output).with_context(|| cannot("write", output))?;
        Ok(value)
    });
    if written.is_err() {
        let _ = fs::remove_file(&part);
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_endings_that_are_known_go() {
        for (file, expected) in [
            ("talks/interview.m4a", "interview.srt"),
            ("LOUD.WAV", "LOUD.srt"),
            ("2024.01.02 talk", "2024.01.02 talk.srt"),
            ("2024.01.02 talk.mp3", "2024.01.02 talk.srt"),
            ("v1.2", "v1.2.srt"),
            (".wav", ".wav.srt"),
            ("-", "stdin.srt"),
        ] {
            assert_eq!(output_name(Path::new(file), "srt"), expected, "{file}");
        }
    }

    #[test]
    fn long_names_are_cut_between_characters_and_stay_different() {
        let part = |name: &str| output_name(Path::new(name), "jsonl").len() + PART.len();
        for length in 230..=251 {
            let name = format!("{}.wav", "n".repeat(length));
            let output = output_name(Path::new(&name), "jsonl");
            assert!(part(&name) <= MOST_NAME && output.len() <= length + 6, "{length}");
            assert_eq!(output == format!("{}.jsonl", "n".repeat(length)).as_str(), length <= 244, "{length}");
        }
        let long = "ü".repeat(124);
        let names = ["a.wav", "b.wav", "c"].map(|end| output_name(Path::new(&format!("{long}{end}")), "txt"));
        assert!(
            names.iter().all(|name| name.len() <= 250 && name.to_str().is_some_and(|name| name.starts_with("üü") && name.contains('~')))
        );
        assert!(names[0] != names[1] && names[1] != names[2], "{names:?}");
    }
}
