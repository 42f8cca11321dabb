#!/usr/bin/env python3
"""What 8 bits cost each layer of YAMNet: signal-to-noise ratios of the traced maps beside the float network's, as a table for the model card.
Needs numpy, onnx, onnxruntime, soundfile.

    events_layers.py --ossicle target/release/ossicle --onnx target/models-src/yamnet/checkpoint/model.onnx FILE...
"""
import argparse
import struct
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import soundfile

from events_clips import float_session, log_mel


def traced(path):
    """(operator, values) of every f32 tensor whose values are in a trace: docs/trace.md, format 1."""
    data = Path(path).read_bytes()
    assert data[:8] == b"OSSTRACE", path
    at = 16 + struct.unpack_from("<I", data, 12)[0]
    names, kinds, kind = [], [], None
    while at < len(data):
        frame, at = data[at : at + 1], at + 1
        if frame == b"N":
            names.append(data[at + 1 : at + 1 + data[at]].decode())
            at += 1 + data[at]
        elif frame == b"D":
            op, _, _, element, rank = struct.unpack_from("<HHHBB", data, at)
            shape = struct.unpack_from(f"<{rank}I", data, at + 8)
            kinds.append((names[op], element, shape))
            at += 8 + 4 * rank
        elif frame == b"S":
            at += 14
        elif frame == b"T":
            kind = kinds[struct.unpack_from("<H", data, at)[0]]
            at += 10
        elif frame == b"V":
            op, element, shape = kind
            count = int(np.prod(shape))
            if element == 0:
                yield op, np.frombuffer(data, "<f4", count, at).reshape(shape)
            at += count * (1 if element == 1 else 4)
        elif frame == b"C":
            at += 32
        elif frame == b"E":
            return


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ossicle", default="target/release/ossicle")
    parser.add_argument("--onnx", required=True)
    parser.add_argument("files", nargs="+")
    args = parser.parse_args()

    session = float_session(args.onnx, maps=True)
    names = ["stem"] + [f"layers.{i}" for i in range(13)] + ["embedding", "logits"]
    signal, noise = np.zeros(len(names)), np.zeros(len(names))
    for file in args.files:
        with tempfile.TemporaryDirectory() as folder:
            trace = f"{folder}/trace"
            command = [args.ossicle, "detect", "--model", "yamnet", "--hop", "0.96", "--trace", trace, "--trace-values", "yamnet.*", file]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            ours = list(traced(trace))
        samples = soundfile.read(file)[0]
        hops = sum(op == "yamnet.scores" for op, _ in ours)
        mel = log_mel(np.pad(samples, (0, max(0, 15600 + (hops - 1) * 15360 - len(samples)))))
        for hop in range(hops):
            floats = session.run(None, {session.get_inputs()[0].name: mel[None, None, 96 * hop : 96 * hop + 96]})
            # Maps are [1][channels][height][width] there, positions of channels here.
            floats = [x[0].reshape(x.shape[1], -1).T.ravel() for x in floats]
            own = [values.ravel() for op, values in ours[hop * (len(names) + 1) : (hop + 1) * (len(names) + 1) - 1]]
            for i, (a, b) in enumerate(zip(own, floats, strict=True)):
                signal[i] += np.square(b, dtype=np.float64).sum()
                noise[i] += np.square(a - b, dtype=np.float64).sum()
    print(f"| output of | signal to noise, dB, {len(args.files)} recordings |\n| --- | --- |")
    for name, s, n in zip(names, signal, noise):
        print(f"| {name} | {10 * np.log10(s / n):.1f} |")


main()
