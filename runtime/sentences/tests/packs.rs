//! The sentence files that come with the library.

use ossicle_sentences::{Grammar, PACKS, pack};

fn grammar(name: &str) -> Grammar {
    Grammar::parse(name, pack(name).unwrap().text).unwrap_or_else(|error| panic!("{error}"))
}

/// Intent and slots of the best match, as `intent name=value ...`.
fn meaning(grammar: &Grammar, text: &str) -> Option<String> {
    let matches = grammar.matches(text);
    let found = matches.first()?;
    let slots: String = found.slots.iter().map(|slot| format!(" {}={}", slot.name, slot.value)).collect();
    Some(found.intent.to_owned() + &slots)
}

/// What is sampled from a pack means what it should.
#[test]
fn samples_of_packs_match_back() {
    for pack in PACKS {
        let grammar = grammar(pack.name);
        for sample in grammar.samples(1).take(2000) {
            let matches = grammar.matches(&sample.text);
            let found = matches.iter().find(|found| {
                found.intent == sample.intent
                    && found.slots.len() == sample.slots.len()
                    && found.slots.iter().all(|slot| sample.slots.iter().any(|(name, value)| *name == slot.name && *value == slot.value))
            });
            assert!(found.is_some(), "{}: {sample:?} gives {matches:?}", pack.name);
        }
    }
}

#[test]
fn orders_mean_what_they_say() {
    let grammar = grammar("coffee");
    for (text, expected) in [
        ("Brew a coffee.", Some("orderDrink coffeeDrink=coffee")),
        (
            "Can I get a 16-ounce, dark roast, single-shot iced mocha with lots of cream and a bit of brown sugar?",
            Some(
                "orderDrink size=sixteen ounce roast=dark roast numberOfShots=single shot coffeeDrink=iced mocha \
                 milkAmount=lots of cream sugarAmount=a bit of brown sugar",
            ),
        ),
        ("Um, I'd like a latte, large, please.", Some("orderDrink coffeeDrink=latte size=large")),
        ("medium medium roast espresso", Some("orderDrink size=medium roast=medium roast coffeeDrink=espresso")),
        (
            "I want a double shot of espresso with sugar",
            Some("orderDrink numberOfShots=double shot coffeeDrink=espresso sugarAmount=sugar"),
        ),
        ("Can I get a large large latte", None),
        ("I like coffee in the morning", None),
        ("milk and sugar", None),
    ] {
        assert_eq!(meaning(&grammar, text).as_deref(), expected, "{text}");
    }
}

