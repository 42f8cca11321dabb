#!/usr/bin/env python3
"""A voice stage by stage, next to its original graph in ONNX Runtime, and both next to the same weights in float.

    voice_stages.py HIBARI_PACKAGE [--model hibari] [--sentences FILE] [--count 50] [--plot FILE]

HIBARI_PACKAGE is the unpacked wheel of hibari-tts. Its own text side makes the phonemes. Where both decide on durations, how many phonemes differ
is told; for all other stages our side is given the original's durations. Printed are, of each stage, the cosine to the float graph and the relative
distance, of ours and of the original's int8, and the log-mel distance of the samples. Needs numpy, onnx and onnxruntime.
"""
import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import helper, numpy_helper

ROOT = Path(__file__).resolve().parents[2]
# Our tensor, the graph's, whether that has channels first, and what of it is compared.
STAGES = [
    ("hibari.text.norm", "/norm/LayerNormalization_output_0", False),
    ("hibari.prosody_text.norm", "/norm_1/LayerNormalization_output_0", False),
    ("hibari.durations", "/dur/dur.2/Conv_output_0", True),
    ("hibari.prosody.blocks.5", "/pro.5/Add_1_output_0", True),
    ("hibari.curves.pitch", "f0", False),
    ("hibari.decoder.input", "/dec_in/Conv_output_0", True),
    ("hibari.decoder.blocks.7", "/dec.7/Add_1_output_0", True),
]
CURVES = ["lh", "theta", "ln", "lr", "phi"]
DURATIONS = "/Cast_32_output_0"
SENTENCES = ROOT / "quantize/src/minilm/sentences.txt"


def float_graph(model):
    """The graph with each product of bytes replaced by one of the weights in float; durations become an input."""
    model = onnx.ModelProto.FromString(model.SerializeToString())
    graph = model.graph
    constants = {t.name: t for t in graph.initializer}
    makers = {out: node for node in graph.node for out in node.output}
    replaced = {}
    for node in list(graph.node):
        cast = makers.get(node.input[0]) if node.op_type == "Mul" else None
        product = makers.get(cast.input[0]) if cast is not None and cast.op_type == "Cast" else None
        if product is None or product.op_type != "MatMulInteger":
            continue
        scales = makers[node.input[1]]
        scale = next(numpy_helper.to_array(constants[name]) for name in scales.input if name in constants)
        name = product.input[1] + "_float"
        if name not in constants:
            constants[name] = numpy_helper.from_array(numpy_helper.to_array(constants[product.input[1]]).astype(np.float32) * scale, name)
            graph.initializer.append(constants[name])
        rows = makers[product.input[0]].input[0]
        replaced[node.output[0]] = helper.make_node("MatMul", [rows, name], [node.output[0]])
    nodes = [replaced.get(node.output[0], node) for node in graph.node if node.output[0] != DURATIONS]
    del graph.node[:]
    graph.node.extend(nodes)
    graph.input.append(helper.make_tensor_value_info(DURATIONS, onnx.TensorProto.INT64, ["L"]))
    return model


def session(model, outputs):
    model = onnx.ModelProto.FromString(model.SerializeToString())
    known = {value.name for value in model.graph.output}
    for name in outputs:
        if name not in known:
            kind = onnx.TensorProto.INT64 if name == DURATIONS else onnx.TensorProto.FLOAT
            model.graph.output.append(helper.make_tensor_value_info(name, kind, None))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    # Optimisation of the float graph would fold nothing we compare, of the int8 graph it is what users run.
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def log_mel(samples):
    """80 bands up to 12 kHz, windows of 50 ms every 12.5 ms, in decibels above -80 of full scale."""
    window = np.hanning(1200)
    frames = np.lib.stride_tricks.sliding_window_view(np.pad(samples, 600), 1200)[::300]
    power = np.abs(np.fft.rfft(frames * window, axis=1)) ** 2 / (window.sum() / 2) ** 2
    mel = lambda hertz: 2595 * np.log10(1 + hertz / 700)
    edges = np.linspace(mel(0), mel(12000), 82)
    bins = mel(np.arange(601) * 20.0)
    bank = np.maximum(0, np.minimum((bins - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None],
                                    (edges[2:, None] - bins) / (edges[2:] - edges[1:-1])[:, None]))
    bank /= bank.sum(1, keepdims=True) + 1e-9
    return 10 * np.log10(power @ bank.T + 1e-8)


