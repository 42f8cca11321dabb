#!/usr/bin/env python3
"""Kokoro stage by stage, next to its original graph in ONNX Runtime (int8) and the same weights in float.

    kokoro_stages.py KOKORO.onnx VOICES MODEL [--voice af_heart] [--count 20] [--words RECOGNISER --word-count 50] [--time]

KOKORO.onnx is the int8 export, VOICES the folder of voices that the model was made with (NAME.bin), MODEL the folder that `ossicle-quantize kokoro`
made. Phonemes are those of `ossicle speak --show-phonemes`. Compared are first the durations, then all stages with the original's durations given to
all, as relative distances, and the log-mel distance of the samples. --words says texts of read_en and as many with numbers and names, and counts the
word errors of a Whisper; --time compares processor time, one thread, three rounds. Needs numpy, onnx and onnxruntime, and what is compared
built: `cargo build --release --workspace --bin ossicle --example kokoro_stages`.
"""
import argparse
import json
import resource
import subprocess
import tempfile
import time
import wave
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import helper, numpy_helper

import common
import voice_words
from piper_stages import log_mel

OSSICLE = common.ROOT / "target/release/ossicle"
SENTENCES = common.ROOT / "quantize/src/minilm/sentences.txt"
RATE = 24000
DURATIONS = "/encoder/Gather_output_0"
# Our tensor, the graph's, and whether that has rows last.
STAGES = [
    ("kokoro.bert.output", "/encoder/bert_encoder/Add_output_0", False),
    ("kokoro.prosody_text.2.norm", "/encoder/predictor/text_encoder/Concat_4_output_0", False),
    ("kokoro.durations.output", "/encoder/predictor/duration_proj/linear_layer/Add_output_0", False),
    ("kokoro.text.lstm", "/encoder/text_encoder/Transpose_2_output_0", True),
    ("kokoro.pitch.output", "/encoder/F0_proj/Conv_output_0", True),
    ("kokoro.energy.output", "/encoder/N_proj/Conv_output_0", True),
    ("kokoro.decoder.encode.second", "/decoder/decoder/encode/Div_3_output_0", True),
    ("kokoro.decoder.3.second", "/decoder/decoder/decode.3/Div_4_output_0", True),
    ("kokoro.source", "/decoder/decoder/generator/Concat_3_output_0", True),
    ("kokoro.generator.0.upsample", "/decoder/decoder/generator/Add_2_output_0", True),
    ("kokoro.generator.1.upsample", "/decoder/decoder/generator/Add_5_output_0", True),
    ("kokoro.samples", "audio", False),
]


def in_float(model):
    """The same weights in float: nothing is quantised on the way."""
    graph = model.graph
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    nodes, more = [], {}

    def whole(weights, zero):
        name = f"{weights}_{zero}_float"
        more[name] = constants[weights].astype(np.float32) - constants[zero].astype(np.float32)
        return name

    for node in graph.node:
        if node.op_type == "DynamicQuantizeLinear":
            nodes.append(helper.make_node("Identity", [node.input[0]], [node.output[0]]))
            more[node.output[1]] = np.float32(1)
        elif node.op_type in ("MatMulInteger", "ConvInteger"):
            kept = {a.name: helper.get_attribute_value(a) for a in node.attribute}
            inputs = [node.input[0], whole(node.input[1], node.input[3])]
            nodes.append(helper.make_node(node.op_type.removesuffix("Integer"), inputs, node.output, name=node.name, **kept))
        elif node.op_type == "Floor" and node.output[0].endswith("bias_quant_rounded:0"):
            nodes.append(helper.make_node("Identity", node.input, node.output))
        elif node.op_type == "Cast" and node.output[0].endswith("bias_quantized"):
            nodes.append(helper.make_node("Identity", node.input, node.output))
        elif node.op_type == "DynamicQuantizeLSTM":
            inputs = list(node.input)
            for at, scale in ((1, 8), (2, 10)):
                values = constants[inputs[at]].astype(np.float32) * constants[inputs[scale]][:, None, None]
                more[f"{inputs[at]}_lstm"] = np.ascontiguousarray(values.transpose(0, 2, 1))
                inputs[at] = f"{inputs[at]}_lstm"
            hidden = [helper.get_attribute_value(a) for a in node.attribute if a.name == "hidden_size"][0]
            nodes.append(helper.make_node("LSTM", inputs[:7], node.output, name=node.name, direction="bidirectional", hidden_size=hidden))
        else:
            nodes.append(node)
    used = {name for node in nodes for name in node.input}
    kept = [tensor for tensor in graph.initializer if tensor.name in used and tensor.name not in more]
    del graph.node[:], graph.initializer[:], graph.value_info[:]
    graph.node.extend(nodes)
    graph.initializer.extend(kept)
    graph.initializer.extend(numpy_helper.from_array(np.asarray(values), name) for name, values in more.items())
    return model


