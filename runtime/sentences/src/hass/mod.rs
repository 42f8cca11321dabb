//! Home Assistant's own sentences: the community's templates of some 60 languages, and custom sentences in the same form.
//!
//! A [`Corpus`] is what the files say, a [`House`] the names of one's own rooms and devices; [`Intents`] are both compiled, and tell what
//! a text means. Templates follow the rules of hassil (<https://github.com/OHF-Voice/hassil>), whose results are the measure.

mod corpus;
mod house;
mod layout;
mod matcher;
mod needs;
mod number_words;
mod ops;
mod program;
mod speech;
mod spoken;
mod template;
#[cfg(test)]
mod tests;
mod text;
mod tree;

pub use corpus::Corpus;
pub use house::{Entity, House, Place};
pub use layout::{MAX_BYTES, MAX_FILES, SourceFile, wants_folder};
pub use speech::{SpeechAutomaton, SpeechState};

use corpus::{Block, Condition};
use matcher::{Held, Link, Matcher, NONE, Way};
use needs::apart;
use ops::trimmed;
use program::{Body, FreeEnd, Program, Sentence};
use text::{Skip, SkipWords, lower, normalised, unspaced, without_signs};

use crate::error::Error;
use crate::value::Value;

/// The longest text understood, in characters.
const MAX_CHARS: usize = 1000;

/// Sentences and a house, compiled: what a text means.
#[derive(Debug)]
pub struct Intents {
    corpus: Corpus,
    program: Program,
    skip: SkipWords,
    /// The area of the device that hears.
    area: Option<String>,
}

/// What a text means.
#[derive(Clone, Debug, PartialEq)]
pub struct Understood<'a> {
    /// The intent.
    pub intent: &'a str,
    /// Its slots: those said, in the order of the text; then fixed ones, then those of the context.
    pub slots: Vec<(&'a str, Value)>,
    /// The key of the response, as the file has it.
    pub response: Option<&'a str>,
    /// The id of the entity in the slot `name`, if the house knows it.
    pub entity: Option<&'a str>,
    /// What else the file says of the sentence.
    pub metadata: &'a [(String, Value)],
    /// The combination of slots that it stands under.
    pub combination: Option<&'a str>,
}

/// How well a reading fits, the least best.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Fit {
    /// Letters of the slot `name`, if it is a name of the house: the more, the better.
    name: std::cmp::Reverse<Option<u32>>,
    /// Slots of free text.
    free: u32,
    /// Letters of the template's own.
    letters: std::cmp::Reverse<u32>,
    /// Letters of free text.
    free_letters: u32,
}

impl Intents {
    /// Compiles a corpus for a house.
    ///
    /// # Errors
    /// A template that cannot be read, a list or rule that is not defined, or a limit that is passed.
    pub fn new(corpus: Corpus, house: &House) -> Result<Self, Error> {
        let program = program::compile(&corpus, house)?;
        let skip = SkipWords::new(corpus.skip_words.iter().map(|word| word.text.as_str()), !corpus.ignore_blanks);
        Ok(Self { corpus, program, skip, area: None })
    }

    /// The same for a device in this area: where sentences leave the area open, answers give it.
    #[must_use]
    pub fn in_area(self, area: Option<String>) -> Self {
        Self { area, ..self }
    }

    /// The sentences.
    #[must_use]
    pub fn corpus(&self) -> &Corpus {
        &self.corpus
    }

    /// What `text` means, if it is one of the sentences.
    #[must_use]
    pub fn understand(&self, text: &str) -> Option<Understood<'_>> {
        let full = normalised(&without_signs(&normalised(text)));
        let full = full.trim();
        if full.is_empty() || full.chars().count() > MAX_CHARS {
            return None;
        }
        let plain = self.skip.remove(full, Skip::Anywhere);
        let skipped = plain != full;
        let mut words: Vec<char> = full.chars().chain("\n".chars()).chain(plain.chars()).map(lower).map(apart).collect();
        if self.program.ignore_blanks {
            let spaced: String = words.iter().collect();
            words.push('\n');
            words.extend(unspaced(&spaced).chars());
        }
        let met = self.program.needs.met(&words);
        let mut texts = Texts { intents: self, full, plain: &plain, made: [const { None }; 5] };
        let mut best: Option<(Fit, Understood<'_>)> = None;
        for sentence in self.program.sentences.iter().filter(|sentence| met[sentence.need as usize]) {
            let kinds: &[Text] = match sentence.free {
                FreeEnd::Whole => &[Text::Whole],
                FreeEnd::Start => &[Text::End],
                FreeEnd::End => &[Text::Start],
                // What was said word by word comes before what is left without skipped words.
                FreeEnd::None if skipped => &[Text::Full, Text::Plain],
                FreeEnd::None => &[Text::Plain],
            };
            for &kind in kinds {
                let matcher = texts.matcher(kind);
                for way in matcher.sentence(sentence.part) {
                    let fit = self.fit(matcher, way);
                    let name = self.corpus.intents[sentence.intent as usize].name.as_str();
                    if best.as_ref().is_none_or(|(other, found)| (fit, name) < (*other, found.intent))
                        && let Some(found) = self.found(sentence, matcher, way)
                    {
                        best = Some((fit, found));
                    }
                }
            }
        }
        best.map(|(_, found)| found)
    }

