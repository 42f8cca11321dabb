//! Numbers in words.

const ONES: [&str; 20] = [
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
const THOUSANDS: [&str; 7] = ["", "thousand", "million", "billion", "trillion", "quadrillion", "quintillion"];

/// Stands before a word without stress.
pub(crate) const LIGHT: char = '\u{1}';

/// Digits of a number that is read as a number; longer ones are read digit by digit.
const MAX_DIGITS: usize = 21;

/// A whole number in words, read digit by digit if it is too long for anything else. Characters that are no digits are passed over.
pub(crate) fn cardinal(digits: &str) -> String {
    let digits: String = digits.chars().filter(char::is_ascii_digit).collect();
    let short = digits.trim_start_matches('0');
    if short.is_empty() {
        return if digits.is_empty() { String::new() } else { ONES[0].to_owned() };
    }
    if short.len() > MAX_DIGITS {
        return spelt(&digits);
    }
    let mut words: Vec<&str> = Vec::new();
    let first = short.len() % 3;
    let groups =
        [&short[..first]].into_iter().filter(|group| !group.is_empty()).chain((first..short.len()).step_by(3).map(|at| &short[at..at + 3]));
    let count = short.len().div_ceil(3);
    for (place, group) in groups.enumerate() {
        let group: usize = group.parse().unwrap_or(0);
        if group == 0 {
            continue;
        }
        hundreds(group, &mut words);
        words.extend(THOUSANDS.get(count - 1 - place).filter(|name| !name.is_empty()));
    }
    words.join(" ")
}

fn hundreds(number: usize, words: &mut Vec<&'static str>) {
    if number >= 100 {
        words.extend([ONES[number / 100], "hundred"]);
    }
    match number % 100 {
        0 => {}
        rest @ 1..20 => words.push(ONES[rest]),
        rest => {
            words.push(TENS[rest / 10]);
            words.extend((rest % 10 > 0).then(|| ONES[rest % 10]));
        }
    }
}

/// A number below 100 as one word: `forty-five`.
pub(crate) fn compound(digits: &str) -> String {
    cardinal(digits).replace(' ', "-")
}

/// Digit by digit.
pub(crate) fn spelt(digits: &str) -> String {
    digits.bytes().filter(u8::is_ascii_digit).map(|digit| ONES[usize::from(digit - b'0')]).collect::<Vec<_>>().join(" ")
}

/// A number with a decimal point.
pub(crate) fn decimal(whole: &str, part: &str) -> String {
    let whole = if whole.is_empty() { String::new() } else { format!("{} ", cardinal(whole)) };
    format!("{whole}{LIGHT}point {}", spelt(part))
}

/// What ranks in words: `twenty first`.
pub(crate) fn ordinal(digits: &str) -> String {
    let words = cardinal(digits);
    let (before, last) = words.rsplit_once(' ').map_or(("", words.as_str()), |(before, last)| (before, last));
    let last = match last {
        "one" => "first".to_owned(),
        "two" => "second".to_owned(),
        "three" => "third".to_owned(),
        "five" => "fifth".to_owned(),
        "eight" => "eighth".to_owned(),
        "nine" => "ninth".to_owned(),
        "twelve" => "twelfth".to_owned(),
        _ => last.strip_suffix('y').map_or_else(|| format!("{last}th"), |tens| format!("{tens}ieth")),
    };
    if before.is_empty() { last } else { format!("{before} {last}") }
}

/// A year of four digits, as years are said.
pub(crate) fn year(digits: &str) -> String {
    let (Some(century), Some(rest)) = (digits.get(..2), digits.get(2..4)) else { return cardinal(digits) };
    match (century, rest) {
        ("00", _) => spelt(digits),
        (_, "00") if century.ends_with('0') => cardinal(digits),
        (_, "00") => format!("{} hundred", cardinal(century)),
        (_, _) if century.ends_with('0') && rest.starts_with('0') => cardinal(digits),
        (_, _) if rest.starts_with('0') => format!("{} oh {}", cardinal(century), cardinal(rest)),
        _ => format!("{} {}", cardinal(century), cardinal(rest)),
    }
}

/// The plural of a number in words: `nineties`.
pub(crate) fn plural(words: &str) -> String {
    words.strip_suffix('y').map_or_else(|| format!("{words}{}", if words.ends_with('x') { "es" } else { "s" }), |tens| format!("{tens}ies"))
}

/// The value of Roman figures in capitals, if they are well made.
pub(crate) fn roman(word: &str) -> Option<u32> {
    const FIGURES: [(&str, u32); 13] = [
        ("M", 1000),
        ("CM", 900),
        ("D", 500),
        ("CD", 400),
        ("C", 100),
        ("XC", 90),
        ("L", 50),
        ("XL", 40),
        ("X", 10),
        ("IX", 9),
        ("V", 5),
        ("IV", 4),
        ("I", 1),
    ];
    let (mut rest, mut value) = (word, 0);
    for (figure, worth) in FIGURES {
        while let Some(after) = rest.strip_prefix(figure) {
            rest = after;
            value += worth;
        }
    }
    let mut again = String::new();
    let mut left = value;
    for (figure, worth) in FIGURES {
        while left >= worth {
            again.push_str(figure);
            left -= worth;
        }
    }
    (rest.is_empty() && value > 0 && value < 4000 && again == word).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_said() {
        for (digits, words) in [
            ("0", "zero"),
            ("7", "seven"),
            ("21", "twenty one"),
            ("100", "one hundred"),
            ("1001", "one thousand one"),
            ("1234567", "one million two hundred thirty four thousand five hundred sixty seven"),
            (
                "1000000000000000000000",
                "one zero zero zero zero zero zero zero zero zero zero zero zero zero zero zero zero zero zero zero zero zero",
            ),
            ("", ""),
        ] {
            assert_eq!(cardinal(digits), words);
        }
        assert_eq!([ordinal("21"), ordinal("40"), ordinal("100"), ordinal("12")], ["twenty first", "fortieth", "one hundredth", "twelfth"]);
        assert_eq!(
            [year("2026"), year("1905"), year("2000"), year("1800"), year("2005")],
            ["twenty twenty six", "nineteen oh five", "two thousand", "eighteen hundred", "two thousand five"]
        );
        assert_eq!(
            [decimal("3", "14"), decimal("", "5"), plural("ninety"), plural("six")],
            ["three \u{1}point one four", "\u{1}point five", "nineties", "sixes"]
        );
        assert_eq!(
            [roman("VIII"), roman("XIV"), roman("IIII"), roman("IC"), roman("MIX"), roman("")],
            [Some(8), Some(14), None, None, Some(1009), None]
        );
    }
}
