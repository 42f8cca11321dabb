#!/usr/bin/env python3
"""First labels of INT8 and of PyTorch's f32: pictures.py CHECKPOINT.pth [--model efficientnet-lite0] [--data ../shared/data]

Runs `ossicle classify` on the 500 ImageNet pictures (one a class, every second class) and the checkpoint itself in PyTorch; Pillow decodes
them for both, as decoders of JPEG differ in the last bit, and resizes and crops for PyTorch. No weight learns from any of them. Prints how many are right and how often both say the same. Fails
unless INT8's first label is f32's on 97 % and INT8 is right at most 1.0 point less often. Needs torch, numpy and Pillow.
"""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

import common

STAGES = [(1, 3, 1), (2, 3, 2), (2, 5, 2), (3, 3, 2), (3, 5, 1), (4, 5, 2), (1, 3, 1)]
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def pixels(path):
    """[3, 224, 224]: the shorter side to 256, bicubic, and the middle."""
    import numpy
    from PIL import Image

    image = Image.open(path).convert("RGB")
    short = min(image.size)
    image = image.resize([int(256 * side / short) for side in image.size], Image.BICUBIC)
    left, top = ((side - 224) // 2 for side in image.size)
    image = numpy.asarray(image.crop((left, top, left + 224, top + 224)), dtype=numpy.float32) / 255
    return ((image - numpy.float32(MEAN)) / numpy.float32(DEVIATION)).transpose(2, 0, 1)


def network(state):
    """The float network as a function of a batch, from the state dict alone."""
    import torch
    from torch.nn import functional

    def conv(x, name, norm, stride, relu):
        weight = state[name + ".weight"]
        kernel, groups = weight.shape[-1], x.shape[1] // weight.shape[1]
        padding = max((-(-x.shape[-1] // stride) - 1) * stride + kernel - x.shape[-1], 0)
        padding = (padding // 2, padding - padding // 2)
        x = functional.conv2d(functional.pad(x, padding * 2), weight, stride=stride, groups=groups)
        figures = [state[f"{norm}.{figure}"] for figure in ("running_mean", "running_var", "weight", "bias")]
        x = functional.batch_norm(x, *figures, eps=1e-3)
        return functional.relu6(x) if relu else x

    @torch.inference_mode()
    def run(x):
        x = conv(x, "_conv_stem", "_bn0", 2, True)
        block = 0
        for repeats, _, first in STAGES:
            for repeat in range(repeats):
                name, stride, before = f"_blocks.{block}.", first if repeat == 0 else 1, x
                if name + "_expand_conv.weight" in state:
                    x = conv(x, name + "_expand_conv", name + "_bn0", 1, True)
                x = conv(x, name + "_depthwise_conv", name + "_bn1", stride, True)
                x = conv(x, name + "_project_conv", name + "_bn2", 1, False)
                x = x + before if stride == 1 and x.shape == before.shape else x
                block += 1
        x = conv(x, "_conv_head", "_bn1", 1, True).mean((2, 3))
        return functional.linear(x, state["_fc.weight"], state["_fc.bias"]).softmax(-1)

    return run


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkpoint", type=pathlib.Path)
    parser.add_argument("--model", default="efficientnet-lite0")
    parser.add_argument("--data", default=common.DATA)
    parser.add_argument("--program", default=common.ROOT / "target/release/ossicle")
    args = parser.parse_args()
    pictures = [picture for picture in common.manifest(args.data, "images") if picture["set"] == "imagenet"]

    import numpy
    import torch
    from PIL import Image

    torch.set_num_threads(1)
    run = network(torch.load(args.checkpoint, weights_only=True))
    floats = [run(torch.from_numpy(pixels(picture["path"]))[None])[0].numpy() for picture in pictures]
    command = [args.program, "classify", "--model", args.model, "--threads", "1", "--format", "jsonl", "--top", "1000"]
    with tempfile.TemporaryDirectory() as folder:
        files = [pathlib.Path(folder, f"{picture['index']:04}.ppm") for picture in pictures]
        for picture, file in zip(pictures, files):
            Image.open(picture["path"]).convert("RGB").save(file)
        lines = subprocess.run([*command, *files], check=True, capture_output=True, text=True).stdout.splitlines()
    lines = [json.loads(line) for line in lines]
    folder = pathlib.Path(args.model) if pathlib.Path(args.model).is_dir() else common.ROOT / "models-int8" / args.model
    places = {name: place for place, name in enumerate((folder / "labels.txt").read_text(encoding="utf-8").splitlines())}
    count, same, right, right_float, right_five, cosines = len(pictures), 0, 0, 0, [0, 0], []
    if len(lines) != count:
        sys.exit(f"{len(lines)} answers to {count} pictures")
    for picture, line, exact in zip(pictures, lines, floats):
        ours = numpy.zeros_like(exact)
        for entry in line["top"]:
            ours[places[entry["label"]]] = entry["score"]
        best = int(exact.argmax())
        same += ours.argmax() == best
        right += ours.argmax() == picture["index"]
        right_float += best == picture["index"]
        right_five[0] += picture["index"] in ours.argsort()[-5:]
        right_five[1] += picture["index"] in exact.argsort()[-5:]
        cosines.append(float(ours @ exact / numpy.linalg.norm(ours) / numpy.linalg.norm(exact)))
    print(f"pictures                 {count}")
    print(f"first label the same     {100 * same / count:.1f} %")
    print(f"right, f32 (PyTorch)     {100 * right_float / count:.1f} %, among the first five {100 * right_five[1] / count:.1f} %")
    print(f"right, int8              {100 * right / count:.1f} %, among the first five {100 * right_five[0] / count:.1f} %")
    print(f"cosine of the scores     mean {numpy.mean(cosines):.4f}, least {min(cosines):.4f}")
    if same < 0.97 * count or right < right_float - 0.01 * count:
        sys.exit("FAILED: 97 % the same and at most 1.0 point fewer right were asked for")


if __name__ == "__main__":
    main()
