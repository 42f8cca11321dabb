#!/usr/bin/env python3
"""Voice activity beside webrtcvad and Silero: frames on read speech in noise, utterances and their delays, false alarms on noise.

Usage: cargo build --release -p ossicle-frontend --example vad && python3 tests/accuracy/vad.py DATA [--clips 60] [--set multi]

DATA holds read_en (or another set of speech), noise and sound_events. The other two are measured where their packages are installed (webrtcvad-wheels; silero-vad with
onnxruntime). Labels come from the energy of the clean speech, as in training; noise is what training did not hear, unless marked. Training heard other recordings of most of read_en's speakers, but not of
7367 and 8629 (--speakers 7367,8629).
"""
import argparse
import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "runtime/frontend/scripts/vad"))
import material  # noqa: E402
from material import HOP, RATE  # noqa: E402

LOOKAHEAD = 4
PAUSE = 3 * RATE // 2


def pcm(samples):
    return (np.clip(samples, -1, 1 - 2**-15) * 32768).round().astype("<i2").tobytes()


def ossicle(samples, *command):
    program = ROOT / "target/release/examples/vad"
    return subprocess.run([program, *command], input=pcm(samples), stdout=subprocess.PIPE, check=True).stdout.decode().split("\n")[:-1]


def ours(samples):
    lines = np.array([line.split() for line in ossicle(samples, "hops")], float)
    return np.concatenate([lines[LOOKAHEAD:, 2], np.repeat(lines[-1:, 2], LOOKAHEAD)]), lines[:, 1]


def webrtc(mode):
    import webrtcvad

    def run(samples):
        vad, data = webrtcvad.Vad(mode), pcm(samples)
        return np.array([vad.is_speech(data[at : at + 2 * HOP], RATE) for at in range(0, len(data) - 2 * HOP + 1, 2 * HOP)], float)

    return run


