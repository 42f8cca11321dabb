#!/usr/bin/env python3
"""Makes the model folder from the head that lies here, without training: pack.py [OUT], by default the folder above.

Weights become int8 with one scale per output, in the layout n16k4 of docs/quantization.md: blocks of 16 outputs by 4 inputs. The same head gives
the same bytes.
"""

import hashlib
import json
import pathlib
import shutil
import sys

import numpy
import safetensors.numpy

import network
import scenes
from features import MODELS

HERE = pathlib.Path(__file__).resolve().parent
LANES = 16


def packed(weight):
    """int8 blocks [outputs / 16][inputs / 4][16][4] and f32 scales, outputs filled up with zeros."""
    weight = numpy.pad(weight.astype(numpy.float32), ((0, -len(weight) % LANES), (0, 0)))
    scales = numpy.abs(weight).max(1) / numpy.float32(127)
    values = numpy.rint(weight / numpy.where(scales == 0, 1, scales)[:, None]).astype(numpy.int8)
    blocks = values.reshape(-1, LANES, weight.shape[1] // 4, 4).transpose(0, 2, 1, 3)
    return numpy.ascontiguousarray(blocks), scales


def write(path, tensors):
    """A safetensors file with every tensor aligned to 64 bytes: all of them have whole multiples of that."""
    header, at = {"__metadata__": {"format": "pt", "layout": "n16k4"}}, 0
    for name, tensor in tensors.items():
        size = tensor.nbytes
        assert size % 64 == 0, name
        dtype = {"int8": "I8", "float32": "F32"}[str(tensor.dtype)]
        header[name] = {"dtype": dtype, "shape": list(tensor.shape), "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-(len(text) + 8) % 64)
    path.write_bytes(len(text).to_bytes(8, "little") + text + b"".join(tensor.tobytes() for tensor in tensors.values()))


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def main():
    out = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else HERE.parent
    out.mkdir(parents=True, exist_ok=True)
    head = safetensors.numpy.load_file(HERE / "head.safetensors")
    tensors = {name: head[name].astype(numpy.float32) for name in ("input.mean", "input.scale")}
    for name in ("input", *(f"blocks.{i}" for i in range(len(network.DILATIONS))), "classifier"):
        tensors[f"{name}.weight"], tensors[f"{name}.weight_scale"] = packed(head[f"{name}.weight"])
        bias = head[f"{name}.bias"].astype(numpy.float32)
        tensors[f"{name}.bias"] = numpy.pad(bias, (0, -len(bias) % LANES))
    write(out / "model.safetensors", tensors)
    config = {
        "d_model": len(head["input.mean"]),
        "dilations": network.DILATIONS,
        "encoders": {name: digest(HERE.parents[1] / name / "model.safetensors") for name in sorted(MODELS)},
        "kind": "whisper-events",
        "num_labels": len(scenes.LABELS),
        "numerics_version": 1,
        "width": network.WIDTH,
    }
    (out / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    (out / "labels.txt").write_text("".join(f"{label}\n" for label in scenes.LABELS))
    shutil.copyfile(HERE / "events.toml", out / "events.toml")
    shutil.copyfile(HERE / "card.md", out / "README.md")
    files = ["README.md", "config.json", "events.toml", "labels.txt", "model.safetensors"]
    (out / "SHA256SUMS").write_text("".join(f"{digest(out / name)}  {name}\n" for name in files))


if __name__ == "__main__":
    main()
