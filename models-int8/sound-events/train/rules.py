#!/usr/bin/env python3
"""What thresholds cost and save: rules.py YAMNET WORK DATA HEAD FOLD=HEAD...

HEAD learned from all folds, each FOLD=HEAD not from that one. For each class of events.toml, threshold by near_threshold, then by the thresholds of
`unless` with the rest as it is there: false events of HEAD in 20 recordings of `wild` (CHOSEN), the mean of the others there, of the others in their
own fold's free sounds, then the F1 of segments and events (0.5) in their own fold's scenes. events.toml was chosen from this by hand: where a
threshold saves false events and costs little. Seven others of the first two thirds of `wild` and its last third chose nothing of `unless`.
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
UNLESS = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.7, 2)  # 2: nothing speaks against it
CHOSEN = [i for i in range(26) if i % 4 != 3]
AROUND = 2  # patches to either side, as the runtime has it
CELLS = 8  # of a patch


def labels(folder):
    return (pathlib.Path(__file__).parents[2] / folder / "labels.txt").read_text(encoding="utf-8").splitlines()


class Scores:
    """What heads and labels near their classes say, of kept scenes and recordings."""

    def __init__(self, onnx, rules):
        self.yamnet, names = yamnet.Yamnet(onnx), labels("yamnet")
        self.near, self.unless = ([[names.index(label) for label in rules[name].get(key, [])] for name in scenes.CLASSES] for key in ("near", "unless"))

    def of(self, head, kept):
        """Scores, what is near and what speaks against it, [cells][10] each; 0 where there is nothing to be."""
        maps = [torch.from_numpy(kept[name].astype(numpy.float32)) for name in network.INPUTS]
        found = head(maps).sigmoid().numpy()[:, : len(scenes.CLASSES)]
        every = torch.sigmoid(maps[-1] @ self.yamnet.classifier.T + self.yamnet.classifier_bias).numpy()

        def around(outputs):
            largest = numpy.stack([every[:, of].max(1) if of else numpy.zeros(len(every)) for of in outputs], 1)
            padded = numpy.pad(largest, ((AROUND, AROUND), (0, 0)))
            return numpy.max([padded[i : i + len(largest)] for i in range(2 * AROUND + 1)], 0).repeat(CELLS, 0)

        cells = int(kept["cells"]) if "cells" in kept else scenes.SCENE // scenes.CELL
        return found[:cells], around(self.near)[:cells], around(self.unless)[:cells]


def heard(scores, near, against, rules, wanted, unless):
    """An event counts as soon as it has lasted long enough and what is around it so far lets it."""
    cell = lambda seconds: round(seconds / thresholds.SECONDS)

    def counts(a, b):
        so_far, vetoes = (numpy.maximum.accumulate(values[cell(a) : cell(b)]) for values in (near, against))
        return ((so_far >= wanted) & ~((vetoes >= unless) & (vetoes > so_far)))[max(cell(rules[2]), 1) - 1 :].any()

    return [(a, b) for a, b in thresholds.events(scores, *rules) if counts(a, b)]


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

    first = {wild[i]["file"] for i in CHOSEN}
    in_wild = [list(recordings("wild", wild, head, lambda line: line["file"] in first)) for head in (shipped, *others.values())]
    in_free = [of for fold, head in others.items() for of in recordings("free", free, head, lambda line: scenes.free_fold(line) == fold)]
    in_scenes = []
    for fold, head in others.items():
        for path in sorted((work / f"check-{fold}").glob("*.npz")):
            kept = numpy.load(path)
            in_scenes.append((kept["labels"], *said.of(head, kept)))
    for i, name in enumerate(scenes.CLASSES):
        share, times = rules[name]["release"] / rules[name]["threshold"], (rules[name]["min_seconds"], rules[name]["merge_seconds"])

        def row(threshold, wanted, unless):
            rule = (threshold, threshold * share, *times)
            found_in = lambda s, n, u: heard(s[:, i], n[:, i], u[:, i], rule, wanted, unless)
            false = lambda rows: sum(len(found_in(*said)) for holds, *said in rows if name not in holds)
            counts = numpy.zeros(6)
            for active, *said in in_scenes:
                found, reference = found_in(*said), [(a * 0.04, b * 0.04) for a, b in thresholds.runs(active[:, i] == 1)]
                one, other = (thresholds.segments(spans, 30) for spans in (reference, found))
                counts += thresholds.matches(reference, found, 0.5), len(reference), len(found), (one & other).sum(), one.sum(), other.sum()
            event, segment = thresholds.f1(*counts[:3]), thresholds.f1(*counts[3:])
            mean = sum(map(false, in_wild[1:])) / len(others)
            return f"{false(in_wild[0])} {mean:.1f} {false(in_free)} {100 * segment:.0f} {100 * event:.0f}"

        own = (rules[name]["threshold"], rules[name].get("near_threshold", 0), rules[name].get("unless_threshold", 2))
        print(f"\n{name}, {times[0]} and {times[1]} s")
        for threshold in THRESHOLDS:
            near = NEAR if said.near[i] else NEAR[:1]
            print(f"  {threshold:.2f}  {' | '.join(f'{wanted}: {row(threshold, wanted, own[2])}' for wanted in near)}")
        if said.unless[i]:
            print(f"  unless  {' | '.join(f'{unless}: {row(own[0], own[1], unless)}' for unless in UNLESS)}", flush=True)


if __name__ == "__main__":
    main()