def apart(got, want):
    got, want = got.astype(np.float64).ravel(), want.astype(np.float64).ravel()
    cosine = got @ want / (np.linalg.norm(got) * np.linalg.norm(want))
    return cosine, np.linalg.norm(got - want) / np.linalg.norm(want)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("package", type=Path)
    parser.add_argument("--model", default="hibari")
    parser.add_argument("--sentences", type=Path, default=SENTENCES)
    parser.add_argument("--count", type=int, default=50)
    parser.add_argument("--plot", type=Path, help="text file with the log-mel distance of every clause")
    args = parser.parse_args()
    sys.path.insert(0, str(args.package))
    from hibari import Hibari, dsp

    voice = Hibari()
    lines = [line.strip() for line in args.sentences.read_text().splitlines() if len(line.split()) > 3]
    step = max(1, len(lines) // args.count)
    clauses = [voice.ids(phonemes) for line in lines[::step][: args.count] for phonemes in voice.phonemize(line)[:1]]
    model = onnx.load(args.package / "hibari/assets/hibari.onnx")
    names = [name for _, name, _ in STAGES] + CURVES
    original, exact = session(model, [*names, DURATIONS]), session(float_graph(model), names)
    speed = np.ones(1, np.float32)
    theirs, floats = [], []
    for ids in clauses:
        feed = {"ids": np.asarray([ids], np.int64), "speed": speed}
        values = dict(zip([*names, DURATIONS], original.run([*names, DURATIONS], feed)))
        theirs.append(values)
        floats.append(dict(zip(names, exact.run(names, {**feed, DURATIONS: values[DURATIONS].ravel()}))))
    with tempfile.TemporaryDirectory() as folder:
        program = ROOT / "target/release/examples/voice_stages"
        run = lambda text, out: subprocess.run([program, args.model, out], input=text, text=True, check=True)
        plain = "\n".join(" ".join(map(str, ids)) for ids in clauses)
        run(plain, f"{folder}/own")
        forced = "\n".join(f"{' '.join(map(str, ids))} / {' '.join(map(str, value[DURATIONS].ravel()))}" for ids, value in zip(clauses, theirs))
        run(forced, f"{folder}/forced")
        differing = phonemes = frames = apart_frames = 0
        for i, value in enumerate(theirs):
            own = np.fromfile(f"{folder}/own/{i}/lasting.u32", np.uint32).astype(np.int64)
            want = value[DURATIONS].ravel()
            differing, phonemes = differing + (own != want).sum(), phonemes + len(want)
            frames, apart_frames = frames + want.sum(), apart_frames + abs(own - want).sum()
        print(f"{len(clauses)} clauses, {phonemes} phonemes, {2 * frames} frames")
        print(f"durations other than the original's: {differing} phonemes, {apart_frames} of {frames} prosody frames")
        print(f"{'stage':28} {'ours to float':>22} {'original to float':>22} {'ours to original':>22}")
        figures = {}
        load = lambda i, name: np.fromfile(f"{folder}/forced/{i}/{name}.f32", np.float32)
        for ours, name, first in STAGES:
            for i, (value, exact_value) in enumerate(zip(theirs, floats)):
                got = load(i, ours)
                want, best = (np.swapaxes(v[name], 1, 2) if first else v[name] for v in (value, exact_value))
                figures.setdefault(ours, []).append([apart(got, best), apart(want, best), apart(got, want)])
        distances = []
        for i, (value, exact_value) in enumerate(zip(theirs, floats)):
            spectra = load(i, "hibari.spectra").reshape(-1, 5, 608)[:, :, :601].transpose(1, 2, 0)
            for curve, name in zip(spectra, CURVES):
                figures.setdefault(name, []).append([apart(curve, exact_value[name][0]), apart(value[name][0], exact_value[name][0]), apart(curve, value[name][0])])
            pitch = load(i, "hibari.curves.pitch")
            quiet = lambda parts, f0: dsp.synth(*(np.ascontiguousarray(p) for p in parts), f0, np.random.default_rng(0))
            # The original's signal part with one noise for all, then ours with a noise of its own.
            best = quiet([exact_value[name][0] for name in CURVES], exact_value["f0"][0])
            mels = [log_mel(s) for s in (best, quiet(spectra, pitch), quiet([value[name][0] for name in CURVES], value["f0"][0]), load(i, "samples"))]
            distances.append([np.abs(mel - mels[0]).mean() for mel in mels[1:]])
        for name, rows in figures.items():
            mean = np.mean(rows, axis=0)
            print(f"{name:28}" + "".join(f"  {cosine:.6f} {distance:10.4f}  " for cosine, distance in mean))
        mean = np.mean(distances, axis=0)
        print(f"log-mel distance to float, dB: ours {mean[0]:.3f}, original {mean[1]:.3f}; ours with its own vocoder and noise {mean[2]:.3f}")
        if args.plot:
            args.plot.write_text("".join(f"{a:.4f}\t{b:.4f}\t{c:.4f}\n" for a, b, c in distances))


if __name__ == "__main__":
    main()
