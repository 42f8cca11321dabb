#!/usr/bin/env python3
"""What a large house costs: processor time and memory of `ossicle command` with all of a language's sentences and many names.

Makes a house of --entities things in --areas areas, speaks eight sentences with flite, and runs the program on one of the recordings and on
all eight, with the packs `coffee` and `home` and with Home Assistant's sentences (in the layout of OHF-Voice/intents, ../shared/data/ha_intents
if not given). Prints a table; the best of --rounds.
"""

import argparse
import os
import pathlib
import subprocess
import sys
import tempfile

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = os.environ.get("OSSICLE", str(ROOT / "target/release/ossicle"))
KINDS = ("light", "switch", "cover", "fan", "climate", "lock", "media_player", "sensor", "vacuum", "scene")
ADJECTIVES = ("red", "blue", "green", "old", "new", "small", "large", "round", "upper", "lower")
ROOMS = ("kitchen", "bedroom", "office", "cellar", "attic", "garage", "hall", "pantry", "library", "studio")
SPOKEN = (
    "turn on the kitchen lights", "what time is it", "set a timer for ten minutes", "turn off the red kitchen light", "close the garage cover",
    "set the bedroom light to fifty percent", "what is the temperature", "turn on all the lights",
)  # fmt: skip


def house(entities, areas):
    """Areas of two words on four floors, and things of three words spread over them."""
    names = [f"{ADJECTIVES[i // len(ROOMS) % 10]} {ROOMS[i % len(ROOMS)]}" if i >= len(ROOMS) else ROOMS[i] for i in range(areas)]
    rooms = [{"name": name, "id": f"area{i}", "floor": f"floor{i % 4}"} for i, name in enumerate(names)]
    floors = [{"name": name, "id": f"floor{i}"} for i, name in enumerate(("ground floor", "first floor", "second floor", "basement"))]
    things = []
    for i in range(entities):
        kind, area = KINDS[i // areas % len(KINDS)], i % areas
        name = f"{ADJECTIVES[(i // areas) % 10]} {names[area]} {kind.replace('_', ' ')}"
        things.append({"name": name, "id": f"{kind}.thing{i}", "domain": kind, "area": f"area{area}"})
    return {"areas": rooms, "floors": floors, "entities": things}


def cost(sentences, files, rounds):
    """Least processor time in seconds and largest memory in MB."""
    command = [BINARY, "command", *sentences, "--model", str(ROOT / "models-int8/whisper-tiny.en-short"), "--threads", "1", "--format", "json", *files]
    best, largest = float("inf"), 0
    for _ in range(rounds):
        child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        errors = child.stderr.read()
        _, status, used = os.wait4(child.pid, 0)
        if os.waitstatus_to_exitcode(status) not in (0, 1):
            sys.exit(errors.decode())
        best, largest = min(best, used.ru_utime + used.ru_stime), max(largest, used.ru_maxrss / 1e3)
    return best, largest


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=pathlib.Path, default=ROOT.parent / "shared/data/ha_intents")
    parser.add_argument("--language", default="en")
    parser.add_argument("--entities", type=int, default=400)
    parser.add_argument("--areas", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        home = pathlib.Path(work, "home.yaml")
        home.write_text(yaml.safe_dump(house(args.entities, args.areas)))
        files = []
        for i, text in enumerate(SPOKEN):
            files.append(str(pathlib.Path(work, f"{i}.wav")))
            subprocess.run(["flite", "-voice", "slt", "-t", text, "-o", files[-1]], check=True)
        ours = ["--sentences", str(args.folder), "--language", args.language, "--home", str(home)]
        print(f"{'sentences':<24}{'one':>8}{'eight':>9}{'memory':>12}")
        for name, sentences in [("coffee", ["--sentences", "coffee"]), ("home", ["--sentences", "home"]), (f"{args.language}, {args.entities} entities", ours)]:
            one, all_of_them = cost(sentences, files[:1], args.rounds), cost(sentences, files, args.rounds)
            print(f"{name:<24}{one[0]:>6.2f} s{all_of_them[0]:>7.2f} s{all_of_them[1]:>9.1f} MB")


main()
