//! A class of one's own, from recordings to events.

use std::f32::consts::TAU;
use std::fs;
use std::path::{Path, PathBuf};

use ossicle::audio::AudioReader;
use ossicle::events::{Detector, Event, Heard, Options, Settings};
use ossicle_kernels::simd::Isa;
use ossicle_models::folder;
use ossicle_quantize::events::{Progress, THRESHOLD, Task, table, train, write};

const RATE: f32 = 16_000.0;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Two bell tones, the second lower: no two visitors ring alike.
fn chime(pitch: f32, pause: f32) -> Vec<f32> {
    let tone = |t: f32, hertz: f32| {
        let partial = |n: f32, level: f32| level * (TAU * hertz * n * t).sin() * (-t * (2.0 + n)).exp();
        if t < 0.0 { 0.0 } else { partial(1.0, 0.5) + partial(2.76, 0.25) + partial(5.4, 0.1) }
    };
    let second = 0.45 + pause;
    (0..(1.5 * RATE) as usize).map(|n| n as f32 / RATE).map(|t| 0.4 * (tone(t, pitch) + tone(t - second, pitch * 0.8))).collect()
}

fn wav(path: &Path, samples: &[f32]) {
    let spec = hound::WavSpec { channels: 1, sample_rate: RATE as u32, bits_per_sample: 16, sample_format: hound::SampleFormat::Int };
    let mut writer = hound::WavWriter::create(path, spec).unwrap();
    samples.iter().for_each(|x| writer.write_sample((x * 32767.0) as i16).unwrap());
    writer.finalize().unwrap();
}

fn speech() -> Vec<f32> {
    AudioReader::open(root().join("samples/kitchen.wav")).unwrap().read_to_end().unwrap()
}

fn events(detector: &mut Detector, samples: &[f32]) -> Vec<Event> {
    let mut events = vec![];
    let mut sink = |heard: Heard<'_>| {
        if let Heard::Event(event) = heard {
            events.push(event);
        }
    };
    detector.push(samples, &mut sink).unwrap();
    detector.finish(&mut sink).unwrap();
    events
}

