#!/usr/bin/env python3
"""The trained head in float beside `ossicle detect`: clips, scenes and scores. Needs numpy, scipy, soundfile, onnx, torch, safetensors, sed_eval.

    events_head.py --ossicle target/release/ossicle --yamnet target/models-src/yamnet/checkpoint FOLDER

The float network is YAMNet from its source and the head from models-int8/sound-events/train, both on torch in f32; rules are the model's events.toml.
"""
import argparse
import json
import sys
import tomllib
from pathlib import Path

import numpy as np
import safetensors.torch
import torch

MODEL = Path(__file__).resolve().parents[2] / "models-int8/sound-events"
sys.path.insert(0, str(MODEL / "train"))
import events_scenes  # noqa: E402
import features  # noqa: E402
import network  # noqa: E402
import scenes  # noqa: E402
import thresholds  # noqa: E402
import yamnet  # noqa: E402


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ossicle", default="target/release/ossicle")
    parser.add_argument("--options", default="--threads 1", help="more options for ossicle detect")
    parser.add_argument("--head", type=Path, default=MODEL / "train")
    parser.add_argument("--yamnet", type=Path, required=True)
    parser.add_argument("--every", type=int, default=1, help="only every Nth clip")
    parser.add_argument("folder", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(1)
    net = yamnet.Yamnet(args.yamnet / "model.onnx")
    head = network.Shipped(safetensors.torch.load_file(args.head / "head.safetensors"), json.loads((args.head / "head.json").read_text())["dilations"])
    rules = tomllib.loads((args.head / "events.toml").read_text()).get("classes", {})

    def float_scores(file):
        samples = scenes.load(file)
        early, middle, late, mean = net.maps(yamnet.log_mel(features.padded(samples)))
        maps = [early.flatten(2).flatten(0, 1), middle.flatten(2).flatten(0, 1), late.flatten(2).flatten(0, 1), mean]
        return head(maps).sigmoid().numpy()[: -(-len(samples) // scenes.CELL)]

    def int8_scores(file):
        rows = [json.loads(line)["top"] for line in events_scenes.detect(args, "--format", "jsonl", "--top", "1000", file).splitlines()]
        return np.array([[{e["label"]: e["score"] for e in row}[label] for label in scenes.LABELS] for row in rows])

    right, agree, signal, noise, largest = [0, 0], 0, 0.0, 0.0, 0.0
    clips = events_scenes.lines(args.folder / "manifest.jsonl")[:: args.every]
    tally = {"int8": [], "f32": []}
    for clip in clips:
        file = str(args.folder / clip["file"])
        pair = [int8_scores(file), float_scores(file)]
        assert pair[0].shape == pair[1].shape, (file, pair[0].shape, pair[1].shape)
        chosen = [scenes.CLASSES[int(scores[:, : len(scenes.CLASSES)].mean(0).argmax())] for scores in pair]
        right = [count + (name == clip["class"]) for count, name in zip(right, chosen)]
        agree += chosen[0] == chosen[1]
        signal, noise = signal + (pair[1] ** 2).sum(), noise + ((pair[0] - pair[1]) ** 2).sum()
        largest = max(largest, np.abs(pair[0] - pair[1]).max())
    if clips:
        count = len(clips)
        print(f"{count} clips, right: int8 {100 * right[0] / count:.2f} %, f32 {100 * right[1] / count:.2f} %; the same choice in {100 * agree / count:.2f} %")
        print(f"scores: {10 * np.log10(signal / noise):.1f} dB above their error, which is {largest:.3f} at most")
    for scene in events_scenes.lines(args.folder / "scenes.jsonl"):
        file = str(args.folder / scene["file"])
        for name, scores in zip(tally, (int8_scores(file), float_scores(file))):
            found = [
                (label, event)
                for label, rule in rules.items()
                for event in thresholds.events(
                    scores[:, scenes.LABELS.index(label)], *(rule[key] for key in ("threshold", "release", "min_seconds", "merge_seconds"))
                )
            ]
            tally[name].append((scene, found))
    for name, rows in tally.items():
        counts, parts = np.zeros(3), np.zeros(3)
        for scene, found in rows:
            for label in scenes.CLASSES:
                reference = [(e["onset"], e["offset"]) for e in scene["events"] if e["class"] == label]
                estimated = [event for other, event in found if other == label]
                counts += thresholds.matches(reference, estimated, 0.2), len(reference), len(estimated)
                one, other = (thresholds.segments(part, int(scene["seconds"]) + 1) for part in (reference, estimated))
                parts += (one & other).sum(), one.sum(), other.sum()
        if rows:
            print(f"scenes, {name}: segment F1 {100 * thresholds.f1(*parts):.1f} %, event F1 {100 * thresholds.f1(*counts):.1f} % with 0.2")


if __name__ == "__main__":
    main()
