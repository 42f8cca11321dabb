#!/usr/bin/env python3
"""False events of the ten sounds in recordings of other things: surroundings.py [--model FOLDER] [--fold N] [--each]

`wild` in two parts, the first two thirds of its manifest, by which most rules were chosen, and the last one, by which a few were; free_sounds (with --fold
only those of that fold, which a head of the other folds did not learn), and speech. What a recording's line says it holds or may hold counts
neither way. --each names every event.
"""

import argparse
import collections
import json
import pathlib
import subprocess
import sys

from common import DATA, ROOT, manifest

LASTING = ("rain", "sea_waves")


def false_events(args, clips):
    command = [args.ossicle, "detect", "--threads", "1", "--format", "jsonl", "--model", args.model]
    run = subprocess.run([*command, *(clip["path"] for clip in clips)], check=True, capture_output=True, text=True)
    of_file = {str(clip["path"]): clip for clip in clips}
    for event in map(json.loads, run.stdout.splitlines()):
        clip = of_file[event["file"]]
        if event["class"] not in clip.get("may_hold", []) + clip.get("classes", []) + clip.get("maybe_classes", []):
            yield clip.get("what") or clip["path"].name, event


def report(args, name, clips):
    found = list(false_events(args, clips))
    counts = collections.Counter(event["class"] for _, event in found)
    lasting, minutes = sum(counts[name] for name in LASTING), sum(clip["seconds"] for clip in clips) / 60
    print(f"{name}: {sum(counts.values()) - lasting} false events and {lasting} of rain and waves in {minutes:.1f} minutes {dict(counts)}")
    for what, event in found if args.each else ():
        print(f"  {event['class']} in {what!r}, {event['start']:.2f} to {event['end']:.2f} s, peak {event['peak']:.2f}, mean {event['mean']:.2f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ossicle", default=ROOT / "target" / "release" / "ossicle")
    parser.add_argument("--model", default="sound-events")
    parser.add_argument("--data", type=pathlib.Path, default=DATA)
    parser.add_argument("--fold", type=int)
    parser.add_argument("--each", action="store_true")
    args = parser.parse_args()
    wild, free = manifest(args.data, "wild"), manifest(args.data, "free_sounds")
    if args.fold:
        sys.path.insert(0, str(ROOT / "models-int8" / "sound-events" / "train"))
        import scenes

        free = [clip for clip in free if scenes.free_fold(clip) == args.fold]
    third = len(wild) - len(wild) // 3
    report(args, "wild, first two thirds", wild[:third])
    report(args, "wild, last third", wild[third:])
    report(args, "free_sounds", free)
    for name in ("read_en", "long_en", "misc_en", "coffee"):
        report(args, name, manifest(args.data, name))


if __name__ == "__main__":
    main()
