//! Sentence files: what may be said to a closed-set voice interface, and what it means.
//!
//! A YAML file of templates in the style of Home Assistant's becomes a [`Grammar`], which tells what a text means, and with a model's
//! [`Vocabulary`] a [`TokenAutomaton`], which tells a decoder what tokens may come next. `docs/sentences.md` describes the files.
//!
//! Nothing here prints, reads files or panics on any input; sizes are limited, and past a limit there is an error. A grammar is built
//! once; after that, following the automaton does not allocate.
//!
//! ```
//! use ossicle_sentences::{Grammar, Value};
//!
//! let file = r#"
//! language: en
//! intents:
//!   HassTurnOn:
//!     data:
//!       - sentences: ["(turn|switch) on [the] {area} light[s]"]
//!         slots: {domain: light}
//! lists:
//!   area:
//!     values: [kitchen, living room]
//! "#;
//! let grammar = Grammar::parse("lights.yaml", file)?;
//! assert_eq!(grammar.count(), 16);
//!
//! let found = &grammar.matches("Switch on the living-room lights.")[0];
//! assert_eq!(found.intent, "HassTurnOn");
//! assert_eq!(found.slots[0].name, "area");
//! assert_eq!(found.slots[0].value, Value::Text("living room".into()));
//! assert!(grammar.matches("Switch on the garden lights.").is_empty());
//! # Ok::<(), ossicle_sentences::Error>(())
//! ```

#![forbid(unsafe_code)]

mod accents;
mod automaton;
mod compile;
mod error;
mod expr;
mod grammar;
pub mod hass;
mod lattice;
mod lexicon;
mod matcher;
mod numbers;
mod packs;
mod program;
mod resolve;
mod response;
mod sample;
mod schema;
mod signs;
mod source;
mod spelling;
mod spoken;
mod template;
mod value;
mod vocabulary;
mod word_dfa;
mod words;
mod yaml;

pub use automaton::{AnyText, Arc, State, TextClass, TokenAutomaton};
pub use compile::CompileError;
pub use error::{Error, Fault};
pub use grammar::{Grammar, Match, Slot};
pub use packs::{PACKS, Pack, pack};
pub use sample::{Sample, Samples};
pub use value::Value;
pub use vocabulary::Vocabulary;
pub use yaml::MAX_FILE_BYTES;
