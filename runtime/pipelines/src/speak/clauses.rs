//! Where phonemes are cut: at line ends, and where a line is longer than a voice takes, at the best place before that.

use std::ops::Range;

/// Behind what a long line may be cut, best first.
pub(super) const CUTS: [&[char]; 3] = [&['.', '!', '?', '…'], &[',', ';', ':', '—'], &[' ']];

/// Ranges of `text` with at most `most` characters each, in order; all of it but white space around them.
pub(super) fn split(text: &str, most: usize) -> Vec<Range<usize>> {
    let mut clauses = vec![];
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        split_line(text, start..start + line.len(), most, &mut clauses);
        start += line.len();
    }
    clauses
}

fn split_line(text: &str, line: Range<usize>, most: usize, clauses: &mut Vec<Range<usize>>) {
    let mut rest = trim(text, line);
    while !rest.is_empty() {
        let fits = text[rest.clone()].char_indices().nth(most).map_or(rest.end, |(at, _)| rest.start + at);
        let end = if fits == rest.end { fits } else { cut(text, rest.start..fits) };
        clauses.push(trim(text, rest.start..end));
        rest = trim(text, end..rest.end);
    }
}

/// Where a piece that is too long is cut: behind the last of the best signs in its second half, else at its end.
fn cut(text: &str, piece: Range<usize>) -> usize {
    let middle = piece.start + piece.len() / 2;
    let best = CUTS.iter().find_map(|signs| {
        let (at, sign) = text[piece.clone()].rmatch_indices(*signs).next()?;
        let end = piece.start + at + sign.len();
        (end > middle).then_some(end)
    });
    best.unwrap_or(piece.end)
}

fn trim(text: &str, range: Range<usize>) -> Range<usize> {
    let piece = &text[range.clone()];
    let start = range.start + piece.len() - piece.trim_start().len();
    start..start + piece.trim().len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(text: &str, most: usize) -> Vec<&str> {
        split(text, most).into_iter().map(|range| &text[range]).collect()
    }

    #[test]
    fn lines_are_clauses() {
        assert_eq!(pieces("  a b \n\n c\n", 10), ["a b", "c"]);
        assert!(pieces(" \n \n", 10).is_empty() && pieces("", 10).is_empty());
    }

    #[test]
    fn long_lines_are_cut_at_the_best_place() {
        assert_eq!(pieces("aa bb. cc, dd ee ff", 14), ["aa bb. cc,", "dd ee ff"]);
        assert_eq!(pieces("aa bb cc. dd ee ff", 14), ["aa bb cc.", "dd ee ff"]);
        assert_eq!(pieces("aa bb cc dd ee", 7), ["aa bb", "cc dd", "ee"]);
        assert_eq!(pieces("ˈɔˈɔˈɔˈɔ", 3), ["ˈɔˈ", "ɔˈɔ", "ˈɔ"]);
    }

    #[test]
    fn nothing_is_lost() {
        let text = "ðə kwˈɪk bɹˈWn fˈɑks, ʤˈʌmpt; ˈOvəɹ. ".repeat(30);
        for most in [1, 2, 7, 50, 400] {
            let all = pieces(&text, most);
            assert!(all.iter().all(|piece| piece.chars().count() <= most));
            let kept = |text: &str| text.chars().filter(|c| !c.is_whitespace()).collect::<String>();
            assert_eq!(kept(&all.concat()), kept(&text), "{most}");
        }
    }
}
