#!/usr/bin/env python3
"""Trains the voice activity network and writes src/tables/vad.rs.

Usage: python3 runtime/frontend/scripts/vad/train.py --speech LibriSpeech/train-clean-5 --data DATA --soundfont GM.sf2

DATA holds the folders noise, sound_events, rir and read_en (whose recordings are left out); espeak-ng, flite and fluidsynth must be installed,
and a General MIDI soundfont (TimGM6mb was used). Three minutes of one core, with PyTorch, SciPy and soundfile. What is trained on, and what is left for checking, stands in material.py.

The network sees log10 mel powers of 80 bands: a dense layer with ReLU, a gated recurrent layer (Cho et al. 2014, as PyTorch has it), a logistic
output. A frame's output speaks about the hop LOOKAHEAD hops earlier.
"""
import argparse
from pathlib import Path

import numpy as np
import torch

import material
from material import HOP, RATE, WINDOW

BANDS = 80
HIDDEN = 48
LOOKAHEAD = 4
# Length of a sequence.
SECONDS = 6
# Powers below 10^LOWEST count as this; OFFSET centres what is left.
LOWEST, OFFSET = -7.0, 3.0
TABLE = Path(__file__).resolve().parents[2] / "src" / "tables" / "vad.rs"


def mel_filters():
    """Slaney's, as scripts/tables.py has them."""
    hz = lambda mel: np.where(mel < 15, mel * 200 / 3, 1000 * np.exp((mel - 15) * np.log(6.4) / 27))
    top = 15 + np.log(RATE / 2 / 1000) / (np.log(6.4) / 27)
    edges = hz(np.linspace(0, top, BANDS + 2))
    frequency = np.linspace(0, RATE / 2, WINDOW // 2 + 1)
    low, mid, high = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    triangles = np.maximum(0, np.minimum((frequency - low) / (mid - low), (high - frequency) / (high - mid)))
    return (triangles * 2 / (high - low)).astype(np.float32)


FILTERS = mel_filters()
HANN = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(WINDOW) / WINDOW)).astype(np.float32)


