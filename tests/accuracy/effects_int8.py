"""What INT8 changes in `effects`: python effects_int8.py OSSICLE OSSICLE_SIM LM CODEC MINILM [--model effects]

LM and CODEC are the checkpoints that the model folder was made from, MINILM is all-MiniLM-L6-v2. PyTorch draws codes for the sixteen descriptions of
effects.py in float; both then say which code comes next, with guidance, and how often the likeliest one is the same is printed. The codec's decoder
is compared on what it makes of the runtime's own sounds: magnitudes, in decibels against PyTorch's. It needs `cargo build --release --examples`.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[2] / "models-int8/effects/train"))
from codec import BINS, BOOKS, CODES, Codec  # noqa: E402
from effects import PROMPTS  # noqa: E402
from lm import LanguageModel, minilm  # noqa: E402

STAGES = Path(__file__).parents[2] / "target/release/examples/lm_stages"
GUIDANCE, TOP = 3.0, 250
# What the runtime has a curve of BINS values in.
PADDED = 144


def logits(model, sequence, rows):
    """Guided logits [batch, books, steps, codes]."""
    lengths = torch.tensor([len(r) for r in rows])
    text, dropped = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True), torch.zeros(len(rows), dtype=torch.bool)
    with_text, without = (model(sequence, text, lengths, d).float() for d in (dropped, ~dropped))
    return without + GUIDANCE * (with_text - without)


def drawn(model, rows, frames):
    """The delayed sequence [batch, books, frames + books] that the float model draws."""
    sequence = torch.full((len(rows), BOOKS, 1), CODES)
    for step in range(frames + BOOKS - 1):
        last = logits(model, sequence, rows)[:, :, -1]
        best = last.topk(TOP)
        picked = torch.distributions.Categorical(logits=best.values).sample()[..., None]
        codes = best.indices.gather(-1, picked)
        for k in range(BOOKS):
            if not k <= step < frames + k:
                codes[:, k] = CODES
        sequence = torch.cat([sequence, codes], 2)
    return sequence


def language_model(args, folder):
    model = LanguageModel().eval()
    model.load(args.lm)
    rows = minilm(args.minilm)(list(PROMPTS))
    sequence = drawn(model, rows, args.frames)
    exact = logits(model, sequence[:, :, :-1], rows)
    same = np.zeros((BOOKS, 2))
    for i, (prompt, text) in enumerate(zip(PROMPTS, rows)):
        tokens = sequence[i, :, :-1].T.contiguous().numpy().astype("<u4")
        tokens.tofile(folder / "tokens")
        text.numpy().astype("<f4").tofile(folder / "text")
        subprocess.run([STAGES, args.lm, folder / "tokens", folder / "text", folder / "out"], check=True)
        pair = np.fromfile(folder / "out/int8.f32", "<f4").reshape(len(tokens), 2, BOOKS, CODES)
        likeliest = (pair[:, 1] + GUIDANCE * (pair[:, 0] - pair[:, 1])).argmax(-1)
        for k in range(BOOKS):
            counted = slice(k, k + args.frames)
            same[k] += (likeliest[counted, k] == exact[i, k, counted].argmax(-1).numpy()).sum(), args.frames
    print("likeliest code the same: " + ", ".join(f"{100 * a / b:.1f} %" for a, b in same) + f"; of all {100 * same[:, 0].sum() / same[:, 1].sum():.1f} %")


def values(args, trace, name):
    shown = subprocess.run([args.ossicle_sim, "show", str(trace), "--only", name, "--values"], check=True, capture_output=True, text=True)
    return [np.array(line.split()[1:], dtype=np.float32) for line in shown.stdout.splitlines() if line.lstrip().startswith("values")]


def decoder(args, folder):
    codec, table = Codec.load(args.codec).eval(), []
    for prompt in PROMPTS:
        trace = folder / "trace"
        command = [args.ossicle, "generate", prompt, "--seconds", "5", "--model", args.model, "-o", str(folder / "x.wav"), "--trace", str(trace),
                   "--trace-values", "*"]
        subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
        codes = torch.tensor(np.stack(values(args, trace, "audiogen.codes")).astype(np.int64)).T[None]
        with torch.no_grad():
            exact = torch.stack(codec.decode(codes), 2)[0].exp().numpy()
        own = np.concatenate(values(args, trace, "spectral.head")).reshape(-1, 2, PADDED)[: len(exact), :, :BINS]
        own = np.exp(own.clip(-12, 2))
        table.append([(exact**2).sum(), ((exact - own) ** 2).sum()])
    table = np.array(table)
    ratios = 10 * np.log10(table[:, 0] / table[:, 1])
    print(f"decoder's magnitudes: {10 * np.log10(table[:, 0].sum() / table[:, 1].sum()):.1f} dB, sounds {ratios.min():.1f} to {ratios.max():.1f} dB")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("ossicle", "ossicle_sim"):
        parser.add_argument(name)
    for name in ("lm", "codec", "minilm"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--model", default="effects")
    parser.add_argument("--frames", type=int, default=100, help="of each sound that PyTorch draws")
    args = parser.parse_args()
    torch.manual_seed(1)
    with tempfile.TemporaryDirectory() as temporary, torch.no_grad():
        decoder(args, Path(temporary))
        language_model(args, Path(temporary))


if __name__ == "__main__":
    main()
