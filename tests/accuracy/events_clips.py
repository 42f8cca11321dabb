#!/usr/bin/env python3
"""Clip accuracy of `ossicle detect` without training, beside the float network on ONNX Runtime. Needs numpy, onnx, onnxruntime, soundfile.

    events_clips.py --ossicle target/release/ossicle --onnx target/models-src/yamnet/checkpoint/model.onnx FOLDER

FOLDER has manifest.jsonl with file and class a line. A clip's class is the one with the best mean score among its labels (esc10.toml).
The float network is the source's, its simulated rounding taken out; its features are numpy's in f64.
"""
import argparse
import json
import subprocess
import tomllib
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import soundfile

HERE = Path(__file__).resolve().parent


def float_session(path, maps=False):
    """The graph without QuantizeLinear and DequantizeLinear: whoever read their output reads their input. With `maps` its outputs are those
    of the first convolution, each 1 x 1 one, the mean and the classifier."""
    model = onnx.load(path)
    rounding = [n for n in model.graph.node if n.op_type in ("QuantizeLinear", "DequantizeLinear")]
    source = {n.output[0]: n.input[0] for n in rounding}

    def resolve(name):
        while name in source:
            name = source[name]
        return name

    keep = [n for n in model.graph.node if n not in rounding]
    for node in keep:
        node.input[:] = [resolve(name) for name in node.input]
    del model.graph.node[:]
    model.graph.node.extend(keep)
    logits = keep[-1].output[0]
    for value, name in ((model.graph.input[0], keep[0].input[0]), (model.graph.output[0], logits)):
        value.name = name
        value.type.tensor_type.elem_type = onnx.TensorProto.FLOAT
    del model.graph.value_info[:]
    if maps:
        relus = [n.output[0] for n in keep if n.op_type == "Relu"]
        mean = next(n.output[0] for n in keep if n.op_type == "GlobalAveragePool")
        del model.graph.output[:]
        model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in [*relus[::2], mean, logits])
    options = onnxruntime.SessionOptions()
    # Not a word on constants that nothing reads any more.
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def htk_mel(hz):
    return 1127.0 * np.log1p(hz / 700.0)


def log_mel(samples):
    edges = htk_mel(125.0) + (htk_mel(7500.0) - htk_mel(125.0)) * np.arange(66)[:, None] / 65
    bins = htk_mel(np.linspace(0, 8000, 257))
    filters = np.maximum(0, np.minimum((bins - edges[:-2]) / (edges[1:-1] - edges[:-2]), (edges[2:] - bins) / (edges[2:] - edges[1:-1])))
    frames = np.lib.stride_tricks.sliding_window_view(samples, 400)[::160]
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 400)
    return np.log(np.abs(np.fft.rfft(frames * window, 512)) @ filters.T + 0.001).astype(np.float32)


def float_scores(session, samples, hop):
    """As ossicle: silence behind the end until every sample is in a patch."""
    patches = 1 + max(0, -(-(len(samples) - 15600) // (160 * hop)))
    samples = np.pad(samples.astype(np.float64), (0, 15600 + (patches - 1) * hop * 160 - len(samples)))
    mel = log_mel(samples)
    name = session.get_inputs()[0].name
    logits = [session.run(None, {name: mel[None, None, i * hop : i * hop + 96]})[0][0] for i in range(patches)]
    return 1 / (1 + np.exp(-np.array(logits, np.float64)))


def ossicle_scores(args, files, labels):
    """Scores of every hop, by file."""
    command = [args.ossicle, "detect", "--model", "yamnet", "--format", "jsonl", "--top", str(len(labels)), *args.options.split(), *files]
    index = {label: i for i, label in enumerate(labels)}
    scores = {}
    for line in subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines():
        row = json.loads(line)
        hop = np.zeros(len(labels))
        for entry in row["top"]:
            hop[index[entry["label"]]] = entry["score"]
        scores.setdefault(row["file"], []).append(hop)
    return {file: np.array(rows) for file, rows in scores.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ossicle", default="target/release/ossicle")
    parser.add_argument("--onnx", required=True)
    parser.add_argument("--labels", default=HERE.parent.parent / "models-int8/yamnet/labels.txt")
    parser.add_argument("--options", default="--threads 1", help="more options for ossicle detect")
    parser.add_argument("folder", type=Path)
    args = parser.parse_args()

    labels = Path(args.labels).read_text().splitlines()
    classes = tomllib.loads((HERE / "esc10.toml").read_text())["classes"]
    outputs = {name: [labels.index(label) for label in entry["labels"]] for name, entry in classes.items()}
    names = list(outputs)
    clips = [json.loads(line) for line in (args.folder / "manifest.jsonl").read_text().splitlines()]
    files = [str(args.folder / clip["file"]) for clip in clips]
    ours = ossicle_scores(args, files, labels)
    session = float_session(args.onnx)

    def choice(scores):
        mean = scores.mean(axis=0)
        return names[int(np.argmax([mean[outputs[name]].max() for name in names]))]

    right, agree, squares, errors, largest = [0, 0], 0, 0.0, 0.0, 0.0
    for clip, file in zip(clips, files):
        reference = float_scores(session, soundfile.read(file)[0], 24)
        int8 = ours[file]
        assert int8.shape == reference.shape, (file, int8.shape, reference.shape)
        chosen = choice(int8), choice(reference)
        right[0] += chosen[0] == clip["class"]
        right[1] += chosen[1] == clip["class"]
        agree += chosen[0] == chosen[1]
        squares += (reference**2).sum()
        errors += ((int8 - reference) ** 2).sum()
        largest = max(largest, np.abs(int8 - reference).max())
    count = len(clips)
    print(f"{count} clips, right: int8 {100 * right[0] / count:.2f} %, f32 {100 * right[1] / count:.2f} %; the same choice in {100 * agree / count:.2f} %")
    print(f"scores: {10 * np.log10(squares / errors):.1f} dB above their error, which is {largest:.3f} at most")


if __name__ == "__main__":
    main()
