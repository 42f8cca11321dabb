#!/usr/bin/env python3
"""Writes small valid files for every target to start from, where cargo-fuzz looks for them: fuzz/corpus/TARGET."""

import hashlib
import json
import pathlib
import struct
import zlib

ROOT = pathlib.Path(__file__).resolve().parents[1]


def chunk(name, body):
    return name + struct.pack("<I", len(body)) + body + b"\0" * (len(body) % 2)


def wav(tag, bits, extension=b"", data=bytes(400), before=b"", length=None):
    size = bits // 8
    form = struct.pack("<HHIIHH", tag, 1, 16000, 16000 * size, size, bits) + extension
    samples = chunk(b"data", data)
    if length is not None:
        samples = b"data" + struct.pack("<I", length) + data
    body = b"WAVE" + before + chunk(b"fmt ", form) + samples
    return b"RIFF" + struct.pack("<I", len(body)) + body


def extensible(tag):
    guid = bytes([tag, 0, 0, 0, 0, 0, 0x10, 0, 0x80, 0, 0, 0xAA, 0, 0x38, 0x9B, 0x71])
    return struct.pack("<HHI", 22, 16, 0) + guid


def aiff(kind, common, data):
    chunks = b"COMM" + struct.pack(">I", len(common)) + common + b"ANNO\0\0\0\4note" + b"SSND" + struct.pack(">III", 8 + len(data), 0, 0) + data
    return b"FORM" + struct.pack(">I", 4 + len(chunks)) + kind + chunks


def caf(kind, flags, bits, length, data):
    description = struct.pack(">d4sIIIII", 16000, kind, flags, bits // 8, 1, 1, bits)
    head = b"caff\0\1\0\0desc" + struct.pack(">q", len(description)) + description + b"free" + struct.pack(">q", 3) + b"pad"
    return head + b"data" + struct.pack(">qI", length, 0) + data


def au(encoding, length, data):
    return b".snd" + struct.pack(">IIIII", 28, length, encoding, 16000, 1) + b"note" + data


def mp2():
    """Two frames of layer II, 32 kbit/s at 16 kHz, whose bits allocate nothing: silence."""
    return (b"\xff\xf5\x48\xc0" + bytes(284)) * 2


def audio():
    for pattern in ("tone*", "surround.*"):
        for file in (ROOT / "runtime/pipelines/tests/audio").glob(pattern):
            yield file.name, file.read_bytes()
    # 16 kHz in the floating point of 80 bits.
    rate = bytes([0x40, 0x0C, 0xFA, 0, 0, 0, 0, 0, 0, 0])
    yield "s16be.aiff", aiff(b"AIFF", struct.pack(">HIH", 1, 200, 16) + rate, bytes(400))
    yield "s16le.aifc", aiff(b"AIFC", struct.pack(">HIH", 1, 200, 16) + rate + b"sowt\0\0", bytes(400))
    yield "f32be.aifc", aiff(b"AIFC", struct.pack(">HIH", 1, 100, 32) + rate + b"fl32\0\0", bytes(400))
    yield "s16le.caf", caf(b"lpcm", 2, 16, 404, bytes(400))
    yield "f64be.caf", caf(b"lpcm", 1, 64, -1, bytes(400))
    yield "mulaw.caf", caf(b"ulaw", 0, 8, 404, bytes(400))
    yield "s16be.au", au(3, 400, bytes(400))
    yield "mulaw.au", au(1, 0xFFFFFFFF, bytes(400))
    yield "silence.mp2", mp2()
    for bits in (8, 16, 24, 32):
        yield f"s{bits}.wav", wav(1, bits)
    yield "f32.wav", wav(3, 32)
    yield "f64.wav", wav(3, 64)
    yield "alaw.wav", wav(6, 8, b"\0\0")
    yield "mulaw.wav", wav(7, 8, b"\0\0", before=chunk(b"LIST", b"odd"))
    yield "extensible.wav", wav(0xFFFE, 16, extensible(1))
    yield "endless.wav", wav(1, 16, length=0xFFFFFFFF)
    sizes = chunk(b"ds64", struct.pack("<QQQ", 500, 400, 0))
    yield "bw64.wav", b"BW64" + wav(1, 16, before=sizes + chunk(b"chna", bytes(4)), length=0xFFFFFFFF)[4:]
    yield "rf64.wav", b"RF64" + wav(1, 16, before=chunk(b"ds64", struct.pack("<QQQ", 500, 400, 0)), length=0xFFFFFFFF)[4:]


def string(text):
    return struct.pack("<H", len(text) + 1) + text.encode() + b"\0"


def ct2():
    variables = [("decoder/activation", (), 1, b"\3"), ("encoder/conv1/bias", (2,), 0, bytes(8)), ("encoder/conv1/weight", (2, 1, 3), 4, bytes(12))]
    out = struct.pack("<I", 6) + string("WhisperSpec") + struct.pack("<II", 3, len(variables))
    for name, dims, dtype, data in variables:
        out += string(name) + struct.pack(f"<B{len(dims)}IBI", len(dims), *dims, dtype, len(data)) + data
    yield "small.bin", out + struct.pack("<I", 1) + string("alias") + string("encoder/conv1/bias")


def packed(header, data):
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 64)
    return struct.pack("<Q", len(text)) + text + data


