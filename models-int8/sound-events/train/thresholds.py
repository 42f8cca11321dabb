#!/usr/bin/env python3
"""Chooses each class's rules on scenes that heads did not learn from: thresholds.py CHECKED.npz... > events.toml

Each CHECKED is what train.py keeps of scenes made from a fold that its head did not learn. Rules of all of them are chosen together; to say what
they are worth, those for each file are chosen once more on the other files alone.

The overall F1 is that of all classes' counts together, so a class's rules count by what they add to it: hits, less what its events cost at about
the F1 that is reached. What is good for classes that are alike counts too, and the mean over neighbouring thresholds decides. Alarms in scenes
without any of the ten classes cost much, and so does what would nearly be one.
"""

import itertools
import sys

import numpy

import scenes

SECONDS = scenes.CELL / scenes.RATE
THRESHOLDS = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
RELEASES = (0.5, 0.7, 0.9)  # of the threshold
# Classes that are alike, and their times in seconds: least, merged. What goes on and on is not to be cut into pieces.
KINDS = {
    ("dog_bark", "baby_cry", "clock_tick", "person_sneeze", "rooster"): (
        *((0.0, 0.08), (0.0, 0.16), (0.08, 0.24), (0.12, 0.16), (0.24, 0.16), (0.0, 0.4), (0.12, 0.4), (0.24, 0.4)),
    ),
    ("helicopter", "chainsaw"): ((0.4, 0.4), (0.8, 0.8), (0.8, 0.4), (1.6, 0.4), (1.6, 1.6)),
    ("rain", "sea_waves", "fire_crackling"): ((0.8, 0.8), (1.6, 1.6), (2.4, 2.4), (3.2, 1.6), (3.2, 3.2)),
}  # fmt: skip
ALIKE = 2.0  # how much what is best for all of a kind counts beside what is best for the class
COLLAR = 0.2  # seconds; and of an offset that share of the length, if it is more:
SHARES = (0.2, 0.5)
REACHED = (0.46, 0.54, 0.82)  # F1 of events by share, of segments
ALARM = 12  # events that an alarm in a scene without any of the ten costs
EVENTS = 0.3  # how much events count beside segments: what a collar takes hangs more on luck
NEARLY = 0.8  # of threshold and release
COUNTS = 8  # hits by share, events, found; segments right, wanted, found; alarms


def runs(active):
    edges = numpy.flatnonzero(numpy.diff(numpy.concatenate([[0], active.astype(numpy.int8), [0]])))
    return edges.reshape(-1, 2)


def events(scores, threshold, release, least, merged):
    """As the runtime's tracker: (start, end) in seconds."""
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


def matches(reference, estimated, share):
    """Events that agree within the collars; each is used once."""
    used = set()
    for a, b in reference:
        for i, (c, d) in enumerate(estimated):
            if i not in used and abs(a - c) <= COLLAR + 1e-6 and abs(b - d) <= max(COLLAR, share * (b - a)) + 1e-6:
                used.add(i)
                break
    return len(used)


def segments(found, count):
    active = numpy.zeros(count, bool)
    for a, b in found:
        active[int(a + 1e-9) : int(numpy.ceil(b - 1e-9))] = True
    return active


def counts(scores, labels, without, rules):
    """Of one class in all scenes of a file; what would nearly be an alarm is one."""
    totals = numpy.zeros(COUNTS)
    for score, label, alarm in zip(scores, labels, without):
        estimated = events(score, *rules)
        if alarm:
            totals[7] += len(events(score, rules[0] * NEARLY, rules[1] * NEARLY, *rules[2:]))
            continue
        reference = [(a * SECONDS, b * SECONDS) for a, b in runs(label)]
        length = int(numpy.ceil(len(score) * SECONDS))
        one, other = segments(reference, length), segments(estimated, length)
        hits = [matches(reference, estimated, share) for share in SHARES]
        totals += *hits, len(reference), len(estimated), (one & other).sum(), one.sum(), other.sum(), 0
    return totals


def f1(hits, wanted, given):
    return 2 * hits / max(wanted + given, 1)


def figures(totals):
    event = [f1(totals[i], *totals[2:4]) for i in range(len(SHARES))]
    words = [f"event F1 {100 * f:.1f} % with {share}" for f, share in zip(event, SHARES)]
    return ", ".join([f"segment F1 {100 * f1(*totals[4:7]):.1f} %", *words, f"{totals[7]:.0f} alarms or nearly so"])


def worth(totals, wanted):
    """What a class's counts add to the sum of the F1s, of as many events and segments as all classes have together."""
    event = sum(2 * totals[i] - reached * totals[3] for i, reached in enumerate(REACHED[:2]))
    return EVENTS * (event - ALARM * totals[7]) / wanted[2] + (2 * totals[4] - REACHED[2] * totals[6]) / wanted[5]


def choose(tables, parts, wanted):
    """For each class the rules of the best worth in these files, to the class and to its kind."""
    total = sum(wanted[part] for part in parts)
    worths = {name: {rules: worth(sum(found[part] for part in parts), total) for rules, found in table.items()} for name, table in tables.items()}

    def best(name):
        kind = next(kind for kind in KINDS if name in kind)
        both = {rules: own + ALIKE * numpy.mean([worths[other][rules] for other in kind]) for rules, own in worths[name].items()}

        def smooth(rules):
            # One lucky threshold is no reason.
            return numpy.mean([both[t, *rules[1:]] for t in THRESHOLDS if abs(t - rules[0]) < 0.11])

        return max(both, key=smooth)

    return {name: best(name) for name in tables}


def main():
    kept = [numpy.load(path) for path in sys.argv[1:]]
    if not kept:
        sys.exit(__doc__)
    files = [(part["scores"], part["labels"], ~part["labels"][:, :, : len(scenes.CLASSES)].any((1, 2))) for part in kept]
    tables = {}
    for kind, times in KINDS.items():
        rules = [(t, share, *seconds) for t, share, seconds in itertools.product(THRESHOLDS, RELEASES, times)]
        for name in kind:
            i = scenes.CLASSES.index(name)
            tables[name] = {rule: [counts(s[:, :, i], l[:, :, i], w, (rule[0], rule[0] * rule[1], *rule[2:])) for s, l, w in files] for rule in rules}
    every = range(len(files))
    wanted = [sum(next(iter(table.values()))[part] for table in tables.values()) for part in every]
    crossed = numpy.zeros(COUNTS)
    for part in every if len(files) > 1 else ():
        chosen = choose(tables, [other for other in every if other != part], wanted)
        totals = sum(tables[name][rules][part] for name, rules in chosen.items())
        print(f"{sys.argv[1 + part]}: {figures(totals)}, by rules of the others", file=sys.stderr)
        crossed += totals
    if len(files) > 1:
        print(f"together: {figures(crossed)}", file=sys.stderr)
    print("# Chosen by train/thresholds.py. Speech, music and silence are scored too: name them with --classes or in settings of your own.")
    chosen = choose(tables, every, wanted)
    for name in scenes.CLASSES:
        threshold, share, least, merged = chosen[name]
        print(f"{name}: {figures(sum(tables[name][chosen[name]]))}", file=sys.stderr)
        print(f"\n[classes.{name}]\nthreshold = {threshold:.2f}\nrelease = {threshold * share:.2f}\nmin_seconds = {least:.2f}\nmerge_seconds = {merged:.2f}")
    totals = sum(sum(tables[name][rules]) for name, rules in chosen.items())
    print(f"rules and figures of the same scenes: {figures(totals)}", file=sys.stderr)


if __name__ == "__main__":
    main()
