//! Names that are like one that is not known.

/// The most suggestions listed.
const MOST: usize = 5;

/// The names most like `name`, the most alike first: those it is part of, those with a word like it, those a few letters away.
pub(super) fn near<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let name = plain(name);
    let letters = name.chars().count();
    if letters == 0 || letters > 64 {
        return vec![];
    }
    let most = 1 + letters / 5;
    let cost = |other: &str| cost(&name, &plain(other));
    let mut alike: Vec<(usize, &str)> = known.into_iter().map(|other| (cost(other), other)).filter(|&(cost, _)| cost <= most).collect();
    // Stable: of names as much alike the first known one comes first.
    alike.sort_by_key(|&(cost, _)| cost);
    let mut names: Vec<String> = vec![];
    for (_, other) in alike {
        if names.len() < MOST && !names.iter().any(|name| name == other) {
            names.push(other.to_owned());
        }
    }
    names
}

/// Small letters, and a space for whatever is none.
fn plain(name: &str) -> String {
    name.chars().flat_map(char::to_lowercase).map(|letter| if letter.is_alphanumeric() { letter } else { ' ' }).collect()
}

/// Letters to change; to have `name` in it, or a word like it, is worth one letter, to be in it two.
fn cost(name: &str, other: &str) -> usize {
    // "door" for "Doorbell": shorter ones have to be words, or they are in too much.
    let holds = |long: &str, short: &str| match short.trim().chars().count() {
        0 => false,
        1..4 => format!(" {long} ").contains(&format!(" {short} ")),
        _ => long.contains(short),
    };
    let part = if holds(other, name) {
        1
    } else if holds(name, other) {
        2
    } else {
        usize::MAX
    };
    let words = other.split_whitespace().filter(|word| word.len() > 2).map(|word| 1 + distance(name, word)).min();
    distance(name, other).min(part).min(words.unwrap_or(usize::MAX))
}

/// Letters to put in, take out, change or swap with the next to make one name the other.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut before = vec![0; b.len() + 1];
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for i in 0..a.len() {
        let mut next = vec![i + 1];
        for j in 0..b.len() {
            let mut least = (row[j] + usize::from(a[i] != b[j])).min(row[j + 1] + 1).min(next[j] + 1);
            if i > 0 && j > 0 && (a[i], a[i - 1]) == (b[j - 1], b[j]) {
                least = least.min(before[j - 1] + 1);
            }
            next.push(least);
        }
        before = std::mem::replace(&mut row, next);
    }
    row[b.len()]
}

/// As the end of an error: nothing if there are none.
pub(super) fn listed(names: &[String]) -> String {
    let names: Vec<String> = names.iter().map(|name| format!("{name:?}")).collect();
    if names.is_empty() { String::new() } else { format!("; near it: {}", names.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LABELS: [&str; 9] = [
        "Alarm",
        "Speech",
        "Dog",
        "Bark",
        "Doorbell",
        "Ding-dong",
        "Smoke detector, smoke alarm",
        "Baby cry, infant cry",
        "Vacuum cleaner",
    ];

    #[test]
    fn slips_and_parts_of_names_find_them() {
        for (name, wanted) in [
            ("Dogg", &["Dog"][..]),
            ("dgo", &["Dog"]),
            ("dog_bark", &["Dog", "Bark"]),
            ("smoke-alarm", &["Smoke detector, smoke alarm", "Alarm"]),
            ("somke", &["Smoke detector, smoke alarm"]),
            ("door", &["Doorbell"]),
            ("vaccum", &["Vacuum cleaner"]),
            ("infant", &["Baby cry, infant cry"]),
            ("xylophone", &[]),
            ("", &[]),
            (", ", &[]),
        ] {
            let found = near(name, LABELS);
            assert!(found.starts_with(&wanted.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()), "{name}: {found:?}");
            assert!(!wanted.is_empty() || found.is_empty(), "{name}: {found:?}");
        }
        assert!(near(&"a".repeat(100_000), LABELS).is_empty());
    }

    #[test]
    fn letters_are_counted() {
        assert_eq!((distance("", "abc"), distance("kitten", "sitting"), distance("añb", "anb")), (3, 3, 1));
        assert_eq!((distance("dgo", "dog"), distance("ab", "ba"), distance("abcd", "badc")), (1, 1, 2));
        assert_eq!(listed(&[]), "");
        assert_eq!(listed(&["Dog".into(), "Bark".into()]), "; near it: \"Dog\", \"Bark\"");
    }
}