def features(samples):
    """`[hops][BANDS]`: each hop sees itself and the 240 samples before it."""
    padded = np.pad(samples, (WINDOW - HOP, 0))
    frames = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::HOP][: len(samples) // HOP]
    power = np.abs(np.fft.rfft(frames * HANN)) ** 2
    return np.maximum(np.log10(np.maximum(power @ FILTERS.T, 1e-10)), LOWEST).astype(np.float32) + OFFSET


class Network(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.dense = torch.nn.Linear(BANDS, HIDDEN)
        self.gru = torch.nn.GRU(HIDDEN, HIDDEN, batch_first=True)
        self.out = torch.nn.Linear(HIDDEN, 1)

    def forward(self, x):
        return self.out(self.gru(torch.relu(self.dense(x)))[0])[..., 0]


def dataset(mixer, count, seconds):
    inputs = np.empty((count, seconds * 100, BANDS), np.float16)
    targets = np.zeros((count, seconds * 100), np.float32)
    for index in range(count):
        samples, active = mixer.sequence(seconds)
        inputs[index] = features(samples)
        targets[index, LOOKAHEAD:] = active[:-LOOKAHEAD]
    return inputs, targets


def loss_of(logits, targets):
    # The first frames have nothing before them to compare with.
    return torch.nn.functional.binary_cross_entropy_with_logits(logits[:, 10:], targets[:, 10:])


def train(network, inputs, targets, check, epochs, weights, batch=32):
    steps = epochs * (len(inputs) // batch)
    optimizer = torch.optim.AdamW(network.parameters(), lr=4e-3, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 6e-3, total_steps=steps)
    for epoch in range(epochs):
        order, total = torch.randperm(len(inputs)), 0.0
        for first in range(0, len(order) - batch + 1, batch):
            rows = order[first : first + batch].numpy()
            loss = loss_of(network(torch.from_numpy(inputs[rows].astype(np.float32))), torch.from_numpy(targets[rows]))
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            total += loss.item()
        with torch.no_grad():
            logits = torch.cat([network(torch.from_numpy(part.astype(np.float32))) for part in np.array_split(check[0], 8)])
        right = ((logits > 0) == (torch.from_numpy(check[1]) > 0.5)).float().mean()
        print(f"epoch {epoch + 1}: loss {total / (len(order) // batch):.4f}, held out {loss_of(logits, torch.from_numpy(check[1])):.4f}, frames right {right:.4f}", flush=True)
        if weights:
            torch.save(network.state_dict(), weights)


def packed(weights):
    """`[outputs][depth]` f32 to s8 in blocks `[outputs / 16][depth / 4][16][4]` and one scale per output."""
    scales = np.maximum(np.abs(weights).max(axis=1), 1e-8) / 127
    values = np.clip(np.round(weights / scales[:, None]), -127, 127).astype(np.int8)
    outputs, depth = values.shape
    return values.reshape(outputs // 16, 16, depth // 4, 4).transpose(0, 2, 1, 3).reshape(-1), scales.astype(np.float32)


def array(doc, name, values):
    if values.dtype == np.int8:
        items, kind, per_line, (start, end) = [str(v) for v in values], "i8", 24, ("[", "]")
    else:
        items, kind, per_line, (start, end) = [f"0x{v:08x}" for v in values.astype(np.float32).view(np.uint32)], "f32", 10, ("floats([", "])")
    lines = "\n".join("    " + ", ".join(items[i : i + per_line]) + "," for i in range(0, len(items), per_line))
    return f"/// {doc}\n#[rustfmt::skip]\npub(crate) static {name}: [{kind}; {len(items)}] = {start}\n{lines}\n{end};\n"


def write(network):
    state = {name: value.detach().numpy() for name, value in network.state_dict().items()}
    parts = ["// Generated by scripts/vad/train.py; do not edit.\n\n//! Weights of the voice activity network, packed as matrix products want them.\n\nuse super::floats;\n"]
    layers = [
        ("DENSE", "Dense layer", state["dense.weight"], state["dense.bias"]),
        ("INPUT", "Recurrent layer, from its input: reset, update and new gates", state["gru.weight_ih_l0"], state["gru.bias_ih_l0"]),
        ("STATE", "Recurrent layer, from its state: reset, update and new gates", state["gru.weight_hh_l0"], state["gru.bias_hh_l0"]),
    ]
    for name, doc, weights, bias in layers:
        values, scales = packed(weights)
        parts.append(array(f"{doc}: weights.", f"{name}_WEIGHTS", values))
        parts.append(array(f"{doc}: scales.", f"{name}_SCALES", scales))
        parts.append(array(f"{doc}: bias.", f"{name}_BIAS", bias))
    parts.append(array("Output: weights.", "OUT_WEIGHTS", state["out.weight"][0]))
    parts.append(array("Output: bias.", "OUT_BIAS", state["out.bias"]))
    TABLE.write_text("\n".join(parts))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--speech", type=Path, required=True, help="LibriSpeech/train-clean-5")
    parser.add_argument("--data", type=Path, required=True, help="folder of noise, sound_events and rir")
    parser.add_argument("--soundfont", type=Path, required=True, help="General MIDI instruments")
    parser.add_argument("--sequences", type=int, default=2600, help="sequences of 6 s to mix")
    parser.add_argument("--epochs", type=int, default=13, help="passes over them")
    parser.add_argument("--weights", type=Path, help="keep the f32 weights here after each epoch")
    args = parser.parse_args()
    rng = np.random.default_rng(1)
    torch.manual_seed(1)
    # More would only wait for one another: a step of the recurrent layer is small.
    torch.set_num_threads(1)

    speakers = sorted(int(p.name) for p in args.speech.iterdir() if int(p.name) not in material.RESERVED)
    held_out, rooms = set(speakers[-2:]), [material.read(p) for p in sorted(args.data.glob("rir/audio/*.flac"))]
    checked = {path.stem for path in args.data.glob("read_en/audio/*")}
    assert checked, f"{args.data}/read_en: no recordings to leave out"
    clips, sentences = material.librispeech(args.speech, set(speakers) - held_out, checked)
    voices = [(clip, material.activity(clip)) for clip in clips + material.synthesised(sentences, 300, rng)]
    held_voices = [(clip, material.activity(clip)) for clip in material.librispeech(args.speech, held_out)[0]]

    def events(folds):
        return [material.read(p) for p in sorted(args.data.glob("sound_events/audio/*.flac")) if p.stem.rsplit("_", 1)[1][0] in folds]

    noises = events("123")
    noises += [material.read(p) for p in sorted(args.data.glob("noise/audio/*.flac")) if p.stem in material.TRAINED_NOISE] * 6
    noises += [material.read(p) for p in sorted(args.data.glob("sound_events/background/*.flac")) if p.stem in material.TRAINED_BACKGROUNDS] * 6
    pieces = material.played(args.soundfont, 90, rng)
    print(f"{len(voices)} voices, {sum(len(v[0]) for v in voices) / RATE / 3600:.2f} h; {len(noises)} noises, {len(pieces)} pieces", flush=True)

    check = dataset(material.Mixer(held_voices, events("4"), pieces[-10:], rooms, np.random.default_rng(2)), 160, SECONDS)
    mixer = material.Mixer(voices, noises, pieces[:-10], rooms, rng)
    network = Network()
    print(f"{sum(p.numel() for p in network.parameters())} weights", flush=True)
    inputs, targets = dataset(mixer, args.sequences, SECONDS)
    print(f"{len(inputs)} sequences, {targets.mean():.2f} of frames speech", flush=True)
    train(network, inputs, targets, check, args.epochs, args.weights)
    write(network)


if __name__ == "__main__":
    main()
