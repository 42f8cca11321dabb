use super::*;
use crate::formats::tests::{segment, with_words};

fn cut(layout: Layout, segments: &[Segment], duration: f64) -> Vec<Cue> {
    let mut cutter = Cutter::new(layout);
    let mut cues: Vec<Cue> = segments.iter().flat_map(|segment| cutter.segment(segment)).collect();
    cues.extend(cutter.finish(duration));
    check(&cues, layout, duration);
    cues
}

/// What holds for cues of whatever text.
#[track_caller]
fn check(cues: &[Cue], layout: Layout, duration: f64) {
    let mut shown_until = 0.0;
    for cue in cues {
        assert!(cue.start >= shown_until && cue.end >= cue.start + 0.01 && cue.end <= cue.start + 7.001, "{cue:?} after {shown_until}");
        assert!(cue.end <= duration + 0.001, "{cue:?} of {duration}");
        assert!((1..=layout.max_lines).contains(&cue.lines.len()), "{cue:?}");
        let columns = |line: &String| unicode_width::UnicodeWidthStr::width(line.as_str());
        assert!(cue.lines.iter().all(|line| (1..=layout.max_line_width).contains(&columns(line))), "{cue:?}");
        shown_until = cue.end;
    }
}

fn texts(cues: &[Cue]) -> Vec<String> {
    cues.iter().map(|cue| cue.lines.join("|")).collect()
}

/// A segment whose words take 0.4 s each from `start` on.
fn said(start: f64, text: &str) -> Segment {
    let words: Vec<_> = text.split_inclusive(' ').map(str::trim).enumerate().map(|(i, word)| (i as f64, format!(" {word}"))).collect();
    let words: Vec<_> = words.iter().map(|(i, word)| (word.as_str(), start + 0.4 * i, start + 0.4 * (i + 1.0))).collect();
    with_words(&words)
}

#[test]
fn a_long_segment_is_cut_at_its_sentences_and_clauses() {
    let segment = said(
        1.0,
        "We choose to go to the moon. We choose to go to the moon in this decade and do the other things, \
         not because they are easy, but because they are hard.",
    );
    let cues = cut(Layout::default(), &[segment], 60.0);
    let expected = [
        "We choose to go to the moon.",
        "We choose to go to the moon|in this decade and do the other things,",
        "not because they are easy,|but because they are hard.",
    ];
    assert_eq!(texts(&cues), expected);
    assert_eq!((cues[0].start, cues[1].start), (1.0, 1.0 + 0.4 * 7.0));
}

#[test]
fn what_a_segment_leaves_open_goes_on_in_the_next() {
    let mut cutter = Cutter::new(Layout::default());
    assert_eq!(cutter.segment(&said(0.0, "Turn off the")), []);
    let cues = cutter.segment(&said(1.2, "kitchen lights."));
    assert_eq!(texts(&cues), ["Turn off the kitchen lights."]);
    assert_eq!((cues[0].start, cues[0].end), (0.0, 2.0));
    assert_eq!(cutter.segment(&said(4.0, "And then")), []);
    // Over a pause nothing goes on, and a whole sentence waits for nothing.
    assert_eq!(texts(&cutter.segment(&said(8.0, "Good night to all."))), ["And then", "Good night to all."]);
    assert_eq!(cutter.finish(12.0), []);
}

#[test]
fn sentences_stand_alone_if_asked_to() {
    let text = "Yes. Turn it off. Dr. Watson said that we would have to wait for as long as it takes to be whole.";
    let layout = Layout { split_on: SplitOn::Sentence, ..Layout::default() };
    let cues = cut(layout, &[said(0.0, text)], 60.0);
    assert_eq!(texts(&cues)[..2], ["Yes.", "Turn it off."]);
    assert!(texts(&cues)[2].starts_with("Dr. Watson said"), "{cues:?}");
    let together = texts(&cut(Layout::default(), &[said(0.0, "Yes. Turn it off. No.")], 60.0));
    assert_eq!(together, ["Yes. Turn it off. No."]);
}

#[test]
fn no_cue_spans_a_pause_and_a_brief_one_stays_a_while() {
    let segment = with_words(&[(" Yes,", 1.0, 1.2), (" but", 4.0, 4.3), (" no", 4.3, 5.5)]);
    let cues = cut(Layout::default(), &[segment], 5.6);
    assert_eq!(texts(&cues), ["Yes,", "but no"]);
    assert_eq!((cues[0].start, cues[0].end, cues[1].start, cues[1].end), (1.0, 2.0, 4.0, 5.5));
    // Not into the next cue, nor past the recording's end.
    let segments = [with_words(&[(" Yes.", 1.0, 1.2)]), with_words(&[(" Yes.", 2.8, 3.0)])];
    let ends: Vec<f64> = cut(Layout::default(), &segments, 3.1).iter().map(|cue| cue.end).collect();
    assert_eq!(ends, [2.0, 3.1]);
}

#[test]
fn layouts_of_every_size_keep_their_bounds_and_every_word() {
    let text = "Honorificabilitudinitatibus calls, and nobody answers; so it goes on and on until the end of the day. Why?";
    let segments =
        [said(0.3, text), said(20.0, text), segment(2, 40.0, 48.0, " 吾輩は猫である。名前はまだ無い。どこで生れたか見当がつかぬ。")];
    for split_on in [SplitOn::Length, SplitOn::Sentence] {
        for (max_line_width, max_lines) in [(2, 1), (5, 3), (16, 1), (32, 2), (42, 2), (80, 4)] {
            let layout = Layout { max_line_width, max_lines, split_on };
            let cues = cut(layout, &segments, 50.0);
            let ink = |text: &str| text.chars().filter(|c| !c.is_whitespace()).collect::<String>();
            let all: String = segments.iter().map(|segment| ink(&segment.text)).collect();
            assert_eq!(cues.iter().map(|cue| ink(&cue.lines.concat())).collect::<String>(), all, "{layout:?}");
        }
    }
}

#[test]
fn words_without_length_or_out_of_order_still_make_cues() {
    let words = [(" AA.", 2.0, 2.0), (" BB.", 2.0, 2.0), (" CC.", 1.5, 1.0), (" DD.", 9.0, 30.0), (" EE.", 30.0, 30.0)];
    let layout = Layout { split_on: SplitOn::Sentence, ..Layout::default() };
    assert_eq!(texts(&cut(layout, &[with_words(&words)], 30.0)), ["AA.", "BB.", "CC.", "DD.", "EE."]);
    assert_eq!(cut(Layout::default(), &[], 30.0), []);
}
