//! What has figures in it: numbers, money, times, dates, units, telephone numbers.

use super::Reader;
use crate::numbers::{self, cardinal, ordinal};

const MONTHS: [&str; 12] =
    ["January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"];
const MAGNITUDES: [&str; 5] = ["hundred", "thousand", "million", "billion", "trillion"];

fn digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

/// The value of a small number.
fn value(text: &str) -> Option<u32> {
    (digits(text) && text.len() < 10).then(|| text.parse().ok()).flatten()
}

/// A number with commas between thousands, and perhaps a point: both parts.
fn number(text: &str) -> Option<(String, Option<&str>)> {
    let (whole, part) = text.split_once('.').map_or((text, None), |(whole, part)| (whole, Some(part)));
    if part.is_some_and(|part| !digits(part)) {
        return None;
    }
    let groups: Vec<&str> = whole.split(',').collect();
    let grouped = groups.len() > 1 && groups[0].len() <= 3 && groups[1..].iter().all(|group| group.len() == 3);
    let fine = (groups.len() == 1 || grouped) && groups.iter().all(|group| digits(group)) || whole.is_empty() && part.is_some();
    fine.then(|| (groups.concat(), part))
}

/// A number in words.
fn said(text: &str) -> Option<String> {
    let (whole, part) = number(text)?;
    Some(part.map_or_else(|| cardinal(&whole), |part| numbers::decimal(&whole, part)))
}

/// A text at its first figure's end: the number and the rest.
fn number_and_rest(text: &str) -> (&str, &str) {
    let at = text.find(|c: char| !c.is_ascii_digit() && c != '.' && c != ',').unwrap_or(text.len());
    let (number, rest) = text.split_at(at);
    let bare = number.trim_end_matches(['.', ',']);
    (bare, if bare.len() < number.len() { &text[bare.len()..] } else { rest })
}

/// The month of a date in figures.
fn month(text: &str) -> Option<&'static str> {
    let place = value(text).filter(|month| (1..=12).contains(month))?;
    MONTHS.get(place as usize - 1).copied()
}

fn day(text: &str) -> Option<&str> {
    let bare = text.strip_suffix("st").or(text.strip_suffix("nd")).or(text.strip_suffix("rd")).or(text.strip_suffix("th")).unwrap_or(text);
    value(bare).filter(|day| (1..=31).contains(day) && bare.len() <= 2).map(|_| bare)
}

fn is_year(text: &str) -> bool {
    text.len() == 4 && value(text).is_some_and(|year| (1100..2100).contains(&year))
}

