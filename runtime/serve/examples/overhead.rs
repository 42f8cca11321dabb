//! What serving costs: the time from `audio-stop` to the transcript beside the same transcription without a service, in turn.
//!
//! `cargo run --release -p ossicle-serve --example overhead -- samples/kitchen.wav [ROUNDS]`

#![forbid(unsafe_code)]

use std::error::Error;
use std::io::{BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use ossicle::audio::AudioReader;
use ossicle::source::SampleSource;
use ossicle::whisper::error::TranscribeError;
use ossicle::whisper::options::TranscribeOptions;
use ossicle::whisper::transcriber::{Options, Transcriber};
use ossicle::whisper::transcript::{Summary, Told};
use ossicle_serve::wyoming::event::Event;
use ossicle_serve::{Limits, Model, ModelCard, Server};
use serde_json::json;

/// A model whose use is timed.
struct Timed {
    model: Transcriber,
    seconds: Arc<Mutex<f64>>,
}

impl Model for Timed {
    fn transcribe(
        &mut self,
        source: &mut dyn SampleSource,
        options: &TranscribeOptions,
        tell: &mut dyn FnMut(Told),
    ) -> Result<Summary, TranscribeError> {
        let clock = Instant::now();
        let summary = self.model.transcribe_with(source, options, None, tell);
        if let Ok(mut seconds) = self.seconds.lock() {
            *seconds = clock.elapsed().as_secs_f64();
        }
        summary
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().ok_or("give a wav file of 16-bit mono samples at 16 kHz")?;
    let rounds: usize = arguments.next().map_or(Ok(50), |rounds| rounds.parse())?;
    let wav = std::fs::read(&path)?;
    let samples = wav.get(44..).ok_or("no samples")?.to_vec();

    let mut model = Transcriber::open("whisper-tiny.en", Options::default())?;
    let mut server = Server::new(ModelCard::of(&mut model), Limits::default());
    let place = server.wyoming(&"tcp://127.0.0.1:0".parse()?)?.to_string();
    let (stop, inside) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(0.0)));
    let client = {
        let (stop, inside) = (Arc::clone(&stop), Arc::clone(&inside));
        std::thread::spawn(move || {
            let result = measure(&place, &samples, rounds, &inside).map_err(|error| error.to_string());
            stop.store(true, Ordering::Relaxed);
            result
        })
    };
    let mut timed = Timed { model, seconds: inside };
    server.run(std::slice::from_mut(&mut timed), &stop, &mut || {})?;
    let mut rows = client.join().map_err(|_| "the client ended early")??;

    let alone = (0..rounds).map(|_| {
        let clock = Instant::now();
        let mut reader = AudioReader::open(&path)?;
        timed.model.transcribe_source(&mut reader, &TranscribeOptions::default(), &mut |_| {})?;
        Ok(clock.elapsed().as_secs_f64())
    });
    let mut alone = alone.collect::<Result<Vec<f64>, Box<dyn Error>>>()?;
    alone.sort_by(f64::total_cmp);
    let mut around: Vec<f64> = rows.iter().map(|(whole, inside)| whole - inside).collect();
    around.sort_by(f64::total_cmp);
    rows.sort_by(|a, b| a.0.total_cmp(&b.0));
    let ms = |seconds: f64| seconds * 1e3;
    println!("                                        least   median of {rounds}, ms");
    println!("audio-stop to transcript             {:8.2} {:8.2}", ms(rows[0].0), ms(rows[rounds / 2].0));
    println!("of that outside the model            {:8.2} {:8.2}", ms(around[0]), ms(around[rounds / 2]));
    println!("the file in this process, no service {:8.2} {:8.2}", ms(alone[0]), ms(alone[rounds / 2]));
    Ok(())
}

/// Seconds from stop to transcript, and those of them inside the model, for each round.
fn measure(place: &str, samples: &[u8], rounds: usize, inside: &Mutex<f64>) -> Result<Vec<(f64, f64)>, Box<dyn Error>> {
    let mut stream = TcpStream::connect(place.trim_start_matches("tcp://"))?;
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut rows = Vec::new();
    for _ in 0..rounds {
        for chunk in samples.chunks(2048) {
            let mut event = Event::new("audio-chunk", json!({"rate": 16_000, "width": 2, "channels": 1}));
            event.payload = chunk.to_vec();
            stream.write_all(&event.to_bytes())?;
        }
        // All of it is there before the clock starts, as it is when somebody speaks into a microphone.
        Event::new("ping", json!({})).write(&mut stream)?;
        next(&mut reader)?;
        let clock = Instant::now();
        Event::new("audio-stop", json!({})).write(&mut stream)?;
        next(&mut reader)?;
        let whole = clock.elapsed().as_secs_f64();
        rows.push((whole, inside.lock().map_or(f64::NAN, |seconds| *seconds)));
    }
    Ok(rows)
}

fn next(reader: &mut BufReader<impl Read>) -> Result<Event, Box<dyn Error>> {
    Ok(Event::read(reader)?.ok_or("the service left")?)
}
