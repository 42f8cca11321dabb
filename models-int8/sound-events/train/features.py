#!/usr/bin/env python3
"""Makes scenes and keeps what the head reads of them: features.py DATA ONNX OUT --folds 1,2,3 --scenes 900 --seed 1 [--plain --held]"""

import argparse
import pathlib

import numpy
import torch

import scenes
import yamnet

FLUSH = 8  # steps of 0.32 s of silence behind a scene, until its last cell is out


def padded(samples):
    """With silence in front, and behind until FLUSH steps after the scene's last cell are whole."""
    steps = -(-len(samples) // (yamnet.STEP * yamnet.HOP)) + FLUSH
    total = ((steps - 1) * yamnet.STEP + yamnet.PATCH - 1) * yamnet.HOP + yamnet.FRAME
    return numpy.pad(samples, (yamnet.LEAD, total - yamnet.LEAD - len(samples)))


def features(network, samples):
    """Early [steps * 8][512], middle [steps * 4][1024], late [steps * 2][2048], mean [steps][1024]."""
    early, middle, late, mean = network.maps(yamnet.log_mel(padded(samples)))
    return [rows.half().numpy() for rows in (early.flatten(2).flatten(0, 1), middle.flatten(2).flatten(0, 1), late.flatten(2).flatten(0, 1), mean)]


def of_clips(network, data, path):
    rows = [line for line in scenes.lines(data / "sound_events" / "manifest.jsonl")]
    found = [features(network, scenes.load(data / "sound_events" / line["file"])[: 5 * scenes.RATE]) for line in rows]
    kept = dict(zip(("early", "middle", "late", "mean"), map(numpy.stack, zip(*found))))
    numpy.savez(path, labels=[scenes.CLASSES.index(line["class"]) for line in rows], fold=[line["fold"] for line in rows], **kept)


def of_set(network, folder, out):
    """Recordings without labels of cells: what is told of them is false unless their line says otherwise."""
    for i, line in enumerate(scenes.lines(folder / "manifest.jsonl")):
        for part, first in enumerate(range(0, max(int(line["seconds"]), 1), 120)):
            path = out / f"{i:05}-{part:02}.npz"
            if not path.exists():
                samples = scenes.load(folder / line["file"])[first * scenes.RATE :][: 120 * scenes.RATE]
                kept = dict(zip(("early", "middle", "late", "mean"), features(network, samples)))
                numpy.savez(path, cells=-(-len(samples) // scenes.CELL), **kept)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data")
    parser.add_argument("onnx")
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--folds", default="1,2,3")
    parser.add_argument("--scenes", type=int, default=900)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--clips", action="store_true", help="instead: OUT/clips.npz of every clip by itself")
    parser.add_argument("--reading", action="store_true", help="instead of scenes: read speech as it is")
    parser.add_argument("--plain", action="store_true", help="mixed as the scenes of sound_events")
    parser.add_argument("--wide", action="store_true", help="clips are changed more: pitch, what is quiet in them, noise of a recorder")
    parser.add_argument("--rows", action="store_true", help="instead of scenes: clips one after another")
    parser.add_argument("--free", action="store_true", help="free sounds of the folds among the clips and backgrounds, too")
    parser.add_argument("--surroundings", action="store_true", help="instead of scenes: free sounds of the folds one after another")
    parser.add_argument("--whole", help="instead of scenes: every recording of this set of DATA as it is, in pieces of at most 120 s")
    parser.add_argument("--recordings", action="store_true", help="instead of scenes: recordings with none of the ten classes")
    parser.add_argument("--held", action="store_true", help="with speech and noise that is kept for checking, clips as they are; scenes with a running tap go to OUT-tap")
    parser.add_argument("--keep", action="store_true", help="also the scenes themselves, for check.sh: OUT/scenes.jsonl, as in sound_events")
    args = parser.parse_args()
    torch.set_num_threads(1)
    network = yamnet.Yamnet(args.onnx)
    material = scenes.Material(args.data, {int(fold) for fold in args.folds.split(",")}, args.held, args.wide, args.free or args.surroundings)
    args.out.mkdir(parents=True, exist_ok=True)
    if args.clips:
        of_clips(network, pathlib.Path(args.data), args.out / "clips.npz")
        return
    if args.whole:
        of_set(network, pathlib.Path(args.data) / args.whole, args.out)
        return
    for i in range(args.scenes):
        path, apart = args.out / f"{i:05}.npz", args.out.with_name(f"{args.out.name}-tap") / f"{i:05}.npz"
        if not path.exists() and not apart.exists():
            rng, material.with_tap = numpy.random.default_rng([args.seed, i]), False
            if args.reading:
                samples, labels = material.reading(i)
            elif args.surroundings:
                samples, labels = material.surroundings(rng)
            elif args.recordings:
                samples, labels = material.recording(rng)
            else:
                samples, labels = material.row(rng) if args.rows else material.scene(rng, args.plain, not args.held)
            early, middle, late, mean = features(network, samples)
            if args.held and material.with_tap:
                apart.parent.mkdir(exist_ok=True)
                path = apart
            if args.keep:
                scenes.keep(path.with_suffix(".flac"), samples, labels)
            numpy.savez(path, early=early, middle=middle, late=late, mean=mean, labels=labels)


if __name__ == "__main__":
    main()
