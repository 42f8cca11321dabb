//! Transcribes recordings to JSON, one object each: `transcribe MODEL [--full] [--words] [--unrefined] [--raw] FILE...`
//!
//! `--full` always encodes 30 s, `--words` adds word times, `--unrefined` leaves them as attention has them,
//! `--raw` takes the first greedy text without judging it.

use std::error::Error;
use std::io;

use ossicle::audio::AudioReader;
use ossicle::formats::{Format, Header};
use ossicle::whisper::options::{Quality, TranscribeOptions};
use ossicle::whisper::transcriber::{Options, Transcriber};
use ossicle::whisper::window::Window;

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let model = args.next().ok_or("usage: transcribe MODEL [--full] [--words] [--unrefined] [--raw] FILE...")?;
    let how = Options::default();
    let mut transcriber = Transcriber::open(&model, how)?;
    let mut options = TranscribeOptions { digests: true, ..TranscribeOptions::default() };
    let mut out = io::stdout().lock();
    for arg in args {
        match arg.as_str() {
            "--full" => options.window = Window::Full,
            "--words" => options.word_timestamps = true,
            "--unrefined" => options.refine_words = false,
            "--raw" => options.quality = Quality::off(),
            file => {
                let mut source = AudioReader::open_with(file, how.isa)?;
                let mut writer = Format::Json.writer();
                let task = options.task.name().to_owned();
                writer.begin(&mut out, &Header { file: file.to_owned(), model: transcriber.name().to_owned(), task })?;
                let mut written = Ok(());
                let summary = transcriber.transcribe_source(&mut source, &options, &mut |segment| {
                    if written.is_ok() {
                        written = writer.segment(&mut out, &segment);
                    }
                })?;
                written?;
                writer.end(&mut out, &summary)?;
                eprintln!("{:?}", summary.stats);
            }
        }
    }
    Ok(())
}
