#!/usr/bin/env python3
"""How well voices are understood: spoken_words.py OSSICLE RECOGNISER VOICE... [--sentences FILE] [--count 60]

Each voice says the sentences as texts (`ossicle speak`), RECOGNISER (such as whisper-tiny.en) writes down what it hears, and its word errors are
counted. Sentences with figures are left out: they are written in one way and read out in another.
"""
import argparse
import re
import subprocess
import tempfile
from pathlib import Path

import common

def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ossicle")
    parser.add_argument("recogniser")
    parser.add_argument("voices", nargs="+")
    parser.add_argument("--sentences", type=Path, default=common.ROOT / "quantize/src/minilm/sentences.txt")
    parser.add_argument("--count", type=int, default=60)
    args = parser.parse_args()
    lines = [line.strip() for line in args.sentences.read_text().splitlines() if len(line.split()) > 3 and not re.search(r"\d", line)]
    lines = lines[:: max(1, len(lines) // args.count)][: args.count]
    plain = lambda text: re.sub(r"[^a-z' ]", " ", text.lower()).split()
    count = sum(len(plain(line)) for line in lines)
    for voice in args.voices:
        wrong = 0
        with tempfile.TemporaryDirectory() as folder:
            files = [f"{folder}/{i}.wav" for i in range(len(lines))]
            for line, file in zip(lines, files):
                subprocess.run([args.ossicle, "speak", line, "--voice", voice, "-o", file], check=True, capture_output=True)
            for line, file in zip(lines, files):
                command = [args.ossicle, "transcribe", "--model", args.recogniser, file]
                heard = subprocess.run(command, check=True, capture_output=True, text=True).stdout
                wrong += common.distance(plain(line), plain(heard))
        print(f"{voice}: {wrong} of {count} words wrong, {100 * wrong / count:.1f} %", flush=True)


if __name__ == "__main__":
    main()
