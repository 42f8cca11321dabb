#!/usr/bin/env python3
"""The sentence packs, spoken by espeak-ng and flite and heard by `ossicle command`.

Draws sentences of a pack, as many of every intent (`ossicle command sentences PACK --json`), has voices of both engines speak each at some speed, and counts for each intent how many of these clips are
right (intent and all slots), none, another intent, or other slots. Then the same voices say what is in no pack: how much of that is taken for a command. The draw and the voices depend on
--seed alone. With --least it ends with 1 if less of any engine's clips is right, or more of the other speech is taken for a command, than these percentages allow.
"""

import argparse
import collections
import concurrent.futures
import json
import math
import os
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = os.environ.get("OSSICLE", str(ROOT / "target/release/ossicle"))
MODELS = str(ROOT / "models-int8")
DRAWN = 20000

# Engine, voice, and speeds: words a minute of espeak-ng, durations of flite (more is slower).
VOICES = [
    ("espeak-ng", "en-us", (150, 175)),
    ("espeak-ng", "en-gb", (150, 175)),
    ("espeak-ng", "en-us+f3", (150, 175)),
    ("espeak-ng", "en-gb-x-rp+m3", (140, 160)),
    ("flite", "slt", (0.95, 1.1)),
    ("flite", "rms", (0.9, 1.0)),
    ("flite", "awb", (1.0, 1.15)),
    ("flite", "kal16", (1.0, 1.1)),
]

# Talk that a microphone at home hears; some of it has the packs' words.
OTHER = """
She left the lights on in the kitchen all night.
I told him that the garage door was broken again.
Do you think it will get any better next year?
My brother turned thirty in the living room of our old house.
The coffee at that place is far too expensive.
We set the table for ten and nobody came.
He asked me to open a bank account in London.
They were watching a movie about a bank robbery.
Please remember to call your grandmother before dinner.
The temperature dropped below zero during the night.
I would never paint the bedroom that shade of green.
What did you say to the doctor about your knee?
There was nothing on the television worth watching.
The meeting has been moved to Thursday at noon.
Can you believe how fast the children are growing?
A timer is a simple device that counts down.
The music was so loud that we had to leave early.
Let me tell you what happened on the way home.
The curtain rose and the orchestra began to play.
It takes about twenty minutes to walk to the station.
The volume of the cylinder depends on its height.
Nobody knows how the fire in the attic started.
I have been waiting for this letter since Monday.
You should always lock your bicycle in this city.
The president will answer questions from the press.
His latte art has won several prizes in Italy.
We could go to the seaside if the weather stays fine.
This recipe needs two spoons of brown sugar and some butter.
Our neighbours bought a new vacuum cleaner last week.
Mary had a little lamb whose fleece was white as snow.
The train to Edinburgh leaves from platform nine.
Stop worrying about the exam and get some sleep.
She played the piano before she could read.
I am not sure whether that is a good idea.
The library closes at six on Saturdays.
Someone has to add up all these numbers by hand.
We need a bigger kitchen, said my mother every year.
The pool was empty when we arrived.
It was a dark and stormy night.
Turn left at the second light and then go straight on.
""".strip().splitlines()


def drawn(pack, count, seed):
    """About `count` sentences of a pack, as many of every intent that has as many, no two alike."""
    command = [BINARY, "command", "sentences", pack, "--json", "--sample", str(DRAWN), "--seed", str(seed)]
    by_intent = collections.defaultdict(dict)
    for line in subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines():
        sample = json.loads(line)
        by_intent[sample["intent"]].setdefault(sample["text"], sample)
    each = math.ceil(count / len(by_intent))
    return [sample for samples in by_intent.values() for sample in list(samples.values())[:each]]


def speak(engine, voice, speed, text, path):
    if engine == "flite":
        command = ["flite", "-voice", voice, "--setf", f"duration_stretch={speed}", "-t", text, "-o", str(path)]
    elif engine == "ossicle":
        command = [BINARY, "speak", text, "--voice", voice, "--speed", str(speed), "--threads", "1", "-o", str(path)]
    else:
        command = ["espeak-ng", "-v", voice, "-s", str(speed), "-w", str(path), text]
    subprocess.run(command, check=True, capture_output=True)


