#!/usr/bin/env python3
"""Recordings with pauses: pauses.py [--ossicle BIN] [--data DIR] [--options ...]

Clips of read_en, ten to a recording, with pauses of chosen lengths and a noise floor between them: words wrong, lost and imagined, beside the
same clips one by one. Then commands of samples/ said again and again: how many of them are written down.
"""

import argparse
import pathlib
import random
import subprocess
import tempfile
import wave

import common

LONG = [0.2, 0.5, 1, 2, 4, 8, 12, 16, 20, 26, 27, 28, 29, 35]
SHORT = [0.2, 0.3, 0.5, 0.7, 1, 1.5, 2, 3]
# Name: seed, noise floor in dB, pauses in seconds (and up to a second more).
RECIPES = {"long pauses": (3, -65, LONG), "long pauses, noisier": (11, -55, LONG), "short pauses": (29, -75, SHORT)}
# A command, seconds between, times.
REPEATED = [("lights", 3, 40), ("kitchen", 6, 20), ("kitchen", 15, 12), ("lights", 0.7, 12), ("lights", 0.3, 12), ("lights", 0, 8)]


def joined(clips, recipe, folder):
    """Writes the recordings of a recipe; gives their paths and texts."""
    import numpy
    import soundfile

    seed, floor, pauses = recipe
    rng, order, files = random.Random(seed), clips[:], []
    rng.shuffle(order)
    for first in range(0, len(order) - 9, 10):
        parts = []
        for clip in order[first : first + 10]:
            seconds = rng.choice(pauses) + rng.random()
            # The same noise in each pause of a recording, as the figures in docs/accuracy.md were measured.
            noise = numpy.random.default_rng(len(files)).standard_normal(int(16000 * seconds))
            parts += [noise.astype("float32") * 10 ** (floor / 20), common.load(clip["path"])]
        path = folder / f"{len(files)}.wav"
        soundfile.write(path, numpy.concatenate(parts), 16000, subtype="PCM_16")
        files.append((path, " ".join(clip["text"] for clip in order[first : first + 10])))
    return files


def heard(binary, paths, options):
    with tempfile.TemporaryDirectory() as folder:
        command = [str(binary), "transcribe", "--output-dir", folder, *options, *map(str, paths)]
        subprocess.run(command, cwd=common.ROOT, check=True, stderr=subprocess.DEVNULL)
        return [(pathlib.Path(folder) / f"{path.stem}.txt").read_text(encoding="utf-8").replace("\n", " ") for path in paths]


def report(name, said, texts):
    totals, words = [0, 0, 0], 0
    for reference, text in zip(said, texts):
        reference = common.normalise(reference)
        totals = [a + b for a, b in zip(totals, common.edits(reference, common.normalise(text)))]
        words += len(reference.split())
    substituted, inserted, lost = (100 * count / words for count in totals)
    print(f"{name:22}  wrong {substituted + inserted + lost:5.2f} %  lost {lost:5.2f} %  imagined {inserted:5.2f} %  of {words} words")


def repeated(binary, name, seconds, times, options):
    with wave.open(str(common.ROOT / "samples" / f"{name}.wav")) as sample:
        said = sample.readframes(sample.getnframes())
    raw = (said + bytes(2 * int(16000 * seconds))) * times
    command = [str(binary), "transcribe", "--raw", *options, "-"]
    text = subprocess.run(command, input=raw, cwd=common.ROOT, check=True, capture_output=True).stdout.decode().lower()
    print(f"{name} with {seconds:g} s between: {text.count('kitchen lights')} of {times}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ossicle", default=common.ROOT / "target/release/ossicle")
    parser.add_argument("--data", default=common.DATA)
    parser.add_argument("--options", nargs=argparse.REMAINDER, default=[])
    args = parser.parse_args()
    clips = common.manifest(args.data, "read_en")
    report("clips one by one", [clip["text"] for clip in clips], heard(args.ossicle, [clip["path"] for clip in clips], args.options))
    for name, recipe in RECIPES.items():
        with tempfile.TemporaryDirectory() as folder:
            files = joined(clips, recipe, pathlib.Path(folder))
            report(name, [text for _, text in files], heard(args.ossicle, [path for path, _ in files], args.options))
    for name, seconds, times in REPEATED:
        repeated(args.ossicle, name, seconds, times, args.options)


if __name__ == "__main__":
    main()
