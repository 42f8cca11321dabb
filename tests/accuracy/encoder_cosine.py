#!/usr/bin/env python3
"""Cosine between our encoder's output and the float model's: encoder_cosine.py OURS REFERENCE

OURS holds NAME.f32 (raw little-endian f32, [positions][d_model], the example `encoder_output`), REFERENCE holds NAME.npy
(`reference.py hf MODEL SET OUT --encoder REFERENCE`). For each recording: the mean over frames of each frame's cosine.
Fails unless the median is at least 0.999 and every recording at least 0.995.
"""

import argparse
import json
import pathlib
import sys

import numpy


def cosine(ours, reference):
    dot = (ours * reference).sum(-1)
    return float((dot / numpy.linalg.norm(ours, axis=-1) / numpy.linalg.norm(reference, axis=-1)).mean())


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("ours", type=pathlib.Path)
    parser.add_argument("reference", type=pathlib.Path)
    parser.add_argument("--median", type=float, default=0.999)
    parser.add_argument("--least", type=float, default=0.995)
    args = parser.parse_args()
    found = []
    for path in sorted(args.ours.glob("*.f32")):
        reference = args.reference / f"{path.stem}.npy"
        if reference.is_file():
            theirs = numpy.load(reference).astype(numpy.float64)
            ours = numpy.fromfile(path, "<f4").reshape(-1, theirs.shape[1]).astype(numpy.float64)
            if ours.shape != theirs.shape:
                sys.exit(f"{path.stem}: {ours.shape[0]} positions, the reference has {theirs.shape[0]}")
            found.append((cosine(ours, theirs), path.stem))
    if not found:
        sys.exit("nothing to compare: no NAME.f32 beside a NAME.npy")
    found.sort()
    values = [c for c, _ in found]
    median = float(numpy.median(values))
    print(json.dumps({"recordings": len(found), "median": round(median, 6), "least": round(values[0], 6), "mean": round(float(numpy.mean(values)), 6)}))
    for value, name in found[:5]:
        print(f"  {value:.5f} {name}")
    sys.exit(0 if median >= args.median and values[0] >= args.least else 1)


if __name__ == "__main__":
    main()
