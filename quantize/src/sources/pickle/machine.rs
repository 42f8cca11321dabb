//! The stack machine of pickles, with the opcodes of protocols 2 to 5 that state dicts need.

use std::collections::HashMap;

use super::Refused;
use crate::float::Float;

/// Most opcodes of one pickle: what bounds the memory it can ask for. A tensor takes about 55.
const MAX_STEPS: usize = 1 << 20;

/// Highest protocol.
const MAX_PROTOCOL: u8 = 5;

/// A value on the stack: a plain one, or the place of an object.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Value<'a> {
    None,
    Bool(bool),
    Int(i64),
    /// An integer of more than 8 bytes, little-endian.
    Long(&'a [u8]),
    Float,
    Text(&'a str),
    Name(Name),
    Object(usize),
}

impl<'a> Value<'a> {
    pub(super) fn text(self) -> Option<&'a str> {
        if let Value::Text(text) = self { Some(text) } else { None }
    }

    /// A count or place.
    pub(super) fn index(self) -> Option<usize> {
        if let Value::Int(n) = self { usize::try_from(n).ok() } else { None }
    }
}

/// What a pickle may name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Name {
    OrderedDict,
    RebuildTensor,
    RebuildParameter,
    Storage(Element),
}

/// Element type of a storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Element {
    F32,
    F16,
    Bf16,
    /// One that no weights are read of: its name and its bytes.
    Other(&'static str, usize),
}

impl Element {
    pub(super) fn float(self) -> Option<Float> {
        match self {
            Self::F32 => Some(Float::F32),
            Self::F16 => Some(Float::F16),
            Self::Bf16 => Some(Float::Bf16),
            Self::Other(..) => None,
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Bf16 => "bf16",
            Self::Other(name, _) => name,
        }
    }

    pub(super) fn size(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 | Self::Bf16 => 2,
            Self::Other(_, size) => size,
        }
    }
}

/// A storage's type by its class in `torch`.
fn element(class: &str) -> Option<Element> {
    Some(match class {
        "FloatStorage" => Element::F32,
        "HalfStorage" => Element::F16,
        "BFloat16Storage" => Element::Bf16,
        "DoubleStorage" => Element::Other("f64", 8),
        "LongStorage" => Element::Other("i64", 8),
        "IntStorage" => Element::Other("i32", 4),
        "ShortStorage" => Element::Other("i16", 2),
        "CharStorage" => Element::Other("i8", 1),
        "ByteStorage" => Element::Other("u8", 1),
        "BoolStorage" => Element::Other("bool", 1),
        _ => return None,
    })
}

/// What is made on the way, in the order it is made.
#[derive(Debug)]
pub(super) enum Object<'a> {
    Tuple(Vec<Value<'a>>),
    List(Vec<Value<'a>>),
    Dict(Vec<(Value<'a>, Value<'a>)>),
    Storage(Storage<'a>),
    Tensor(View<'a>),
}

/// A storage somewhere else in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Storage<'a> {
    pub(super) key: &'a str,
    pub(super) element: Element,
    /// Elements.
    pub(super) len: usize,
}

/// A tensor: a strided view of a storage, in elements.
#[derive(Clone, Debug)]
pub(super) struct View<'a> {
    pub(super) storage: Storage<'a>,
    pub(super) offset: usize,
    pub(super) shape: Vec<usize>,
    pub(super) stride: Vec<usize>,
}

impl View<'_> {
    /// Whether its elements follow each other, row-major.
    pub(super) fn is_dense(&self) -> bool {
        let mut run = 1usize;
        for (&n, &stride) in self.shape.iter().zip(&self.stride).rev() {
            if n != 1 && stride != run && !self.shape.contains(&0) {
                return false;
            }
            run = run.saturating_mul(n);
        }
        true
    }
}

/// What a pickle holds.
#[derive(Debug)]
pub(super) struct Pickle<'a> {
    pub(super) objects: Vec<Object<'a>>,
    pub(super) top: Value<'a>,
}

