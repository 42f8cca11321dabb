#!/usr/bin/env python3
"""Makes scenes and keeps what Whisper's encoder gives of them: features.py ENCODER DATA OUT --folds 1,2,3 --scenes 400 --seed 1 [--plain --held --keep]

ENCODER is the program `encoder_layers` (cargo build --release -p ossicle-tests --example encoder_layers). Scenes are those of sound-events. Every
other one is heard by the first model, the others by the second; half of them whole, half in pieces, each in a window of its own, as recordings of
few seconds are. With --clips OUT/MODEL.npz holds the clips by themselves.
"""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

import numpy
import soundfile

sys.path.append(str(pathlib.Path(__file__).resolve().parents[2] / "sound-events" / "train"))
import scenes

# Models and the silence, in seconds, that their windows have behind a recording.
MODELS = {"whisper-tiny.en-short": 0.5, "whisper-tiny.en": 3.0}
LAYERS, WIDTH = 6, 384  # what encoder_layers writes of tiny.en
POSITION = 320  # samples of a row
BATCH = 16


def encode(encoder, model, folder, files):
    """The encoder's output of each file: [positions][384]."""
    subprocess.run([encoder, model, str(MODELS[model]), folder, *files], check=True)
    for file in files:
        path = pathlib.Path(folder, pathlib.Path(file).with_suffix(".f32").name)
        yield numpy.fromfile(path, numpy.float32).reshape(LAYERS, -1, WIDTH)[-1].astype(numpy.float16)
        path.unlink()


def heard(events, clips):
    """Where each clip is heard, as the labels of a scene: [clips][125][13]."""
    cells = numpy.zeros((len(clips), 5 * scenes.RATE // scenes.CELL, len(scenes.LABELS)), bool)
    for line, labels in zip(clips, cells):
        spans = scenes.activity(scenes.load(events / line["file"]))
        labels[:, scenes.LABELS.index(line["class"])] = scenes.gaps(spans, len(labels) * scenes.CELL)[: len(labels)]
    return cells


def pieces(rng, length):
    """Where a scene is cut: at whole cells."""
    at = 0
    while at < length:
        after = min(at + int(rng.integers(2 * 25, 15 * 25)) * scenes.CELL, length)
        after = length if length - after < scenes.RATE else after
        yield at, after
        at = after


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("encoder")
    parser.add_argument("data", type=pathlib.Path)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--folds", default="")
    parser.add_argument("--scenes", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--plain", action="store_true")
    parser.add_argument("--held", action="store_true")
    parser.add_argument("--without", action="store_true")
    parser.add_argument("--clips", action="store_true")
    parser.add_argument("--keep", action="store_true", help="also the scenes themselves: OUT/scenes.jsonl, as in sound_events")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    if args.clips:
        events = args.data / "sound_events"
        clips = [json.loads(line) for line in (events / "manifest.jsonl").read_text(encoding="utf-8").splitlines()]
        for model in MODELS:
            with tempfile.TemporaryDirectory() as folder:
                rows = numpy.stack(list(encode(args.encoder, model, folder, [str(events / line["file"]) for line in clips])))
            names, fold = [line["class"] for line in clips], [line["fold"] for line in clips]
            numpy.savez(args.out / f"{model}.npz", rows=rows, labels=names, fold=fold, cells=heard(events, clips))
        return
    material = scenes.Material(args.data, {int(fold) for fold in args.folds.split(",") if fold}, args.held)
    for first in range(0, args.scenes, BATCH):
        batch = range(first, min(first + BATCH, args.scenes))
        if all((args.out / f"{i:04}.npz").is_file() for i in batch):
            continue
        with tempfile.TemporaryDirectory() as folder:
            parts, labels = {}, {}
            for i in batch:
                rng = numpy.random.default_rng([args.seed, i])
                samples, labels[i] = material.recording(rng) if args.without else material.scene(rng, plain=args.plain)
                if args.keep:
                    scenes.keep(args.out / f"{i:04}.flac", samples, labels[i])
                whole = args.plain or rng.random() < 0.5
                for part, (at, after) in enumerate([(0, len(samples))] if whole else pieces(rng, len(samples))):
                    parts[pathlib.Path(folder, f"{i:04}-{part:02}.wav")] = samples[at:after]
            for path, samples in parts.items():
                soundfile.write(path, samples, scenes.RATE, subtype="FLOAT")
            rows = {i: [] for i in batch}
            for turn, model in enumerate(MODELS):
                files = [str(path) for path in sorted(parts) if int(path.name[:4]) % 2 == turn]
                for file, found in zip(files, encode(args.encoder, model, folder, files) if files else []):
                    rows[int(pathlib.Path(file).name[:4])].append(found)
            for i in batch:
                numpy.savez(args.out / f"{i:04}.npz", rows=numpy.concatenate(rows[i]), labels=labels[i])


if __name__ == "__main__":
    main()