impl Reader<'_> {
    /// Reads what has figures in it, perhaps with the next pieces.
    pub(super) fn figures(&mut self, core: &str) -> bool {
        if !core.bytes().any(|b| b.is_ascii_digit()) {
            return self.month_day(core);
        }
        self.feet(core)
            || self.money(core)
            || self.clock(core)
            || self.date(core)
            || self.telephone(core)
            || self.fraction(core)
            || self.range(core)
            || self.plain(core)
    }

    /// `March 4th, 2025`.
    fn month_day(&mut self, core: &str) -> bool {
        let bare = core.strip_suffix('.').unwrap_or(core);
        let full = MONTHS.iter().copied().find(|month| *month == core);
        let short = || self.readings.months.get(&bare.to_lowercase()).filter(|_| core.starts_with(char::is_uppercase) && bare.len() <= 4);
        let Some(name) = full.map(str::to_owned).or_else(|| short().cloned()) else { return false };
        let Some(day) = self.next().and_then(day).map(str::to_owned) else { return false };
        self.say(&name);
        self.at += 1;
        self.say(&ordinal(&day));
        let comma = self.chunks[self.at].after == [','];
        let year = self.chunks.get(self.at + 1).filter(|next| next.before.is_empty() && is_year(&next.core)).map(|next| next.core.clone());
        if let Some(year) = year.filter(|_| comma || self.chunks[self.at].after.is_empty()) {
            if comma {
                self.pause();
            }
            self.at += 1;
            self.say(&numbers::year(&year));
        }
        true
    }

    /// `5'10`, feet and inches.
    fn feet(&mut self, core: &str) -> bool {
        let Some((feet, inches)) = core.split_once(['\'', '’', '′']) else { return false };
        let (Some(_), Some(_)) = (value(feet), value(inches)) else { return false };
        self.say(&format!("{} {}", cardinal(feet), cardinal(inches)));
        true
    }

    fn money(&mut self, core: &str) -> bool {
        let (core, minus) = core.strip_prefix('-').map_or((core, false), |core| (core, true));
        let currency = &self.readings.currency;
        let Some((sign, [one, several])) =
            currency.iter().find(|(sign, _)| core.starts_with(*sign) && *sign != "¢").map(|(sign, names)| (sign, names.clone()))
        else {
            return self.money_behind(core);
        };
        let (amount, rest) = number_and_rest(&core[sign.len()..]);
        let Some((whole, part)) = number(amount) else { return false };
        let magnitude = match rest {
            "" => self.next().filter(|next| MAGNITUDES.contains(next)).map(str::to_owned),
            "k" | "K" => Some("thousand".to_owned()),
            "m" | "M" | "mn" => Some("million".to_owned()),
            "b" | "B" | "bn" => Some("billion".to_owned()),
            _ => return false,
        };
        if minus {
            self.say("minus");
        }
        if let Some(magnitude) = magnitude {
            let amount = part.map_or_else(|| cardinal(&whole), |part| numbers::decimal(&whole, part));
            self.say(&format!("{amount} {magnitude} {several}"));
            self.at += usize::from(rest.is_empty());
            return true;
        }
        let cents = part.map(|part| format!("{part:0<2}")).filter(|part| part.len() == 2 && part != "00");
        if part.is_some() && cents.is_none() && part != Some("00") && part != Some("0") {
            self.say(&format!("{} {several}", numbers::decimal(&whole, part.unwrap_or_default())));
            return true;
        }
        let units = cardinal(&whole);
        let cent = match (sign.as_str(), cents.as_deref()) {
            ("£", Some("01")) => "penny",
            ("£", _) => "pence",
            (_, Some("01")) => "cent",
            _ => "cents",
        };
        let cents = cents.map(|cents| format!("{} {cent}", cardinal(&cents)));
        let units = format!("{units} {}", if units == "one" { one } else { several });
        match cents {
            Some(cents) if whole.trim_start_matches('0').is_empty() => self.say(&cents),
            Some(cents) => self.say(&format!("{units} and {cents}")),
            None => self.say(&units),
        }
        true
    }

    /// `50¢`, and `5€` as others write it.
    fn money_behind(&mut self, core: &str) -> bool {
        let signs = self.readings.currency.iter().find(|(sign, _)| !sign.starts_with(|c: char| c.is_alphabetic()) && core.ends_with(*sign));
        let Some((sign, [one, several])) = signs.map(|(sign, names)| (sign.clone(), names.clone())) else { return false };
        let amount = &core[..core.len() - sign.len()];
        if sign == "¢" {
            let Some(words) = said(amount) else { return false };
            self.say(&format!("{words} {}", if words == "one" { one } else { several }));
            return true;
        }
        number(amount).is_some() && self.money(&format!("{sign}{amount}"))
    }

    /// `5:30`, `9:00`, `12:30am`.
    fn clock(&mut self, core: &str) -> bool {
        let lower = core.to_lowercase();
        let half = ["a.m.", "p.m.", "a.m", "p.m", "am", "pm"].iter().find(|half| lower.ends_with(**half)).copied().unwrap_or_default();
        let time = &core[..core.len() - half.len()];
        let names = |half: &str| if half.starts_with('a') { "AM" } else { "PM" };
        let parts: Vec<&str> = time.split(':').collect();
        let words = match parts[..] {
            [hour] if !half.is_empty() && value(hour).is_some_and(|hour| hour <= 24) => cardinal(hour),
            [hour, minute]
                if minute.len() == 2 && hour.len() <= 2 && value(hour).is_some_and(|h| h < 25) && value(minute).is_some_and(|m| m < 60) =>
            {
                let follows =
                    self.next().is_some_and(|next| matches!(&next.to_lowercase()[..], "am" | "pm" | "a.m." | "p.m." | "a.m" | "p.m"));
                match minute {
                    "00" if half.is_empty() && !follows => format!("{} o'clock", cardinal(hour)),
                    "00" => cardinal(hour),
                    _ if minute.starts_with('0') => format!("{} oh {}", cardinal(hour), cardinal(minute)),
                    _ => format!("{} {}", numbers::compound(hour), numbers::compound(minute)),
                }
            }
            [hour, minute, second]
                if [hour, minute, second].into_iter().all(|part| value(part).is_some_and(|v| v < 60) && part.len() <= 2) =>
            {
                format!("{} {} and {} seconds", cardinal(hour), numbers::compound(minute), numbers::compound(second))
            }
            _ => return false,
        };
        self.say(&words);
        if !half.is_empty() {
            self.say(names(half));
        } else if let Some(next) = self.chunks.get(self.at + 1).filter(|_| self.chunks[self.at].after.is_empty())
            && matches!(&next.core.to_lowercase()[..], "am" | "pm")
        {
            let half = names(&next.core.to_lowercase());
            self.at += 1;
            self.say(half);
        }
        true
    }

    /// `3/4/2025`, `2025-03-04`, and `4 March 2025`.
    fn date(&mut self, core: &str) -> bool {
        let by = |sign: char| core.split(sign).collect::<Vec<_>>();
        let (name, day, year) = match (&by('/')[..], &by('-')[..]) {
            ([m, d, y], _) if month(m).is_some() && day(d).is_some() && is_year(y) => (month(m), *d, *y),
            (_, [y, m, d]) if month(m).is_some() && day(d).is_some() && is_year(y) => (month(m), *d, *y),
            _ => return self.day_month(core),
        };
        self.say(&format!("{} {}", name.unwrap_or_default(), ordinal(day).replace(' ', "-")));
        self.pause();
        self.say(&numbers::year(year));
        true
    }

    fn day_month(&mut self, core: &str) -> bool {
        let Some(day) = day(core).map(str::to_owned) else { return false };
        let named = |next: &str| {
            let full = MONTHS.iter().copied().find(|month| *month == next).map(str::to_owned);
            full.or_else(|| {
                self.readings.months.get(&next.to_lowercase()).filter(|_| next.starts_with(char::is_uppercase) && next != "May").cloned()
            })
        };
        let Some(name) = self.next().and_then(named) else { return false };
        self.say(&format!("the {} of {name}", ordinal(&day)));
        self.at += 1;
        if let Some(year) = self.next().filter(|next| is_year(next)).map(numbers::year) {
            self.say(&year);
            self.at += 1;
        }
        true
    }

    /// Groups of figures, read one by one.
    fn telephone(&mut self, core: &str) -> bool {
        let groups: Vec<&str> = core.split(['-', '.']).collect();
        let lengths: Vec<usize> = groups.iter().map(|group| group.len()).collect();
        let shape = matches!(lengths[..], [3, 3, 4] | [3, 4] | [1, 3, 3, 4]) && core.contains('-') || lengths[..] == [3, 3, 4];
        if !shape || !groups.iter().all(|group| digits(group)) {
            return false;
        }
        for (place, group) in groups.iter().enumerate() {
            if place > 0 {
                self.pause();
            }
            self.say(&numbers::spelt(group));
        }
        true
    }

    fn fraction(&mut self, core: &str) -> bool {
        let Some((above, below)) = core.split_once('/') else { return false };
        let (Some(above), Some(under)) = (value(above), value(below)) else { return false };
        let words = cardinal(&above.to_string());
        if above == 0 || above >= under || !(under <= 10 || [12, 16, 32, 64, 100].contains(&under)) {
            match (month(&above.to_string()), day(below)) {
                (Some(name), Some(day)) => self.say(&format!("{name} {}", ordinal(day))),
                _ if above == under => self.say(&format!("{words} {words}")),
                _ => self.say(&format!("{words} slash {}", cardinal(below))),
            }
            return true;
        }
        let one = above == 1;
        let part = match under {
            2 => if one { "half" } else { "halves" }.to_owned(),
            4 => if one { "quarter" } else { "quarters" }.to_owned(),
            _ => ordinal(below) + if one { "" } else { "s" },
        };
        self.say(&format!("{} {part}", cardinal(&above.to_string())));
        true
    }

    /// `10-20`.
    fn range(&mut self, core: &str) -> bool {
        let Some((from, to)) = core.split_once(['-', '–', '—']) else { return false };
        let (number, rest) = number_and_rest(to);
        let (Some(from_words), Some(_)) = (said(from), said(number)) else { return false };
        let from = if is_year(from) && is_year(number) { numbers::year(from) } else { from_words };
        self.say(&format!("{from} to"));
        let to = [number, rest].concat();
        self.plain(&to)
    }

    /// A number with what stands before and behind it.
    fn plain(&mut self, core: &str) -> bool {
        let (sign, bare) = match core.chars().next() {
            Some('-' | '−' | '–') => ("minus", &core[core.chars().next().map_or(0, char::len_utf8)..]),
            Some('+') => ("plus", &core[1..]),
            Some('~') => ("about", &core[1..]),
            Some('#') => ("number", &core[1..]),
            _ => ("", core),
        };
        let (amount, rest) = number_and_rest(bare);
        let Some((whole, part)) = number(amount) else { return false };
        let mut words = part.map_or_else(|| cardinal(&whole), |part| numbers::decimal(&whole, part));
        let one = words == "one";
        let lower = rest.to_lowercase();
        match lower.as_str() {
            "" => {
                if part.is_none() && sign.is_empty() && digits(amount) && amount.len() == 4 && self.is_a_year() {
                    words = numbers::year(amount);
                } else if sign != "number"
                    && let Some(unit) = self.next().and_then(|next| self.unit(next, one))
                {
                    words = format!("{words} {unit}");
                    self.at += 1;
                } else if part.is_none() && whole.len() > 1 && whole.starts_with('0') {
                    words = numbers::spelt(&whole);
                }
            }
            "st" | "nd" | "rd" | "th" if part.is_none() => words = ordinal(&whole),
            "s" | "'s" | "’s" if part.is_none() => words = numbers::plural(&if whole.len() == 4 { numbers::year(&whole) } else { words }),
            "%" => words += " percent",
            "x" => words += " X",
            _ => match self.unit(rest, one) {
                Some(unit) => words = format!("{words} {unit}"),
                None => return false,
            },
        }
        if !sign.is_empty() {
            self.say(sign);
        }
        self.say(&words);
        true
    }

    /// Whether four figures are a year: nothing is counted behind them.
    fn is_a_year(&self) -> bool {
        !self.next().is_some_and(|next| self.readings.units.contains_key(next))
    }

    /// A unit behind a number.
    fn unit(&self, unit: &str, one: bool) -> Option<String> {
        let degrees = |of: &str| format!("{}{of}", if one { "degree" } else { "degrees" });
        match unit {
            "°" | "º" => return Some(degrees("")),
            "°C" | "ºC" | "℃" => return Some(degrees(" Celsius")),
            "°F" | "ºF" | "℉" => return Some(degrees(" Fahrenheit")),
            _ => {}
        }
        for (power, word) in [('²', "square"), ('³', "cubic")] {
            if let Some(unit) = unit.strip_suffix(power) {
                let long = if unit == "m" { Some(if one { "meter" } else { "meters" }.to_owned()) } else { self.unit(unit, one) };
                return long.map(|unit| format!("{word} {unit}"));
            }
        }
        let bare = unit.strip_suffix('.').unwrap_or(unit);
        self.readings.units.get(bare).map(|[single, several]| if one { single.clone() } else { several.clone() })
    }
}
