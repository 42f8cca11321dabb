//! Reading protocol buffers' wire format: fields of a message, one after the other.

/// Why bytes are not a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WireError {
    /// The message ends within a field.
    Truncated,
    /// A variable-length integer of more than 64 bits.
    Overlong,
    /// A wire type that ONNX does not use.
    Type(u8),
}

impl std::fmt::Display for WireError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Truncated => f.write_str("not an ONNX file: it ends within a field"),
            Self::Overlong => f.write_str("not an ONNX file: an integer of more than 64 bits"),
            Self::Type(kind) => write!(f, "not an ONNX file: wire type {kind}"),
        }
    }
}

/// The value of a field. Numbers of 64 fixed bits are passed over: nothing here reads one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Value<'a> {
    Int(u64),
    Bytes(&'a [u8]),
    Float(f32),
    Fixed,
}

impl<'a> Value<'a> {
    pub(super) fn int(self) -> Option<i64> {
        if let Self::Int(value) = self { Some(value as i64) } else { None }
    }

    pub(super) fn float(self) -> Option<f32> {
        if let Self::Float(value) = self { Some(value) } else { None }
    }

    pub(super) fn bytes(self) -> Option<&'a [u8]> {
        if let Self::Bytes(bytes) = self { Some(bytes) } else { None }
    }

    /// A string, whatever is not UTF-8 replaced.
    pub(super) fn text(self) -> Option<String> {
        self.bytes().map(|bytes| String::from_utf8_lossy(bytes).into_owned())
    }
}

/// The fields of a message: numbers and values.
pub(super) fn fields(bytes: &[u8]) -> Fields<'_> {
    Fields(bytes)
}

pub(super) struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn take(&mut self, len: u64) -> Result<&'a [u8], WireError> {
        let len = usize::try_from(len).ok().filter(|&len| len <= self.0.len()).ok_or(WireError::Truncated)?;
        let (taken, rest) = self.0.split_at(len);
        self.0 = rest;
        Ok(taken)
    }

    fn varint(&mut self) -> Result<u64, WireError> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.take(1)?[0];
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(WireError::Overlong)
    }

    fn field(&mut self) -> Result<(u32, Value<'a>), WireError> {
        let key = self.varint()?;
        let value = match key & 7 {
            0 => Value::Int(self.varint()?),
            1 => self.take(8).map(|_| Value::Fixed)?,
            2 => {
                let len = self.varint()?;
                Value::Bytes(self.take(len)?)
            }
            5 => Value::Float(f32::from_le_bytes(self.take(4)?.try_into().unwrap_or_default())),
            other => return Err(WireError::Type(other as u8)),
        };
        Ok(((key >> 3) as u32, value))
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u32, Value<'a>), WireError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_err() {
            self.0 = &[];
        }
        Some(field)
    }
}

/// The integers of a repeated field, packed or one by one.
pub(super) fn ints(value: Value<'_>) -> Result<Vec<i64>, WireError> {
    match value {
        Value::Int(value) => Ok(vec![value as i64]),
        Value::Bytes(bytes) => {
            let mut packed = Fields(bytes);
            let mut values = vec![];
            while !packed.0.is_empty() {
                values.push(packed.varint()? as i64);
            }
            Ok(values)
        }
        Value::Float(_) => Err(WireError::Type(5)),
        Value::Fixed => Err(WireError::Type(1)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::proto::Message;
    use super::*;

    #[test]
    fn what_was_written_is_read() {
        let inner = Message::default().int(1, -1);
        let bytes = Message::default().int(7, 300).bytes(2, b"ab").message(3, inner).into_bytes();
        let all: Vec<_> = fields(&bytes).collect::<Result<_, _>>().unwrap();
        assert_eq!(all[0], (7, Value::Int(300)));
        assert_eq!(all[1].1.text().unwrap(), "ab");
        let inner: Vec<_> = fields(all[2].1.bytes().unwrap()).collect::<Result<_, _>>().unwrap();
        assert_eq!(inner[0].1.int(), Some(-1));
        assert_eq!(ints(Value::Bytes(&[1, 0x96, 1])).unwrap(), [1, 150]);
        assert_eq!(fields(&[0x15, 0, 0, 0, 0x3f]).next(), Some(Ok((2, Value::Float(0.5)))));
    }

    #[test]
    fn any_bytes_end() {
        for len in 0..300 {
            let bytes: Vec<u8> = (0..len).map(|i| (i * 7919 + len * 31) as u8).collect();
            assert!(fields(&bytes).count() <= len);
        }
        assert_eq!(fields(&[0x0a, 5, 1]).next(), Some(Err(WireError::Truncated)));
        assert_eq!(fields(&[0xff; 11]).next(), Some(Err(WireError::Overlong)));
        assert_eq!(fields(&[0x0b]).next(), Some(Err(WireError::Type(3))));
    }
}