    fn fit(&self, matcher: &Matcher<'_>, way: Way) -> Fit {
        let mut fit = Fit { name: std::cmp::Reverse(None), free: 0, letters: std::cmp::Reverse(way.letters), free_letters: 0 };
        for link in links(matcher, way).filter(|link| !link.capture) {
            let letters = trimmed(&matcher.original[link.start as usize..link.end as usize]).len() as u32;
            if link.held == Held::Free {
                fit.free += 1;
                fit.free_letters += letters;
            } else if self.program.slots[link.slot as usize] == "name" {
                fit.name = std::cmp::Reverse(Some(letters));
            }
        }
        fit
    }

    fn found(&self, sentence: &Sentence, matcher: &Matcher<'_>, way: Way) -> Option<Understood<'_>> {
        let intent = &self.corpus.intents[sentence.intent as usize];
        let block = &intent.blocks[sentence.block as usize];
        let mut said: Vec<Link> = links(matcher, way).collect();
        said.reverse();
        let mut known: Vec<(&str, &str)> = self.area.iter().map(|area| ("area", area.as_str())).collect();
        let mut entity = None;
        let mut slots: Vec<(&str, Value)> = Vec::new();
        for link in said {
            let name = self.program.slots[link.slot as usize].as_str();
            let words: String = trimmed(&matcher.original[link.start as usize..link.end as usize]).iter().collect();
            let value = match link.held {
                Held::Free => Value::Free(words),
                Held::Number(number) => Value::Number(number),
                Held::Choice { list, choice } => {
                    let Body::Values(values) = &self.program.lists[list as usize] else { return None };
                    let choice = &values[choice as usize];
                    known.retain(|(key, _)| !choice.context.iter().any(|(other, _)| other == key));
                    known.extend(choice.context.iter().map(|(key, value)| (key.as_str(), value.as_str())));
                    if name == "name" {
                        entity = choice.entity.as_deref();
                    }
                    choice.output.clone().unwrap_or(Value::Text(words))
                }
            };
            if !link.capture {
                slots.retain(|(other, _)| *other != name);
                slots.push((name, value));
            }
        }
        let from_context = self.meets(block, &known)?;
        let fixed = block.slots.iter().map(|(name, value)| (name.as_str(), value.clone()));
        for (name, value) in fixed.chain(from_context) {
            if !slots.iter().any(|(other, _)| *other == name) {
                slots.push((name, value));
            }
        }
        Some(Understood {
            intent: &intent.name,
            slots,
            response: block.response.as_deref(),
            entity,
            metadata: &block.metadata,
            combination: block.combination.as_deref(),
        })
    }

    /// The slots that the context fills, if it is what the block requires.
    fn meets<'a>(&self, block: &'a Block, known: &[(&str, &str)]) -> Option<Vec<(&'a str, Value)>> {
        let value = |key: &str| known.iter().find(|(other, _)| *other == key).map(|(_, value)| *value);
        let allows =
            |condition: &Condition, value: &str| condition.values.is_empty() || condition.values.iter().any(|other| other == value);
        let excluded = |condition: &Condition| value(&condition.key).is_some_and(|value| allows(condition, value));
        if block.excludes.iter().any(excluded) {
            return None;
        }
        let mut slots = Vec::new();
        for condition in &block.requires {
            match value(&condition.key) {
                Some(value) if allows(condition, value) => {
                    slots.extend(condition.slot.as_deref().map(|slot| (slot, Value::Text(value.to_owned()))));
                }
                // Where the device is, whoever carries the intent out may know.
                None if condition.key == "area" && condition.values.is_empty() => {}
                _ => return None,
            }
        }
        Some(slots)
    }
}

/// The slots of a reading, the last first.
fn links<'m>(matcher: &'m Matcher<'_>, way: Way) -> impl Iterator<Item = Link> + 'm {
    let mut at = way.history;
    std::iter::from_fn(move || {
        let link = (at != NONE).then(|| matcher.links[at as usize])?;
        at = link.before;
        Some(link)
    })
}

/// A text with or without skipped words.
#[derive(Clone, Copy)]
enum Text {
    Full,
    Plain,
    Whole,
    Start,
    End,
}

struct Texts<'a> {
    intents: &'a Intents,
    full: &'a str,
    plain: &'a str,
    made: [Option<Matcher<'a>>; 5],
}

impl<'a> Texts<'a> {
    fn matcher(&mut self, kind: Text) -> &mut Matcher<'a> {
        let Self { intents, full, plain, made } = self;
        made[kind as usize].get_or_insert_with(|| match kind {
            Text::Full => Matcher::new(&intents.program, full, true),
            Text::Plain => Matcher::new(&intents.program, plain, true),
            Text::Whole => Matcher::new(&intents.program, full, false),
            Text::Start => Matcher::new(&intents.program, &intents.skip.remove(full, Skip::Start), true),
            Text::End => Matcher::new(&intents.program, &intents.skip.remove(full, Skip::End), true),
        })
    }
}