impl<'a> Pickle<'a> {
    pub(super) fn object(&self, value: Value<'a>) -> Option<&Object<'a>> {
        if let Value::Object(at) = value { self.objects.get(at) } else { None }
    }
}

/// Runs the pickle that starts at `at`, and leaves `at` after it.
///
/// # Errors
/// The opcode, or the name it calls, that does not belong in a state dict.
pub(super) fn run<'a>(bytes: &'a [u8], at: &mut usize) -> Result<Pickle<'a>, Refused> {
    let mut machine = Machine { bytes, at: *at, objects: vec![], stack: vec![], marks: vec![], memo: HashMap::new() };
    for _ in 0..MAX_STEPS {
        let start = machine.at;
        let opcode = machine.byte()?;
        if opcode == b'.' {
            let top = machine.pop()?;
            *at = machine.at;
            return Ok(Pickle { objects: machine.objects, top });
        }
        machine.step(opcode).map_err(|why| format!("pickle, byte {start}: {why}"))?;
    }
    Err(format!("a pickle of more than {MAX_STEPS} opcodes is not a state dict"))
}

struct Machine<'a> {
    bytes: &'a [u8],
    at: usize,
    objects: Vec<Object<'a>>,
    stack: Vec<Value<'a>>,
    /// How many values were on the stack at each mark.
    marks: Vec<usize>,
    memo: HashMap<usize, Value<'a>>,
}

