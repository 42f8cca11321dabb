"""Whether sounds from text are what was asked for: python effects.py OSSICLE [--model effects] [--seeds 20] [--first-seed 1000]

Makes clips of five seconds for each of sixteen descriptions and lets YAMNet hear them. A clip counts when the mean score of the description's
own labels (the largest of them) is above that of the other fifteen. `--recordings DATA` judges real clips of the ten classes the same way.

`--mixtures` asks for pairs of sounds that no window of the training had together (`APART` in models-int8/effects/train/lm.py). A sound is heard where
the largest of its labels' scores reaches 0.1 at some time; printed is how often both are, and how often another sound of the sixteen is. What comes after `--` are more options of `ossicle generate`.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

PROMPTS = {
    "a dog barking": ["Dog", "Bark", "Bow-wow", "Yip", "Growling"],
    "rain": ["Rain", "Raindrop", "Rain on surface"],
    "sea waves": ["Ocean", "Waves, surf"],
    "a baby crying": ["Baby cry, infant cry", "Crying, sobbing", "Whimper"],
    "a clock ticking": ["Tick", "Tick-tock", "Clock"],
    "a person sneezing": ["Sneeze"],
    "a helicopter": ["Helicopter"],
    "a chainsaw": ["Chainsaw"],
    "a rooster crowing": ["Chicken, rooster", "Crowing, cock-a-doodle-doo"],
    "a fire crackling": ["Fire", "Crackle"],
    "a smoke alarm": ["Smoke detector, smoke alarm", "Fire alarm", "Alarm"],
    "a doorbell": ["Doorbell", "Ding-dong"],
    "birds singing": ["Bird", "Bird vocalization, bird call, bird song", "Chirp, tweet"],
    "wind": ["Wind"],
    "a train": ["Train", "Rail transport", "Train horn", "Train whistle", "Railroad car, train wagon"],
    "footsteps": ["Walk, footsteps", "Run"],
}
CLASSES = {"dog_bark": 0, "rain": 1, "sea_waves": 2, "baby_cry": 3, "clock_tick": 4, "person_sneeze": 5, "helicopter": 6, "chainsaw": 7,
           "rooster": 8, "fire_crackling": 9}

MIXTURES = [("a dog barking", "sea waves"), ("a baby crying", "rain"), ("birds singing", "a fire crackling"), ("footsteps", "wind"),
            ("a clock ticking", "a smoke alarm"), ("a doorbell", "a helicopter"), ("a train", "a rooster crowing"),
            ("a chainsaw", "a person sneezing")]


def heard(ossicle, files, largest=False):
    """Mean scores by label of each file, or the largest."""
    command = [ossicle, "detect", "--model", "yamnet", "--top", "521", "--format", "jsonl", *map(str, files)]
    means, counts = {}, Counter()
    for line in subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines():
        event = json.loads(line)
        if "top" not in event:
            continue
        counts[event["file"]] += 1
        mean = means.setdefault(event["file"], Counter())
        for entry in event["top"]:
            mean[entry["label"]] = max(mean[entry["label"]], entry["score"]) if largest else mean[entry["label"]] + entry["score"]
    if largest:
        return [means[str(file)] for file in files]
    return [{label: total / counts[str(file)] for label, total in means[str(file)].items()} for file in files]


def first(scores):
    """The likeliest of the sixteen."""
    own = [max(scores.get(label, 0.0) for label in labels) for labels in PROMPTS.values()]
    return own.index(max(own)), own


def mixtures(args, folder):
    """How often both sounds of a mixture are heard."""
    prompts, kinds, total, others = [f"{a} and {b}" for a, b in MIXTURES], list(PROMPTS), 0, 0
    files = made(args, folder, prompts)
    scores = [[s >= 0.1 for s in first(s)[1]] for s in heard(args.ossicle, files, largest=True)]
    for i, pair in enumerate(MIXTURES):
        rows = scores[i * args.seeds : (i + 1) * args.seeds]
        own = [[row[kinds.index(kind)] for kind in pair] for row in rows]
        both = sum(all(one) for one in own)
        total += both
        others += sum(sum(row) - sum(one) for row, one in zip(rows, own))
        print(f"{prompts[i]:<35} both {both:3} of {args.seeds}, first {sum(a for a, _ in own)}, second {sum(b for _, b in own)}")
    print(f"both {total} of {len(scores)}, {100 * total / len(scores):.1f} %; another one {100 * others / len(scores) / (len(kinds) - 2):.1f} %")


def made(args, folder, prompts):
    """Files of each description and seed."""
    folder.mkdir(parents=True, exist_ok=True)
    command = [args.ossicle, "generate", *prompts, "--seeds", str(args.seeds), "--seed", str(args.first_seed), "--model", args.model,
               "--output-dir", str(folder), *args.options]
    subprocess.run(command, check=True)
    seeds = range(args.first_seed, args.first_seed + args.seeds)
    name = lambda i, seed: f"{i + 1}.wav" if args.seeds == 1 else f"{i + 1}-seed{seed}.wav"
    return [folder / name(i, seed) for i in range(len(prompts)) for seed in seeds]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ossicle")
    parser.add_argument("--model", default="effects")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--first-seed", type=int, default=1000)
    parser.add_argument("--recordings", type=Path)
    parser.add_argument("--mixtures", action="store_true")
    parser.add_argument("--keep", type=Path, help="folder for the sounds and the page")
    given = sys.argv[1:]
    end = given.index("--") if "--" in given else len(given)
    args = parser.parse_args(given[:end])
    args.options = given[end + 1 :]
    if args.recordings:
        clips = [json.loads(line) for line in open(args.recordings / "sound_events/manifest.jsonl")]
        scores = heard(args.ossicle, [args.recordings / "sound_events" / clip["file"] for clip in clips])
        right = sum(first(s)[0] == CLASSES[clip["class"]] for s, clip in zip(scores, clips))
        print(f"recordings: {right} of {len(clips)}, {100 * right / len(clips):.1f} %")
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = args.keep or Path(temporary)
        if args.mixtures:
            return mixtures(args, folder)
        files = made(args, folder, PROMPTS)
        scores = heard(args.ossicle, files)
        total = 0
        for i, prompt in enumerate(PROMPTS):
            own = scores[i * args.seeds : (i + 1) * args.seeds]
            taken = Counter(first(s)[0] for s in own)
            total += taken[i]
            others = ", ".join(f"{list(PROMPTS)[k]} {n}" for k, n in taken.most_common() if k != i)
            mean = sum(first(s)[1][i] for s in own) / len(own)
            print(f"{prompt:<20} {taken[i]:3} of {args.seeds}  mean score {mean:.2f}  {others}")
        print(f"{total} of {len(scores)}, {100 * total / len(scores):.1f} %")


if __name__ == "__main__":
    main()
