#!/usr/bin/env python3
"""What each layer of Whisper's encoder knows of the ten sounds: a linear layer on mean, deviation and maximum over a clip, learned from all folds
but one and checked on that one. Needs numpy, torch.

    cargo build --release -p ossicle-tests --example encoder_layers
    target/release/examples/encoder_layers whisper-tiny.en-short 0.5 ROWS ../shared/data/sound_events/audio/*.flac
    encoder_probe.py ROWS ../shared/data/sound_events
"""

import argparse
import json
import pathlib

import numpy
import torch

LAYERS, WIDTH = 6, 384  # of tiny.en: convolutions, four layers, the normalised output


def right(learned, labels, checked, wanted):
    mean, deviation = learned.mean(0), learned.std(0) + 1e-3
    learned, checked = ((rows - mean) / deviation for rows in (learned, checked))
    weight = torch.zeros(learned.shape[1], int(labels.max()) + 1, requires_grad=True)
    bias = torch.zeros(weight.shape[1], requires_grad=True)
    optimiser = torch.optim.LBFGS([weight, bias], max_iter=60, line_search_fn="strong_wolfe")

    def loss():
        optimiser.zero_grad()
        total = torch.nn.functional.cross_entropy(learned @ weight + bias, labels) + 1e-2 * weight.square().sum()
        total.backward()
        return total

    optimiser.step(loss)
    return 100 * ((checked @ weight + bias).argmax(1) == wanted).float().mean().item()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", type=pathlib.Path)
    parser.add_argument("folder", type=pathlib.Path)
    args = parser.parse_args()
    clips = [json.loads(line) for line in (args.folder / "manifest.jsonl").read_text(encoding="utf-8").splitlines()]
    names = sorted({clip["class"] for clip in clips})
    labels = torch.tensor([names.index(clip["class"]) for clip in clips])
    fold = torch.tensor([clip["fold"] for clip in clips])
    files = [args.rows / pathlib.Path(clip["file"]).with_suffix(".f32").name for clip in clips]
    maps = [numpy.fromfile(file, numpy.float32).reshape(LAYERS, -1, WIDTH) for file in files]
    for layer in range(LAYERS):
        rows = torch.from_numpy(numpy.stack([numpy.concatenate([x[layer].mean(0), x[layer].std(0), x[layer].max(0)]) for x in maps]))
        found = [right(rows[fold != k], labels[fold != k], rows[fold == k], labels[fold == k]) for k in sorted(set(fold.tolist()))]
        name = {0: "convolutions", LAYERS - 1: "output"}.get(layer, f"layer {layer - 1}")
        print(f"{name}: {numpy.mean(found):.1f} % ({', '.join(f'{x:.1f}' for x in found)})")


if __name__ == "__main__":
    main()
