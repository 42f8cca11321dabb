//! Pictures and pages of a made-up recording: what is where in them.

use html5gum::{DefaultEmitter, Token, Tokenizer};
use ossicle::audio::AudioReader;
use ossicle::events::{ClassOutputs, Event, Heard, Rules, Scores};
use ossicle_kernels::simd::Isa;
use ossicle_plot::{Clip, Figure, MOST_LANES, MOST_SECONDS, Sketch, write_page};
use tiny_skia::Pixmap;

const RATE: usize = 16_000;

/// A label that breaks whatever does not escape it.
const NASTY: &str = "</script><b title='x\" y'>&amp; Tom";

/// Four seconds: silence, a tone of 1 kHz from 1 s to 2 s, silence.
fn samples() -> Vec<f32> {
    (0..4 * RATE)
        .map(|n| match n / RATE {
            1 => (n as f32 * std::f32::consts::TAU * 1000.0 / RATE as f32).sin() * 0.5,
            _ => 0.0,
        })
        .collect()
}

fn event(class: &str, start: f64, end: f64) -> Event {
    Event { class: class.into(), start, end, peak: 0.9, mean: 0.5 }
}

/// The figure of [`samples`], the first class heard for a second, the second for a moment.
fn figure(name: &str) -> Figure {
    let mut sketch = Sketch::new(Isa::detect(), 2);
    for block in samples().chunks(1000) {
        sketch.samples(block);
    }
    for hop in 0..14 {
        let (start, end) = (f64::from(hop) * 0.24 + 0.3675, f64::from(hop + 1) * 0.24 + 0.3675);
        let scores = [if (3..8).contains(&hop) { 0.9 } else { 0.1 }, 0.4];
        sketch.heard(&Heard::Scores(Scores { start, end, scores: &scores, embedding: &[] }));
    }
    sketch.heard(&Heard::Event(event(NASTY, 3.0, 3.1)));
    sketch.heard(&Heard::Event(event("Tone", 1.0, 2.0)));
    let rules = Rules::default();
    let classes =
        [("Tone", &[0][..]), (NASTY, &[1])].map(|(name, outputs)| ClassOutputs { name, outputs, rules, near: None, unless: None });
    sketch.finish(name, classes.into_iter())
}

fn decode(png: &[u8]) -> Pixmap {
    Pixmap::decode_png(png).expect("a PNG")
}

fn rgb(picture: &Pixmap, x: u32, y: u32) -> [u8; 3] {
    let pixel = picture.pixel(x, y).expect("inside");
    [pixel.red(), pixel.green(), pixel.blue()]
}

fn luminance([r, g, b]: [u8; 3]) -> u32 {
    (2 * u32::from(r) + 5 * u32::from(g) + u32::from(b)) / 8
}

// The picture's layout: the plot from x 176 to 1208, the spectrogram from y 44 to 364, lanes of 44 from y 376.
const LEFT: f64 = 176.0;
const INNER: f64 = 1032.0;

fn at(seconds: f64) -> u32 {
    (LEFT + seconds / 4.0 * INNER) as u32
}

