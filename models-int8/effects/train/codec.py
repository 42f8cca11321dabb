"""Trains the codec: magnitudes to 50 frames of four codes a second and back, 16 kHz.

    python codec.py DATA codec --minutes 42

ConvNeXt blocks (Liu et al. 2022) over short-time spectra and over frames, with a residual vector quantiser between encoder and decoder. Of each
bin the decoder gives two magnitudes, of a tonal part and of noise. Phases are not learned: those of the tonal part go on from frame to frame,
noise is white noise times its magnitude (runtime/frontend/src/spectral). So training needs no waveforms: it draws two magnitudes of each bin as they
would come out and takes the energy distance of both to the true one (Gritsenko et al. 2020), which is least for the true distribution.
The output is a folder that `ossicle-quantize spectral` reads.
"""

import argparse
import json
import math
import random
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import nn

import data as sounds
from muon import Muon

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
SIZE, STEP, HOP = 256, 80, 320
SPECTRA = 2  # of a row of the faster blocks, which are 100 a second
BINS = SIZE // 2 + 1
WIDTH, INNER, LATENT, TAPS = 256, 768, 64, 7
BOOKS, CODES = 4, 1024
ENCODER, DECODER = (3, 2), (4, 4)
FLOOR = 3e-4


class Quantizer(nn.Module):
    """A residual vector quantiser whose codes follow the running mean of what they stand for; codes that nothing uses start anew."""

    def __init__(self):
        super().__init__()
        self.register_buffer("books", torch.zeros(BOOKS, CODES, LATENT))
        self.register_buffer("counts", torch.ones(BOOKS, CODES))
        self.register_buffer("sums", torch.zeros(BOOKS, CODES, LATENT))
        self.ready = False

    @staticmethod
    def nearest(rows, book):
        return (book.pow(2).sum(1) - 2 * rows @ book.T).argmin(1)

    def start(self, rows):
        left = rows
        for k in range(BOOKS):
            book = left[torch.randperm(len(left))[:CODES]].clone()
            for _ in range(12):
                codes = self.nearest(left, book)
                counts = torch.bincount(codes, minlength=CODES)
                sums = torch.zeros_like(book).index_add_(0, codes, left)
                book = torch.where(counts[:, None] > 0, sums / counts.clamp(min=1)[:, None], left[torch.randint(len(left), (CODES,))])
            self.books[k], self.sums[k] = book, book
            left = left - book[self.nearest(left, book)]
        self.ready = True

    def forward(self, rows, learn=True, pace=0.98):
        """`rows` [n, width]: what their codes stand for, the codes, and how far the rows are from it. Always in f32."""
        with torch.autocast(DEVICE, enabled=False):
            return self._forward(rows, learn, pace)

    def _forward(self, rows, learn, pace):
        left, total, codes, commitment = rows, torch.zeros_like(rows), [], 0.0
        # In units of the rows' own variance, so that they gain nothing by shrinking.
        variance = rows.detach().var(0).mean() + 1e-6
        for k in range(BOOKS):
            code = self.nearest(left.detach(), self.books[k])
            value = self.books[k][code]
            commitment = commitment + F.mse_loss(left, value) / variance
            if learn:
                with torch.no_grad():
                    counts = torch.bincount(code, minlength=CODES).float()
                    sums = torch.zeros_like(self.books[k]).index_add_(0, code, left)
                    self.counts[k].mul_(pace).add_(counts, alpha=1 - pace)
                    self.sums[k].mul_(pace).add_(sums, alpha=1 - pace)
                    unused = self.counts[k] < 0.03
                    if unused.any():
                        fresh = left[torch.randint(len(left), (int(unused.sum()),))]
                        self.sums[k][unused], self.counts[k][unused] = fresh * 0.5, 0.5
                    self.books[k] = self.sums[k] / self.counts[k].clamp(min=1e-5)[:, None]
            total, left = total + value, left - value
            codes.append(code)
        return rows + (total - rows).detach(), torch.stack(codes), commitment / BOOKS


