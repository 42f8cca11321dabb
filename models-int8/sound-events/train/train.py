#!/usr/bin/env python3
"""Trains the head on kept features: train.py YAMNET OUT --train FOLDER... [--check FOLDER...]

Writes OUT/head.safetensors and OUT/head.json, as ossicle-quantize reads them. With --check it says, after every fourth pass, what the head does on
scenes and on the fold's clips that it does not learn from, and keeps its scores in OUT/checked.npz for thresholds.py. A linear probe has a say
in the end (probe.py), not in training: what is learned beside it would only undo it.
"""

import argparse
import json
import pathlib
import time

import numpy
import safetensors.torch
import torch
import torch.nn.functional as F

import detectors
import network
import probe
import scenes
import yamnet

CELLS = scenes.SCENE // scenes.CELL
AVERAGED = 0.99  # of the average of weights that stays at a step


def files(folders):
    return [path for folder in folders for path in sorted(pathlib.Path(folder).glob("*.npz"))]


def measure(head, paths):
    """Inputs are to be of about one size; what hardly ever moves is not blown up."""
    kept = [numpy.load(path) for path in paths[::8]]
    for name in network.INPUTS:
        rows = torch.from_numpy(numpy.concatenate([scene[name] for scene in kept])).float()
        getattr(head, f"{name}_mean").copy_(rows.mean(0))
        getattr(head, f"{name}_scale").copy_(1 / (rows.std(0) + 0.1 * rows.std()))


def standardised(head, kept):
    """What the head takes, of one scene, clip or several."""
    return {name: ((torch.from_numpy(kept[name]).float() - getattr(head, f"{name}_mean")) * getattr(head, f"{name}_scale")).bfloat16() for name in network.INPUTS}


def early(labels, cells):
    """Labels [scenes][cells][labels] whose ten classes begin as many cells earlier."""
    ten = labels[..., : len(scenes.CLASSES)]
    active = F.max_pool1d(F.pad((ten == 1).float().transpose(1, 2), (0, cells)), cells + 1, 1).transpose(1, 2)
    ten[active == 1] = 1
    return labels


def load(head, paths):
    found = {}
    for i, path in enumerate(paths):
        kept = numpy.load(path)
        for name, rows in {**standardised(head, kept), "labels": torch.from_numpy(kept["labels"])}.items():
            if i == 0:
                found[name] = torch.empty((len(paths), *rows.shape), dtype=rows.dtype)
            found[name][i] = rows
    return found


def logits(head, kept, scene):
    with torch.autocast("cpu", torch.bfloat16):
        return head({name: kept[name][scene] for name in network.INPUTS}).float()[:, :CELLS]


def near_edges(labels):
    """Where a class begins or ends, 0.2 s to both sides."""
    changed = F.pad((labels[:, 1:] != labels[:, :-1]).float(), (0, 0, 1, 0)).transpose(1, 2)
    return F.max_pool1d(changed, 11, 1, 5).transpose(1, 2)


def loss(found, labels, edges, absent=1.0):
    """Binary cross-entropy, in which cells count `absent` [labels] where a class is not heard."""
    labels, known = (labels == 1).float(), labels != scenes.UNKNOWN
    each = F.binary_cross_entropy_with_logits(found, labels, reduction="none")
    each = each * torch.where(labels == 1, 1.0, absent)
    return (each * known * (1 + edges * near_edges(labels))).mean()


def heard(head, kept):
    """Logits [cells][labels] of a scene or clip that is kept."""
    return head([torch.from_numpy(kept[name].astype(numpy.float32)) for name in network.INPUTS])


def check(head, paths):
    """Logits and labels [scenes][cells][labels] of scenes that are kept."""
    kept = [numpy.load(path) for path in paths]
    return torch.stack([heard(head, scene)[:CELLS] for scene in kept]), torch.from_numpy(numpy.stack([scene["labels"] for scene in kept]))