#[test]
fn household_commands_mean_what_they_say() {
    let grammar = grammar("home");
    for (text, expected) in [
        ("Turn on the kitchen lights.", "HassTurnOn area=kitchen domain=light"),
        ("lounge lights off", "HassTurnOff area=living room domain=light"),
        ("Turn off all the lights downstairs", "HassTurnOff area=downstairs domain=light"),
        ("turn everything off", "HassTurnOff"),
        ("Turn the lights off in the kitchen.", "HassTurnOff area=kitchen domain=light"),
        ("kitchen lights out", "HassTurnOff area=kitchen domain=light"),
        ("turn off the lights in here", "HassTurnOff domain=light area=here"),
        ("turn on every light in the house", "HassTurnOn domain=light area=all"),
        ("turn on the kitchen fans", "HassTurnOn area=kitchen name=fan domain=fan"),
        ("TV off", "HassTurnOff name=TV domain=switch"),
        ("are all the lights off", "HassGetState state=off"),
        ("set all the lights in the bedroom to 50%", "HassLightSet area=bedroom brightness=50"),
        ("set the bedroom brightness to the maximum", "HassLightSet area=bedroom brightness=100"),
        ("open the curtains to 50 percent in the bedroom", "HassSetPosition name=curtains position=50 area=bedroom domain=cover"),
        ("lock all the doors", "HassTurnOn name=all domain=lock"),
        ("what's the living room temperature", "HassClimateGetTemperature area=living room"),
        ("turn up the heating to 21", "HassClimateSetTemperature temperature=21"),
        ("start a 1 hour and 15 minute timer", "HassStartTimer hours=1 minutes=15"),
        ("set a timer for five and a half minutes", "HassStartTimer minutes=5 seconds=30"),
        ("cancel my timer for pizza", "HassCancelTimer name=pizza"),
        ("how long is left on my timers", "HassTimerStatus"),
        ("skip to the next song on the TV", "HassMediaNext name=TV"),
        ("turn the volume down to 20 percent", "HassSetVolume volume_level=20"),
        ("play the Serial podcast", "HassMediaSearchAndPlay search_query=Serial"),
        ("Set the bedroom lights to 40%.", "HassLightSet area=bedroom brightness=40"),
        ("make the kitchen lights red", "HassLightSet area=kitchen color=red"),
        ("Switch off the coffee machine in the kitchen", "HassTurnOff name=coffee machine area=kitchen domain=switch"),
        ("open the blinds in the office", "HassTurnOn name=blinds area=office domain=cover"),
        ("close the curtains halfway", "HassSetPosition name=curtains position=50 domain=cover"),
        ("Lock the front door", "HassTurnOn name=front door domain=lock"),
        ("lock the garden gate", "HassTurnOn name=garden gate domain=lock"),
        ("is the garden gate closed", "HassGetState area=garden name=gate state=closed"),
        ("is the garden gate locked", "HassGetState name=garden gate state=locked"),
        ("set the fan to high", "HassFanSetSpeed name=fan percentage=100"),
        ("Turn the heating up to twenty-one and a half degrees", "HassClimateSetTemperature temperature=21.5"),
        ("set a timer for an hour and a half", "HassStartTimer hours=1 minutes=30"),
        ("Set a 5-minute pizza timer", "HassStartTimer minutes=5 name=pizza"),
        ("set a timer for 2 hours, 10 minutes and 30 seconds", "HassStartTimer hours=2 minutes=10 seconds=30"),
        ("cancel the timer", "HassCancelTimer"),
        ("add milk and eggs to the shopping list", "HassShoppingListAddItem item=milk and eggs"),
        ("Add sunscreen to my packing list", "HassListAddItem item=sunscreen name=packing"),
        ("play the Beatles on the living room speaker", "HassMediaSearchAndPlay search_query=the Beatles area=living room name=speaker"),
        ("volume 30 percent", "HassSetVolume volume_level=30"),
        ("turn it down", "HassSetVolumeRelative volume_step=down"),
        ("Next song", "HassMediaNext"),
        ("What time is it?", "HassGetCurrentTime"),
        ("What's the weather like tomorrow?", "HassGetWeather when=tomorrow"),
        ("good night", "HassTurnOn name=bedtime domain=scene"),
        ("start the vacuum", "HassVacuumStart name=vacuum domain=vacuum"),
    ] {
        assert_eq!(meaning(&grammar, text).as_deref(), Some(expected), "{text}");
    }
    for text in [
        "turn on the",
        // Half a question is no order.
        "our garage lights off",
        "the kitchen",
        "he turned the lights off and went to bed",
        "set a timer for 101 hours",
        "add to the shopping list",
        "",
    ] {
        assert_eq!(meaning(&grammar, text), None, "{text}");
    }
}

/// Skipped words count for nothing, free text gives way to listed words, and what is listed first wins.
#[test]
fn ambiguous_texts_say_so() {
    let file = "language: en\nintents:\n  A:\n    data:\n      - sentences: [\"play {x:song}\", \"play {w:search}\", \"stop {y}\", \"stop {x}\"]\n\
                lists:\n  x: {values: [jazz, {in: 'rock', out: 1}]}\n  y: {values: [jazz]}\n  w: {wildcard: true}\nskip_words: [please]\n";
    let grammar = Grammar::parse("x.yaml", file).unwrap();
    for (text, expected) in [
        ("play jazz", &["A song=jazz", "A search=jazz"][..]),
        ("please play rock please", &["A song=1", "A search=rock", "A search=rock please"]),
        ("play blues", &["A search=blues"]),
        ("stop jazz", &["A y=jazz", "A x=jazz"]),
    ] {
        let matches = grammar.matches(text);
        let said: Vec<String> = matches.iter().map(|m| format!("{} {}={}", m.intent, m.slots[0].name, m.slots[0].value)).collect();
        assert_eq!(said, expected, "{text}");
        assert!(matches.iter().all(|found| found.ambiguous == (text == "stop jazz")), "{text}");
        assert_eq!(
            &text[matches[0].slots[0].span.clone().unwrap()],
            text.split(' ').find(|word| ["jazz", "rock", "blues"].contains(word)).unwrap()
        );
    }
}

/// The worked example of docs/sentences.md means what its table says.
/// However many ways there are to read a text as free text, the names in it are found.
#[test]
fn fewer_free_words_come_first_of_many_readings() {
    let file = "language: en\nintents:\n  Search: {data: [{sentences: [\"play {w:search}\"]}]}\n  Play: {data: [{sentences: [\"play {song}\"]}]}\n\
                lists: {w: {wildcard: true}, song: {values: [yesterday]}}\nskip_words: [please]\n";
    let grammar = Grammar::parse("x.yaml", file).unwrap();
    for pleases in [0, 1, 15, 40] {
        let matches = grammar.matches(&format!("play yesterday{}", " please".repeat(pleases)));
        let free: Vec<usize> = matches.iter().map(|found| found.slots[0].value.to_string().split(' ').count()).collect();
        assert_eq!((matches[0].intent, matches.len()), ("Play", (pleases + 2).min(16)), "{pleases}");
        assert!(matches[1..].iter().all(|found| found.intent == "Search") && free[1..].is_sorted(), "{pleases}: {free:?}");
    }
}

