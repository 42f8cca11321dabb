#!/usr/bin/env python3
"""Scores `ossicle detect` on scenes and clips with sed_eval. Needs sed_eval, dcase_util, soundfile.

    events_scenes.py --ossicle target/release/ossicle FOLDER                    # scenes.jsonl and manifest.jsonl of FOLDER
    events_scenes.py --alarms NAME=FILE,FILE... FOLDER                           # also: events of the ten classes an hour in these recordings

FOLDER/scenes.jsonl has file and events (onset, offset, class) a line, FOLDER/manifest.jsonl file and class. Scenes: segment F1 over segments of
1 s, event F1 with a collar of 200 ms around the onset and of 200 ms or a share of the event's length, whichever is more, around the offset (shares
0.2, as in DCASE's tasks, and 0.5, sed_eval's default), micro-averaged over the classes. Clips: the class with the largest mean score. With
--fold, for a head that learned from the other folds: that fold's clips, and how many events of scenes are found whose clips are of that fold, and
how many of the others, by the event F1's rules with a share of 0.5.
"""
import argparse
import json
import subprocess
import warnings
from pathlib import Path

import soundfile

warnings.filterwarnings("ignore")
import dcase_util  # noqa: E402
import sed_eval  # noqa: E402

CLASSES = ["dog_bark", "rain", "sea_waves", "baby_cry", "clock_tick", "person_sneeze", "helicopter", "chainsaw", "rooster", "fire_crackling"]


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []


def detect(args, *more):
    command = [args.ossicle, "detect", *args.options.split(), *more]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def heard(args, folder):
    """Each scene's file, what is in it and what is heard in it."""
    files = {str(folder / scene["file"]): scene["events"] for scene in lines(folder / "scenes.jsonl")}
    if not files:
        return print("no scenes.jsonl: scenes left out")
    found = {file: [] for file in files}
    for row in detect(args, "--format", "tsv", *files).splitlines()[1:]:
        file, onset, offset, label = row.split("\t")
        found[file].append({"filename": file, "onset": float(onset), "offset": float(offset), "event_label": label})
    return [(file, events, found[file]) for file, events in files.items()]


def scenes(args, rows):
    segments = sed_eval.sound_event.SegmentBasedMetrics(CLASSES, time_resolution=1.0)
    shares = {share: sed_eval.sound_event.EventBasedMetrics(CLASSES, t_collar=0.2, percentage_of_length=share) for share in (0.2, 0.5)}
    for file, events, found in rows:
        reference = [{"filename": file, "onset": e["onset"], "offset": e["offset"], "event_label": e["class"]} for e in events]
        estimated = [event for event in found if event["event_label"] in CLASSES]
        pair = [dcase_util.containers.MetaDataContainer(rows) for rows in (reference, estimated)]
        for metrics in (segments, *shares.values()):
            metrics.evaluate(*pair)
    overall = {"segment F1, 1 s": segments} | {f"event F1, 200 ms, {share} of the length": metrics for share, metrics in shares.items()}
    for name, metrics in overall.items():
        print(f"{name}: {100 * metrics.results_overall_metrics()['f_measure']['f_measure']:.1f} %")
    if args.classes:
        rows = [metrics.results_class_wise_metrics() for metrics in overall.values()]
        for label in CLASSES:
            print(f"  {label}: " + ", ".join(f"{100 * row[label]['f_measure']['f_measure']:.0f}" for row in rows))


def known(args, rows):
    """Events of clips that the head did not learn, and that it did. sed_eval counts no part of the events."""
    counts = {True: [0, 0], False: [0, 0]}
    for _, events, found in rows:
        left = list(found)
        for event in events:
            start, end = event["onset"], event["offset"]
            collar = max(0.2, 0.5 * (end - start))
            fits = [e for e in left if e["event_label"] == event["class"] and abs(e["onset"] - start) <= 0.2 and abs(e["offset"] - end) <= collar]
            left = [e for e in left if e is not (fits or [None])[0]]
            count = counts[event["clip"].startswith(f"{args.fold}-")]
            count[0] += bool(fits)
            count[1] += 1
    (new, all_new), (old, all_old) = counts[True], counts[False]
    print(f"scenes, events found: {new} of {all_new} of fold {args.fold}, {old} of {all_old} of others; {sum(len(found) for *_, found in rows)} heard")


def clips(args, folder):
    wanted = {str(folder / clip["file"]): clip["class"] for clip in lines(folder / "manifest.jsonl") if not args.fold or clip["fold"] == args.fold}
    if not wanted:
        return print("no manifest.jsonl: clips left out")
    totals = {file: dict.fromkeys(CLASSES, 0.0) for file in wanted}
    for line in detect(args, "--format", "jsonl", "--top", "1000", *wanted).splitlines():
        row = json.loads(line)
        for entry in row["top"]:
            if entry["label"] in CLASSES:
                totals[row["file"]][entry["label"]] += entry["score"] * (row["end"] - row["start"])
    wrong = [(file, max(total, key=total.get)) for file, total in totals.items() if max(total, key=total.get) != wanted[file]]
    print(f"clips: {100 * (1 - len(wrong) / len(wanted)):.2f} % of {len(wanted)}")
    for file, label in wrong:
        print(f"  {Path(file).name}: {label}")


def alarms(args):
    for group in args.alarms:
        name, _, files = group.partition("=")
        files, count = files.split(","), {}
        for line in detect(args, "--format", "jsonl", *files).splitlines():
            label = json.loads(line)["class"]
            count[label] = count.get(label, 0) + (label in CLASSES)
        hours = sum(soundfile.info(file).duration for file in files) / 3600
        total = sum(count.values())
        print(f"alarms, {name}: {total} in {hours:.2f} hours, {total / hours:.1f} an hour {({k: v for k, v in count.items() if v})}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ossicle", default="target/release/ossicle")
    parser.add_argument("--options", default="--threads 1", help="more options for ossicle detect")
    parser.add_argument("--fold", type=int, help="what a head that did not learn this fold does with its clips, alone and in scenes")
    parser.add_argument("--classes", action="store_true", help="also each class by itself")
    parser.add_argument("--alarms", action="append", default=[], metavar="NAME=FILE,FILE...")
    parser.add_argument("folder", type=Path)
    args = parser.parse_args()
    rows = heard(args, args.folder)
    if rows:
        known(args, rows) if args.fold else scenes(args, rows)
    clips(args, args.folder)
    alarms(args)


if __name__ == "__main__":
    main()