#[test]
fn the_picture_shows_sound_and_events_where_they_are() {
    let figure = figure("tone.wav");
    assert_eq!(figure.lanes.iter().map(|lane| lane.class.as_str()).collect::<Vec<_>>(), ["Tone", NASTY]);
    let picture = decode(&figure.png());
    assert_eq!((picture.width(), picture.height()), (1280, 44 + 320 + 12 + 2 * 44 + 40));

    // The tone's row is bright while it sounds: 1 kHz lies at 31 % of the bands, and so at y 264; a band is 5 pixels high.
    let brightest = |seconds: f64| (80..360).max_by_key(|&y| luminance(rgb(&picture, at(seconds), y))).unwrap();
    let row = brightest(1.5);
    assert!((259..270).contains(&row), "1 kHz at {row}");
    assert!(luminance(rgb(&picture, at(1.5), row)) > 200);
    for silent in [0.5, 2.5, 3.5] {
        assert!(luminance(rgb(&picture, at(silent), row)) < 20, "{silent} s");
    }

    // A frame around the event, in the class's colour, on the spectrogram; its box in the lane.
    let color = |lane: usize| {
        let hex = u32::from_str_radix(&figure.lanes[lane].color[1..], 16).unwrap();
        [(hex >> 16) as u8, (hex >> 8) as u8, hex as u8]
    };
    let near = |a: [u8; 3], b: [u8; 3]| a.iter().zip(b).all(|(&a, b)| a.abs_diff(b) < 48);
    for edge in [1.0, 2.0] {
        assert!((at(edge) - 1..=at(edge) + 1).any(|x| near(rgb(&picture, x, 300), color(0))), "no frame at {edge} s");
    }
    assert!(!near(rgb(&picture, at(1.5), 300), color(0)));
    // The box's foot: full colour from 1 s to 2 s, the lane's grey elsewhere.
    let foot = 376 + 40 - 2;
    for (seconds, heard) in [(0.98, false), (1.02, true), (1.98, true), (2.02, false)] {
        assert_eq!(rgb(&picture, at(seconds), foot) == color(0), heard, "{seconds} s");
    }
    assert_eq!(rgb(&picture, at(3.05), foot + 44), color(1));
    // The line of scores: up at 0.9 of the lane while the tone is heard, down at 0.1 before.
    let dark = |seconds: f64, from: u32, to: u32| (from..to).any(|y| luminance(rgb(&picture, at(seconds), y)) < 110);
    assert!(dark(1.7, 381, 387) && !dark(0.6, 381, 387) && dark(0.6, 409, 414));
    // Names beside the lanes.
    let ink = |from: u32, to: u32| {
        (from..to).flat_map(|y| (20..170).map(move |x| (x, y))).filter(|&(x, y)| luminance(rgb(&picture, x, y)) < 100).count()
    };
    assert!(ink(380, 416) > 15 && ink(424, 460) > 60);
}

#[test]
fn many_events_are_in_their_lane_and_hide_nothing() {
    let with = |events: u32| {
        let mut sketch = Sketch::new(Isa::detect(), 1);
        sketch.samples(&samples());
        for n in 0..events {
            let start = f64::from(n) * 4.0 / f64::from(events);
            sketch.heard(&Heard::Event(event("Tone", start, start + 0.004)));
        }
        decode(&sketch.finish("many", std::iter::empty()).png())
    };
    let spectrogram =
        |picture: &Pixmap| (44..364).flat_map(|y| (176..1208).map(move |x| (x, y))).map(|(x, y)| rgb(picture, x, y)).collect::<Vec<_>>();
    let (none, few, many) = (with(0), with(30), with(300));
    assert_ne!(spectrogram(&few), spectrogram(&none));
    assert_eq!(spectrogram(&many), spectrogram(&none));
    // Each has its foot in the lane.
    let foot = 376 + 40 - 2;
    let blue = |x: u32| rgb(&many, x, foot) == [0x4e, 0x79, 0xa7];
    let feet = (177..1208).filter(|&x| blue(x) && !blue(x - 1)).count();
    assert!((295..=301).contains(&feet), "{feet}");
}

#[test]
fn nothing_and_little_are_shown_too() {
    for samples in [0, 1, 399] {
        let mut sketch = Sketch::new(Isa::detect(), 1);
        sketch.samples(&vec![0.0; samples]);
        let figure = sketch.finish("short", std::iter::empty());
        assert!(figure.lanes.is_empty());
        decode(&figure.png());
        write_page(&figure, None, &mut Vec::new()).unwrap();
    }
}