#[test]
fn a_class_is_learned_and_heard() {
    let work = tempfile::tempdir().unwrap();
    let (clips, home) = (work.path().join("clips"), work.path().join("home"));
    [&clips, &home].iter().for_each(|folder| fs::create_dir(folder).unwrap());
    for i in 0..4u8 {
        wav(&clips.join(format!("{i}.wav")), &chime(600.0 + 40.0 * f32::from(i), 0.05 * f32::from(i)));
    }
    fs::copy(root().join("samples/lights.wav"), home.join("lights.wav")).unwrap();
    let task = Task { model: root().join("models-int8/yamnet"), classes: vec![("doorbell".into(), clips)], background: vec![home] };
    let classes = train(&task, &mut |_| {}).unwrap();
    let quality = &classes[0].quality;
    assert_eq!((quality.clips, quality.heard, quality.background_alarms, quality.folds), (4, 4, 0, 4), "{quality:?}");
    assert!(table(&classes).contains("| doorbell | 4 | 4 (100.0 %) | 100.0 % | 0.0 (0 in 0.00 h) |"), "{}", table(&classes));
    let added = work.path().join("my-sounds");
    write(&task, &classes, &added, false).unwrap();
    folder::verify(&added).unwrap();
    assert!(write(&task, &classes, &added, false).unwrap_err().to_string().contains("already exists"));

    // A bell that was not among the recordings, between two sentences.
    let mut scene = speech();
    let from = scene.len() + 16_000;
    scene.resize(from, 0.0);
    scene.extend(chime(675.0, 0.12));
    scene.resize(scene.len() + 16_000, 0.0);
    let to = scene.len() as f64 / 16_000.0;
    scene.extend(speech());
    let open = |isa, model: &Path| {
        let options =
            Options { isa, add_classes: vec![added.clone()], classes: vec!["doorbell".into()], digests: true, ..Options::default() };
        Detector::open(model, &Settings::default(), options)
    };
    let mut wanted = None;
    for isa in Isa::available() {
        let mut detector = open(isa, &task.model).unwrap();
        assert_eq!((detector.labels().len(), detector.labels()[521].as_str()), (522, "doorbell"));
        assert_eq!(detector.classes().next().unwrap().rules.threshold, THRESHOLD);
        let heard = (events(&mut detector, &scene), detector.take_digests());
        let [event] = &heard.0[..] else { panic!("{:?}", heard.0) };
        assert!((event.start - from as f64 / 16_000.0).abs() < 0.6 && event.end < to + 0.3, "{event:?}");
        assert_eq!(*wanted.get_or_insert_with(|| heard.clone()), heard, "{isa}");
    }

    // Beside the sounds of a model with a head on the same network, and beside another set that was learned.
    let (mut renamed, more) = (classes.clone(), work.path().join("more-sounds"));
    renamed[0].name = "ping".into();
    write(&task, &renamed, &more, false).unwrap();
    let ten = root().join("models-int8/sound-events");
    let settings = Settings::of_model(&ten).unwrap();
    let mut together = None;
    for isa in Isa::available() {
        let options = Options { isa, add_classes: vec![added.clone(), more.clone()], digests: true, ..Options::default() };
        let mut detector = Detector::open(&ten, &settings, options).unwrap();
        assert_eq!((detector.labels().len(), detector.classes().count()), (13 + 2, 10 + 2));
        let heard = (events(&mut detector, &scene), detector.take_digests());
        let mut alone = Detector::open(&ten, &settings, Options::default()).unwrap();
        let (own, ten): (Vec<Event>, Vec<Event>) =
            heard.0.iter().cloned().partition(|event| ["doorbell", "ping"].contains(&event.class.as_str()));
        assert_eq!(ten, events(&mut alone, &scene), "what is added changes nothing else");
        let [doorbell, ping] = &own[..] else { panic!("{own:?}") };
        assert_eq!((doorbell.start, doorbell.end, doorbell.peak), (ping.start, ping.end, ping.peak));
        // Its patches begin elsewhere than those of yamnet, so by less than two hops.
        let by_yamnet = &wanted.as_ref().unwrap().0[0];
        assert!((doorbell.start - by_yamnet.start).abs() < 0.5 && (doorbell.end - by_yamnet.end).abs() < 0.5, "{doorbell:?}");
        assert_eq!(*together.get_or_insert_with(|| heard.clone()), heard, "{isa}");
    }

    // Not on another network.
    let other = work.path().join("other");
    fs::create_dir(&other).unwrap();
    for name in ["config.json", "labels.txt", "model.safetensors"] {
        fs::copy(task.model.join(name), other.join(name)).unwrap();
    }
    let mut weights = fs::read(other.join("model.safetensors")).unwrap();
    // In front of the embedding: a layer's weights.
    let data = 8 + u64::from_le_bytes(*weights.first_chunk().unwrap()) as usize;
    let header: serde_json::Value = serde_json::from_slice(&weights[8..data]).unwrap();
    weights[data + header["stem.weight"]["data_offsets"][0].as_u64().unwrap() as usize] ^= 1;
    fs::write(other.join("model.safetensors"), weights).unwrap();
    let Err(error) = open(Isa::detect(), &other) else { panic!("other weights") };
    assert!(error.to_string().contains("my-sounds: was learned on other weights"), "{error}");
    let twice = Options { add_classes: vec![added.clone(), added.clone()], ..Options::default() };
    let Err(error) = Detector::open(&task.model, &Settings::default(), twice) else { panic!("twice") };
    assert!(error.to_string().contains("has a label \"doorbell\", and so has another model"), "{error}");
}

