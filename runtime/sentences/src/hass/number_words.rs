//! Numbers in words, in the languages that are known here; others have figures only.

mod chinese;
mod romance;
mod tables;

use tables::{Order, Table, table};

/// The largest whole number that has words here.
const MAX: i64 = 9_999;

/// The ways to say a number given in tenths, in small letters.
pub(super) fn spellings(language: &str, tenths: i64) -> Vec<String> {
    let base = language.split(['-', '_']).next().unwrap_or(language);
    if base == "en" {
        let ways = crate::numbers::Number { tenths }.spellings(true);
        return ways.into_iter().skip(1).map(|way| way.join(" ")).collect();
    }
    let (whole, tenth) = (tenths / 10, tenths % 10);
    if tenths < 0 || whole > MAX {
        return Vec::new();
    }
    let whole_number = |n: i64| match base {
        "zh" => chinese::whole(n),
        "fr" => romance::french(n),
        "es" => romance::spanish(n),
        "it" => romance::italian(n),
        _ => table(base).map_or_else(Vec::new, |table| regular(&table, n)),
    };
    let mut ways = whole_number(whole);
    if tenth > 0 {
        let points: &[&str] = match base {
            "zh" => &["点", "點"],
            "fr" => &[" virgule "],
            "es" => &[" coma ", " punto "],
            "it" => &[" virgola "],
            _ => table(base).map_or(&[], |table| table.points),
        };
        let digits = whole_number(tenth);
        ways = combined(&ways, points, &digits);
    }
    ways.sort_unstable();
    ways.dedup();
    ways
}

/// A word with its variants.
fn variants(word: &str) -> impl Iterator<Item = &str> {
    word.split('/')
}

/// Every `a`, every joint and every `b` together.
fn combined(a: &[String], joints: &[&str], b: &[String]) -> Vec<String> {
    a.iter().flat_map(|a| joints.iter().flat_map(move |joint| b.iter().map(move |b| format!("{a}{joint}{b}")))).collect()
}

fn owned(word: &str) -> Vec<String> {
    variants(word).map(str::to_owned).collect()
}

fn regular(table: &Table, n: i64) -> Vec<String> {
    let place = n as usize;
    match n {
        0..=19 => owned(table.small[place]),
        20..=99 => {
            let tens = owned(table.tens[place / 10 - 2]);
            let unit = place % 10;
            if unit == 0 {
                return tens;
            }
            let units = if unit == 1 && !table.one_inside.is_empty() { owned(table.one_inside) } else { owned(table.small[unit]) };
            match table.order {
                Order::TensFirst(joints) => combined(&tens, joints, &units),
                Order::UnitFirst(joints) => combined(&units, joints, &tens),
            }
        }
        100..=999 => {
            let heads = owned(table.hundreds[place / 100 - 1]);
            let alone = if place == 100 && !table.hundred_alone.is_empty() { owned(table.hundred_alone) } else { heads.clone() };
            if place.is_multiple_of(100) { alone } else { combined(&heads, table.after_hundred, &regular(table, n % 100)) }
        }
        _ => {
            let mut heads = match n / 1000 {
                1 => owned(table.thousand_alone),
                many => combined(&regular(table, many), table.before_thousand, &owned(table.thousand)),
            };
            if n % 1000 > 0 {
                heads = combined(&heads, table.after_thousand, &regular(table, n % 1000));
            }
            // Twenty-seven hundred.
            if n % 100 == 0 && n % 1000 > 0 && table.hundreds_of_tens {
                heads.extend(combined(&regular(table, n / 100), &[""], &owned(table.hundred)));
            }
            heads
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_words_in_many_languages() {
        for (language, tenths, word) in [
            ("en", 210, "twenty one"),
            ("de", 210, "einundzwanzig"),
            ("de", 10, "eine"),
            ("de", 305, "dreißig komma fünf"),
            ("de-CH", 300, "dreissig"),
            ("de", 27000, "zweitausendsiebenhundert"),
            ("de", 27000, "siebenundzwanzighundert"),
            ("nl", 220, "tweeëntwintig"),
            ("nl", 1000, "honderd"),
            ("fr", 710, "soixante et onze"),
            ("fr", 910, "quatre-vingt-onze"),
            ("fr", 10, "une"),
            ("fr", 27000, "deux mille sept cents"),
            ("es", 210, "veintiún"),
            ("es", 310, "treinta y una"),
            ("es", 1010, "ciento uno"),
            ("it", 280, "ventotto"),
            ("it", 230, "ventitré"),
            ("pt-BR", 160, "dezesseis"),
            ("pt", 1050, "cento e cinco"),
            ("sv", 210, "tjugoett"),
            ("nb", 210, "tjueen"),
            ("da", 550, "femoghalvtreds"),
            ("pl", 210, "dwadzieścia jeden"),
            ("cs", 220, "dvacet dva"),
            ("ru", 50, "пять"),
            ("uk", 400, "сорок"),
            ("bg", 210, "двадесет и едно"),
            ("zh-CN", 50, "五"),
            ("zh-TW", 20, "兩"),
            ("zh-CN", 1100, "一百一十"),
            ("zh-CN", 205, "二十点五"),
        ] {
            assert!(spellings(language, tenths).iter().any(|way| way == word), "{language} {tenths}: {:?}", spellings(language, tenths));
        }
        assert_eq!(spellings("ka", 50), [""; 0]);
        assert_eq!(spellings("de", -10), [""; 0]);
    }

    #[test]
    fn no_two_numbers_sound_alike() {
        for language in ["de", "nl", "fr", "es", "it", "pt", "sv", "nb", "da", "pl", "cs", "ru", "uk", "bg", "zh"] {
            let mut known = std::collections::HashMap::new();
            for n in (0..=1100).chain((1200..=9900).step_by(100)) {
                for way in spellings(language, n * 10) {
                    assert!(!way.is_empty());
                    assert_eq!(*known.entry(way.clone()).or_insert(n), n, "{language}: {way}");
                }
            }
            assert!(known.len() > 1100, "{language}");
        }
    }
}
