//! French, Spanish and Italian, whose tens have forms of their own.

use super::{combined, owned};

const FRENCH: [&str; 20] = [
    "zéro", "un/une", "deux", "trois", "quatre", "cinq", "six", "sept", "huit", "neuf", "dix", "onze", "douze", "treize", "quatorze",
    "quinze", "seize", "dix-sept", "dix-huit", "dix-neuf",
];
const FRENCH_TENS: [&str; 8] = ["vingt", "trente", "quarante", "cinquante", "soixante", "septante", "huitante/octante", "nonante"];

pub(super) fn french(n: i64) -> Vec<String> {
    let place = n as usize;
    match n {
        0..=19 => owned(FRENCH[place]),
        20..=69 => french_tens(&owned(FRENCH_TENS[place / 10 - 2]), place % 10),
        70..=99 => {
            // As France counts, and as Belgium and Switzerland do.
            let mut ways = french_tens(&owned(FRENCH_TENS[place / 10 - 2]), place % 10);
            ways.extend(match n {
                71 => combined(&owned("soixante"), &[" et ", "-et-"], &owned("onze")),
                70..=79 => combined(&owned("soixante"), &["-", " "], &owned(FRENCH[place - 60])),
                80 => owned("quatre-vingts/quatre-vingt/quatre vingts/quatre vingt"),
                _ => combined(&owned("quatre-vingt/quatre vingt"), &["-", " "], &owned(FRENCH[place - 80])),
            });
            ways
        }
        100..=999 => {
            let mut heads = if n < 200 { owned("cent") } else { combined(&owned(FRENCH[place / 100]), &[" ", "-"], &owned("cent")) };
            if place.is_multiple_of(100) {
                if n >= 200 {
                    heads.extend(heads.clone().into_iter().map(|head| head + "s"));
                }
                return heads;
            }
            combined(&heads, &[" ", "-"], &french(n % 100))
        }
        _ => {
            let heads = if n < 2000 { owned("mille") } else { combined(&owned(FRENCH[place / 1000]), &[" ", "-"], &owned("mille")) };
            if n % 1000 == 0 { heads } else { combined(&heads, &[" "], &french(n % 1000)) }
        }
    }
}

fn french_tens(tens: &[String], unit: usize) -> Vec<String> {
    match unit {
        0 => tens.to_vec(),
        1 => combined(tens, &[" et ", "-et-"], &owned(FRENCH[1])),
        _ => combined(tens, &["-", " "], &owned(FRENCH[unit])),
    }
}

const SPANISH: [&str; 30] = [
    "cero",
    "uno/un/una",
    "dos",
    "tres",
    "cuatro",
    "cinco",
    "seis",
    "siete",
    "ocho",
    "nueve",
    "diez",
    "once",
    "doce",
    "trece",
    "catorce",
    "quince",
    "dieciséis",
    "diecisiete",
    "dieciocho",
    "diecinueve",
    "veinte",
    "veintiuno/veintiún/veintiuna",
    "veintidós",
    "veintitrés",
    "veinticuatro",
    "veinticinco",
    "veintiséis",
    "veintisiete",
    "veintiocho",
    "veintinueve",
];
const SPANISH_TENS: [&str; 7] = ["treinta", "cuarenta", "cincuenta", "sesenta", "setenta", "ochenta", "noventa"];
const SPANISH_HUNDREDS: [&str; 9] = [
    "ciento",
    "doscientos/doscientas",
    "trescientos/trescientas",
    "cuatrocientos/cuatrocientas",
    "quinientos/quinientas",
    "seiscientos/seiscientas",
    "setecientos/setecientas",
    "ochocientos/ochocientas",
    "novecientos/novecientas",
];

pub(super) fn spanish(n: i64) -> Vec<String> {
    let place = n as usize;
    match n {
        0..=29 => owned(SPANISH[place]),
        30..=99 => {
            let tens = owned(SPANISH_TENS[place / 10 - 3]);
            if place.is_multiple_of(10) { tens } else { combined(&tens, &[" y "], &owned(SPANISH[place % 10])) }
        }
        100 => owned("cien"),
        101..=999 => {
            let heads = owned(SPANISH_HUNDREDS[place / 100 - 1]);
            if place.is_multiple_of(100) { heads } else { combined(&heads, &[" "], &spanish(n % 100)) }
        }
        _ => {
            let heads = if n < 2000 { owned("mil") } else { combined(&owned(SPANISH[place / 1000]), &[" "], &owned("mil")) };
            if n % 1000 == 0 { heads } else { combined(&heads, &[" "], &spanish(n % 1000)) }
        }
    }
}

const ITALIAN: [&str; 20] = [
    "zero",
    "uno/un/una",
    "due",
    "tre",
    "quattro",
    "cinque",
    "sei",
    "sette",
    "otto",
    "nove",
    "dieci",
    "undici",
    "dodici",
    "tredici",
    "quattordici",
    "quindici",
    "sedici",
    "diciassette",
    "diciotto",
    "diciannove",
];
const ITALIAN_TENS: [&str; 8] = ["venti", "trenta", "quaranta", "cinquanta", "sessanta", "settanta", "ottanta", "novanta"];

pub(super) fn italian(n: i64) -> Vec<String> {
    let place = n as usize;
    match n {
        0..=19 => owned(ITALIAN[place]),
        20..=99 => {
            let tens = ITALIAN_TENS[place / 10 - 2];
            let short = &tens[..tens.len() - 1];
            match place % 10 {
                0 => owned(tens),
                1 => vec![format!("{short}uno"), format!("{short}un"), format!("{short}una")],
                3 => vec![format!("{tens}tré"), format!("{tens}tre")],
                8 => vec![format!("{short}otto")],
                unit => vec![format!("{tens}{}", ITALIAN[unit])],
            }
        }
        100..=999 => {
            let heads = if n < 200 { owned("cento") } else { vec![format!("{}cento", ITALIAN[place / 100])] };
            let mut ways = match n % 100 {
                0 => return heads,
                3 => combined(&heads, &[""], &owned("tré")),
                8 => heads.iter().map(|head| format!("{}otto", &head[..head.len() - 1])).collect(),
                _ => Vec::new(),
            };
            ways.extend(combined(&heads, &["", " "], &italian(n % 100)));
            ways
        }
        _ => {
            let heads = if n < 2000 { owned("mille") } else { vec![format!("{}mila", ITALIAN[place / 1000])] };
            if n % 1000 == 0 { heads } else { combined(&heads, &["", " "], &italian(n % 1000)) }
        }
    }
}