#[test]
fn classes_beyond_the_lanes_are_counted() {
    let mut sketch = Sketch::new(Isa::detect(), 1);
    sketch.samples(&[0.0; 16_000]);
    // Neither the longest nor the loudest have a lane, but those with the most of both.
    let mut hear = |class: String, end: f64, mean: f32| sketch.heard(&Heard::Event(Event { mean, ..event(&class, 0.0, end) }));
    for other in 0..2 {
        hear(format!("faint {other}"), 0.9, 0.1);
        hear(format!("short {other}"), 0.1, 0.9);
    }
    for class in 0..MOST_LANES {
        hear(format!("class {class}"), 0.5, 0.5);
    }
    let figure = sketch.finish("many", std::iter::empty());
    assert_eq!((figure.lanes.len(), figure.more), (MOST_LANES, 4));
    assert!(figure.lanes.iter().all(|lane| lane.class.starts_with("class ")));
    let colors: std::collections::BTreeSet<&str> = figure.lanes.iter().map(|lane| lane.color.as_str()).collect();
    assert_eq!(colors.len(), MOST_LANES);
    decode(&figure.png());
}

#[test]
fn one_score_is_a_line_and_a_long_name_stays_inside() {
    let (long, rules) = ("W".repeat(250), Rules::default());
    let mut sketch = Sketch::new(Isa::detect(), 1);
    sketch.samples(&[0.0; 1600]);
    sketch.heard(&Heard::Scores(Scores { start: 0.0, end: 0.1, scores: &[0.75], embedding: &[] }));
    sketch.heard(&Heard::Event(event(&long, 0.0, 0.1)));
    let figure = sketch.finish("short", [ClassOutputs { name: &long, outputs: &[0], rules, near: None, unless: None }].into_iter());
    assert_eq!(figure.lanes[0].curve, [(0.0, 0.75), (0.1, 0.75)]);
    let picture = decode(&figure.png());
    // The frequencies' axis is beside the name.
    assert!((46..80).all(|y| luminance(rgb(&picture, 160, y)) > 240));
}

/// An element: name, attributes, text up to the next tag.
type Element = (String, Vec<(String, String)>, String);

/// The elements of a page, after a check that it is written without any error of HTML's tokenizer and that its tags are balanced.
fn elements(page: &str) -> Vec<Element> {
    const VOID: [&str; 4] = ["meta", "img", "input", "link"];
    let (mut elements, mut open): (Vec<Element>, Vec<String>) = (vec![], vec![]);
    let utf8 = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    // What is inside scripts and styles is no HTML.
    let mut emitter = DefaultEmitter::<()>::default();
    emitter.naively_switch_states(true);
    for Ok(token) in Tokenizer::new_with_emitter(page, emitter) {
        match token {
            Token::StartTag(tag) => {
                let name = utf8(&tag.name);
                if !VOID.contains(&name.as_str()) {
                    assert!(!tag.self_closing, "{name}");
                    open.push(name.clone());
                }
                let attributes = tag.attributes.iter().map(|(key, value)| (utf8(key), utf8(&value.value))).collect();
                elements.push((name, attributes, String::new()));
            }
            Token::EndTag(tag) => assert_eq!(open.pop().as_deref(), Some(utf8(&tag.name).as_str()), "tags are not balanced"),
            Token::String(text) => {
                if let Some(last) = elements.last_mut() {
                    last.2.push_str(&utf8(&text));
                }
            }
            Token::Error(error) => panic!("{error:?}"),
            Token::Comment(_) | Token::Doctype(_) => {}
        }
    }
    assert!(open.is_empty(), "{open:?}");
    elements
}

fn attribute<'a>(element: &'a Element, name: &str) -> &'a str {
    element.1.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value)
}

