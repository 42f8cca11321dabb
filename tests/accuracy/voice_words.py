#!/usr/bin/env python3
"""Words of a voice that a recogniser understands, next to the original in ONNX Runtime on the same phonemes.

    voice_words.py HIBARI_PACKAGE [--model hibari] [--recogniser whisper-tiny.en] [--count 100] [--data DIR]

HIBARI_PACKAGE is the unpacked wheel of hibari-tts, whose text side makes the phonemes. Texts are those of read_en, and as many sentences with
numbers and names from here. Both voices' samples are transcribed by `ossicle transcribe`; printed are word errors of each. Needs numpy and
onnxruntime.
"""
import argparse
import json
import re
import subprocess
import sys
import tempfile
import wave
from pathlib import Path

import common

OSSICLE = common.ROOT / "target/release/ossicle"
NAMES = ["Anna", "Mister Baker", "Doctor Lee", "Sophie", "George", "Missus Carter", "Daniel", "Emma", "Professor Hill", "Oliver"]
PLACES = ["London", "Chicago", "the kitchen", "Boston", "the garage", "Madrid", "Denver", "the office", "Sydney", "Berlin"]
FRAMES = [
    "{name} paid {n} dollars for the train to {place}.",
    "The temperature in {place} is {n} degrees.",
    "{name} called {n} times from {place} this morning.",
    "It is {n} miles from here to {place}, said {name}.",
    "Set a timer for {n} minutes and tell {name}.",
    "There are {n} messages from {name} about {place}.",
    "In {place} the bus leaves in {n} minutes.",
]


def spoken(number):
    ones = "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen".split()
    tens = "twenty thirty forty fifty sixty seventy eighty ninety".split()
    if number < 20:
        return ones[number]
    if number < 100:
        return tens[number // 10 - 2] + (f" {ones[number % 10]}" if number % 10 else "")
    return f"{ones[number // 100]} hundred" + (f" {spoken(number % 100)}" if number % 100 else "")


def words(text):
    """Lower case, figures as words, signs away."""
    text = re.sub(r"\$\s*(\d[\d,]*)", r"\1 dollars", text.lower().replace("%", " percent"))
    text = re.sub(r"(\d),(\d{3})", r"\1\2", text)
    text = re.sub(r"\d+", lambda match: spoken(int(match[0])) if int(match[0]) < 1000 else match[0], text)
    for short, long in [("mr.", "mister"), ("mrs.", "missus"), ("dr.", "doctor"), ("°", " degrees")]:
        text = text.replace(short, long)
    return re.sub(r"[^a-z0-9' ]+", " ", text).split()


def write(path, samples):
    import numpy as np

    with wave.open(str(path), "wb") as out:
        out.setnchannels(1), out.setsampwidth(2), out.setframerate(24000)
        out.writeframes((np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("package", type=Path)
    parser.add_argument("--model", default="hibari")
    parser.add_argument("--recogniser", default="whisper-tiny.en")
    parser.add_argument("--count", type=int, default=100, help="sentences of each kind")
    parser.add_argument("--data", default=common.DATA)
    args = parser.parse_args()
    sys.path.insert(0, str(args.package))
    import numpy as np
    from hibari import Hibari

    voice = Hibari()
    clips = common.manifest(args.data, "read_en")
    read = [clip["text"].capitalize() + ("" if clip["text"][-1] in ".!?" else ".") for clip in clips][: args.count]
    made = [FRAMES[i % len(FRAMES)].format(name=NAMES[i % 10], place=PLACES[(i * 3 + i // 10) % 10], n=(i * 37) % 500 + 2) for i in range(args.count)]
    with tempfile.TemporaryDirectory() as folder:
        for kind, texts in [("read", read), ("made", made)]:
            for i, text in enumerate(texts):
                phonemes = voice.phonemize(text)
                ours = Path(folder) / f"ours-{kind}-{i:03}.wav"
                subprocess.run([OSSICLE, "speak", "--voice", args.model, "--phonemes", "\n".join(phonemes), "-o", ours], check=True)
                write(Path(folder) / f"original-{kind}-{i:03}.wav", np.concatenate([voice.from_phonemes(p, seed=0) for p in phonemes]))
        heard = {}
        files = sorted(Path(folder).glob("*.wav"))
        output = subprocess.run([OSSICLE, "transcribe", "--model", args.recogniser, "--format", "jsonl", *files], check=True, stdout=subprocess.PIPE, text=True)
        for line in output.stdout.splitlines():
            segment = json.loads(line)
            name = Path(segment["file"]).stem
            heard[name] = heard.get(name, "") + " " + segment.get("text", "")
        print(f"{len(read)} texts of read_en and {len(made)} with numbers and names, recogniser {args.recogniser}")
        for side in ("ours", "original"):
            total = {}
            for kind, texts in [("read", read), ("made", made)]:
                wrong = sum(common.distance(words(text), words(heard.get(f"{side}-{kind}-{i:03}", ""))) for i, text in enumerate(texts))
                total[kind] = (wrong, sum(len(words(text)) for text in texts))
            wrong, count = map(sum, zip(*total.values()))
            parts = ", ".join(f"{kind} {100 * w / n:.2f} %" for kind, (w, n) in total.items())
            print(f"{side:9} word errors {100 * wrong / count:.2f} % of {count} ({parts})")


if __name__ == "__main__":
    main()
