#!/usr/bin/env python3
"""How much of what people say the coffee pack holds.

Takes transcripts (ossicle transcribe --format jsonl) of the coffee set. Where a transcript holds every slot's words, the pack should give exactly the manifest's slots. Prints the exceptions
and, for each file, how many of these transcripts get the right slots, none or wrong ones.
"""

import argparse
import collections
import json
import re
import subprocess

import common

FIGURES = {"8": "eight", "12": "twelve", "16": "sixteen", "20": "twenty", "oz": "ounce"}


def words(text):
    spaced = re.sub(r"(\d)(?=[a-z])", r"\1 ", text.lower()).replace("-", " ")
    return " ".join(FIGURES.get(word, word) for word in re.findall(r"[a-z0-9]+", spaced))


def transcripts(path):
    texts = collections.defaultdict(str)
    with open(path, encoding="utf-8") as lines:
        for segment in map(json.loads, lines):
            texts[segment["file"].rsplit("/", 1)[-1]] += segment["text"]
    return texts


def meanings(texts):
    """Intent and slots of each text, None without a match."""
    command = ["cargo", "run", "--release", "--quiet", "-p", "ossicle-sentences", "--example", "matches", "--", "coffee"]
    lines = "".join(text.strip() + "\n" for text in texts)
    output = subprocess.run(command, cwd=common.ROOT, input=lines, stdout=subprocess.PIPE, text=True, check=True).stdout
    for line in output.splitlines():
        intent, *slots = line.split("\t")
        yield (intent, dict(slot.split("=", 1) for slot in slots)) if line else None


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("transcripts", nargs="+", help="jsonl, one line a segment")
    parser.add_argument("--data", default=common.DATA)
    options = parser.parse_args()
    clips = common.manifest(options.data, "coffee")
    for path in options.transcripts:
        said = transcripts(path)
        texts = [said[clip["path"].name] for clip in clips]
        counts = collections.Counter()
        for clip, text, found in zip(clips, texts, meanings(texts)):
            held = all(f" {value} " in f" {words(text)} " for value in clip["slots"].values())
            right = found == (clip["intent"], clip["slots"])
            outcome = "right" if right else "wrong" if found else "none"
            counts["all slots heard" if held else "misheard", outcome] += 1
            if held and not right or outcome == "wrong":
                print(outcome, repr(text.strip()), found, clip["slots"])
        for (kind, outcome), count in sorted(counts.items()):
            print(f"{path}: {kind}: {outcome}: {count}")


if __name__ == "__main__":
    main()
