#!/usr/bin/env python3
"""Teaches a copy of the network to hear short windows as the 30 s network does: adapt.py TEACHER LESSONS OUT [--steps N]

Self-distillation, after the idea of audio-context fine-tuning (FUTO, 2024): the student sees the clip and a small margin, the teacher saw 30 s. Losses:
relative squared error of the encoder's and the decoder's outputs, and the divergence of the token distributions under the teacher's text, most of
all where the text ends. Token embedding and the decoder's positions stay as they are. The result is on the way from the original to a running mean of
the weights: it ends no text too early and loops no more than the mean itself (Wortsman et al., Robust fine-tuning of zero-shot models, 2022).

Writes OUT/state.pt, from which an interrupted run goes on, and OUT/hf, a checkpoint in Hugging Face's format.
"""

import argparse
import json
import pathlib
import shutil
import sys
import time

import numpy
import torch
from safetensors.torch import load_file, save_file
from torch.nn import functional

import network

BATCH_FRAMES = 4800  # of one batch: 12 clips in 4 s
LARGEST_BATCH = 16
FULL_WINDOWS = 0.16  # share of the batches with 30 s
FULL_BATCH = 3
SHORTEST_WINDOW = 100
SAVE_EVERY = 50
KL_POSITIONS = 8  # of a text, the end among them
END_WEIGHT = 3.0  # of positions where a text ends or might: the network must not learn that one sentence is all
SENTENCE_ENDS = {0, 13, 30}  # "!", "." and "?" in Whisper's English vocabulary
SEVERAL_SENTENCES = 4.0  # how much more often a clip with several sentences is heard
MEAN_DECAY = 0.99
SHARE = 0.7  # of the way from the original to the running mean
# What the runtime reads from generation_config.json: the margin it leaves behind a recording, and the steps in which windows grow.
SHORT_WINDOWS = {"margin_seconds": 0.5, "step_seconds": 0.2}
MEL_RANGE = 2.0  # Whisper's mel is cut this far below its maximum; silence lies there


def margin_frames(rng):
    """0 to 2 s, mostly short."""
    seconds = rng.exponential(0.3) if rng.random() < 0.75 else rng.uniform(0, 2)
    return int(100 * min(seconds, 2))


def inner_ends(tokens, eot):
    """Places in a text after which it might have ended, but goes on."""
    last = max((i for i, token in enumerate(tokens) if token < eot), default=0)
    return [i for i, token in enumerate(tokens[:last]) if token in SENTENCE_ENDS]


