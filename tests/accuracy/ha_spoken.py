#!/usr/bin/env python3
"""Home Assistant's test sentences, spoken by synthetic voices and heard by `ossicle command`.

All places and things of the tests of a language are one house. Of the sentences that `ossicle command match` gets right in that house and
that need no free text, which recognition leaves out, some are drawn (--seed) and spoken by each voice. A clip is right with its intent
and every slot that its test names. The same voices say what is no command. The folder is in the layout of OHF-Voice/intents (../shared/data/ha_intents if not given).
"""

import argparse
import collections
import concurrent.futures
import json
import os
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile

import yaml

import ha_sentences
import packs

MODELS = str(ha_sentences.ROOT / "models-int8")
VOICES = [("flite", "slt", 1.05), ("flite", "rms", 1.0), ("espeak-ng", "en-us", 150)]


def one_house(folder, language):
    house, known = {"areas": [], "floors": [], "entities": []}, set()
    said = []
    for _, of, cases in ha_sentences.cases(folder, language):
        said += cases
        for key, places in of.items():
            for place in places:
                name = (key, place["name"].casefold(), place.get("domain") or str(place.get("id")).split(".")[0])
                if name not in known:
                    known.add(name)
                    house[key].append(place)
    return house, said


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=pathlib.Path, default=ha_sentences.ROOT.parent / "shared/data/ha_intents")
    parser.add_argument("--language", default="en")
    parser.add_argument("--sentences", type=int, default=300)
    parser.add_argument("--voice", action="append", metavar="ENGINE:VOICE:SPEED")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--model", default="whisper-tiny.en-short")
    parser.add_argument("--list", action="store_true", help="print what was not right")
    parser.add_argument("--least", type=float, metavar="PERCENT", help="end with 1 if less of a voice's clips is right")
    args = parser.parse_args()
    voices = [tuple(voice.split(":")) for voice in args.voice or []] or VOICES
    missing = [engine for engine in {voice[0] for voice in voices} if not shutil.which(engine)]
    if missing or not (args.folder / "tests").is_dir():
        sys.exit(f"SKIPPED: no {' and no '.join(missing) or args.folder} here")
    house, said = one_house(args.folder, args.language)
    answers = ha_sentences.Ossicle(args.folder, args.language).ask(house, [text for text, _, _ in said])
    said = [one for one, answer in zip(said, answers) if ha_sentences.is_right(one[1], one[2], answer) and not answer.get("free_text")]
    drawn = random.Random(args.seed).sample(said, min(args.sentences, len(said)))
    print(f"{len(drawn)} of {len(said)} sentences; {', '.join(f'{len(v)} {k}' for k, v in house.items())}")
    talk = [(text, None, {}) for text in packs.OTHER]
    good = True
    with tempfile.TemporaryDirectory() as folder:
        home = pathlib.Path(folder) / "home.yaml"
        home.write_text(yaml.safe_dump(house, allow_unicode=True), encoding="utf-8")
        for engine, voice, speed in voices:
            paths = [pathlib.Path(folder) / f"{engine}-{pathlib.Path(voice).name}-{number}.wav" for number in range(len(drawn) + len(talk))]
            with concurrent.futures.ThreadPoolExecutor(2) as pool:
                list(pool.map(lambda clip: packs.speak(engine, voice, speed, clip[0][0], clip[1]), zip(drawn + talk, paths)))
            command = [ha_sentences.BINARY, "command", "--sentences", str(args.folder), "--language", args.language, "--home", str(home)]
            command += ["--format", "json", "--threads", "1", "--model", args.model, *map(str, paths)]
            run = subprocess.run(command, check=True, capture_output=True, text=True, env={**os.environ, "OSSICLE_MODELS": MODELS})
            counts, taken = collections.Counter(), 0
            for (text, intent, slots), line in zip(drawn + talk, run.stdout.splitlines(), strict=True):
                found = json.loads(line)
                if intent is None:
                    taken += found["intent"] is not None
                    continue
                if ha_sentences.is_right(intent, slots, found):
                    outcome = "right"
                elif found["intent"] is None:
                    outcome = "ambiguous" if found.get("ambiguous") else "none"
                else:
                    outcome = "wrong slots" if found["intent"] == intent else "wrong intent"
                counts[outcome] += 1
                if args.list and outcome != "right":
                    best = [(one["intent"], one["slots"], one["text"], round(one["confidence"], 3)) for one in found["alternatives"][:1]]
                    print(f"{outcome}: {text!r} {intent} {slots} became {found['text']!r} {found['intent']} {found['slots']}, heard {found['heard']!r} {best}")
            share = 100 * counts["right"] / max(len(drawn), 1)
            good &= args.least is None or share >= args.least
            print(f"{engine} {voice}: {share:.1f} % right; {dict(counts)}; {taken} of {len(talk)} clips of other talk taken", flush=True)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