def safetensors():
    header = {}
    for i, (kind, size) in enumerate((("F32", 4), ("F16", 2), ("BF16", 2))):
        header[kind] = {"dtype": kind, "shape": [2, 8 // size], "data_offsets": [16 * i, 16 * i + 16]}
    yield "small.safetensors", packed(header, bytes(48))


def model_folder():
    with open(ROOT / "models-int8/whisper-tiny.en/model.safetensors", "rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header = file.read(length)
    yield "header.safetensors", struct.pack("<Q", length) + header
    yield "empty.safetensors", packed({"__metadata__": {"format": "ossicle-int8", "layout": "n16k4", "numerics_version": "1"}}, b"")


def image():
    yield "small.ppm", b"P6 # two pixels\n2 1 255\n" + bytes(range(6))
    for file in (ROOT / "runtime/pipelines/src/label/testdata").glob("*.jpg"):
        yield file.name, file.read_bytes()
    rows = b"".join(b"\0" + bytes(range(12)) for _ in range(4))
    pieces = [(b"IHDR", struct.pack(">IIBBBBB", 4, 4, 8, 2, 0, 0, 0)), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    chunks = (struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body)) for name, body in pieces)
    yield "small.png", b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def network_folder():
    window = {"kernel": [2, 2], "stride": [1, 2], "padding": [0, 1, 1, 0]}
    layers = [
        {"name": "pool", "op": "pool", "pool": "max", "window": window, "inputs": ["input"]},
        {"name": "act", "op": "activate", "activation": "gelu", "inputs": ["pool"]},
        {"name": "sum", "op": "add", "activation": "relu", "inputs": ["act", "pool"]},
        {"name": "joined", "op": "concat", "channels": [5, 0, 2], "inputs": ["sum", "pool"]},
        {"name": "mean", "op": "mean", "inputs": ["joined"]},
    ]
    shape = {"height": 6, "width": 5, "channels": 3}
    config = {"kind": "network", "numerics_version": 1, "input": shape, "layers": layers, "scores": "softmax", "num_labels": 3}
    yield "small.json", json.dumps(config).encode()


def field(number, value):
    """A field of a protocol buffer: an integer below 128, or bytes."""
    if isinstance(value, int):
        return bytes([number << 3, value])
    return bytes([number << 3 | 2]) + varint(len(value)) + value


def varint(value):
    return bytes([value]) if value < 128 else bytes([value & 127 | 128]) + varint(value >> 7)


def onnx():
    def node(op, inputs, output):
        return field(1, b"".join(field(1, name) for name in inputs) + field(2, output) + field(3, output) + field(4, op))

    def value(name, dims):
        shape = b"".join(field(1, field(1, n)) for n in dims)
        return field(1, name) + field(2, field(1, field(1, 1) + field(2, shape)))

    weights = field(1, 3) + field(1, 3) + field(2, 1) + field(8, b"w") + field(9, struct.pack("<9f", *range(9)))
    nodes = node(b"Relu", [b"x"], b"r") + node(b"GlobalAveragePool", [b"r"], b"p") + node(b"Flatten", [b"p"], b"f")
    nodes += node(b"MatMul", [b"f", b"w"], b"m") + node(b"Softmax", [b"m"], b"y")
    graph = nodes + field(2, b"g") + field(5, weights) + field(11, value(b"x", [1, 3, 4, 4])) + field(12, value(b"y", [1, 3]))
    yield "small.onnx", field(1, 8) + field(7, graph) + field(8, field(1, b"") + field(2, 17))


def trace():
    machine = {"arch": "", "os": "", "cpu": None, "board": None}
    header = {"program": "", "numerics": 1, "pipeline": "", "input": {"name": "", "sha256": None, "raw_rate": None}, "model": {"name": "", "files": {}}}
    header |= {"settings": None, "isa": "", "threads": 1, "machine": machine, "keyed": False}
    text = json.dumps(header).encode()
    out = b"OSSTRACE" + struct.pack("<II", 1, len(text)) + text + b"C"
    out += hashlib.sha256(out).digest()
    out += b"N\1a" + b"N\0" + b"D" + struct.pack("<HHHBBII", 0, 0, 1, 0, 2, 1, 2) + b"S" + struct.pack("<HQI", 0, 0, 1)
    out += b"T" + struct.pack("<HQ", 0, 0) + b"V" + bytes(8) + b"C"
    out += hashlib.sha256(out).digest()
    out += b"E" + struct.pack("<Q", 1)
    yield "small.trace", out + hashlib.sha256(out).digest()


def wyoming():
    for file in (ROOT / "runtime/cli/tests/sessions").glob("*.request"):
        # A few events are enough to start from.
        yield file.name, file.read_bytes()[:20000]
    yield "merged", b'{"type": "x", "data": {"a": 1}, "data_length": 8, "payload_length": 3}\n{"b": 2}pcm'


def sentences():
    # Targets run on short files best: the worked example of the docs, and the heads of the packs.
    example = (ROOT / "docs/sentences.md").read_text(encoding="utf-8").split("```")[1]
    yield "example.yaml", example.removeprefix("yaml\n").encode()
    for file in (ROOT / "runtime/sentences/packs").glob("*.yaml"):
        yield file.name, file.read_bytes()[:1500]


def sentence_folder():
    house = "areas: [{name: Kitchen, aliases: [galley], floor: up}, Bath]\nfloors: [{name: Up, id: up}]\n"
    house += "entities: [{name: 'Lamp[s]', domain: light, area: Kitchen}, {name: Door, id: lock.door}]\n"
    old = "language: en\nintents:\n  A:\n    data:\n      - sentences: ['turn (on|off) [the] {name}', '(set;<up>) {n} (percent|%)', 'play {song}']\n"
    old += "        requires_context: {domain: light}\nexpansion_rules: {up: '[the] light[s]'}\nskip_words: [please]\n"
    old += "lists: {n: {range: {from: 0, to: 100, step: 5}}, song: {wildcard: true}}\n"
    block = "language: en\ndata:\n  - sentences: ['<open> {area}', '{color:c}|{1..3:m} now']\n    slots: {domain: light}\n"
    combination = "A:\n  domain: x\n  slot_combinations: {one: {slots: [area], context_area: false}}\n"
    lists = "language: en\nlists:\n  color:\n    values: [{in: 'red[dish]', out: red, context: {a: b}, metadata: {c: 1}}, blue]\n"
    yield "old.txt", f"{house}\n== a.yaml\n{old}".encode()
    files = {"intents.yaml": combination, "sentences/en/A/one.yaml": block, "lists/en/color.yaml": lists}
    files |= {"rules/en/open.yaml": "language: en\nexpansion_rules: {open: '(open|unlock) [the]'}\n", "sentences/en/_common.yaml": "language: en\nskip_words: [please]\n"}
    yield "new.txt", (house + "".join(f"\n== {path}\n{text}" for path, text in files.items())).encode()


def main():
    for target in (audio, ct2, image, safetensors, model_folder, network_folder, onnx, sentence_folder, sentences, trace, wyoming):
        folder = ROOT / "fuzz/corpus" / target.__name__
        folder.mkdir(parents=True, exist_ok=True)
        for name, data in target():
            (folder / name).write_bytes(data)


if __name__ == "__main__":
    main()