def batch(rng, lessons, stamps, eot):
    """(window in frames, lessons that fit it)."""
    lessons = [lesson for lesson in lessons if stamps in lesson["said"]]
    often = numpy.array([SEVERAL_SENTENCES if inner_ends(lesson["said"][stamps]["tokens"], eot) else 1.0 for lesson in lessons])
    first = rng.choice(len(lessons), FULL_BATCH, replace=False, p=often / often.sum())
    if rng.random() < FULL_WINDOWS:
        return network.FULL_FRAMES, [lessons[i] for i in first]
    window = max(SHORTEST_WINDOW, min(network.FULL_FRAMES, lessons[first[0]]["frames"] + margin_frames(rng)) // 2 * 2)
    spare = numpy.array([window - lesson["frames"] for lesson in lessons])
    weights = numpy.where((spare >= 0) & (spare <= 250), (numpy.exp(-spare / 40) + 0.03) * often, 0)
    size = min(LARGEST_BATCH, max(2, BATCH_FRAMES // window), int((weights > 0).sum()))
    return window, [lessons[i] for i in rng.choice(len(lessons), size, replace=False, p=weights / weights.sum())]


def mels(lessons, window):
    """[B, 80, window]: each clip's mel with silence behind it."""
    out = []
    for lesson in lessons:
        mel = lesson["mel"].float()
        out.append(functional.pad(mel, (0, window - mel.shape[1]), value=float(mel.max()) - MEL_RANGE))
    return torch.stack(out)


def relative_error(student, teacher, mask):
    mask = mask[..., None]
    return ((student.float() - teacher) ** 2 * mask).sum() / (teacher**2 * mask).sum().clamp_min(1e-6)


def losses(student, lessons, window, stamps, rng):
    """(encoder error, decoder error, divergence) of one batch."""
    device = student.banned.device
    encoded = student.encode(mels(lessons, window).to(device))
    positions = encoded.shape[1]
    wanted, heard = torch.zeros(len(lessons), positions, encoded.shape[2]), torch.zeros(len(lessons), positions)
    for row, lesson in enumerate(lessons):
        kept = lesson["encoded"][:positions].float()
        wanted[row, : len(kept)], heard[row, : len(kept)] = kept, 1
    encoder = relative_error(encoded, wanted.to(device), heard.to(device))

    prompt = [student.sot] if stamps else [student.sot, student.no_timestamps]
    texts = [lesson["said"][stamps] for lesson in lessons]
    longest = len(prompt) - 1 + max(len(text["tokens"]) for text in texts)
    tokens = torch.full((len(lessons), longest), student.eot)
    states, said, weights = torch.zeros(len(lessons), longest, encoded.shape[2]), torch.zeros(len(lessons), longest), torch.zeros(len(lessons), longest)
    for row, text in enumerate(texts):
        line = prompt + text["tokens"][:-1]
        tokens[row, : len(line)] = torch.tensor(line)
        states[row, len(prompt) - 1 : len(line)] = text["states"].float()
        states[row, 0] = text["start"].float()
        said[row, : len(line)] = 1
        chosen = rng.permutation(len(line))[:KL_POSITIONS]
        weights[row, chosen] = 1.0
        for i in inner_ends(text["tokens"], student.eot):
            weights[row, len(prompt) + i] = END_WEIGHT
        weights[row, len(line) - 1] = END_WEIGHT if text["tokens"][-1] == student.eot else 1.0
        weights[row, 0] = 1.0
    tokens, states, said, weights = (x.to(device) for x in (tokens, states, said, weights))
    hidden = student.hidden(tokens, encoded)
    decoder = relative_error(hidden, states, said)
    picked = weights > 0
    ours = student.logits(hidden[picked]).float().log_softmax(-1)
    with torch.no_grad():
        theirs = student.logits(states[picked].to(ours.dtype)).float().log_softmax(-1)
    divergence = functional.kl_div(ours, theirs, log_target=True, reduction="none").sum(-1)
    return encoder, decoder, (divergence * weights[picked]).sum() / weights[picked].sum()


def save_checkpoint(student, mean, folder):
    """Hugging Face's format, float32, with the teacher's other files beside the weights."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = load_file(student.folder / "model.safetensors")
    for name, value in mean.items():
        tensors[f"model.{name}"] = tensors[f"model.{name}"].float().lerp(value.cpu(), SHARE).contiguous()
    for path in student.folder.glob("*.json"):
        shutil.copy(path, folder / path.name)
    settings = json.loads((folder / "generation_config.json").read_text())
    settings["short_windows"] = SHORT_WINDOWS
    (folder / "generation_config.json").write_text(json.dumps(settings, indent=1))
    save_file(tensors, folder / "model.safetensors.part", metadata={"format": "pt"})
    (folder / "model.safetensors.part").rename(folder / "model.safetensors")


def read_new(folder, known, lessons):
    """Adds lessons written since the last look."""
    for path in sorted(folder.glob("*.pt")):
        if path not in known:
            lessons += torch.load(path)
            known.add(path)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("teacher")
    parser.add_argument("lessons", type=pathlib.Path)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--steps", type=int, default=2200)
    parser.add_argument("--rate", type=float, default=1.5e-5)
    parser.add_argument("--seed", type=int, default=3)
    parser.add_argument("--follow", action="store_true", help="take up lessons that are still being written")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--dtype", choices=("bfloat16", "float32"), default="bfloat16")
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    student = network.Whisper(args.teacher).to(args.device)
    frozen = (student.net.decoder.embed_tokens.weight, student.net.decoder.embed_positions.weight)
    for weight in frozen:
        weight.requires_grad_(False)
    trained = {name: weight for name, weight in student.net.named_parameters() if weight.requires_grad}
    optimizer = torch.optim.AdamW(trained.values(), lr=args.rate, betas=(0.9, 0.98), weight_decay=0.0)
    mean = {name: weight.detach().clone() for name, weight in trained.items()}
    step, state = 0, args.out / "state.pt"
    if state.exists():
        saved = torch.load(state, map_location=args.device)
        student.net.load_state_dict(saved["weights"], strict=False)
        optimizer.load_state_dict(saved["optimizer"])
        mean, step = saved["mean"], saved["step"]
    args.out.mkdir(parents=True, exist_ok=True)
    lessons, known, smooth, began, first = [], set(), None, time.time(), step
    read_new(args.lessons, known, lessons)
    while step < args.steps:
        if args.follow and step % 20 == 0:
            read_new(args.lessons, known, lessons)
        # Up over 50 steps, level, down over the last quarter.
        rate = args.rate * min(1.0, (step + 1) / 50, (args.steps - step) / (0.25 * args.steps))
        for group in optimizer.param_groups:
            group["lr"] = rate
        rng = numpy.random.default_rng([args.seed, step])
        stamps = bool(rng.random() < 0.5)
        window, chosen = batch(rng, lessons, stamps, student.eot)
        with torch.autocast(torch.device(args.device).type, torch.bfloat16, enabled=args.dtype == "bfloat16"):
            parts = losses(student, chosen, window, stamps, rng)
        optimizer.zero_grad()
        sum(parts).backward()
        torch.nn.utils.clip_grad_norm_(trained.values(), 1.0)
        optimizer.step()
        decay = min(MEAN_DECAY, (step + 1) / (step + 10))
        with torch.no_grad():
            for name, weight in trained.items():
                mean[name].lerp_(weight, 1 - decay)
        step += 1
        now = numpy.array([part.item() for part in parts])
        smooth = now if smooth is None else 0.95 * smooth + 0.05 * now
        if step % 10 == 0:
            print(f"step {step} of {args.steps}, {len(lessons)} lessons, encoder {smooth[0]:.4f} decoder {smooth[1]:.4f} divergence {smooth[2]:.4f}, "
                  f"{(time.time() - began) / (step - first):.1f} s a step", file=sys.stderr, flush=True)
        if step % SAVE_EVERY == 0 or step == args.steps:
            weights = {name: weight for name, weight in student.net.state_dict().items() if name in trained}
            torch.save({"weights": weights, "optimizer": optimizer.state_dict(), "mean": mean, "step": step}, state.with_suffix(".part"))
            state.with_suffix(".part").rename(state)
    save_checkpoint(student, mean, args.out / "hf")


if __name__ == "__main__":
    main()