def session(model, outputs, forced):
    graph = model.graph
    if forced:
        nodes = [node for node in graph.node if node.output[0] != DURATIONS]
        del graph.node[:]
        graph.node.extend(nodes)
        graph.input.append(helper.make_tensor_value_info(DURATIONS, onnx.TensorProto.INT64, ["L"]))
    known = {value.name for value in graph.output}
    kind = lambda name: onnx.TensorProto.INT64 if name == DURATIONS else onnx.TensorProto.FLOAT
    graph.output.extend(helper.make_tensor_value_info(name, kind(name), None) for name in outputs if name not in known)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


class Original:
    """The original graph's inputs of pieces."""

    def __init__(self, path, voices, voice, model):
        self.path = path
        self.styles = np.fromfile(Path(voices) / f"{voice}.bin", "<f4").reshape(510, 1, 256)
        folder = Path(model) if Path(model).is_dir() else common.ROOT / "models-int8" / model
        self.symbols = json.loads((folder / "vocab.json").read_text())
        self.most = json.loads((folder / "config.json").read_text())["max_frames"]

    def numbers(self, phonemes):
        return [0, *(self.symbols[symbol] for symbol in phonemes), 0]

    def feed(self, piece, durations=None):
        feed = {"tokens": np.array([piece], np.int64), "style": self.styles[len(piece) - 3], "speed": np.ones(1, np.float32)}
        return feed if durations is None else {**feed, DURATIONS: durations}


def phonemes_of(model, lines):
    run = subprocess.run([OSSICLE, "speak", "--model", model, "--show-phonemes", "-"], input="\n".join(lines), text=True, capture_output=True, check=True)
    return [line for line in run.stdout.splitlines() if line]


def distance(got, want):
    return np.linalg.norm(got - want) / np.linalg.norm(want)


