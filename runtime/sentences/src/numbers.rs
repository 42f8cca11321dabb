//! English numbers, as words and as figures.

use std::fmt;

const SMALL: [&str; 20] = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
];
const TENS: [&str; 10] = ["", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"];

/// Whether the words for numbers are known in this language.
pub(crate) fn are_known(language: &str) -> bool {
    language == "en" || language.starts_with("en-") || language.starts_with("en_")
}

/// The largest number, and with a minus the smallest, that a range may hold.
pub(crate) const MAX: i64 = 999_999;

/// A number with at most one decimal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Number {
    pub(crate) tenths: i64,
}

impl Number {
    pub(crate) fn whole(value: i64) -> Self {
        Self { tenths: value * 10 }
    }

    pub(crate) fn value(self) -> f64 {
        self.tenths as f64 / 10.0
    }

    /// All ways to say the number: figures first, then words.
    pub(crate) fn spellings(self, english: bool) -> Vec<Vec<String>> {
        let (whole, tenth) = (self.tenths.unsigned_abs() / 10, (self.tenths.unsigned_abs() % 10) as usize);
        let figures = if tenth == 0 { whole.to_string() } else { format!("{whole}.{tenth}") };
        let mut ways = vec![vec![figures]];
        if english {
            let mut words = cardinals(whole);
            if tenth > 0 {
                ways.extend(decimals(&words, whole, tenth));
            } else {
                ways.append(&mut words);
            }
        }
        if self.tenths < 0 {
            for way in &mut ways {
                way.insert(0, "minus".to_owned());
            }
        }
        ways
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.value())
    }
}

/// The ways to say a whole number up to [`MAX`], each a list of words.
fn cardinals(n: u64) -> Vec<Vec<String>> {
    let owned = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>();
    if n < 20 {
        return vec![owned(&[SMALL[n as usize]])];
    }
    if n < 100 {
        let tens = TENS[n as usize / 10];
        return if n.is_multiple_of(10) { vec![owned(&[tens])] } else { vec![owned(&[tens, SMALL[n as usize % 10]])] };
    }
    let (unit, name) = if n < 1000 { (100, "hundred") } else { (1000, "thousand") };
    let mut heads = cardinals(n / unit);
    if n / unit == 1 {
        heads.push(owned(&["a"]));
    }
    let rest = n % unit;
    let mut ways = Vec::new();
    for head in heads {
        let head: Vec<String> = head.into_iter().chain([name.to_owned()]).collect();
        if rest == 0 {
            ways.push(head);
            continue;
        }
        for tail in cardinals(rest) {
            ways.push([head.clone(), tail.clone()].concat());
            if rest < 100 {
                ways.push([head.clone(), owned(&["and"]), tail].concat());
            }
        }
    }
    if n == unit {
        ways.push(owned(&[name]));
    }
    ways
}

fn decimals(wholes: &[Vec<String>], whole: u64, tenth: usize) -> Vec<Vec<String>> {
    let with = |head: &[String], tail: &[&str]| head.iter().cloned().chain(tail.iter().map(|&word| word.to_owned())).collect::<Vec<_>>();
    let mut ways: Vec<Vec<String>> = wholes.iter().map(|head| with(head, &["point", SMALL[tenth]])).collect();
    if tenth == 5 {
        ways.extend(wholes.iter().filter(|_| whole > 0).map(|head| with(head, &["and", "a", "half"])));
    }
    if whole == 0 {
        ways.push(with(&[], &["point", SMALL[tenth]]));
        if tenth == 5 {
            ways.push(with(&[], &["half"]));
            ways.push(with(&[], &["half", "a"]));
            ways.push(with(&[], &["a", "half"]));
        }
    }
    ways
}

/// The whole number that `words` begin with and how many of them say it; figures count too.
pub(crate) fn parse(words: &[&str]) -> Option<(i64, usize)> {
    let first = *words.first()?;
    if first.bytes().all(|b| b.is_ascii_digit()) {
        return first.parse::<i64>().ok().filter(|&n| n <= MAX && first == n.to_string()).map(|n| (n, 1));
    }
    let (mut total, mut used) = below_hundred(words)?;
    if words.get(used) == Some(&"hundred") && (1..10).contains(&total) {
        (total, used) = (total * 100, used + 1);
        let and = usize::from(words.get(used) == Some(&"and"));
        if let Some((rest, len)) = words.get(used + and..).and_then(below_hundred).filter(|&(rest, _)| rest > 0) {
            (total, used) = (total + rest, used + and + len);
        }
    }
    Some((total, used))
}

/// The number below 100 that `words` begin with.
pub(crate) fn below_hundred(words: &[&str]) -> Option<(i64, usize)> {
    let first = *words.first()?;
    if let Some(n) = SMALL.iter().position(|&word| word == first) {
        return Some((n as i64, 1));
    }
    let tens = TENS.iter().position(|&word| !word.is_empty() && word == first)? as i64 * 10;
    let one = words.get(1).and_then(|word| SMALL[1..10].iter().position(|small| small == word));
    Some(one.map_or((tens, 1), |one| (tens + one as i64 + 1, 2)))
}

/// The digit that a word or a figure says.
pub(crate) fn digit(word: &str) -> Option<u8> {
    match word.as_bytes() {
        [figure @ b'0'..=b'9'] => Some(figure - b'0'),
        _ => SMALL[..10].iter().position(|&small| small == word).map(|digit| digit as u8),
    }
}

/// Whether a hyphen may follow `word`: `twenty-one`, `ten-minute`, `16-ounce`.
pub(crate) fn is_number(word: &str) -> bool {
    word.bytes().all(|b| b.is_ascii_digit() || b == b'.') || parse(&[word]).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ways(tenths: i64) -> Vec<String> {
        Number { tenths }.spellings(true).iter().map(|way| way.join(" ")).collect()
    }

    #[test]
    fn numbers_are_spelled() {
        assert_eq!(ways(0), ["0", "zero"]);
        assert_eq!(ways(210), ["21", "twenty one"]);
        assert_eq!(ways(1000), ["100", "one hundred", "a hundred", "hundred"]);
        assert_eq!(ways(1050), ["105", "one hundred five", "one hundred and five", "a hundred five", "a hundred and five"]);
        assert_eq!(ways(12000), ["1200", "one thousand two hundred", "a thousand two hundred"]);
        assert_eq!(ways(205), ["20.5", "twenty point five", "twenty and a half"]);
        assert_eq!(ways(5), ["0.5", "zero point five", "point five", "half", "half a", "a half"]);
        assert_eq!(ways(-50), ["minus 5", "minus five"]);
        assert_eq!(Number { tenths: 210 }.spellings(false), [["21"]]);
    }

    #[test]
    fn what_is_spelled_is_parsed() {
        for n in 0..1000 {
            for way in cardinals(n).iter().filter(|way| way[0] != "a" && way[0] != "hundred") {
                let words: Vec<&str> = way.iter().map(String::as_str).chain(["minutes"]).collect();
                assert_eq!(parse(&words), Some((n as i64, way.len())), "{words:?}");
            }
        }
        assert_eq!(parse(&["minutes"]), None);
        assert_eq!(parse(&["007"]), None);
        assert_eq!(parse(&["twenty", "ten"]), Some((20, 1)));
    }
}
