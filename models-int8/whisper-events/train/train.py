#!/usr/bin/env python3
"""Trains the head on kept rows: train.py OUT --train FOLDER... --clips FILE... [--check FOLDER... --fold 4]

Writes OUT/head.safetensors as pack.py reads it. With --fold it says what the head does on that fold's clips by themselves, which it
does not learn from; with --check on scenes, and keeps its scores in OUT/checked.npz for sound-events' thresholds.py.
"""

import argparse
import pathlib
import time

import numpy
import safetensors.torch
import torch
import torch.nn.functional as F

import network
import scenes

SINGLE = 16  # clips by themselves beside a step's scenes
CROPS = (125, 250, 750)  # cells: 5, 10 and 30 s


def load(folders):
    rows, labels = [], []
    for folder in folders:
        for path in sorted(pathlib.Path(folder).glob("*.npz")):
            kept = numpy.load(path)
            rows.append(kept["rows"])
            labels.append(kept["labels"])
    return torch.from_numpy(numpy.stack(rows)), torch.from_numpy(numpy.stack(labels))


@torch.no_grad()
def score(head, rows):
    head.eval()
    found = torch.cat([head(part.float()) for part in rows.split(10)])
    head.train()
    return found


def clips(head, path, fold):
    """How many of a fold's clips have their class as the largest mean score, and which ones have not."""
    kept = numpy.load(path)
    of_fold = numpy.flatnonzero(kept["fold"] == fold)
    found = score(head, torch.from_numpy(kept["rows"][of_fold])).sigmoid().mean(1)[:, : len(scenes.CLASSES)].argmax(1)
    wrong = [f"{scenes.CLASSES[i]} for {label}" for i, label in zip(found, kept["labels"][of_fold]) if scenes.CLASSES[i] != label]
    return f"{pathlib.Path(path).stem} {len(of_fold) - len(wrong)} of {len(of_fold)} {wrong}"


def folded(head):
    """Tensors as the runtime has them: batch normalisation inside the linear layers; the standardisation stays in front."""

    def fold(norm, weight):
        scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
        return weight * scale[:, None], norm.bias - norm.running_mean * scale

    tensors = {"input.mean": head.mean, "input.scale": head.scale}
    tensors["input.weight"], tensors["input.bias"] = fold(head.norm, head.projection.weight)
    for i, block in enumerate(head.blocks):
        tensors[f"blocks.{i}.weight"], tensors[f"blocks.{i}.bias"] = fold(block.norm, block.linear.weight)
    tensors |= {"classifier.weight": head.classes.weight, "classifier.bias": head.classes.bias}
    return {name: tensor.detach().half().contiguous() for name, tensor in tensors.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--train", nargs="+", required=True)
    parser.add_argument("--check", nargs="*", default=[])
    parser.add_argument("--clips", nargs="+", required=True, help="MODEL.npz of features.py --clips")
    parser.add_argument("--fold", type=int, help="clips that are not learned but checked")
    parser.add_argument("--passes", type=int, default=32)
    parser.add_argument("--batch", type=int, default=12, help="scenes of a step")
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--decay", type=float, default=0.05)
    parser.add_argument("--noise", type=float, default=0.4)
    parser.add_argument("--dropout", type=float, default=0.2)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    rows, labels = load(args.train)
    kept = [numpy.load(path) for path in args.clips]
    single = [torch.from_numpy(numpy.concatenate([part[name][part["fold"] != args.fold] for part in kept])) for name in ("rows", "cells")]
    head = network.Head(rows.shape[2], len(scenes.LABELS), args.dropout, args.noise)
    some = rows[::4].flatten(0, 1).float()
    head.mean.copy_(some.mean(0))
    head.scale.copy_(1 / (some.std(0) + 0.1 * some.std()))
    optimiser = torch.optim.AdamW(head.parameters(), args.rate, weight_decay=args.decay)
    steps = args.passes * (len(rows) // args.batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, args.rate, steps, pct_start=0.15)
    start = time.monotonic()
    for turn in range(args.passes):
        total = 0.0
        for batch in torch.randperm(len(rows))[: len(rows) // args.batch * args.batch].split(args.batch):
            # Recordings of few seconds, too: what lies before and behind them is not heard.
            length = CROPS[torch.randint(len(CROPS), ()).item()]
            first = torch.randint(scenes.SCENE // scenes.CELL - length + 1, ()).item()
            found = head(rows[batch, network.ROWS * first : network.ROWS * (first + length)].float())
            loss = F.binary_cross_entropy_with_logits(found, labels[batch, first : first + length].float())
            some = torch.randint(len(single[0]), (SINGLE,))
            loss = loss + 0.5 * F.binary_cross_entropy_with_logits(head(single[0][some].float()), single[1][some].float())
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
            total += loss.item()
        line = f"pass {turn + 1}: loss {total / (len(rows) // args.batch):.4f}"
        if args.fold and (turn % 8 == 7 or turn == args.passes - 1):
            line += "".join(f", clips {clips(head, path, args.fold)}" for path in args.clips)
        print(f"{line}, {time.monotonic() - start:.0f} s", flush=True)
    args.out.mkdir(parents=True, exist_ok=True)
    head.eval()
    safetensors.torch.save_file(folded(head), args.out / "head.safetensors")
    if args.check:
        rows, labels = load(args.check)
        scores = score(head, rows)
        print(f"checked: {F.binary_cross_entropy_with_logits(scores, labels.float()):.4f}")
        numpy.savez(args.out / "checked.npz", scores=scores.sigmoid().numpy(), labels=labels.numpy())


if __name__ == "__main__":
    main()
