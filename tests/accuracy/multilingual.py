#!/usr/bin/env python3
"""What the multilingual model must keep: no words on noise, the right languages, and nothing lost at pauses.

    cargo xtask models whisper-base
    OSSICLE=target/release/ossicle python3 tests/accuracy/multilingual.py --least 0.9

Noise and languages are those of ../shared/data, the halves for development; without them only the pauses are checked,
and a line says so.
"""

import argparse
import json
import os
import pathlib
import re
import struct
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
DATA = ROOT.parent / "shared/data"
OSSICLE = os.environ.get("OSSICLE", str(ROOT / "target/release/ossicle"))
# Seconds between two orders.
PAUSES = (1, 4, 12, 35, 2)


def transcribe(model, files):
    """The transcript of each file."""
    command = [OSSICLE, "transcribe", "--model", str(model), "--format", "json", *map(str, files)]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    decoder, text, found = json.JSONDecoder(), run.stdout, []
    while text.strip():
        value, end = decoder.raw_decode(text.lstrip())
        found.append(value)
        text = text.lstrip()[end:]
    return found


def words(text):
    return re.sub(r"[^\w\s]", "", text.lower()).split()


def manifest(name):
    """Entries for development, with where they lie."""
    path = DATA / name / "manifest.jsonl"
    if not path.exists():
        print(f"SKIPPED: {path} is absent", file=sys.stderr)
        return []
    entries = map(json.loads, path.read_text(encoding="utf-8").splitlines())
    return [entry | {"path": path.parent / entry["file"]} for entry in entries if entry["split"] == "dev"]


def noise(model):
    """Clips of noise, music and quiet in which words were found."""
    entries = manifest("noise")
    found = transcribe(model, [entry["path"] for entry in entries]) if entries else []
    bad = [transcript for transcript in found if words(transcript["text"])]
    for transcript in bad:
        print(f"words on noise: {transcript['file']}: {transcript['text']!r}")
    print(f"noise: words on {len(bad)} of {len(entries)} clips")
    return len(bad)


def languages(model):
    """The part of clips whose language is told."""
    entries = manifest("multi")
    if not entries:
        return 1.0
    found = transcribe(model, [entry["path"] for entry in entries])
    right = 0
    for entry, transcript in zip(entries, found, strict=True):
        right += entry["lang"] == transcript["language"]
        if entry["lang"] != transcript["language"]:
            print(f"language: {entry['file']}: {entry['lang']} taken for {transcript['language']}")
    print(f"languages: {right} of {len(entries)}")
    return right / len(entries)


def pauses(model):
    """Orders that are lost among pauses."""
    header, speech = b"", []
    for name in ("kitchen", "lights"):
        data = (ROOT / f"samples/{name}.wav").read_bytes()
        header, samples = data[:44], data[44:]
        speech.append(samples)
    recordings = [ROOT / f"samples/{name}.wav" for name in ("kitchen", "lights")]
    alone = [len(words(transcript["text"])) for transcript in transcribe(model, recordings)]
    # Noise at -66 dB of full scale, as any room has it.
    state, noise = 1, []
    for _ in range(16000):
        state = (state * 1103515245 + 12345) & 0x7FFFFFFF
        noise.append(struct.pack("<h", (state >> 16) % 33 - 16))
    second = b"".join(noise)
    body, expected = second, 0
    for index, pause in enumerate(PAUSES):
        body += speech[index % 2] + pause * second
        expected += alone[index % 2]
    with tempfile.NamedTemporaryFile(suffix=".wav") as file:
        file.write(header[:4] + struct.pack("<I", 36 + len(body)) + header[8:40] + struct.pack("<I", len(body)) + body)
        file.flush()
        text = transcribe(model, [file.name])[0]["text"]
    print(f"pauses: {len(words(text))} of {expected} words: {text}")
    return abs(expected - len(words(text)))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", default=str(ROOT / "models-int8/whisper-base"))
    parser.add_argument("--least", type=float, default=0.9, help="part of clips whose language must be told")
    args = parser.parse_args()
    bad, told, lost = noise(args.model), languages(args.model), pauses(args.model)
    sys.exit(bad > 0 or told < args.least or lost > 0)


if __name__ == "__main__":
    main()
