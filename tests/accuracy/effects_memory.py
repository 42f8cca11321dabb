"""Whether `effects` plays back what it learned from: python effects_memory.py OSSICLE OSSICLE_SIM POOL [--model effects] [--seeds 20]

Clips of five seconds for the sixteen descriptions of effects.py are compared with POOL, the windows that the language model learned from (lm.py).
A clip counts that has, at any place, a second whose codes of the first codebook are at least 90 % those of a second of one window. Seconds more
than half of which is silence do not count. Next to it stands what windows of recordings that are held out share with POOL by chance.
"""

import argparse
import subprocess
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
import torch

from effects import PROMPTS

RUN, SAME = 50, 45
# Five codes that differ leave at least eight equal ones in a row.
GRAM = 8


def hashed(codes):
    """A number for each eight codes in a row, [..., frames - 7]."""
    windows = np.lib.stride_tricks.sliding_window_view(codes.astype(np.uint64), GRAM, axis=-1)
    weights = np.array([pow(0x9E3779B97F4A7C15, k + 1, 1 << 64) for k in range(GRAM)], dtype=np.uint64)
    return ((windows + np.uint64(1)) * weights).sum(-1, dtype=np.uint64)


class Windows:
    """First codes of many windows, to look for seconds in."""

    def __init__(self, codes):
        self.codes = codes
        grams = hashed(codes)
        self.order = np.argsort(grams, axis=None, kind="stable")
        self.sorted, self.frames = grams.reshape(-1)[self.order], grams.shape[1]

    def longest(self, clip, silent):
        """The largest number of equal codes in a second of `clip` and of one window."""
        grams, pairs = hashed(clip), []
        left, right = (np.searchsorted(self.sorted, grams, side) for side in ("left", "right"))
        for at, (a, b) in enumerate(zip(left, right)):
            if b > a and not silent(clip[at : at + GRAM]):
                windows, places = np.divmod(self.order[a:b], self.frames)
                pairs.append(windows * 4 * len(clip) + places - at + len(clip))
        if not pairs:
            return 0
        windows, shifts = np.divmod(np.unique(np.concatenate(pairs)), 4 * len(clip))
        loud = np.array([not silent(clip[i : i + RUN]) for i in range(len(clip) - RUN + 1)])
        best = 0
        for part in np.array_split(np.arange(len(windows)), len(windows) // 4096 + 1):
            places = shifts[part, None] - len(clip) + np.arange(len(clip))
            inside = (places >= 0) & (places < self.codes.shape[1])
            equal = (self.codes[windows[part, None], places.clip(0, self.codes.shape[1] - 1)] == clip) & inside
            sums = np.pad(equal.cumsum(1), ((0, 0), (1, 0)))
            best = max(best, int(((sums[:, RUN:] - sums[:, :-RUN]) * loud).max()))
        return best


def generated(args, folder):
    """First codes of each clip, as the runtime drew them."""
    prompts = folder / "prompts.txt"
    prompts.write_text("".join(f"{prompt}\n" for prompt in PROMPTS))
    for seed in range(args.first_seed, args.first_seed + args.seeds):
        trace = folder / "trace"
        command = [args.ossicle, "generate", "--prompts", str(prompts), "--seed", str(seed), "--model", args.model, "--output-dir", str(folder),
                   "--trace", str(trace), "--trace-values", "audiogen.codes"]
        subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
        shown = subprocess.run([args.ossicle_sim, "show", str(trace), "--only", "audiogen.codes", "--values"], check=True, capture_output=True, text=True)
        clips = []
        for line in shown.stdout.splitlines():
            words = line.split()
            if words[:4] == ["step", "audiogen.frame", "at", "0"]:
                clips.append([])
            elif words[0] == "values":
                clips[-1].append(int(words[1]))
        assert len(clips) == len(PROMPTS), f"{len(clips)} clips in the trace"
        yield [np.array(clip) for clip in clips]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ossicle")
    parser.add_argument("ossicle_sim")
    parser.add_argument("pool", type=Path)
    parser.add_argument("--model", default="effects")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--first-seed", type=int, default=1000)
    args = parser.parse_args()
    known = np.concatenate([torch.load(path)[0][:, 0].numpy() for path in sorted(args.pool.glob("known-*.pt"))])
    held_out = torch.load(args.pool / "held_out.pt")[0][:, 0].numpy()
    # Short recordings are filled up with silence: it is the code that more than one frame in twenty has, and the one at its edge.
    quiet = [code for frames in (known, known[:, -1:]) for code, n in Counter(frames.ravel().tolist()).most_common(2) if n > frames.size * 0.05]
    silent = lambda codes: np.isin(codes, quiet).mean() > 0.5
    windows = Windows(known)
    print(f"{len(known)} windows, silence is {quiet}")
    best = [windows.longest(clip, silent) for clip in held_out]
    print(f"held out: {sum(b >= SAME for b in best)} of {len(best)} windows share a second, most often {np.median(best):.0f} of {RUN} codes")
    with tempfile.TemporaryDirectory() as folder:
        table = np.array([[windows.longest(clip, silent) for clip in clips] for clips in generated(args, Path(folder))])
    for prompt, row in zip(PROMPTS, table.T):
        print(f"{prompt:<20} {(row >= SAME).sum():3} of {len(row)} share a second; nearest {row.max()} of {RUN}, median {np.median(row):.0f}")
    print(f"{(table >= SAME).sum()} of {table.size}, {100 * (table >= SAME).mean():.1f} %")


if __name__ == "__main__":
    main()