impl<'a> Machine<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], Refused> {
        let taken = self.bytes.get(self.at..).and_then(|rest| rest.get(..count)).ok_or("the file is cut off within a pickle")?;
        self.at += count;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8, Refused> {
        self.take(1).map(|taken| taken[0])
    }

    /// An unsigned number of some bytes, little-endian.
    fn number(&mut self, bytes: usize) -> Result<usize, Refused> {
        let value = self.take(bytes)?.iter().rev().fold(0u64, |value, &byte| value << 8 | u64::from(byte));
        usize::try_from(value).map_err(|_| "a number is too large".into())
    }

    fn text(&mut self, count: usize) -> Result<&'a str, Refused> {
        std::str::from_utf8(self.take(count)?).map_err(|_| "a text is not UTF-8".into())
    }

    fn line(&mut self) -> Result<&'a str, Refused> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let end = rest.iter().take(256).position(|&byte| byte == b'\n').ok_or("a name has no end")?;
        let line = self.text(end)?;
        self.at += 1;
        Ok(line)
    }

    fn push(&mut self, value: Value<'a>) -> Result<(), Refused> {
        self.stack.push(value);
        Ok(())
    }

    fn make(&mut self, object: Object<'a>) -> Result<(), Refused> {
        self.objects.push(object);
        self.push(Value::Object(self.objects.len() - 1))
    }

    fn pop(&mut self) -> Result<Value<'a>, Refused> {
        let floor = self.marks.last().copied().unwrap_or(0);
        if self.stack.len() <= floor {
            return Err("it takes a value that is not there".into());
        }
        self.stack.pop().ok_or_else(|| "it takes a value that is not there".into())
    }

    fn last(&self) -> Result<Value<'a>, Refused> {
        self.stack.last().copied().ok_or_else(|| "it reads a value that is not there".into())
    }

    /// The values after the last mark.
    fn marked(&mut self) -> Result<Vec<Value<'a>>, Refused> {
        let mark = self.marks.pop().ok_or("it lacks a mark")?;
        Ok(self.stack.split_off(mark))
    }

    fn tuple(&mut self, count: usize) -> Result<(), Refused> {
        let mut items = vec![];
        for _ in 0..count {
            items.push(self.pop()?);
        }
        items.reverse();
        self.make(Object::Tuple(items))
    }

    fn put(&mut self, place: usize) -> Result<(), Refused> {
        let value = self.last()?;
        self.memo.insert(place, value);
        Ok(())
    }

    fn get(&mut self, place: usize) -> Result<(), Refused> {
        let value = self.memo.get(&place).copied().ok_or_else(|| format!("it recalls value {place}, which was not kept"))?;
        self.push(value)
    }

    /// Adds to the list or dict on top of the stack.
    fn extend(&mut self, items: Vec<Value<'a>>) -> Result<(), Refused> {
        let Value::Object(place) = self.last()? else { return Err("it fills something other than a list or dict".into()) };
        match self.objects.get_mut(place) {
            Some(Object::List(list)) => list.extend(items),
            Some(Object::Dict(dict)) if items.len().is_multiple_of(2) => dict.extend(items.chunks_exact(2).map(|pair| (pair[0], pair[1]))),
            _ => return Err("it fills something other than a list or dict".into()),
        }
        Ok(())
    }

    fn step(&mut self, opcode: u8) -> Result<(), Refused> {
        match opcode {
            // PROTO, FRAME
            0x80 => match self.byte()? {
                0..=MAX_PROTOCOL => Ok(()),
                other => Err(format!("protocol {other} is not known")),
            },
            0x95 => self.take(8).map(drop),
            // MARK, NONE, NEWTRUE, NEWFALSE
            b'(' => {
                self.marks.push(self.stack.len());
                Ok(())
            }
            b'N' => self.push(Value::None),
            0x88 => self.push(Value::Bool(true)),
            0x89 => self.push(Value::Bool(false)),
            // BININT, BININT1, BININT2, LONG1, BINFLOAT
            b'J' => {
                let bytes = self.take(4)?;
                self.push(Value::Int(i64::from(i32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))))
            }
            b'K' => self.number(1).and_then(|n| self.push(Value::Int(n as i64))),
            b'M' => self.number(2).and_then(|n| self.push(Value::Int(n as i64))),
            0x8a => self.long(),
            b'G' => self.take(8).and_then(|_| self.push(Value::Float)),
            // BINUNICODE, SHORT_BINUNICODE, and Python 2's BINSTRING and SHORT_BINSTRING
            b'X' | b'T' => self.number(4).and_then(|count| self.text(count)).and_then(|text| self.push(Value::Text(text))),
            0x8c | b'U' => self.number(1).and_then(|count| self.text(count)).and_then(|text| self.push(Value::Text(text))),
            // EMPTY_TUPLE, TUPLE1 to TUPLE3, TUPLE, EMPTY_LIST, EMPTY_DICT
            b')' => self.make(Object::Tuple(vec![])),
            0x85..=0x87 => self.tuple(usize::from(opcode - 0x84)),
            b't' => self.marked().and_then(|items| self.make(Object::Tuple(items))),
            b']' => self.make(Object::List(vec![])),
            b'}' => self.make(Object::Dict(vec![])),
            // APPEND, APPENDS, SETITEM, SETITEMS
            b'a' => {
                let value = self.pop()?;
                self.extend(vec![value])
            }
            b's' => {
                let (value, key) = (self.pop()?, self.pop()?);
                self.extend(vec![key, value])
            }
            b'e' | b'u' => self.marked().and_then(|items| self.extend(items)),
            // BINPUT, LONG_BINPUT, MEMOIZE, BINGET, LONG_BINGET
            b'q' => self.number(1).and_then(|place| self.put(place)),
            b'r' => self.number(4).and_then(|place| self.put(place)),
            0x94 => self.put(self.memo.len()),
            b'h' => self.number(1).and_then(|place| self.get(place)),
            b'j' => self.number(4).and_then(|place| self.get(place)),
            // GLOBAL, STACK_GLOBAL, REDUCE, BUILD, BINPERSID
            b'c' => {
                let (module, name) = (self.line()?, self.line()?);
                self.name(module, name)
            }
            0x93 => match (self.pop()?, self.pop()?) {
                (Value::Text(name), Value::Text(module)) => self.name(module, name),
                _ => Err("it calls something that has no name".into()),
            },
            b'R' => self.call(),
            b'b' => self.build(),
            b'Q' => self.storage(),
            other => Err(refusal(other)),
        }
    }

    fn long(&mut self) -> Result<(), Refused> {
        let count = self.number(1)?;
        let bytes = self.take(count)?;
        if count > 8 {
            return self.push(Value::Long(bytes));
        }
        let negative = bytes.last().is_some_and(|&byte| byte >= 0x80);
        let value = bytes.iter().rev().fold(if negative { -1 } else { 0 }, |value: i64, &byte| value << 8 | i64::from(byte));
        self.push(Value::Int(value))
    }

    /// A name that is allowed; nothing is looked up or imported.
    fn name(&mut self, module: &str, name: &str) -> Result<(), Refused> {
        let known = match (module, name) {
            ("collections", "OrderedDict") => Some(Name::OrderedDict),
            ("torch._utils", "_rebuild_tensor_v2") => Some(Name::RebuildTensor),
            ("torch._utils", "_rebuild_parameter") => Some(Name::RebuildParameter),
            ("torch", class) => element(class).map(Name::Storage),
            _ => None,
        };
        let known = known.ok_or_else(|| {
            let name = format!("{module}.{name}");
            format!("it calls {name:?}, which does not belong in a state dict: save that alone, torch.save(model.state_dict(), FILE)")
        })?;
        self.push(Value::Name(known))
    }

    fn items(&self, value: Value<'a>) -> Option<&[Value<'a>]> {
        let Value::Object(at) = value else { return None };
        if let Some(Object::Tuple(items)) = self.objects.get(at) { Some(items) } else { None }
    }

    fn is_empty_dict(&self, value: Value<'a>) -> bool {
        matches!(value, Value::Object(at) if matches!(&self.objects[at], Object::Dict(items) if items.is_empty()))
    }

    /// What a name makes of its arguments.
    fn call(&mut self) -> Result<(), Refused> {
        let (arguments, name) = (self.pop()?, self.pop()?);
        let Some(arguments) = self.items(arguments).map(<[_]>::to_vec) else { return Err("it calls with no arguments".into()) };
        match (name, &arguments[..]) {
            (Value::Name(Name::OrderedDict), []) => self.make(Object::Dict(vec![])),
            (Value::Name(Name::RebuildTensor), &[Value::Object(storage), offset, shape, stride, Value::Bool(_), hooks]) => {
                let Some(&Object::Storage(storage)) = self.objects.get(storage) else { return Err("a tensor has no storage".into()) };
                let numbers = |value| self.items(value)?.iter().map(|&n| n.index()).collect::<Option<Vec<usize>>>();
                let (Some(offset), Some(shape), Some(stride)) = (offset.index(), numbers(shape), numbers(stride)) else {
                    return Err("a tensor's offset, shape or strides are not counts".into());
                };
                if shape.len() != stride.len() {
                    return Err(format!("a tensor of shape {shape:?} with strides {stride:?}"));
                }
                if !self.is_empty_dict(hooks) {
                    return Err("a tensor with hooks: save the state dict without them".into());
                }
                self.make(Object::Tensor(View { storage, offset, shape, stride }))
            }
            (Value::Name(Name::RebuildParameter), &[tensor, Value::Bool(_), hooks]) => {
                let is_tensor = matches!(tensor, Value::Object(at) if matches!(self.objects[at], Object::Tensor(_)));
                if is_tensor && self.is_empty_dict(hooks) {
                    self.push(tensor)
                } else {
                    Err("a parameter of no tensor, or with hooks".into())
                }
            }
            (Value::Name(name), arguments) => Err(format!("it calls {name:?} with {} arguments that are not its own", arguments.len())),
            _ => Err("it calls something that is not a name".into()),
        }
    }

    /// Attributes of a dict (`_metadata`: versions of the modules); nothing else has any.
    fn build(&mut self) -> Result<(), Refused> {
        let state = self.pop()?;
        let dict = |value| matches!(value, Value::Object(at) if matches!(self.objects[at], Object::Dict(_)));
        if dict(state) && dict(self.last()?) { Ok(()) } else { Err("it gives attributes to what has none".into()) }
    }

    /// `("storage", class, key, device, elements)`, and for legacy files which part of another storage it is, if any.
    fn storage(&mut self) -> Result<(), Refused> {
        let id = self.pop()?;
        match self.items(id) {
            Some(
                &[Value::Text("storage"), Value::Name(Name::Storage(element)), Value::Text(key), Value::Text(_), len]
                | &[Value::Text("storage"), Value::Name(Name::Storage(element)), Value::Text(key), Value::Text(_), len, Value::None],
            ) => {
                let len = len.index().ok_or("a storage's length is not a count")?;
                self.make(Object::Storage(Storage { key, element, len }))
            }
            Some([Value::Text("storage"), _, _, _, _, _]) => Err("a storage that is a part of another: save the state dict anew".into()),
            _ => Err("what lies outside of the pickle is not a storage".into()),
        }
    }
}

/// The line that refuses an opcode.
fn refusal(opcode: u8) -> String {
    let name = match opcode {
        b'i' => "INST",
        b'o' => "OBJ",
        0x81 => "NEWOBJ",
        0x92 => "NEWOBJ_EX",
        0x82..=0x84 => "EXT",
        b'P' => "PERSID",
        b'I' | b'L' | b'F' | b'S' | b'V' | b'p' | b'g' | b'l' | b'd' => return "protocol 0, which torch.save does not write".into(),
        _ => return format!("opcode {opcode:#04x} does not belong in a state dict"),
    };
    format!("opcode {name} makes objects of any class: save the state dict alone, torch.save(model.state_dict(), FILE)")
}