#[test]
fn the_documented_example_is_true() {
    let page = include_str!("../../../docs/sentences.md");
    let (_, rest) = page.split_once("```yaml\n").unwrap();
    let (file, rest) = rest.split_once("```").unwrap();
    let grammar = Grammar::parse("docs", file).unwrap_or_else(|error| panic!("{error}"));
    let rows: Vec<&str> = rest.trim_start().lines().skip(2).take_while(|line| line.starts_with('|')).collect();
    assert_eq!(rows.len(), 5);
    for row in rows {
        let [said, intent, slots] = row.trim_matches('|').split('|').map(str::trim).collect::<Vec<_>>()[..] else { panic!("{row}") };
        let slots: String = slots.split(", ").map(|slot| format!(" {}", slot.replace(": ", "="))).collect();
        let expected = if intent.starts_with("none") { None } else { Some(intent.to_owned() + &slots) };
        assert_eq!(meaning(&grammar, said), expected, "{row}");
    }
}

/// What people type for what a template has.
#[test]
fn texts_are_understood_however_they_are_written() {
    let file = "language: en\nintents:\n  A: {data: [{sentences: [\"set {name} to {n}\", \"hi {w:free}\", \"turn on [the] {name}\"]}]}\n\
                lists:\n  name: {values: [Wi-Fi, Straße, café, livingroom, dish washer, naïve fire, Küche, heating]}\n  \
                n: {range: {from: -20, to: 300, fractions: tenths, type: temperature}}\n  w: {wildcard: true}\nskip_words: [please]\n";
    let grammar = Grammar::parse("x.yaml", file).unwrap();
    for (text, expected) in [
        ("turn on the wifi", Some("A name=Wi-Fi")),
        ("turn on the wi fi", Some("A name=Wi-Fi")),
        ("turn on the Wi\u{2011}Fi", Some("A name=Wi-Fi")),
        ("TURN ON THE STRASSE", Some("A name=Straße")),
        ("turn on the cafe", Some("A name=café")),
        ("turn on the cafe\u{301}", Some("A name=café")),
        ("turn on the Living Room", Some("A name=livingroom")),
        ("turn on the dishwasher, please", Some("A name=dish washer")),
        ("turn on the nai\u{308}ve \u{FB01}re", Some("A name=naïve fire")),
        ("turn on the Kueche", Some("A name=Küche")),
        ("turn on thewifi", Some("A name=Wi-Fi")),
        ("turn on the wifiwifi", None),
        ("turn on the wif", None),
        ("set heating to \u{2212}5", Some("A name=heating n=-5")),
        ("set heating to \u{2013}5\u{2103}", None),
        ("set heating to -5", Some("A name=heating n=-5")),
        ("set heating to negative five", Some("A name=heating n=-5")),
        ("set heating to negative 5 point 5 degrees", Some("A name=heating n=-5.5")),
        ("set heating to 20 point 5", Some("A name=heating n=20.5")),
        ("set heating to twenty point 5", Some("A name=heating n=20.5")),
        ("set heating to 20½°", Some("A name=heating n=20.5")),
        ("set heating to one oh one", Some("A name=heating n=101")),
        ("set heating to two oh five degrees", Some("A name=heating n=205")),
        ("set heating to two hundred and 5", Some("A name=heating n=205")),
        ("set heating to 21.0 degrees", Some("A name=heating n=21")),
        ("set heating to ２１", Some("A name=heating n=21")),
        ("set heating to 7.30", None),
        ("set heating to negative", None),
        ("hi Wifi Cafe\u{301} heat", Some("A free=Wifi Café heat")),
    ] {
        assert_eq!(meaning(&grammar, text).as_deref(), expected, "{text}");
    }
    let german = file.replace("language: en", "language: de");
    let grammar = Grammar::parse("x.yaml", &german).unwrap();
    assert_eq!(meaning(&grammar, "set heating to 20,5").as_deref(), Some("A name=heating n=20.5"));
    assert_eq!(meaning(&grammar, "set heating to 20, 5"), None);
}

/// Whoever says a sentence of a pack is not asked what they meant: no two meanings fit one text equally well.
#[test]
fn packs_are_not_ambiguous() {
    for pack in PACKS {
        let grammar = grammar(pack.name);
        for sample in grammar.samples(5).take(10_000) {
            let matches = grammar.matches(&sample.text);
            assert!(!matches[0].ambiguous, "{}: {}: {matches:?}", pack.name, sample.text);
        }
    }
}
