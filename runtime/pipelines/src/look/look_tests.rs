use super::*;
use crate::label::{Labeller, Options};

/// The bundled classifier, with the cat among the samples.
fn viewer(settings: &str, gate: Option<MotionGate>) -> (Viewer, Image) {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let labeller = Labeller::open(&root.join("models-int8/efficientnet-lite0"), Options::default()).expect("a model that is bundled");
    let settings = Settings::parse(settings, "test.toml".as_ref()).expect("settings");
    let cat = Image::read(&root.join("samples/cat.jpg")).expect("the sample");
    (Viewer::new(labeller, &settings, &[], gate).expect("known classes"), cat)
}

/// Each line that is told: what, the class, and times.
fn told(viewer: &mut Viewer, frames: &[(&Image, f64)]) -> Vec<String> {
    let mut lines = vec![];
    let mut sink = |heard: Heard<'_>| match heard {
        Heard::Start(on) => lines.push(format!("start {} {:.1}", on.class, on.start)),
        Heard::Repeat(on) => lines.push(format!("repeat {} {:.1}", on.class, on.at)),
        Heard::Event(event) => lines.push(format!("end {} {:.1} {:.1}", event.class, event.start, event.end)),
        _ => {}
    };
    for &(image, at) in frames {
        viewer.see(image, at, &mut sink).expect("computed");
    }
    viewer.finish(&mut sink);
    lines
}

const CATS: &str = "[classes.cat]\nlabels = [\"tabby\", \"Egyptian cat\", \"tiger cat\"]\nthreshold = 0.2\n";

#[test]
fn an_event_lasts_until_the_first_frame_without_it() {
    let (mut viewer, cat) = viewer(CATS, None);
    let grey = Image::new(64, vec![90; 64 * 64 * 3]).unwrap();
    // Two seconds lie between frames: more than what is merged.
    let frames = [(&grey, 0.0), (&cat, 2.0), (&cat, 4.0), (&cat, 6.0), (&grey, 8.0), (&grey, 10.0), (&cat, 12.0)];
    assert_eq!(told(&mut viewer, &frames), ["start cat 2.0", "end cat 2.0 8.0", "start cat 12.0", "end cat 12.0 12.0"]);
    assert_eq!(viewer.counts(), Counts { computed: 7, still: 0 });
    // The next stream begins anew.
    assert_eq!(told(&mut viewer, &[(&cat, 1.0), (&grey, 2.0)]), ["start cat 1.0", "end cat 1.0 2.0"]);
}

#[test]
fn a_still_scene_is_computed_once_and_goes_on() {
    let (mut viewer, cat) = viewer(&format!("{CATS}repeat_seconds = 3.0\n"), Some(MotionGate::default()));
    let frames: Vec<(&Image, f64)> = (0..8).map(|second| (&cat, f64::from(second))).collect();
    assert_eq!(told(&mut viewer, &frames), ["start cat 0.0", "repeat cat 3.0", "repeat cat 6.0", "end cat 0.0 7.0"]);
    assert_eq!(viewer.counts(), Counts { computed: 1, still: 7 });
}

#[test]
fn what_lasts_too_short_is_not_told() {
    let (mut viewer, cat) = viewer(&format!("{CATS}min_seconds = 1.5\ncooldown_seconds = 5\n"), None);
    let grey = Image::new(64, vec![90; 64 * 64 * 3]).unwrap();
    let frames = [(&cat, 0.0), (&grey, 1.0), (&cat, 2.0), (&cat, 4.0), (&grey, 5.0), (&cat, 6.0), (&grey, 20.0)];
    assert_eq!(told(&mut viewer, &frames), ["start cat 2.0", "end cat 2.0 5.0"]);
}
