#!/usr/bin/env python3
"""Scores `ossicle transcribe --events` on clips and scenes, as events_scenes.py does `ossicle detect`. Needs sed_eval, dcase_util, soundfile.

    whisper_events.py --model whisper-tiny.en-short --fold 4 ../shared/data/sound_events

FOLDER/scenes.jsonl has file and events (onset, offset, class) a line, FOLDER/manifest.jsonl file, class and fold.
"""

import argparse
import json
import subprocess
import tempfile
from pathlib import Path

import dcase_util
import sed_eval
from events_scenes import CLASSES, lines


def hear(args, files, *more):
    """The events of each file."""
    with tempfile.TemporaryDirectory() as out:
        fixed = ["--events", "--format", "json", "--threads", "1", "--output-dir", out]
        subprocess.run([args.ossicle, "transcribe", "--model", args.model, *fixed, *more, *map(str, files)], check=True)
        return [json.loads((Path(out) / file.with_suffix(".json").name).read_text())["events"] for file in files]


def clips(args):
    """A clip's class is that with the largest mean score: one event of each class, however small its scores."""
    wanted = [clip for clip in lines(args.folder / "manifest.jsonl") if not args.fold or clip["fold"] == args.fold]
    with tempfile.NamedTemporaryFile("w", suffix=".toml") as settings:
        for name in CLASSES:
            settings.write(f"[classes.{name}]\nthreshold = 1e-30\nrelease = 1e-30\nmerge_seconds = 60\n")
        settings.flush()
        heard = hear(args, [args.folder / clip["file"] for clip in wanted], "--config", settings.name)
    wrong = 0
    for clip, events in zip(wanted, heard):
        best = max(events, key=lambda event: event["mean"])["class"]
        if best != clip["class"]:
            wrong += 1
            print(f"  {Path(clip['file']).name}: {best}")
    print(f"clips right: {100 * (1 - wrong / len(wanted)):.2f} % of {len(wanted)}")


def scenes(args, folder):
    wanted = lines(folder / "scenes.jsonl")
    segments = sed_eval.sound_event.SegmentBasedMetrics(CLASSES, time_resolution=1.0)
    shares = {share: sed_eval.sound_event.EventBasedMetrics(CLASSES, t_collar=0.2, percentage_of_length=share) for share in (0.2, 0.5)}
    for scene, events in zip(wanted, hear(args, [folder / scene["file"] for scene in wanted])):
        pair = [
            dcase_util.containers.MetaDataContainer([{"filename": scene["file"], "onset": a, "offset": b, "event_label": c} for a, b, c in rows])
            for rows in (
                [(e["onset"], e["offset"], e["class"]) for e in scene["events"]],
                [(e["start"], e["end"], e["class"]) for e in events if e["class"] in CLASSES],
            )
        ]
        for metrics in (segments, *shares.values()):
            metrics.evaluate(*pair)
    for name, metrics in [("segment F1, 1 s", segments), *((f"event F1, 200 ms, {share} of the length", m) for share, m in shares.items())]:
        print(f"{len(wanted)} scenes, {name}: {100 * metrics.results_overall_metrics()['f_measure']['f_measure']:.1f} %")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ossicle", default="target/release/ossicle")
    parser.add_argument("--model", default="whisper-tiny.en-short")
    parser.add_argument("--fold", type=int, help="only clips of this fold")
    parser.add_argument("--scenes", type=Path, help="scenes of another folder, such as those of train/features.py --keep")
    parser.add_argument("folder", type=Path)
    args = parser.parse_args()
    clips(args)
    scenes(args, args.scenes or args.folder)


if __name__ == "__main__":
    main()
