#!/usr/bin/env python3
"""One of Piper's voices stage by stage, next to its original graph in ONNX Runtime (f32).

    piper_stages.py VOICE.onnx MODEL [--sentences FILE] [--count 20] [--write FOLDER]

MODEL is the folder that `ossicle-quantize piper VOICE.onnx` made. Phonemes are espeak-ng's. Without noise the original decides alone, so both are
compared without: durations first, then all stages with the original's durations given to ours, as relative distances, and the log-mel distance of the
samples. --write leaves both samples of each sentence as raw f32. Needs numpy, onnx, onnxruntime and espeak-ng, and the example built:
`cargo build --release --workspace --example piper_stages`.
"""
import argparse
import json
import subprocess
import tempfile
import unicodedata
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import helper

ROOT = Path(__file__).resolve().parents[2]
DURATIONS = "/Ceil_output_0"
SENTENCES = ROOT / "quantize/src/minilm/sentences.txt"
# Our tensor, the graph's.
STAGES = [
    ("vits.text.output", "/enc_p/proj/Conv_output_0"),
    ("vits.durations", "/dp/Split_output_0"),
    ("vits.flow.3.leave", "/Mul_7_output_0"),
    ("vits.decoder.input", "/dec/conv_pre/Conv_output_0"),
    ("vits.decoder.stages.0.upsample", "/dec/ups.0/ConvTranspose_output_0"),
    ("vits.decoder.stages.1.upsample", "/dec/ups.1/ConvTranspose_output_0"),
    ("vits.decoder.stages.2.upsample", "/dec/ups.2/ConvTranspose_output_0"),
    ("vits.samples", "output"),
]


def session(model, outputs, forced):
    model = onnx.ModelProto.FromString(model.SerializeToString())
    graph = model.graph
    if forced:
        nodes = [node for node in graph.node if node.output[0] != DURATIONS]
        del graph.node[:]
        graph.node.extend(nodes)
        graph.input.append(helper.make_tensor_value_info(DURATIONS, onnx.TensorProto.FLOAT, [1, 1, "L"]))
    known = {value.name for value in graph.output}
    graph.output.extend(helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in outputs if name not in known)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def log_mel(samples, rate):
    """80 bands up to half the rate, windows of 50 ms every 12.5 ms, in decibels above -80 of full scale."""
    size, hop = rate // 20, rate // 80
    window = np.hanning(size)
    frames = np.lib.stride_tricks.sliding_window_view(np.pad(samples, size // 2), size)[::hop]
    power = np.abs(np.fft.rfft(frames * window, axis=1)) ** 2 / (window.sum() / 2) ** 2
    mel = lambda hertz: 2595 * np.log10(1 + hertz / 700)
    edges = np.linspace(mel(0), mel(rate / 2), 82)
    bins = mel(np.arange(size // 2 + 1) * rate / size)
    bank = np.maximum(0, np.minimum((bins - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None],
                                    (edges[2:, None] - bins) / (edges[2:] - edges[1:-1])[:, None]))
    bank /= bank.sum(1, keepdims=True) + 1e-9
    return 10 * np.log10(power @ bank.T + 1e-8)


def symbols(line, voice, ids):
    spoken = subprocess.run(["espeak-ng", "-v", voice, "-q", "--ipa"], input=line, text=True, capture_output=True, check=True).stdout
    phonemes = unicodedata.normalize("NFD", " ".join(spoken.split("\n")).strip() + ".")
    return ids["^"] + ids["_"] + [n for p in phonemes if p in ids for n in ids[p] + ids["_"]] + ids["$"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("voice", type=Path)
    parser.add_argument("model")
    parser.add_argument("--sentences", type=Path, default=SENTENCES)
    parser.add_argument("--count", type=int, default=20)
    parser.add_argument("--write", type=Path)
    args = parser.parse_args()
    settings = json.loads(Path(f"{args.voice}.json").read_text())
    rate, ids = settings["audio"]["sample_rate"], settings["phoneme_id_map"]
    lines = [line.strip() for line in args.sentences.read_text().splitlines() if len(line.split()) > 3]
    lines = lines[:: max(1, len(lines) // args.count)][: args.count]
    clauses = [symbols(line, settings["espeak"]["voice"], ids) for line in lines]
    model = onnx.load(args.voice)
    made = {output for node in model.graph.node for output in node.output}
    stages = [(ours, name) for ours, name in STAGES if name in made]
    names = [name for _, name in stages]
    scales = np.array([0, settings["inference"]["length_scale"], 0], np.float32)
    feed = lambda clause: {"input": np.array([clause], np.int64), "input_lengths": np.array([len(clause)], np.int64), "scales": scales}
    original = session(model, [*names, DURATIONS], False)
    theirs = [dict(zip([*names, DURATIONS], original.run([*names, DURATIONS], feed(clause)))) for clause in clauses]
    with tempfile.TemporaryDirectory() as folder:
        program = ROOT / "target/release/examples/piper_stages"
        run = lambda lines, out: subprocess.run([program, args.model, out, "0", "0"], input="\n".join(lines), text=True, check=True)
        text = lambda numbers: " ".join(str(int(n)) for n in numbers)
        run([text(clause) for clause in clauses], f"{folder}/own")
        run([f"{text(c)} / {text(value[DURATIONS].ravel())}" for c, value in zip(clauses, theirs)], f"{folder}/forced")
        differing = count = apart = frames = 0
        for i, value in enumerate(theirs):
            own, want = np.fromfile(f"{folder}/own/{i}/lasting.u32", np.uint32).astype(int), value[DURATIONS].ravel().astype(int)
            differing, count = differing + (own != want).sum(), count + len(want)
            apart, frames = apart + abs(own - want).sum(), frames + want.sum()
        print(f"{len(clauses)} clauses, {count} symbols, {frames} frames; durations other than the original's: {differing} symbols, {apart} frames")
        for ours, name in stages:
            rows = []
            for i, value in enumerate(theirs):
                got, want = np.fromfile(f"{folder}/forced/{i}/{ours}.f32", np.float32).astype(float), value[name][0].astype(float)
                want = want.ravel() if ours == "vits.samples" else want.T.ravel()
                assert len(got) == len(want), (ours, len(got), len(want))
                rows.append((got @ want / np.linalg.norm(got) / np.linalg.norm(want), np.linalg.norm(got - want) / np.linalg.norm(want)))
            cosine, distance = np.mean(rows, axis=0)
            print(f"{ours:34} cosine {cosine:.6f}  relative distance {distance:.4f}")
        distances = []
        for i, value in enumerate(theirs):
            got, want = np.fromfile(f"{folder}/forced/{i}/vits.samples.f32", np.float32), value["output"].ravel()
            distances.append(np.abs(log_mel(got, rate) - log_mel(want, rate)).mean())
            if args.write:
                args.write.mkdir(parents=True, exist_ok=True)
                got.tofile(args.write / f"{i}.ours.f32")
                want.tofile(args.write / f"{i}.original.f32")
        print(f"log-mel distance of the samples: {np.mean(distances):.3f} dB")


if __name__ == "__main__":
    main()
