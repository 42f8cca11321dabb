#!/usr/bin/env python3
"""What thresholds cost and save: rules.py YAMNET WORK DATA HEAD FOLD=HEAD...

HEAD learned from all folds, each FOLD=HEAD not from that one. For each class of events.toml, threshold by near_threshold: false events of HEAD in the
first two thirds of `wild`, the mean of the others there, of the others in their own fold's free sounds, then the F1 of segments and events (0.5) in
their own fold's scenes. events.toml was chosen from this by hand: where a threshold saves false events and costs little.
"""

import pathlib
import sys
import tomllib

import numpy
import safetensors.torch
import torch

import network
import scenes
import thresholds
import yamnet

THRESHOLDS = (0.3, 0.5, 0.7, 0.8, 0.9, 0.95)
NEAR = (0, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2)
AROUND = 2  # patches to either side, as the runtime has it
CELLS = 8  # of a patch


def labels(folder):
    return (pathlib.Path(__file__).parents[2] / folder / "labels.txt").read_text(encoding="utf-8").splitlines()


class Scores:
    """What heads and labels near their classes say, of kept scenes and recordings."""

    def __init__(self, onnx, rules):
        self.yamnet, names = yamnet.Yamnet(onnx), labels("yamnet")
        self.near = [[names.index(label) for label in rules[name].get("near", [])] for name in scenes.CLASSES]

    def of(self, head, kept):
        """Scores and what is near, [cells][10] each; nothing to be near is always near."""
        maps = [torch.from_numpy(kept[name].astype(numpy.float32)) for name in network.INPUTS]
        found = head(maps).sigmoid().numpy()[:, : len(scenes.CLASSES)]
        every = torch.sigmoid(maps[-1] @ self.yamnet.classifier.T + self.yamnet.classifier_bias).numpy()
        near = numpy.stack([every[:, of].max(1) if of else numpy.ones(len(every)) for of in self.near], 1)
        padded = numpy.pad(near, ((AROUND, AROUND), (0, 0)))
        near = numpy.max([padded[i : i + len(near)] for i in range(2 * AROUND + 1)], 0)
        cells = int(kept["cells"]) if "cells" in kept else scenes.SCENE // scenes.CELL
        return found[:cells], near.repeat(CELLS, 0)[:cells]


def heard(scores, near, rules, wanted):
    spans = thresholds.events(scores, *rules)
    cell = lambda seconds: round(seconds / thresholds.SECONDS)
    return [(a, b) for a, b in spans if near[cell(a) : cell(b)].max() >= wanted]


def main():
    if len(sys.argv) < 6:
        sys.exit(__doc__)
    onnx, work, data = (pathlib.Path(path) for path in sys.argv[1:4])
    rules = tomllib.loads((pathlib.Path(__file__).parent / "events.toml").read_text(encoding="utf-8"))["classes"]
    said = Scores(onnx / "model.onnx", rules)
    load = lambda path: network.Shipped(safetensors.torch.load_file(path))
    shipped, others = load(sys.argv[4]), {int(fold): load(path) for fold, path in (of.split("=", 1) for of in sys.argv[5:])}
    wild, free = (scenes.lines(data / name / "manifest.jsonl") for name in ("wild", "free_sounds"))

    def recordings(name, lines, head, wanted):
        for path in sorted((work / name).glob("*.npz")):
            line = lines[int(path.name[:5])]
            if wanted(line):
                holds = line.get("may_hold", []) + line.get("classes", []) + line.get("maybe_classes", [])
                yield holds, *said.of(head, numpy.load(path))

    first = {line["file"] for line in wild[: len(wild) - len(wild) // 3]}
    in_wild = [list(recordings("wild", wild, head, lambda line: line["file"] in first)) for head in (shipped, *others.values())]
    in_free = [of for fold, head in others.items() for of in recordings("free", free, head, lambda line: scenes.free_fold(line) == fold)]
    in_scenes = []
    for fold, head in others.items():
        for path in sorted((work / f"check-{fold}").glob("*.npz")):
            kept = numpy.load(path)
            in_scenes.append((kept["labels"], *said.of(head, kept)))
    for i, name in enumerate(scenes.CLASSES):
        share, times = rules[name]["release"] / rules[name]["threshold"], (rules[name]["min_seconds"], rules[name]["merge_seconds"])
        print(f"\n{name}, {times[0]} and {times[1]} s")
        for threshold in THRESHOLDS:
            row, rule = [], (threshold, threshold * share, *times)
            for wanted in NEAR if said.near[i] else NEAR[:1]:
                false = lambda rows: sum(len(heard(s[:, i], n[:, i], rule, wanted)) for holds, s, n in rows if name not in holds)
                counts = numpy.zeros(6)
                for active, s, n in in_scenes:
                    found, reference = heard(s[:, i], n[:, i], rule, wanted), [(a * 0.04, b * 0.04) for a, b in thresholds.runs(active[:, i] == 1)]
                    one, other = (thresholds.segments(spans, 30) for spans in (reference, found))
                    counts += thresholds.matches(reference, found, 0.5), len(reference), len(found), (one & other).sum(), one.sum(), other.sum()
                event, segment = thresholds.f1(*counts[:3]), thresholds.f1(*counts[3:])
                mean = sum(map(false, in_wild[1:])) / len(others)
                row.append(f"{wanted}: {false(in_wild[0])} {mean:.1f} {false(in_free)} {100 * segment:.0f} {100 * event:.0f}")
            print(f"  {threshold:.2f}  {' | '.join(row)}")


if __name__ == "__main__":
    main()
