//! Listening to new recordings, and looking at new pictures.

use std::fs;
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Result;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use ossicle::audio::AudioReader;
use ossicle::embed::{EmbedError, ImageEncoder};
use ossicle::find::{ByteVector, Index, Kind, Row, SoundRows, Taken, Update};
use ossicle::label::{Image, LabelError};
use ossicle_kernels::simd::Isa;

use super::{Task, index_fault};
use crate::{fault, input, interrupt};

/// How often what was heard and seen is saved, at most; a save takes no more than a twentieth of the time.
const SAVE_EVERY: Duration = Duration::from_secs(5);

/// What was made of a file and what is wrong with it, or why it cannot be read.
type Outcome<T> = Result<(T, Vec<String>), String>;

impl Task<'_> {
    /// Takes all new files in; saves now and then.
    pub(super) fn take(&mut self, update: &mut Update, index: &mut Index) -> Result<ExitCode> {
        let files = update.new_files().to_vec();
        if files.is_empty() {
            return Ok(ExitCode::SUCCESS);
        }
        let mut sounds = self.listener(&files)?;
        let bytes = |path: &Path| fs::metadata(path).map_or(0, |metadata| metadata.len());
        let bar = bar(files.iter().map(|(path, _)| bytes(path)).sum());
        let (mut status, mut saved, mut wait) = (ExitCode::SUCCESS, Instant::now(), SAVE_EVERY);
        for file in &files {
            if interrupt::came() {
                status = interrupt::status();
                break;
            }
            let (path, kind) = file;
            let name = self.shown(path);
            bar.set_message(name.clone());
            let outcome = match (kind, &mut sounds, &mut self.pictures) {
                (Kind::Sound, Some(sounds), _) => self.hear(sounds, path)?.map(|(rows, warnings)| (Taken::Sound(rows), warnings)),
                (Kind::Picture, _, Some(pictures)) => {
                    see(pictures.encoder()?, path)?.map(|(vector, warnings)| (Taken::Picture(vector), warnings))
                }
                // The plan is of kinds that have a model.
                _ => continue,
            };
            if interrupt::came() {
                status = interrupt::status();
                break;
            }
            let taken = outcome.map(|(taken, warnings)| {
                if !warnings.is_empty() {
                    status = ExitCode::FAILURE;
                    bar.suspend(|| warnings.iter().for_each(|warning| fault::complain(&format!("{name}: {warning}"))));
                }
                taken
            });
            if let Err(problem) = &taken {
                status = ExitCode::FAILURE;
                bar.suspend(|| fault::complain(&format!("{name}: {problem}: tried again next time")));
            }
            update.take(index, file, taken);
            bar.inc(bytes(path));
            if saved.elapsed() > wait {
                let start = Instant::now();
                update.apply(index);
                index.save(&self.file).map_err(index_fault)?;
                wait = SAVE_EVERY.max(20 * start.elapsed());
                saved = Instant::now();
            }
        }
        bar.finish_and_clear();
        Ok(status)
    }

    /// What listens, if there is something to be heard.
    fn listener(&self, files: &[(PathBuf, Kind)]) -> Result<Option<SoundRows>> {
        let Some(sounds) = self.sounds.as_ref().filter(|_| files.iter().any(|(_, kind)| *kind == Kind::Sound)) else { return Ok(None) };
        let (isa, threads) = (self.args.machine.isa(), self.args.machine.threads());
        let opened = SoundRows::open(&sounds.folder, &sounds.encoder, isa, threads);
        Ok(Some(opened.map_err(|error| fault::events(&sounds.folder, error))?.0))
    }

    fn hear(&self, sounds: &mut SoundRows, path: &Path) -> Result<Outcome<Vec<Row>>> {
        let folder = self.sounds.as_ref().map_or(path, |sounds| &sounds.folder);
        rows(sounds, path, self.args.machine.isa()).map_err(|error| fault::events(folder, error))
    }
}

fn rows(sounds: &mut SoundRows, path: &Path, isa: Isa) -> Result<Outcome<Vec<Row>>, ossicle::events::EventsError> {
    let mut reader = match AudioReader::open_with(path, isa) {
        Ok(reader) => reader,
        Err(error) => return Ok(Err(error.to_string())),
    };
    let mut block = vec![0.0; 16_000];
    loop {
        match reader.read(&mut block) {
            Ok(0) => break,
            Ok(read) => sounds.push(&block[..read])?,
            Err(error) => {
                sounds.finish()?;
                return Ok(Err(error.to_string()));
            }
        }
        if interrupt::came() {
            break;
        }
    }
    Ok(Ok((sounds.finish()?, input::warnings(&reader.damage()))))
}

fn see(encoder: &mut ImageEncoder, path: &Path) -> Result<Outcome<ByteVector>> {
    let image = match Image::read(path) {
        Ok(image) => image,
        Err(LabelError::Image { problem, .. }) => return Ok(Err(problem)),
        Err(LabelError::Read { source, .. }) => return Ok(Err(source.to_string())),
        Err(other) => return Err(fault::label(path, other)),
    };
    match encoder.encode(&image) {
        Ok(vector) => Ok(Ok((ByteVector::new(vector), vec![]))),
        Err(EmbedError::NotFinite { .. }) => Ok(Err("its vector is not finite".into())),
        Err(other) => Err(fault::embed(path, other)),
    }
}

/// Bytes taken in and time left, on a terminal.
fn bar(bytes: u64) -> ProgressBar {
    let target = if io::stderr().is_terminal() { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
    let bar = ProgressBar::with_draw_target(Some(bytes), target);
    let style = ProgressStyle::with_template("{wide_bar} {bytes}/{total_bytes}, {eta} left  {msg}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar
}
