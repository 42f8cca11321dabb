#!/usr/bin/env python3
"""What the teacher says: teach.py TEACHER OUT --data DIR --spoken DIR [--librispeech DIR] [--count N] [--part K/N]

Makes training clips and runs the 30 s network on each, zero padded: encoder output, greedy text with and without timestamps, decoder outputs.
Writes OUT/NNNN.pt, 32 clips each (half precision); clip i is the same whatever was made before, so an interrupted run goes on where it stopped.
"""

import argparse
import pathlib
import sys

import numpy
import torch
from transformers.cache_utils import DynamicCache

import audio
import network

SHARD = 32
BATCH = 8
MARGIN_POSITIONS = 100  # of 20 ms: encoder outputs are kept as far as 2 s beyond the clip
LEAST_SCORE = -1.2  # mean log-probability below which the teacher is only guessing
QUIET_TOKENS = 6  # what is hallucinated on noise is learned no further


@torch.no_grad()
def lessons(teacher, clips, dtype):
    """The teacher's answers for a batch of (kind, samples); None for a clip on which it loops, guesses or does not end."""
    mels = [teacher.mel(samples) for _, samples in clips]
    device = teacher.banned.device
    with torch.autocast(device.type, torch.bfloat16, enabled=dtype == torch.bfloat16):
        encoded = teacher.encode(torch.stack(mels).to(device))
    encoded, shared = encoded.float(), DynamicCache()
    limits = [QUIET_TOKENS if kind == "quiet" else network.MAX_TOKENS for kind, _ in clips]
    said = {stamps: teacher.greedy(encoded, stamps, limits, shared) for stamps in (False, True)}
    for row, (kind, samples) in enumerate(clips):
        frames = network.frames_of(len(samples))
        lesson = {"kind": kind, "frames": frames, "mel": mels[row][:, :frames].half(), "encoded": encoded[row, : frames // 2 + MARGIN_POSITIONS].cpu().half(), "said": {}}
        for stamps, rows in said.items():
            tokens, states, start, score = rows[row]
            words = [token for token in tokens if token < teacher.eot]
            if kind != "quiet" and (tokens[-1] != teacher.eot or network.loops(words) or score < LEAST_SCORE):
                continue
            lesson["said"][stamps] = {"tokens": tokens, "states": states.cpu().half(), "start": start.cpu().half(), "score": score}
        yield lesson if lesson["said"] else None


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("teacher")
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--data", required=True)
    parser.add_argument("--spoken", required=True)
    parser.add_argument("--librispeech")
    parser.add_argument("--count", type=int, default=832)
    parser.add_argument("--part", default="0/1", help="K/N: only each N-th file, from the K-th, to share the work")
    parser.add_argument("--seed", type=int, default=2)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--dtype", choices=("bfloat16", "float32"), default="bfloat16")
    args = parser.parse_args()
    teacher = network.Whisper(args.teacher).eval().to(args.device)
    material = audio.Material(args.data, args.spoken, args.librispeech)
    print(material, file=sys.stderr)
    args.out.mkdir(parents=True, exist_ok=True)
    part, parts = map(int, args.part.split("/"))
    for shard in range(part, -(-args.count // SHARD), parts):
        path = args.out / f"{shard:04d}.pt"
        if path.exists():
            continue
        clips = [material.clip(numpy.random.default_rng([args.seed, shard * SHARD + i])) for i in range(SHARD)]
        made = [lesson for i in range(0, SHARD, BATCH) for lesson in lessons(teacher, clips[i : i + BATCH], getattr(torch, args.dtype))]
        torch.save([lesson for lesson in made if lesson], path.with_suffix(".part"))
        path.with_suffix(".part").rename(path)
        print(f"\r{(shard + 1) * SHARD} of {args.count} clips; of the last {SHARD}, {made.count(None)} left out", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)


if __name__ == "__main__":
    main()