def stages(args, original):
    lines = [line.strip() for line in SENTENCES.read_text().splitlines() if len(line.split()) > 3]
    pieces = [original.numbers(line) for line in phonemes_of(args.model, lines[:: max(1, len(lines) // args.count)][: args.count])]
    names = [name for _, name, _ in STAGES]
    plain = session(onnx.load(args.original), [DURATIONS], False)
    durations = [plain.run([DURATIONS], original.feed(piece))[0] for piece in pieces]
    pairs = [(piece, lasting) for piece, lasting in zip(pieces, durations) if lasting.sum() <= original.most]
    del plain
    free = session(in_float(onnx.load(args.original)), [DURATIONS], False)
    floating = [free.run([DURATIONS], original.feed(piece))[0] for piece, _ in pairs]
    del free
    theirs = session(onnx.load(args.original), names, True)
    wanted = session(in_float(onnx.load(args.original)), names, True)
    with tempfile.TemporaryDirectory() as folder:
        program = common.ROOT / "target/release/examples/kokoro_stages"
        text = lambda numbers: " ".join(str(int(n)) for n in numbers)
        run = lambda lines, out: subprocess.run([program, args.model, out, args.voice], input="\n".join(lines), text=True, check=True)
        run([text(piece) for piece, _ in pairs], f"{folder}/own")
        own = [np.fromfile(f"{folder}/own/{i}/lasting.u32", np.uint32).astype(int) for i in range(len(pairs))]
        count = sum(len(piece) for piece, _ in pairs)
        print(f"{len(pairs)} pieces, {count} phonemes, {sum(d.sum() for _, d in pairs) / 40:.0f} s")
        for side, lengths in (("here", own), ("ONNX Runtime", [d for _, d in pairs])):
            apart = [abs(a - b) for a, b in zip(lengths, floating)]
            print(f"durations other than in float, {side}: {sum((a > 0).sum() for a in apart)} phonemes, {sum(a.sum() for a in apart)} frames")
        apart = [abs(a - b) for a, (_, b) in zip(own, pairs)]
        print(f"durations here other than in ONNX Runtime: {sum((a > 0).sum() for a in apart)} phonemes, {sum(a.sum() for a in apart)} frames")
        rows = {ours: [] for ours, _, _ in STAGES}
        mels = []
        for piece, lasting in pairs:
            run([f"{text(piece)} / {text(lasting)}"], f"{folder}/forced")
            feed = original.feed(piece, lasting)
            float_run, int_run = wanted.run(names, feed), theirs.run(names, feed)
            for (ours, _, last), want, other in zip(STAGES, float_run, int_run):
                got = np.fromfile(f"{folder}/forced/0/{ours}.f32", np.float32).astype(float)
                flat = lambda values: (values[0].T if last else values[0] if values.ndim > 1 else values).astype(float)
                want, other = flat(want), flat(other)
                if ours == "kokoro.durations.output":
                    got = got.reshape(len(want), -1)[:, : want.shape[1]]
                got = got.reshape(want.shape)
                if ours == "kokoro.source":
                    # Phases of nothing are anything.
                    got, want, other = got[:, :11], want[:, :11], other[:, :11]
                rows[ours].append((distance(got, want), distance(other, want), distance(got, other)))
                if ours == "kokoro.samples":
                    got, want, other = (log_mel(values, RATE) for values in (got, want, other))
                    mels.append((abs(got - want).mean(), abs(other - want).mean(), abs(got - other).mean()))
        print(f"{'':30}  {'here':>8}  {'ONNX Runtime':>12}  between them")
        for ours, values in rows.items():
            print("{:30}  {:8.4f}  {:12.4f}  {:12.4f}".format(ours, *np.mean(values, axis=0)))
        print("{:30}  {:8.3f}  {:12.3f}  {:12.3f}".format("log-mel distance, dB", *np.mean(mels, axis=0)))


def write(path, samples):
    with wave.open(str(path), "wb") as out:
        out.setnchannels(1), out.setsampwidth(2), out.setframerate(RATE)
        out.writeframes((np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes())


def words(args, original):
    clips = common.manifest(args.data, "read_en")
    count = args.word_count // 2
    texts = [clip["text"].capitalize() + ("" if clip["text"][-1] in ".!?" else ".") for clip in clips][:count]
    names, places = voice_words.NAMES, voice_words.PLACES
    for i in range(count):
        frame = voice_words.FRAMES[i % len(voice_words.FRAMES)]
        texts.append(frame.format(name=names[i % 10], place=places[(i * 3 + i // 10) % 10], n=(i * 37) % 500 + 2))
    plain = session(onnx.load(args.original), [], False)
    with tempfile.TemporaryDirectory() as folder:
        for i, text in enumerate(texts):
            phonemes = phonemes_of(args.model, [text])
            command = [OSSICLE, "speak", "--model", args.model, "--voice", args.voice, "--phonemes", "\n".join(phonemes), "-o", f"{folder}/ours-{i:03}.wav"]
            subprocess.run(command, check=True)
            write(f"{folder}/original-{i:03}.wav", np.concatenate([plain.run(["audio"], original.feed(original.numbers(p)))[0] for p in phonemes]))
        heard = {}
        files = sorted(Path(folder).glob("*.wav"))
        command = [OSSICLE, "transcribe", "--model", args.words, "--format", "jsonl", *files]
        for line in subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines():
            segment = json.loads(line)
            name = Path(segment["file"]).stem
            heard[name] = heard.get(name, "") + " " + segment.get("text", "")
        total = sum(len(voice_words.words(text)) for text in texts)
        for side in ("ours", "original"):
            wrong = sum(common.distance(voice_words.words(text), voice_words.words(heard.get(f"{side}-{i:03}", ""))) for i, text in enumerate(texts))
            print(f"{side:9} {len(texts)} sentences, {args.words}: {wrong} word errors, {100 * wrong / total:.2f} % of {total}")


def times(args, original):
    lines = [line.strip() for line in SENTENCES.read_text().splitlines() if len(line.split()) > 3]
    lines = phonemes_of(args.model, lines[:: max(1, len(lines) // 6)][:6])
    plain = session(onnx.load(args.original), [], False)
    for _ in range(3):
        started = time.process_time()
        count = sum(plain.run(["audio"], original.feed(original.numbers(line)))[0].size for line in lines)
        theirs = (time.process_time() - started) * RATE / count
        used = lambda: sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2])
        started = used()
        command = [OSSICLE, "speak", "--phonemes", "-", "--model", args.model, "--voice", args.voice, "--threads", "1"]
        said = subprocess.run(command, input="\n".join(lines).encode(), capture_output=True, check=True).stdout
        ours = (used() - started) * RATE / (len(said) / 2)
        print(f"ms for a second of speech: ours {1000 * ours:.0f}, ONNX Runtime {1000 * theirs:.0f}, {ours / theirs:.2f} of it")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("original", type=Path)
    parser.add_argument("voices", type=Path)
    parser.add_argument("model")
    parser.add_argument("--voice", default="af_heart")
    parser.add_argument("--count", type=int, default=20)
    parser.add_argument("--words", metavar="RECOGNISER")
    parser.add_argument("--word-count", type=int, default=50)
    parser.add_argument("--data", default=common.DATA)
    parser.add_argument("--time", action="store_true")
    args = parser.parse_args()
    original = Original(args.original, args.voices, args.voice, args.model)
    if args.count:
        stages(args, original)
    if args.words:
        words(args, original)
    if args.time:
        times(args, original)


if __name__ == "__main__":
    main()