#[test]
fn what_cannot_be_learned_from_is_named() {
    let work = tempfile::tempdir().unwrap();
    let refused = |classes: &[(&str, &Path)]| {
        let classes = classes.iter().map(|(name, path)| ((*name).to_owned(), path.to_path_buf())).collect();
        train(&Task { model: root().join("models-int8/yamnet"), classes, background: vec![] }, &mut |_| {}).unwrap_err().to_string()
    };
    let clips = work.path().join("clips");
    fs::create_dir(&clips).unwrap();
    assert!(refused(&[("bell", &clips)]).contains("no recording here"));
    wav(&clips.join("a.wav"), &chime(600.0, 0.0));
    wav(&clips.join("b.wav"), &chime(620.0, 0.0));
    assert!(refused(&[("bell", &clips)]).contains("class \"bell\": 2 recordings: give at least 3"));
    wav(&clips.join("c.wav"), &[0.0; 16_000]);
    assert!(refused(&[("bell", &clips)]).contains("c.wav: nothing is heard in it"));
    assert!(refused(&[("bell", &clips), ("bell", &clips)]).contains("named twice"));
    assert!(refused(&[("", &clips)]).contains("a name needs"));
    assert!(refused(&[("Dog", &clips)]).contains("class \"Dog\": a label of the model has that name"));
    let many: Vec<String> = (0..257).map(|i| format!("bell {i}")).collect();
    let many: Vec<(&str, &Path)> = many.iter().map(|name| (name.as_str(), clips.as_path())).collect();
    assert!(refused(&many).contains("class \"bell 256\": a folder holds 256 classes"));
    wav(&clips.join("c.wav"), &[0.5; 100]);
    assert!(refused(&[("bell", &clips)]).contains("c.wav: less than 10 ms are heard in it"));
    let task = Task { model: root().join("models-int8/sound-events"), classes: vec![("bell".into(), clips)], background: vec![] };
    assert!(train(&task, &mut |_| {}).unwrap_err().to_string().contains("sound-events: has a head"));
}

#[test]
fn a_recording_is_not_its_own_background() {
    let work = tempfile::tempdir().unwrap();
    let (clips, home) = (work.path().join("clips"), work.path().join("home"));
    [&clips, &home].iter().for_each(|folder| fs::create_dir(folder).unwrap());
    for i in 0..3u8 {
        wav(&clips.join(format!("{i}.wav")), &chime(600.0 + 40.0 * f32::from(i), 0.0));
    }
    // As long as one of them, and another sound: that is no reason.
    wav(&home.join("a.wav"), &chime(300.0, 0.0));
    fs::copy(clips.join("1.wav"), home.join("b.wav")).unwrap();
    let task = Task { model: root().join("models-int8/yamnet"), classes: vec![("bell".into(), clips)], background: vec![home] };
    let line = train(&task, &mut |_| {}).unwrap_err().to_string();
    assert!(
        line.contains("home/b.wav: background that is also a recording of a class, ") && line.contains("clips/1.wav: give it"),
        "{line}"
    );
}

#[test]
fn without_a_background_our_own_sounds_are_held_against_a_class() {
    let work = tempfile::tempdir().unwrap();
    for (i, hertz) in [900.0, 1000.0, 1100.0, 1200.0].into_iter().enumerate() {
        let beep: Vec<f32> = (0..16_000).map(|n| 0.3 * (TAU * hertz * n as f32 / RATE).sin()).collect();
        wav(&work.path().join(format!("{i}.wav")), &if i == 3 { beep.repeat(40) } else { beep });
    }
    let task =
        Task { model: root().join("models-int8/yamnet"), classes: vec![("beep".into(), work.path().to_owned())], background: vec![] };
    let mut left_out = vec![];
    let mut told = |progress: Progress<'_>| {
        if let Progress::LeftOut(what) = progress {
            left_out.push(what.to_owned());
        }
    };
    let classes = train(&task, &mut told).unwrap();
    assert!(matches!(&left_out[..], [line] if line.ends_with("3.wav: only its first 30 s are used")), "{left_out:?}");
    let added = work.path().join("beeps");
    write(&task, &classes, &added, false).unwrap();
    let options = Options { add_classes: vec![added], classes: vec!["beep".into()], ..Options::default() };
    let mut detector = Detector::open(&task.model, &Settings::default(), options).unwrap();
    assert_eq!(events(&mut detector, &speech()), []);
}