def silero():
    import onnxruntime

    package = Path(importlib.util.find_spec("silero_vad").origin).parent
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(package / "data/silero_vad.onnx"), options)

    def run(samples):
        state, context, out = np.zeros((2, 1, 128), np.float32), np.zeros(64, np.float32), []
        for at in range(0, len(samples) // 512 * 512, 512):
            block = np.concatenate([context, samples[at : at + 512]]).astype(np.float32)
            probability, state = session.run(None, {"input": block[None], "state": state, "sr": np.array(RATE, np.int64)})
            context = block[-64:]
            out.append(float(probability[0, 0]))
        hops = np.minimum((np.arange(len(samples) // HOP) * HOP + HOP // 2) // 512, len(out) - 1)
        return np.array(out)[hops]

    return run


def area_under_roc(scores, labels):
    order = np.argsort(scores, kind="stable")
    ranks = np.empty(len(scores))
    ranks[order] = np.arange(1, len(scores) + 1)
    # Equal scores share their ranks.
    _, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.bincount(inverse, ranks) / counts)[inverse]
    positives = labels.sum()
    return (ranks[labels].sum() - positives * (positives + 1) / 2) / (positives * (len(labels) - positives))


def speech(folder, clips, speakers):
    """One stream of recordings with pauses: samples, activity, and where each clip's speech lies."""
    files = sorted(p for p in folder.iterdir() if p.suffix in (".flac", ".opus"))
    files = [path for path in files if not speakers or path.stem.split("-")[0] in speakers]
    parts, labels, spans, at = [], [], [], 0
    for path in files[:: max(1, len(files) // clips)][:clips]:
        clip = material.read(path)
        clip = clip[: len(clip) // HOP * HOP]
        active = material.activity(clip)
        clip = clip / np.sqrt((clip[np.repeat(active, HOP)] ** 2).mean())
        spoken = np.flatnonzero(active)
        spans.append((at + PAUSE + spoken[0] * HOP, at + PAUSE + (spoken[-1] + 1) * HOP))
        parts += [np.zeros(PAUSE, np.float32), clip]
        labels += [np.zeros(PAUSE // HOP, bool), active]
        at += PAUSE + len(clip)
    return np.concatenate(parts), np.concatenate(labels), spans


def noises(data):
    """Noise recordings: name, samples, whether training heard them."""
    found = []
    for path in sorted((data / "noise/audio").glob("*.flac")):
        found.append((path.stem, material.read(path), path.stem in material.TRAINED_NOISE))
    for path in sorted((data / "sound_events/background").glob("*.flac")):
        found.append((path.stem, material.read(path), path.stem in material.TRAINED_BACKGROUNDS))
    return found


def level(samples):
    frames = np.sqrt((samples[: len(samples) // HOP * HOP].reshape(-1, HOP) ** 2).mean(axis=1))
    return max(np.percentile(frames, 90), 1e-5)


def bed(found, length):
    """Unheard noises one after the other, 20 s each at equal levels, over and over."""
    unheard = [samples / level(samples) for name, samples, trained in found if not trained and "silence" not in name]
    parts = [np.tile(samples, 20 * RATE // len(samples) + 1)[: 20 * RATE] for samples in unheard]
    return np.tile(np.concatenate(parts), length // (len(parts) * 20 * RATE) + 1)[:length]


def events(samples):
    found = []
    for line in ossicle(samples, "events"):
        kind, sample, heard = line.split()
        if kind == "start":
            found.append([int(sample), None, None])
        else:
            found[-1][1:] = [int(sample), int(heard)]
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--set", default="read_en")
    parser.add_argument("--speakers", type=lambda text: set(text.split(",")), help="of read_en, only these")
    parser.add_argument("--clips", type=int, default=60)
    args = parser.parse_args()
    found = noises(args.data)
    clean, labels, spans = speech(args.data / args.set / "audio", args.clips, args.speakers)
    detectors = {"ossicle": lambda samples: ours(samples)[0]}
    if importlib.util.find_spec("webrtcvad"):
        detectors |= {f"webrtcvad {mode}": webrtc(mode) for mode in (1, 2, 3)}
    if importlib.util.find_spec("silero_vad"):
        detectors["silero"] = silero()
    noise = bed(found, len(clean))
    print(f"{len(spans)} clips, {len(clean) / RATE / 60:.1f} minutes, {labels.mean():.0%} speech")
    mixes = {"clean": clean} | {f"{snr} dB": clean + noise * 10 ** (-snr / 20) for snr in (20, 10, 5)}
    for name, mix in mixes.items():
        # -26 dB below full scale, as telephony has it; a sound card's own noise.
        mix = mix * 0.05 + np.random.default_rng(0).standard_normal(len(mix)) * 3e-5
        for detector, run in detectors.items():
            scores = run(mix)[: len(labels)]
            decided = scores >= 0.5
            wrong, missed, false = (decided != labels).mean(), (~decided[labels]).mean(), decided[~labels].mean()
            print(f"{name:7} {detector:12} frames wrong {wrong:6.2%}  missed {missed:6.2%}  false {false:6.2%}  AUC {area_under_roc(scores, labels):.4f}")
        utterances = events(mix)
        delays, whole, split, lost = [], 0, 0, 0
        for start, end in spans:
            overlapping = [u for u in utterances if u[0] < end and u[1] > start]
            inside = np.zeros(len(labels), bool)
            for first, behind, _ in overlapping:
                inside[first // HOP : -(-behind // HOP)] = True
            active = labels[start // HOP : end // HOP]
            covered = inside[start // HOP : end // HOP][active].mean()
            lost += not overlapping
            split += len(overlapping) > 1
            whole += covered >= 0.98
            if overlapping and overlapping[-1][1] < end + PAUSE:
                delays.append((overlapping[-1][2] - end) / RATE)
        # What begins in a pause and ends in it.
        pauses = sum(not any(u[0] < end and u[1] > start for start, end in spans) for u in utterances)
        awake = ours(mix)[1].mean()
        print(
            f"{name:7} utterances: 98 % of the speech of {whole} of {len(spans)} clips is in them, {lost} missed, {split} in several (the pauses are long), {pauses} without speech; "
            f"known after {np.median(delays):.2f} s (95 %: {np.percentile(delays, 95):.2f}), {len(delays)} of them ended; network awake {awake:.0%}"
        )
    print("false alarms: utterances in five minutes of each, at its own level")
    hours = {True: 0.0, False: 0.0}
    alarms = {True: 0, False: 0}
    for name, samples, trained in found:
        samples = np.tile(samples, 300 * RATE // len(samples) + 1)[: 300 * RATE]
        count = len(events(samples))
        scores, awake = ours(samples)
        others = "".join(f"  {other} {run(samples).__ge__(0.5).mean():.1%}" for other, run in detectors.items() if other not in ("ossicle", "webrtcvad 1"))
        print(f"  {name:20} {count:3} {'(trained on)' if trained else '':12} awake {awake.mean():4.0%}; frames of speech: ossicle {(scores >= 0.5).mean():.1%}{others}")
        hours[trained] += 1 / 12
        alarms[trained] += count
    for trained, words in ((False, "unheard in training"), (True, "heard in training")):
        print(f"  {words}: {alarms[trained] / hours[trained]:.1f} an hour")


if __name__ == "__main__":
    main()
