//! Numbers in Chinese, in both ways of writing.

const DIGITS: [&str; 10] = ["零", "一", "二", "三", "四", "五", "六", "七", "八", "九"];

/// The ways to say a whole number below 10 000.
pub(super) fn whole(n: i64) -> Vec<String> {
    let place = n as usize;
    let mut ways = match place {
        0 => vec!["零".to_owned(), "〇".to_owned()],
        2 => vec!["二".to_owned(), "两".to_owned(), "兩".to_owned()],
        1..=9 => vec![DIGITS[place].to_owned()],
        10..=19 => vec![format!("十{}", last(place)), format!("一十{}", last(place))],
        20..=99 => vec![format!("{}十{}", DIGITS[place / 10], last(place))],
        100..=999 => {
            let rest = match place % 100 {
                0 => vec![String::new()],
                below @ 1..=9 => vec![format!("零{}", DIGITS[below])],
                below => vec![format!("{}十{}", DIGITS[below / 10], last(below))],
            };
            let mut ways: Vec<String> =
                heads(place / 100).iter().flat_map(|head| rest.iter().map(move |rest| format!("{head}百{rest}"))).collect();
            // Of tens after hundreds the ten may be left out.
            if place % 100 >= 10 && place.is_multiple_of(10) {
                ways.extend(heads(place / 100).iter().map(|head| format!("{head}百{}", DIGITS[place % 100 / 10])));
            }
            ways
        }
        _ => {
            let rest = match place % 1000 {
                0 => vec![String::new()],
                below @ 1..=99 => whole_inside(below).into_iter().map(|way| format!("零{way}")).collect(),
                below => whole(below as i64),
            };
            heads(place / 1000).iter().flat_map(|head| rest.iter().map(move |rest| format!("{head}千{rest}"))).collect()
        }
    };
    if place == 100 {
        ways.push("百".to_owned());
    }
    ways
}

fn whole_inside(n: usize) -> Vec<String> {
    if n < 10 { vec![DIGITS[n].to_owned()] } else { vec![format!("{}十{}", DIGITS[n / 10], last(n))] }
}

fn last(n: usize) -> &'static str {
    if n.is_multiple_of(10) { "" } else { DIGITS[n % 10] }
}

/// The digit before hundreds and thousands.
fn heads(n: usize) -> Vec<&'static str> {
    if n == 2 { vec!["二", "两", "兩"] } else { vec![DIGITS[n]] }
}