def filters(size, bands):
    """Triangles on the mel scale, [bins, bands]."""
    mel = lambda f: 1127 * math.log(1 + f / 700)
    edges = 700 * (np.exp(np.linspace(mel(30), mel(sounds.RATE / 2), bands + 2) / 1127) - 1)
    f = np.linspace(0, sounds.RATE / 2, size // 2 + 1)
    rise = (f[:, None] - edges[:-2]) / (edges[1:-1] - edges[:-2])
    fall = (edges[2:] - f[:, None]) / (edges[2:] - edges[1:-1])
    return torch.tensor(np.maximum(0, np.minimum(rise, fall)), dtype=torch.float32)


class Crops:
    """Pieces of recordings, louder and softer, faster and slower, sometimes two at once or in a room."""

    def __init__(self, found, seconds, seed):
        self.found, self.length, self.rng = found, int(seconds * sounds.RATE), np.random.default_rng(seed)
        # A long recording is drawn more often than a short one, not in proportion.
        weights = np.array([min(max(len(r["samples"]) / sounds.RATE, 0.5), 20.0) ** 0.6 for r in found])
        self.weights = weights / weights.sum()
        self.rooms = sounds.rooms(self.rng, 40)

    def piece(self):
        rng = self.rng
        samples = self.found[rng.choice(len(self.found), p=self.weights)]["samples"]
        if rng.random() < 0.4:
            pace = rng.uniform(0.85, 1.18)
            begin = rng.integers(0, max(len(samples) - int(self.length * pace) - 2, 1))
            part = samples[begin : begin + int(self.length * pace) + 2]
            samples = np.interp(np.arange(int(len(part) / pace)) * pace, np.arange(len(part)), part).astype(np.float32)
        begin = rng.integers(0, max(len(samples) - self.length, 0) + 1)
        piece = samples[begin : begin + self.length]
        if len(piece) < self.length:
            before = rng.integers(0, self.length - len(piece) + 1)
            piece = np.pad(piece, (before, self.length - len(piece) - before))
        if rng.random() < 0.15:
            piece = sounds.in_room(piece, self.rooms[rng.integers(len(self.rooms))])
        peak = np.abs(piece).max()
        return piece * (10 ** rng.uniform(-1.3, -0.05) / (peak + 1e-4)) if peak > 1e-3 else piece

    def batch(self, count):
        pieces = []
        for _ in range(count):
            piece = self.piece()
            if self.rng.random() < 0.2:
                piece = piece + self.piece() * self.rng.uniform(0.1, 0.8)
            pieces.append(np.clip(piece, -1, 1))
        return torch.tensor(np.stack(pieces), dtype=torch.float32)


class Batches(torch.utils.data.IterableDataset):
    """Batches without end, made by as many workers as there are."""

    def __init__(self, found, seconds, count, seed):
        self.found, self.seconds, self.count, self.seed = found, seconds, count, seed

    def __iter__(self):
        worker = torch.utils.data.get_worker_info()
        crops = Crops(self.found, self.seconds, self.seed + (worker.id if worker else 0))
        while True:
            yield crops.batch(self.count)

    def loader(self, workers):
        return iter(torch.utils.data.DataLoader(self, batch_size=None, num_workers=workers, pin_memory=DEVICE == "cuda"))


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.depthwise = nn.Conv1d(WIDTH, WIDTH, TAPS, padding=TAPS // 2, groups=WIDTH)
        self.norm = nn.LayerNorm(WIDTH)
        self.up, self.down = nn.Linear(WIDTH, INNER), nn.Linear(INNER, WIDTH)
        nn.init.normal_(self.up.weight, std=WIDTH**-0.5)
        nn.init.normal_(self.down.weight, std=0.3 * INNER**-0.5)
        nn.init.zeros_(self.up.bias)
        nn.init.zeros_(self.down.bias)

    def forward(self, x):
        return x + self.down(F.gelu(self.up(self.norm(self.depthwise(x.transpose(1, 2)).transpose(1, 2)))))


class Encoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.input, self.merge, self.latent = nn.Linear(SPECTRA * BINS, WIDTH), nn.Linear(2 * WIDTH, WIDTH), nn.Linear(WIDTH, LATENT)
        self.fast, self.slow = (nn.ModuleList(Block() for _ in range(count)) for count in ENCODER)

    def forward(self, magnitudes):
        rows = magnitudes.reshape(magnitudes.shape[0], -1, SPECTRA * BINS)
        x = self.input((rows + FLOOR).log() * 0.4 + 2.0)
        for block in self.fast:
            x = block(x)
        x = self.merge(x.reshape(x.shape[0], x.shape[1] // 2, 2 * WIDTH))
        for block in self.slow:
            x = block(x)
        return self.latent(x).float()


class Decoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.open, self.split, self.head = nn.Linear(LATENT, WIDTH), nn.Linear(WIDTH, 2 * WIDTH), nn.Linear(WIDTH, SPECTRA * 2 * BINS)
        self.slow, self.fast = (nn.ModuleList(Block() for _ in range(count)) for count in DECODER)
        self.norm = nn.LayerNorm(WIDTH)
        nn.init.normal_(self.head.weight, std=0.3 * WIDTH**-0.5)
        with torch.no_grad():
            self.head.bias.view(SPECTRA, 2, BINS)[:] = torch.tensor([-7.0, -5.0])[:, None]

    def forward(self, rows):
        """Logarithms of the tonal part and of noise, [batch, spectra, bins] each."""
        x = self.open(rows)
        for block in self.slow:
            x = block(x)
        x = self.split(x)
        x = x.reshape(x.shape[0], 2 * x.shape[1], WIDTH)
        for block in self.fast:
            x = block(x)
        levels = self.head(self.norm(x)).float().clamp(-12, 2)
        return levels.reshape(x.shape[0], SPECTRA * x.shape[1], 2, BINS).unbind(2)


class Codec(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder, self.decoder, self.quantizer = Encoder(), Decoder(), Quantizer()
        self.register_buffer("window", torch.hann_window(SIZE))

    def spectra(self, samples):
        """[batch, samples]: complex [batch, spectra, bins]; the magnitude of a full-scale sine is 1."""
        padded = F.pad(samples, ((SIZE - STEP) // 2, SIZE))
        spectra = torch.stft(padded, SIZE, STEP, window=self.window, center=False, return_complex=True)
        return spectra[:, :, : samples.shape[1] // STEP].transpose(1, 2) * (2 / self.window.sum())

    def forward(self, magnitudes, learn=True):
        rows = self.encoder(magnitudes)
        if not self.quantizer.ready:
            return self.decoder(rows), rows, rows.pow(2).mean() * 0
        value, _, commitment = self.quantizer(rows.reshape(-1, LATENT), learn)
        return self.decoder(value.reshape(rows.shape)), rows, commitment

    def encode(self, samples):
        """[batch, samples]: codes [batch, books, frames]."""
        rows = self.encoder(self.spectra(samples).abs())
        _, codes, _ = self.quantizer(rows.reshape(-1, LATENT), learn=False)
        return codes.reshape(BOOKS, rows.shape[0], -1).transpose(0, 1)

    def decode(self, codes):
        return self.decoder(sum(self.quantizer.books[k][codes[:, k]] for k in range(BOOKS)))

    def drawn(self, tonal, noise):
        """Magnitudes as they would come out. The phase of the tonal part does not matter: noise has none that it prefers."""
        white = torch.randn(tonal.shape[0], tonal.shape[1] * STEP, device=tonal.device)
        white = self.spectra(white) * (self.window.sum() / 2 / self.window.pow(2).sum().sqrt())
        noise = noise.exp()
        return ((tonal.exp() + noise * white.real).pow(2) + (noise * white.imag).pow(2) + 1e-12).sqrt()

    def save(self, out):
        out.mkdir(parents=True, exist_ok=True)
        tensors = {n: v.half().cpu().contiguous() for n, v in self.state_dict().items() if n.startswith(("encoder.", "decoder."))}
        tensors.update({f"quantizer.{k}.codebook": self.quantizer.books[k].float().cpu().contiguous() for k in range(BOOKS)})
        save_file(tensors, out / "model.safetensors")
        config = {"model_type": "spectral_codec", "sampling_rate": sounds.RATE, "hidden_size": WIDTH, "intermediate_size": INNER,
                  "kernel_size": TAPS, "latent_size": LATENT, "encoder_blocks": ENCODER, "decoder_blocks": DECODER, "codebook_size": CODES,
                  "num_quantizers": BOOKS}
        (out / "config.json").write_text(json.dumps(config, indent=2) + "\n")

    @classmethod
    def load(cls, folder):
        codec, tensors = cls(), load_file(Path(folder) / "model.safetensors")
        for k in range(BOOKS):
            codec.quantizer.books[k] = tensors.pop(f"quantizer.{k}.codebook")
            codec.quantizer.sums[k], codec.quantizer.ready = codec.quantizer.books[k], True
        codec.load_state_dict({name: value.float() for name, value in tensors.items()}, strict=False)
        return codec


class Distance(nn.Module):
    """How far magnitudes are apart: bins by themselves, whole spectra, mel bands, the power of wide bands over 20 ms and of bins over 40 ms."""

    def __init__(self):
        super().__init__()
        self.register_buffer("fine", filters(SIZE, 40))
        self.register_buffer("wide", filters(SIZE, 20))

    def features(self, y):
        bins, mel = (y + FLOOR).log(), (y @ self.fine + 4 * FLOOR).log()
        power = F.avg_pool1d((y.pow(2) @ self.wide).transpose(1, 2), 4, 2).transpose(1, 2)
        longer = F.avg_pool1d(y.pow(2).transpose(1, 2), 8, 4).transpose(1, 2)
        return [(bins, 1.0, False), (bins, 0.7, True), (mel, 1.0, False), (mel, 0.5, True), (0.5 * (power + 1e-6).log(), 1.0, False),
                (0.5 * (longer + 1e-7).log(), 0.7, True)]

    def forward(self, first, second, real):
        """The distance of both to the real one, and that without what the two differ by themselves."""
        attract, repel = 0.0, 0.0
        for (a, weight, whole), (b, _, _), (c, _, _) in zip(self.features(first), self.features(second), self.features(real)):
            length = (lambda d: (d.pow(2).mean(-1) + 1e-6).sqrt().mean()) if whole else (lambda d: d.abs().mean())
            attract = attract + weight * 0.5 * (length(a - c) + length(b - c))
            repel = repel + weight * 0.5 * length(a - b)
        return attract, attract - repel


def check(codec, held_out, distance):
    """Mean distance on recordings that are held out."""
    codec.eval()
    total = 0.0
    with torch.no_grad():
        for recording in held_out:
            samples = recording["samples"][: 5 * sounds.RATE]
            samples = np.pad(samples, (0, -len(samples) % HOP + HOP * 4))
            samples = torch.tensor(sounds.levelled(samples, 0.5), dtype=torch.float32)[None].to(DEVICE)
            real = codec.spectra(samples).abs()
            levels, _, _ = codec(real, learn=False)
            total += float(distance(codec.drawn(*levels), codec.drawn(*levels), real)[1])
    codec.train()
    return total / len(held_out)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--minutes", type=float, default=42)
    parser.add_argument("--resume", type=Path, help="a codec that all of learns on")
    parser.add_argument("--decoder-only", action="store_true", help="keep what --resume has of encoder and codes")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--workers", type=int, default=10 if DEVICE == "cuda" else 1, help="processes that make batches")
    parser.add_argument("--batch", type=int, default=24)
    parser.add_argument("--rate", type=float, default=1e-2)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed), random.seed(args.seed)
    known, held_out = sounds.open_data(args.data)
    batches = Batches(known, 1.0, args.batch, args.seed).loader(args.workers)
    codec, distance = (Codec.load(args.resume) if args.resume else Codec()).to(DEVICE), Distance().to(DEVICE)
    learned = list((codec.decoder if args.decoder_only else codec).parameters())
    print(f"{sum(p.numel() for p in codec.parameters()) / 1e6:.2f} M parameters, {len(known)} recordings, {len(held_out)} held out", flush=True)
    optimizers = [Muon([p for p in learned if p.dim() == 2], args.rate),
                  torch.optim.AdamW([p for p in learned if p.dim() != 2], lr=args.rate * 0.3, betas=(0.9, 0.99), weight_decay=0.0)]
    begin, step, seen, mean = time.time(), 0, [], None
    while (passed := (time.time() - begin) / 60) < args.minutes:
        share = passed / args.minutes
        # Up, then level, then down to nothing over the last half.
        rate = args.rate * min(1, (step + 1) / 30) * min(1, (1 - share) / 0.5 + 0.02)
        optimizers[0].param_groups[0]["lr"], optimizers[1].param_groups[0]["lr"] = rate, rate * 0.3
        with torch.no_grad():
            real = codec.spectra(next(batches).to(DEVICE, non_blocking=True)).abs()
        with torch.autocast(DEVICE, dtype=torch.bfloat16):
            levels, rows, commitment = codec(real, learn=not args.decoder_only)
        if not codec.quantizer.ready:
            # Codes come when there is something to tell apart: rows that differ by loudness alone stay that way.
            if share > 0.1:
                seen.append(rows.detach().reshape(-1, LATENT))
            if len(seen) == 10:
                codec.quantizer.start(torch.cat(seen))
        attract, distances = distance(codec.drawn(*levels), codec.drawn(*levels), real)
        loss = distances + (0.0 if args.decoder_only else 0.25) * commitment
        for optimizer in optimizers:
            optimizer.zero_grad(set_to_none=True)
        loss.backward()
        norm = nn.utils.clip_grad_norm_(learned, 1.0)
        if torch.isfinite(norm):
            for optimizer in optimizers:
                optimizer.step()
        three = torch.stack([attract, distances, commitment]).detach()
        mean = three if mean is None else mean.lerp(three, 0.02)
        step += 1
        if step % 100 == 0:
            note = f"{passed:5.1f} min  step {step}  apart {mean[0]:.3f}  distance {mean[1]:.3f}  commitment {mean[2]:.4f}  norm {norm:.2f}"
            if step % 500 == 0:
                note += f"  held out {check(codec, held_out, distance):.3f}"
                codec.save(args.out)
            print(note, flush=True)
    print(f"{step} steps, held out {check(codec, held_out, distance):.3f}")
    codec.save(args.out)


if __name__ == "__main__":
    main()
