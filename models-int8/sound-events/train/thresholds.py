#!/usr/bin/env python3
"""Chooses each class's rules on scenes that a head did not learn from: thresholds.py CHECKED.npz... > events.toml

CHECKED are what train.py keeps of scenes made from other folds than it learned. For each class the rules with the best sum of event F1 (200 ms)
and segment F1 (1 s) are taken from a small table, by the mean over neighbouring thresholds. Rules that hear the class in scenes without any of the
ten lose some of it.
"""

import itertools
import sys

import numpy

import scenes

SECONDS = scenes.CELL / scenes.RATE
THRESHOLDS = (0.4, 0.45, 0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9)
RELEASES = (0.3, 0.5, 0.7, 0.9)  # of the threshold
# Seconds: least, merged. What goes on and on is not to be cut into pieces.
SHORT = ((0.0, 0.12, 0.24), (0.16, 0.4))
LASTING = ((0.4, 0.8, 1.6), (0.4, 0.8, 1.6))
ALARM = 0.05  # F1 that an alarm in a scene without any of the ten costs


def runs(active):
    edges = numpy.flatnonzero(numpy.diff(numpy.concatenate([[0], active.astype(numpy.int8), [0]])))
    return edges.reshape(-1, 2)


def events(scores, threshold, release, least, merged):
    """As the runtime's tracker: (first, last) cells."""
    found = []
    for first, last in runs(scores >= release):
        above = numpy.flatnonzero(scores[first:last] >= threshold)
        if len(above) == 0:
            continue
        first += above[0]
        if found and (first - found[-1][1]) * SECONDS <= merged + 1e-9:
            found[-1][1] = last
        else:
            found.append([first, last])
    return [(a * SECONDS, b * SECONDS) for a, b in found if (b - a) * SECONDS >= least - 1e-9]


def matches(reference, estimated):
    """Events that agree within 200 ms, the offset within a fifth of the length if that is more; each is used once."""
    used = set()
    for a, b in reference:
        for i, (c, d) in enumerate(estimated):
            if i not in used and abs(a - c) <= 0.2 and abs(b - d) <= max(0.2, 0.2 * (b - a)):
                used.add(i)
                break
    return len(used)


def segments(found, count):
    active = numpy.zeros(count, bool)
    for a, b in found:
        active[int(a) : int(numpy.ceil(b - 1e-9))] = True
    return active


def f1(hits, wanted, given):
    return 2 * hits / max(wanted + given, 1)


def quality(scores, labels, rules):
    """Event F1 and segment F1 of one class."""
    totals = numpy.zeros(6)
    for score, label in zip(scores, labels):
        estimated, reference = events(score, *rules), [(a * SECONDS, b * SECONDS) for a, b in runs(label)]
        length = int(numpy.ceil(len(score) * SECONDS))
        one, other = segments(reference, length), segments(estimated, length)
        totals += matches(reference, estimated), len(reference), len(estimated), (one & other).sum(), one.sum(), other.sum()
    return f1(*totals[:3]), f1(*totals[3:])


def choose(scores, labels, without, times):
    table = {}
    for threshold, share, least, merged in itertools.product(THRESHOLDS, RELEASES, *times):
        rules = (threshold, threshold * share, least, merged)
        alarms = sum(len(events(score, *rules)) for score in scores[without])
        table[threshold, share, least, merged] = sum(quality(scores[~without], labels[~without], rules)) - ALARM * alarms

    def smooth(rules):
        # One lucky threshold is no reason.
        near = [table[t, *rules[1:]] for t in THRESHOLDS if abs(t - rules[0]) < 0.051]
        return numpy.mean(near)

    return max(table, key=smooth)


def main():
    kept = [numpy.load(path) for path in sys.argv[1:]]
    if not kept:
        sys.exit(__doc__)
    scores, labels = (numpy.concatenate([part[name] for part in kept]) for name in ("scores", "labels"))
    without = ~labels[:, :, : len(scenes.CLASSES)].any((1, 2))
    print("# Chosen by train/thresholds.py. Speech, music and silence are scored too: name them with --classes or in settings of your own.")
    for i, name in enumerate(scenes.CLASSES):
        threshold, share, least, merged = choose(scores[:, :, i], labels[:, :, i], without, LASTING if name in scenes.CONTINUOUS else SHORT)
        event, segment = quality(scores[:, :, i], labels[:, :, i], (threshold, threshold * share, least, merged))
        print(f"{name}: event F1 {event:.2f}, segment F1 {segment:.2f}", file=sys.stderr)
        print(f"\n[classes.{name}]\nthreshold = {threshold:.2f}\nrelease = {threshold * share:.2f}\nmin_seconds = {least:.2f}\nmerge_seconds = {merged:.2f}")


if __name__ == "__main__":
    main()