def clips(head, kept, fold):
    """How many of a fold's clips have their class as the largest mean score, and which ones have not."""
    of_fold = numpy.flatnonzero(kept["fold"] == fold)
    found = [heard(head, {name: kept[name][i] for name in network.INPUTS})[: 5 * scenes.RATE // scenes.CELL] for i in of_fold]
    names = [scenes.CLASSES[logits.sigmoid().mean(0)[: len(scenes.CLASSES)].argmax()] for logits in found]
    wrong = [f"{name} for {label}" for name, label in zip(names, kept["labels"][of_fold]) if name != scenes.CLASSES[label]]
    return f"{len(of_fold) - len(wrong)} of {len(of_fold)} {wrong}"


def folded(head):
    """Tensors as the runtime has them: standardisation and batch normalisation inside the linear layers, f16."""
    tensors = {}

    def fold(norm, weight):
        scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
        return weight * scale[:, None], norm.bias - norm.running_mean * scale, scale

    bias = 0
    for i, name in enumerate(network.INPUTS):
        weight, shift, scale = fold(head.norm, head.projections[name].weight * getattr(head, f"{name}_scale"))
        bias = bias - weight @ getattr(head, f"{name}_mean") + (shift if i == 0 else 0)
        tensors[f"inputs.{i}.weight"] = weight
    tensors["inputs.0.bias"] = bias
    for i, block in enumerate(head.blocks):
        weight, shift, _ = fold(block.norm, block.linear.weight)
        tensors |= {f"blocks.{i}.weight": weight, f"blocks.{i}.bias": shift}
    tensors |= {"classes.weight": head.classes.weight, "classes.bias": head.classes.bias}
    return {name: tensor.detach().half().contiguous() for name, tensor in tensors.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("yamnet", type=pathlib.Path, help="folder with model.onnx and yamnet_class_map.csv")
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--train", nargs="+", required=True)
    parser.add_argument("--check", nargs="*", default=[])
    parser.add_argument("--base", type=pathlib.Path, help="a head to go on from, without its probe: head.safetensors")
    parser.add_argument("--share", type=float, default=1.0, help="how much of what is learned beside --base is kept; the rest stays as it was")
    parser.add_argument("--others", nargs="*", default=[], help="scenes to learn from too, whose pieces without the ten classes the probe calls none of them")
    parser.add_argument("--clips", type=pathlib.Path, required=True, help="clips.npz of features.py --clips")
    parser.add_argument("--fold", type=int, help="the fold that is not learned from")
    parser.add_argument("--passes", type=int, default=8)
    parser.add_argument("--batch", type=int, default=8, help="scenes of a step")
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--decay", type=float, default=0.1)
    parser.add_argument("--noise", type=float, default=0.3, help="values of the inputs that are left out")
    parser.add_argument("--units", type=float, default=0.3, help="inputs that are left out for a whole scene")
    parser.add_argument("--dropout", type=float, default=0.3)
    parser.add_argument("--edges", type=float, default=3.0, help="how much more cells count where a class begins or ends")
    parser.add_argument("--early", type=int, default=3, help="cells that classes begin earlier: what begins quietly is heard late")
    parser.add_argument("--lighter", nargs="*", default=[], metavar="CLASS=WEIGHT", help="classes whose absence counts less: they lose fewer sounds of their own")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    head = network.Head(len(scenes.LABELS), dropout=args.dropout, noise=args.noise, units=args.units)
    paths = files(args.train + args.others)
    measure(head, paths)
    base = safetensors.torch.load_file(args.base) if args.base else {}
    if args.base:
        head.go_on_from(probe.without(base))
    else:
        head.begin_with(detectors.related(args.yamnet))
    absent = torch.ones(len(scenes.LABELS))
    for name, weight in (each.split("=") for each in args.lighter):
        absent[scenes.LABELS.index(name)] = float(weight)
    of_clips = dict(numpy.load(args.clips))
    others = probe.pieces(map(numpy.load, files(args.others)))
    rows = probe.lasting(of_clips, args.fold, others)
    kept = load(head, paths)
    kept["labels"] = early(kept["labels"], args.early)
    count = len(kept["labels"])
    optimiser = torch.optim.AdamW(head.parameters(), args.rate, weight_decay=args.decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, args.rate, args.passes * (count // args.batch), pct_start=0.15)
    average = torch.optim.swa_utils.AveragedModel(head, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(AVERAGED), use_buffers=True)

    def shipped():
        """The tensors of the average so far."""
        average.module.eval()
        tensors = probe.appended(folded(average.module), *rows)
        for name, tensor in base.items():
            tensors[name] = torch.lerp(tensor.float(), tensors[name].float(), args.share).half()
        return tensors

    head.train()
    start = time.monotonic()
    for turn in range(args.passes):
        order, total = torch.randperm(count), 0.0
        for batch in order[: count // args.batch * args.batch].split(args.batch):
            lost = loss(logits(head, kept, batch), kept["labels"][batch], args.edges, absent)
            optimiser.zero_grad()
            lost.backward()
            optimiser.step()
            schedule.step()
            average.update_parameters(head)
            total += lost.item()
        line = f"pass {turn + 1}: loss {total / (count // args.batch):.4f}"
        if args.check and (turn % 4 == 3 or turn == args.passes - 1):
            found = network.Shipped(shipped())
            line += f", checked {loss(*check(found, files(args.check)), args.edges):.4f}, clips {clips(found, of_clips, args.fold)}"
        print(f"{line}, {time.monotonic() - start:.0f} s", flush=True)
    tensors = shipped()
    args.out.mkdir(parents=True, exist_ok=True)
    safetensors.torch.save_file(tensors, args.out / "head.safetensors")
    layers = [yamnet.EARLY, yamnet.MIDDLE, yamnet.LATE]
    description = {"inputs": layers, "width": network.WIDTH + probe.UNITS, "dilations": network.DILATIONS, "labels": scenes.LABELS}
    (args.out / "head.json").write_text(json.dumps(description, indent=2) + "\n")
    if args.check:
        found, labels = check(network.Shipped(tensors), files(args.check))
        numpy.savez(args.out / "checked.npz", scores=found.sigmoid().numpy(), labels=labels.numpy())


if __name__ == "__main__":
    main()