#[test]
fn the_page_holds_events_and_sound_and_nothing_foreign() {
    let figure = figure(NASTY);
    let mut clip = Clip::default();
    clip.push(&samples());
    let mut page = vec![];
    write_page(&figure, Some(&clip), &mut page).unwrap();
    let page = String::from_utf8(page).unwrap();
    let elements = elements(&page);
    let all = |name: &str| elements.iter().filter(|element| element.0 == name).collect::<Vec<_>>();

    // Only our own scripts, and nothing that would be fetched.
    assert_eq!(all("script").len(), 2);
    assert!(all("b").is_empty() && all("link").is_empty());
    for element in &elements {
        for (key, value) in &element.1 {
            assert!(!["src", "href"].contains(&key.as_str()) || value.starts_with("data:"), "{key}={value:.40}");
            assert!(!key.starts_with("on"), "{key}");
        }
    }
    assert!(!page.contains("http:") && !page.contains("https:"));
    assert!(attribute(all("meta")[1], "content").starts_with("default-src 'none'"));

    // Every event with its class, on the time line and in the table.
    assert!(all("title")[0].2.starts_with(NASTY));
    let names: Vec<_> = all("span").into_iter().filter(|span| attribute(span, "class") == "name").map(|span| span.2.trim()).collect();
    assert_eq!(names, ["Tone", NASTY]);
    let events: Vec<_> = all("button").into_iter().filter(|button| attribute(button, "class") == "event").collect();
    assert_eq!((attribute(events[0], "data-start"), attribute(events[0], "data-end")), ("1.000", "2.000"));
    assert_eq!(attribute(events[0], "style"), "left:25.0000%;width:25.0000%");
    assert!(attribute(events[1], "title").starts_with(NASTY));
    let rows = all("tr").into_iter().filter(|row| !attribute(row, "data-start").is_empty()).count();
    assert_eq!((events.len(), rows, all("input").len()), (2, 2, 2));

    // The picture and the sound are whole.
    let decode64 = |text: &str| base64::Engine::decode(&base64::engine::general_purpose::STANDARD, text).unwrap();
    let picture = decode(&decode64(attribute(all("img")[0], "src").strip_prefix("data:image/png;base64,").unwrap()));
    assert_eq!(picture.width(), 1600);
    let wav = decode64(all("script")[0].2.trim());
    let heard = AudioReader::stream(std::io::Cursor::new(wav), Isa::detect()).unwrap().read_to_end().unwrap();
    assert_eq!(heard.len(), samples().len());
    assert!(heard.iter().zip(samples()).all(|(a, b)| (a - b).abs() < 1.0 / 32768.0));
}

#[test]
fn a_long_sound_is_left_out() {
    let figure = figure("long");
    let mut clip = Clip::default();
    let second = vec![0.0; RATE];
    (0..=MOST_SECONDS).for_each(|_| clip.push(&second));
    assert!(clip.is_too_long());
    let mut page = vec![];
    write_page(&figure, Some(&clip), &mut page).unwrap();
    let elements = elements(&String::from_utf8(page).unwrap());
    assert!(elements.iter().all(|element| element.0 != "audio" && attribute(element, "id") != "wav"));
    assert!(elements.iter().any(|element| element.2.contains("Without the sound")));
}

#[test]
fn an_hour_keeps_so_many_events() {
    let mut sketch = Sketch::new(Isa::detect(), 4);
    let block = vec![0.25; RATE];
    for second in 0..3600 {
        sketch.samples(&block);
        for hop in 0..4 {
            let start = f64::from(second) + f64::from(hop) * 0.25;
            sketch.heard(&Heard::Scores(Scores { start, end: start + 0.25, scores: &[0.5; 4], embedding: &[] }));
            sketch.heard(&Heard::Event(event("Tone", start, start + 0.1)));
        }
    }
    assert_eq!(sketch.left_out(), 4 * 3600 - ossicle_plot::MOST_EVENTS);
    let figure = sketch.finish("hour", std::iter::empty());
    assert_eq!((figure.seconds, figure.lanes[0].marks.len()), (3600.0, ossicle_plot::MOST_EVENTS));
}