def recognise(pack, model, paths):
    """What `ossicle command` says of each recording."""
    found = []
    for start in range(0, len(paths), 200):
        command = [BINARY, "command", "--sentences", pack, "--format", "json", "--threads", "1", "--alternatives", "1", "--model", model]
        done = subprocess.run([*command, *map(str, paths[start : start + 200])], check=True, capture_output=True, text=True, env={**os.environ, "OSSICLE_MODELS": MODELS})
        found += map(json.loads, done.stdout.splitlines())
    assert [one["file"] for one in found] == [str(path) for path in paths]
    return found


def plain(slots):
    return {name: value.lower() if isinstance(value, str) else value for name, value in slots.items()}


def outcome(sample, found):
    if found["intent"] is None:
        return "none"
    if found["intent"] != sample["intent"]:
        return "wrong intent"
    return "right" if plain(found["slots"]) == plain(sample["slots"]) else "wrong slots"


OUTCOMES = ("right", "none", "wrong intent", "wrong slots")


def table(title, counts):
    print(f"{title:32}{'clips':>7}" + "".join(f"{name:>14}" for name in OUTCOMES))
    for name, count in [*sorted(counts.items()), ("all", sum(counts.values(), collections.Counter()))]:
        total = sum(count.values())
        print(f"{name:32}{total:7}" + "".join(f"{100 * count[one] / total:13.1f}%" for one in OUTCOMES))


def measure(pack, options, folder):
    """Shares, in percent, of each engine's clips that are right, and of other speech that is taken for a command."""
    choice = random.Random(options.seed)
    samples = drawn(pack, options.sentences, options.seed)
    engines = [[voice for voice in VOICES if voice[0] == engine] for engine in ("espeak-ng", "flite")]
    clips = []
    for number, text in enumerate([*(sample["text"] for sample in samples), *OTHER]):
        chosen = [voice for voices in engines for voice in choice.sample(voices, options.voices)]
        for engine, voice, speeds in chosen:
            path = folder / f"{pathlib.Path(pack).stem}-{number}-{engine}-{voice}.wav"
            clips.append((number, engine, (engine, voice, choice.choice(speeds), text, path)))
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda clip: speak(*clip[2]), clips))
    answers = recognise(pack, options.model, [clip[2][-1] for clip in clips])
    by_intent, by_engine, taken = collections.defaultdict(collections.Counter), collections.defaultdict(collections.Counter), []
    for (number, engine, (_, voice, _, text, _)), found in zip(clips, answers):
        if number >= len(samples):
            taken.append(found["intent"] is not None)
            if taken[-1] and options.list:
                print(f"taken: {voice}: {text!r} for {found['text']!r}")
            continue
        sample = samples[number]
        result = outcome(sample, found)
        by_intent[sample["intent"]][result] += 1
        by_engine[engine][result] += 1
        if options.list and result != "right":
            print(f"{result}: {voice}: {sample['text']!r} {sample['intent']} {sample['slots']} became {found['text']!r} {found['intent']} {found['slots']}, heard {found['heard']!r}")
    table(f"{pack}, {options.model}", by_intent)
    table("", by_engine)
    print(f"other speech: {len(taken)} clips, {sum(taken)} taken for a command\n")
    right = {engine: 100 * count["right"] / sum(count.values()) for engine, count in by_engine.items()}
    return right, 100 * sum(taken) / len(taken)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("packs", nargs="*", default=["home", "coffee"], help="names or sentence files")
    parser.add_argument("--sentences", type=int, default=240, help="sentences of each pack")
    parser.add_argument("--voices", type=int, default=1, help="voices of each engine for a sentence")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--model", default="whisper-tiny.en-short")
    parser.add_argument("--list", action="store_true", help="print what was not right")
    parser.add_argument("--least", nargs=3, type=float, metavar=("FLITE", "ESPEAK", "TAKEN"), help="percentages that are expected")
    options = parser.parse_args()
    missing = [program for program in ("espeak-ng", "flite") if not shutil.which(program)]
    if missing:
        sys.exit(f"SKIPPED: no {' and no '.join(missing)} here, so nobody speaks the packs' sentences")
    failed = False
    with tempfile.TemporaryDirectory() as folder:
        for pack in options.packs:
            right, taken = measure(pack, options, pathlib.Path(folder))
            if options.least:
                flite, espeak, most = options.least
                failed |= right["flite"] < flite or right["espeak-ng"] < espeak or taken > most
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
