"""What the codec of `effects` leaves of sounds that it never learned from: python effects_codec.py OSSICLE THERE_AND_BACK DATA [--codec FOLDER]

Clips of the ten classes that the recipe holds out (models-int8/effects/train/data.py) go through the codec, in the runtime. Printed are the log-mel
distance to the original (64 bands, 25 ms), and the mean score that YAMNet gives the right class before and after. THERE_AND_BACK is
`cargo build --release --example there_and_back`. With --train the codes are compared with those of the checkpoint it was made from, in PyTorch.
With --lyra, the folder of Lyra v2's three tflite files (github.com/google/lyra, lyra/model_coeffs), the log-mel distance of its 3.2 kb/s is printed
too; it needs `pip install ai-edge-litert`.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import soundfile

sys.path.insert(0, str(Path(__file__).parents[2] / "models-int8/effects/train"))
from effects import CLASSES, first, heard  # noqa: E402
import data as sounds  # noqa: E402


def log_mel(samples):
    """64 bands of 25 ms every 10 ms."""
    frames = np.lib.stride_tricks.sliding_window_view(np.pad(samples, (200, 312)), 400)[::160]
    magnitudes = np.abs(np.fft.rfft(frames * np.hanning(401)[:-1], 512))
    mel = lambda f: 1127 * np.log(1 + f / 700)
    edges = 700 * (np.exp(np.linspace(mel(30), mel(8000), 66) / 1127) - 1)
    f = np.linspace(0, 8000, 257)[:, None]
    bands = np.maximum(0, np.minimum((f - edges[:-2]) / (edges[1:-1] - edges[:-2]), (edges[2:] - f) / (edges[2:] - edges[1:-1])))
    return np.log(magnitudes @ bands + 1e-3)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ossicle")
    parser.add_argument("there_and_back")
    parser.add_argument("data", type=Path)
    parser.add_argument("--codec", default="models-int8/effects/codec")
    parser.add_argument("--train", type=Path, help="the checkpoint")
    parser.add_argument("--lyra", type=Path, help="folder of Lyra v2's tflite files")
    parser.add_argument("--keep", type=Path, help="folder for the sounds")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = args.keep or Path(temporary)
        before, after = folder / "before", folder / "after"
        before.mkdir(parents=True, exist_ok=True)
        clips = []
        for recording in sounds.recordings(args.data):
            if recording["held_out"]:
                name = recording["file"].replace("/", "_").rsplit(".", 1)[0]
                soundfile.write(before / f"{name}.wav", recording["samples"][: 5 * sounds.RATE], sounds.RATE)
                clips.append((name, recording["class"]))
        command = [args.there_and_back, args.codec, str(after), *(str(before / f"{name}.wav") for name, _ in clips)]
        subprocess.run(command, check=True)
        pairs = [[soundfile.read(where / f"{name}.wav")[0] for where in (before, after)] for name, _ in clips]
        apart = [np.abs(log_mel(a) - log_mel(b)).mean() for a, b in pairs]
        print(f"log-mel distance of {len(clips)} clips: {np.mean(apart) * 20 / np.log(10):.2f} dB")
        if args.lyra:
            other = lyra(args.lyra)
            apart = [np.abs(log_mel(a) - log_mel(other(a.astype(np.float32)))).mean() for a, _ in pairs]
            print(f"the same of Lyra v2 at 3.2 kb/s: {np.mean(apart) * 20 / np.log(10):.2f} dB")
        named = [(name, kind) for name, kind in clips if kind in CLASSES]
        scores = [heard(args.ossicle, [where / f"{name}.wav" for name, _ in named]) for where in (before, after)]
        table = {}
        for (name, kind), *both in zip(named, *scores):
            table.setdefault(kind, []).append([(first(s)[1][CLASSES[kind]], first(s)[0] == CLASSES[kind]) for s in both])
        for kind, rows in sorted(table.items()) + [("all", [row for rows in table.values() for row in rows])]:
            values = np.array(rows, dtype=float).mean(0)
            print(f"{kind:16} {len(rows):3} clips  score {values[0, 0]:.2f} -> {values[1, 0]:.2f}  right {values[0, 1]:.2f} -> {values[1, 1]:.2f}")
        if args.train:
            compare(args.train, before, after, [name for name, _ in clips])


def lyra(folder):
    """Lyra v2 there and back with 16 quantisers of 4 bits at 50 frames a second. Its networks are late by some samples, which are made up for."""
    from ai_edge_litert.interpreter import Interpreter

    def run(samples):
        encoder, quantizer, decoder = (Interpreter(str(folder / f"{name}.tflite")) for name in ("soundstream_encoder", "quantizer", "lyragan"))
        for one in (encoder, decoder):
            one.allocate_tensors()
        encode, decode = (quantizer.get_signature_runner(name) for name in ("encode", "decode"))

        def step(network, value):
            network.set_tensor(network.get_input_details()[0]["index"], value)
            network.invoke()
            return network.get_tensor(network.get_output_details()[0]["index"])

        frames = np.pad(samples, (0, -len(samples) % 320 + 960)).reshape(-1, 1, 320)
        out = []
        for frame in frames:
            codes = encode(input_frames=step(encoder, frame), num_quantizers=np.int32(16))["output_0"]
            out.append(step(decoder, decode(encoding_indices=codes)["output_0"])[0])
        made = np.concatenate(out)
        late = max(range(0, 960, 40), key=lambda n: -np.abs(log_mel(samples) - log_mel(made[n : n + len(samples)])).mean())
        return made[late : late + len(samples)]

    return run


def compare(checkpoint, before, after, names):
    """How often the runtime's codes are those of PyTorch."""
    import torch
    from codec import BOOKS, HOP, Codec

    codec = Codec.load(checkpoint).eval()
    same = np.zeros((BOOKS, 2))
    for name in names:
        samples = soundfile.read(before / f"{name}.wav", dtype="float32")[0]
        samples = np.pad(samples, (0, -len(samples) % HOP))
        with torch.no_grad():
            codes = codec.encode(torch.tensor(samples)[None])[0].numpy()
        own = np.fromfile(after / f"{name}.u32", dtype="<u4").reshape(-1, BOOKS).T
        same += np.stack([(own == codes).sum(1), np.full(BOOKS, codes.shape[1])], 1)
    print("same code as in PyTorch: " + ", ".join(f"{100 * a / b:.1f} %" for a, b in same))


if __name__ == "__main__":
    main()
