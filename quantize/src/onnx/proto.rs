//! The part of the ONNX format (`onnx/onnx.proto`) that a layer needs, written as protocol buffers.
//!
//! Files are read through tract-onnx, whose messages prost can write too; but these dozen fields in a fixed order are what the files of
//! layers and of the tests have been so far, byte for byte, and prost would be one more direct dependency.

/// `TensorProto.DataType`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DataType {
    Float = 1,
    Uint8 = 2,
    Int8 = 3,
    Int64 = 7,
    Double = 11,
}

/// One message in wire format.
#[derive(Clone, Debug, Default)]
pub(crate) struct Message(Vec<u8>);

impl Message {
    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    /// A field of type int32, int64 or enum.
    pub(crate) fn int(mut self, field: u32, value: i64) -> Self {
        self.varint(u64::from(field << 3));
        self.varint(value as u64);
        self
    }

    /// A field of type float.
    pub(crate) fn float(mut self, field: u32, value: f32) -> Self {
        const FIXED_32: u32 = 5;
        self.varint(u64::from(field << 3 | FIXED_32));
        self.0.extend_from_slice(&value.to_le_bytes());
        self
    }

    /// A field of type string or bytes.
    pub(crate) fn bytes(mut self, field: u32, value: &[u8]) -> Self {
        const LENGTH_DELIMITED: u32 = 2;
        self.varint(u64::from(field << 3 | LENGTH_DELIMITED));
        self.varint(value.len() as u64);
        self.0.extend_from_slice(value);
        self
    }

    /// A field that is a message itself.
    pub(crate) fn message(self, field: u32, value: Self) -> Self {
        self.bytes(field, &value.0)
    }

    /// Seven bits a byte, lowest first.
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }
}

/// `ModelProto` with one graph and the default domain's operators.
pub(crate) fn model(ir_version: i64, opset: i64, doc: &str, graph: Message) -> Message {
    let operators = Message::default().bytes(1, b"").int(2, opset);
    let model = Message::default().int(1, ir_version).bytes(2, b"ossicle-quantize").bytes(6, doc.as_bytes());
    model.message(7, graph).message(8, operators)
}

/// `GraphProto`; nodes in topological order.
pub(crate) fn graph(name: &str, nodes: Vec<Message>, constants: Vec<Message>, input: Message, output: Message) -> Message {
    let graph = nodes.into_iter().fold(Message::default(), |graph, node| graph.message(1, node)).bytes(2, name.as_bytes());
    let graph = constants.into_iter().fold(graph, |graph, constant| graph.message(5, constant));
    graph.message(11, input).message(12, output)
}

/// `NodeProto` with one output, which also names it.
pub(crate) fn node(op: &str, inputs: &[&str], output: &str) -> Message {
    let node = inputs.iter().fold(Message::default(), |node, input| node.bytes(1, input.as_bytes()));
    node.bytes(2, output.as_bytes()).bytes(3, output.as_bytes()).bytes(4, op.as_bytes())
}

/// `AttributeProto` of an integer.
pub(crate) fn attribute(name: &str, value: i64) -> Message {
    const INT: i64 = 2;
    Message::default().bytes(1, name.as_bytes()).int(3, value).int(20, INT)
}

/// `AttributeProto` of a text.
pub(crate) fn string(name: &str, value: &str) -> Message {
    const STRING: i64 = 3;
    Message::default().bytes(1, name.as_bytes()).bytes(4, value.as_bytes()).int(20, STRING)
}

/// `AttributeProto` of a float.
pub(crate) fn real(name: &str, value: f32) -> Message {
    const FLOAT: i64 = 1;
    Message::default().bytes(1, name.as_bytes()).float(2, value).int(20, FLOAT)
}

/// `TensorProto`; `data` is little-endian.
pub(crate) fn tensor(name: &str, data_type: DataType, dims: &[i64], data: &[u8]) -> Message {
    let tensor = dims.iter().fold(Message::default(), |tensor, &dim| tensor.int(1, dim));
    tensor.int(2, data_type as i64).bytes(8, name.as_bytes()).bytes(9, data)
}

/// `ValueInfoProto` of f32 `[rows][width]`, any number of rows.
pub(crate) fn value(name: &str, width: i64) -> Message {
    let (rows, width) = (Message::default().bytes(2, b"rows"), Message::default().int(1, width));
    let shape = Message::default().message(1, rows).message(1, width);
    let tensor = Message::default().int(1, DataType::Float as i64).message(2, shape);
    Message::default().bytes(1, name.as_bytes()).message(2, Message::default().message(1, tensor))
}

/// `ValueInfoProto` of f32 of a fixed shape.
pub(crate) fn shaped(name: &str, dims: &[i64]) -> Message {
    let shape = dims.iter().fold(Message::default(), |shape, &dim| shape.message(1, Message::default().int(1, dim)));
    let tensor = Message::default().int(1, DataType::Float as i64).message(2, shape);
    Message::default().bytes(1, name.as_bytes()).message(2, Message::default().message(1, tensor))
}

/// `AttributeProto` of integers.
pub(crate) fn integers(name: &str, values: &[i64]) -> Message {
    const INTS: i64 = 7;
    values.iter().fold(Message::default().bytes(1, name.as_bytes()), |m, &v| m.int(8, v)).int(20, INTS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wire_format_is_as_specified() {
        // The examples of the protocol buffers' encoding guide.
        assert_eq!(Message::default().int(1, 150).into_bytes(), [0x08, 0x96, 0x01]);
        assert_eq!(Message::default().bytes(2, b"testing").into_bytes(), *b"\x12\x07testing");
        let inner = Message::default().int(1, 150);
        assert_eq!(Message::default().message(3, inner).into_bytes(), [0x1a, 0x03, 0x08, 0x96, 0x01]);
        assert_eq!(Message::default().int(20, -1).into_bytes(), [&[0xa0, 0x01][..], &[0xff; 9], &[0x01]].concat());
    }
}
