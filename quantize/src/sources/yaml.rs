//! A training run's settings: YAML as OmegaConf writes it, whose texts may stand for other values (`${sample_rate}`).

use saphyr_parser::{Event, Parser, ScalarStyle, StrInput};
use serde_json::{Map, Value};

/// The longest text read, in bytes.
const MAX_BYTES: usize = 1 << 20;
/// The deepest nesting, and the longest chain of values that stand for others.
const MAX_DEPTH: usize = 32;

/// What was read.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Settings(Value);

impl Settings {
    /// Reads one document.
    ///
    /// # Errors
    /// It is no YAML, or has anchors, aliases or tags.
    pub(crate) fn read(text: &str) -> Result<Self, String> {
        if text.len() > MAX_BYTES {
            return Err(format!("settings of {} bytes, at most {MAX_BYTES} are read", text.len()));
        }
        let mut events = Parser::new_from_str(text);
        loop {
            match next(&mut events)? {
                Event::StreamStart | Event::DocumentStart(_) | Event::Nothing => {}
                Event::StreamEnd | Event::DocumentEnd => return Ok(Self(Value::Null)),
                event => return node(&mut events, event, 0).map(Self),
            }
        }
    }

    /// The value at a path of names with dots between them; null where there is none.
    pub(crate) fn get(&self, path: &str) -> Value {
        let mut path = path.to_owned();
        for _ in 0..MAX_DEPTH {
            let found = path.split('.').try_fold(&self.0, |value, name| value.get(name));
            match found {
                Some(Value::String(text)) => match text.strip_prefix("${").and_then(|rest| rest.strip_suffix('}')) {
                    Some(other) => path = other.trim().to_owned(),
                    None => return Value::String(text.clone()),
                },
                found => return found.cloned().unwrap_or_default(),
            }
        }
        Value::Null
    }

    /// As [`get`](Self::get), of a certain type.
    ///
    /// # Errors
    /// The path, if there is none or one of another type.
    pub(crate) fn read_as<T: serde::de::DeserializeOwned>(&self, path: &str) -> Result<T, String> {
        let value = self.get(path);
        serde_json::from_value(value.clone()).map_err(|_| format!("xp.cfg: {path} is {value}"))
    }
}

fn next<'a>(events: &mut Parser<'a, StrInput<'a>>) -> Result<Event<'a>, String> {
    match events.next_event() {
        Some(Ok((event, _))) => Ok(event),
        Some(Err(error)) => Err(format!("xp.cfg is not YAML: {} in line {}", error.info(), error.marker().line())),
        None => Ok(Event::StreamEnd),
    }
}

fn node<'a>(events: &mut Parser<'a, StrInput<'a>>, event: Event<'a>, depth: usize) -> Result<Value, String> {
    if depth == MAX_DEPTH {
        return Err(format!("xp.cfg is nested more than {MAX_DEPTH} deep"));
    }
    match event {
        Event::Scalar(text, style, 0, None) => Ok(scalar(&text, style)),
        Event::SequenceStart(0, None) => {
            let mut items = vec![];
            loop {
                match next(events)? {
                    Event::SequenceEnd => return Ok(Value::Array(items)),
                    event => items.push(node(events, event, depth + 1)?),
                }
            }
        }
        Event::MappingStart(0, None) => {
            let mut map = Map::new();
            loop {
                let key = match next(events)? {
                    Event::MappingEnd => return Ok(Value::Object(map)),
                    Event::Scalar(text, _, 0, None) => text.into_owned(),
                    _ => return Err("xp.cfg has a key that is no plain text".into()),
                };
                let event = next(events)?;
                let value = node(events, event, depth + 1)?;
                map.insert(key, value);
            }
        }
        _ => Err("xp.cfg has an anchor, an alias or a tag".into()),
    }
}

fn scalar(text: &str, style: ScalarStyle) -> Value {
    if style != ScalarStyle::Plain {
        return Value::String(text.to_owned());
    }
    match text {
        "" | "~" | "null" => Value::Null,
        "true" | "True" => Value::Bool(true),
        "false" | "False" => Value::Bool(false),
        _ => match (text.parse::<i64>(), text.parse::<f64>()) {
            (Ok(number), _) => number.into(),
            (_, Ok(number)) if number.is_finite() => number.into(),
            _ => Value::String(text.to_owned()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_stand_for_others() {
        let settings = Settings::read(
            "sample_rate: 16000\nchannels: 1\nname: '12'\nseanet:\n  ratios:\n  - 8\n  - 5\n  rate: ${sample_rate}\n  lr: 5.0e-05\n  \
             causal: false\n  encoder: {}\n  pad: null\nencodec:\n  rate: ${seanet.rate}\na: ${b}\nb: ${a}\n",
        )
        .unwrap();
        assert_eq!(settings.get("encodec.rate"), json!(16000));
        assert_eq!(settings.get("seanet.ratios"), json!([8, 5]));
        assert_eq!(settings.get("seanet.lr"), json!(5e-5));
        assert_eq!(settings.read_as::<bool>("seanet.causal"), Ok(false));
        assert_eq!(settings.get("name"), json!("12"));
        assert_eq!((settings.get("seanet.pad"), settings.get("none.such"), settings.get("a")), (Value::Null, Value::Null, Value::Null));
        assert_eq!(settings.read_as::<bool>("sample_rate"), Err("xp.cfg: sample_rate is 16000".into()));
    }

    #[test]
    fn what_is_no_plain_yaml_is_refused() {
        for text in ["a: [1", "a: &x 1\nb: *x", "a: !!python/object:os.system ls", "? [1]\n: 2"] {
            assert!(Settings::read(text).is_err(), "{text}");
        }
        let deep = "[".repeat(40) + &"]".repeat(40);
        assert!(Settings::read(&deep).unwrap_err().contains("deep"));
        assert!(Settings::read(&"a".repeat(2 << 20)).unwrap_err().contains("at most"));
    }
}
