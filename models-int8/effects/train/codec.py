"""Trains the codec: EnCodec's layers with fewer channels (Défossez et al. 2022), 16 kHz, 50 frames of four codes a second.

    python codec.py DATA codec --minutes 34
    python codec.py DATA codec-sharp --minutes 60 --decoder-of codec

The first run teaches everything by spectra alone. The second keeps the encoder and the codes as they are, so that a language
model may learn them meanwhile, and teaches the decoder to pass a critic as well. The outputs are Hugging Face checkpoints that
`ossicle-quantize encodec` reads.
"""

import argparse
import math
import random
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils import parametrize
from transformers import EncodecConfig, EncodecModel

import data as sounds
from muon import Muon

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
HOP = 320
BOOKS, CODES, WIDTH = 4, 1024, 64


def config():
    return EncodecConfig(
        sampling_rate=sounds.RATE, audio_channels=1, normalize=False, num_filters=16, hidden_size=WIDTH, upsampling_ratios=[8, 5, 4, 2],
        num_residual_layers=1, num_lstm_layers=2, codebook_size=CODES, codebook_dim=WIDTH, use_causal_conv=False, pad_mode="constant",
        use_conv_shortcut=False, norm_type="weight_norm", target_bandwidths=[BOOKS * 10 * 50 / 1000],
    )


class Quantizer(nn.Module):
    """A residual vector quantiser whose codes follow the running mean of what they stand for; codes that nothing uses start anew."""

    def __init__(self):
        super().__init__()
        self.register_buffer("books", torch.zeros(BOOKS, CODES, WIDTH))
        self.register_buffer("counts", torch.ones(BOOKS, CODES))
        self.register_buffer("sums", torch.zeros(BOOKS, CODES, WIDTH))
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


class Spectra(nn.Module):
    """Mean difference of log mel spectra at several resolutions, and of their amplitudes."""

    def __init__(self):
        super().__init__()
        self.sizes = [(64, 8), (128, 16), (256, 32), (512, 64), (1024, 80), (2048, 128)]
        for size, bands in self.sizes:
            self.register_buffer(f"mel{size}", filters(size, bands))
            self.register_buffer(f"window{size}", torch.hann_window(size))

    def forward(self, made, real):
        loss = 0.0
        both = torch.cat([made, real])
        for size, _ in self.sizes:
            spectrum = torch.stft(both, size, size // 4, window=getattr(self, f"window{size}"), return_complex=True)
            power = torch.view_as_real(spectrum).pow(2).sum(-1) + 1e-9
            mel = (power.sqrt().transpose(1, 2) @ getattr(self, f"mel{size}")) / size**0.5
            a, b = mel.chunk(2)
            loss = loss + (a.clamp(min=1e-4).log() - b.clamp(min=1e-4).log()).abs().mean() + 0.3 * (a - b).abs().mean() / (b.abs().mean() + 1e-3)
        return loss / len(self.sizes)


class Critic(nn.Module):
    """Tells real spectra from made ones, patch by patch (EnCodec's multi-scale discriminator, narrow)."""

    def __init__(self, width=12):
        super().__init__()
        self.sizes = [1024, 512, 256]
        norm = nn.utils.parametrizations.weight_norm
        conv = lambda i, o, k, s: norm(nn.Conv2d(i, o, k, s, padding=(k[0] // 2, k[1] // 2)))
        self.parts = nn.ModuleList()
        for size in self.sizes:
            self.register_buffer(f"window{size}", torch.hann_window(size))
            self.parts.append(nn.ModuleList([
                conv(2, width, (3, 9), (1, 2)), conv(width, width, (3, 9), (1, 2)), conv(width, width * 2, (3, 9), (1, 2)),
                conv(width * 2, width * 2, (3, 3), (1, 2)), conv(width * 2, 1, (3, 3), (1, 1)),
            ]))

    def forward(self, samples):
        scores, maps = [], []
        for size, part in zip(self.sizes, self.parts):
            spectrum = torch.stft(samples, size, size // 4, window=getattr(self, f"window{size}"), return_complex=True, normalized=True)
            x = torch.view_as_real(spectrum).permute(0, 3, 2, 1)
            for layer in part[:-1]:
                x = F.leaky_relu(layer(x), 0.2)
                maps.append(x)
            scores.append(part[-1](x))
        return scores, maps


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


class Codec(nn.Module):
    def __init__(self):
        super().__init__()
        self.model = EncodecModel(config())
        # Weights are learned as they are; their norms are put apart again when they are saved.
        for layer in self.convolutions():
            parametrize.remove_parametrizations(layer, "weight")
        for layer in self.model.modules():
            if isinstance(layer, nn.LSTM):
                for name, parameter in layer.named_parameters():
                    parameter.gates = 4
        self.quantizer = Quantizer()

    def settle(self, samples):
        """Scales and biases with which each convolution gives unit variance on `samples` (Salimans and Kingma 2016)."""

        def hook(layer, inputs, output):
            mean, spread = output.mean((0, 2)), output.std((0, 2)) + 1e-5
            # Of channels that nearly stand still no more is made than of the others.
            factor = (0.1 if output.shape[1] == 1 else 1.0) / spread.clamp(min=0.1 * spread.mean())
            layer.weight.mul_(factor.view((1, -1, 1) if isinstance(layer, nn.ConvTranspose1d) else (-1, 1, 1)))
            layer.bias.sub_(mean).mul_(factor)
            return (output - mean[:, None]) * factor[:, None]

        with torch.no_grad():
            hooks = [layer.register_forward_hook(hook) for layer in self.convolutions()]
            self.model.decoder(self.rows(samples))
            for h in hooks:
                h.remove()

    def convolutions(self):
        return [m for m in self.model.modules() if isinstance(m, (nn.Conv1d, nn.ConvTranspose1d))]

    def rows(self, samples):
        return self.model.encoder(samples[:, None]).float()

    def forward(self, samples, learn=True):
        rows = self.rows(samples)
        flat = rows.transpose(1, 2).reshape(-1, WIDTH)
        if not self.quantizer.ready:
            return self.model.decoder(rows)[:, 0].float(), None, rows.pow(2).mean() * 0
        value, codes, commitment = self.quantizer(flat, learn)
        value = value.reshape(rows.shape[0], rows.shape[2], WIDTH).transpose(1, 2)
        return self.model.decoder(value)[:, 0].float(), codes.reshape(BOOKS, rows.shape[0], -1), commitment

    def encode(self, samples):
        """[batch, samples]: codes [batch, books, frames]."""
        flat = self.rows(samples).transpose(1, 2)
        _, codes, _ = self.quantizer(flat.reshape(-1, WIDTH), learn=False)
        return codes.reshape(BOOKS, flat.shape[0], -1).transpose(0, 1)

    def decode(self, codes):
        value = sum(self.quantizer.books[k][codes[:, k]] for k in range(BOOKS))
        return self.model.decoder(value.transpose(1, 2))[:, 0].float()

    def save(self, out):
        """In Hugging Face's form."""
        whole = EncodecModel(config())
        own = {name: value.float().cpu() for name, value in self.model.state_dict().items()}
        for name, value in whole.state_dict().items():
            if name.endswith("parametrizations.weight.original0"):
                weight = own[name.replace("parametrizations.weight.original0", "weight")]
                value.copy_(weight.norm(dim=(1, 2), keepdim=True))
            elif name.endswith("parametrizations.weight.original1"):
                value.copy_(own[name.replace("parametrizations.weight.original1", "weight")])
            elif name in own:
                value.copy_(own[name])
        for k, layer in enumerate(whole.quantizer.layers[:BOOKS]):
            layer.codebook.embed.copy_(self.quantizer.books[k].cpu())
            layer.codebook.embed_avg.copy_(self.quantizer.sums[k].cpu())
            layer.codebook.cluster_size.copy_(self.quantizer.counts[k].cpu())
        whole.save_pretrained(out)

    @classmethod
    def load(cls, folder):
        codec, whole = cls(), EncodecModel.from_pretrained(folder).float()
        for layer in whole.modules():
            if isinstance(layer, (nn.Conv1d, nn.ConvTranspose1d)):
                parametrize.remove_parametrizations(layer, "weight")
        codec.model.load_state_dict(whole.state_dict())
        for k, layer in enumerate(whole.quantizer.layers[:BOOKS]):
            codec.quantizer.books[k] = layer.codebook.embed
            codec.quantizer.sums[k] = layer.codebook.embed_avg
            codec.quantizer.counts[k] = layer.codebook.cluster_size
        codec.quantizer.ready = True
        return codec


def check(codec, held_out, spectra):
    """Mean spectral difference on recordings that are held out."""
    codec.eval()
    total = 0.0
    with torch.no_grad():
        for recording in held_out:
            samples = recording["samples"][: 5 * sounds.RATE]
            samples = np.pad(samples, (0, -len(samples) % HOP + HOP * 4))
            samples = torch.tensor(sounds.levelled(samples, 0.5), dtype=torch.float32)[None].to(DEVICE)
            made, _, _ = codec(samples, learn=False)
            total += float(spectra(made[:, : samples.shape[1]], samples))
    codec.train()
    return total / len(held_out)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--decoder-of", type=Path, help="a codec whose decoder learns on, against a critic")
    parser.add_argument("--resume", type=Path, help="a codec that all of learns on")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--workers", type=int, default=10 if DEVICE == "cuda" else 0, help="processes that make batches")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rate", type=float, default=1e-2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0), random.seed(0)
    known, held_out = sounds.open_data(args.data)
    batches = Batches(known, 1.0, args.batch, 0).loader(args.workers)
    start = args.decoder_of or args.resume
    codec, spectra = (Codec.load(start) if start else Codec()).to(DEVICE), Spectra().to(DEVICE)
    if not start:
        codec.settle(next(batches).to(DEVICE))
    print(f"{sum(p.numel() for p in codec.parameters()) / 1e6:.2f} M parameters, {len(known)} recordings, {len(held_out)} held out", flush=True)
    parameters = list(codec.model.decoder.parameters())
    if args.decoder_of is None:
        parameters += list(codec.model.encoder.parameters())
    # Layers next to the samples, of a few values each, are left to Adam.
    large = [p for p in parameters if p.dim() >= 2 and min(p.shape[0], p.numel() // p.shape[0]) >= 8]
    small = [p for p in parameters if not any(p is q for q in large)]
    optimizers = [Muon(large, args.rate), torch.optim.AdamW(small, lr=args.rate * 0.15, betas=(0.8, 0.99), weight_decay=0.0)]
    critic = Critic().to(DEVICE) if args.decoder_of else None
    critic_optimizer = torch.optim.AdamW(critic.parameters(), lr=3e-4, betas=(0.8, 0.99)) if critic else None
    begin, step, seen, mean = time.time(), 0, [], 0.0
    while (passed := (time.time() - begin) / 60) < args.minutes:
        share = passed / args.minutes
        # Up, then level, then down to nothing over the last half.
        rate = args.rate * min(1, (step + 1) / 30) * min(1, (1 - share) / 0.5 + 0.02)
        optimizers[0].param_groups[0]["lr"], optimizers[1].param_groups[0]["lr"] = rate, rate * 0.15
        real = next(batches).to(DEVICE, non_blocking=True)
        if not codec.quantizer.ready:
            # Codes come when there is something to tell apart: rows that differ by loudness alone stay that way.
            if share > 0.2:
                seen.append(codec.rows(real).detach().transpose(1, 2).reshape(-1, WIDTH))
            if len(seen) == 16:
                codec.quantizer.start(torch.cat(seen))
        with torch.autocast(DEVICE, dtype=torch.bfloat16):
            if critic is None:
                made, _, commitment = codec(real)
            else:
                with torch.no_grad():
                    codes = codec.encode(real)
                made, commitment = codec.decode(codes), torch.zeros((), device=DEVICE)
        spectral = spectra(made, real)
        loss = spectral + 0.25 * commitment + 0.2 * (made - real).abs().mean() / (real.abs().mean() + 1e-3)
        against = None
        if critic is not None:
            with torch.autocast(DEVICE, dtype=torch.bfloat16):
                true_scores, _ = critic(real)
                false_scores, _ = critic(made.detach())
            against = sum(F.relu(1 - a.float()).mean() + F.relu(1 + b.float()).mean() for a, b in zip(true_scores, false_scores)) / 3
            critic_optimizer.zero_grad(set_to_none=True)
            against.backward()
            critic_optimizer.step()
            # The critic comes first: what it says of its first steps is worth nothing.
            if step > 40:
                critic.requires_grad_(False)
                with torch.autocast(DEVICE, dtype=torch.bfloat16):
                    scores, maps = critic(made)
                    with torch.no_grad():
                        _, true_maps = critic(real)
                critic.requires_grad_(True)
                fooled = -sum(s.float().mean() for s in scores) / 3
                alike = sum((a.float() - b.float()).abs().mean() / (b.float().abs().mean() + 1e-4) for a, b in zip(maps, true_maps)) / len(maps)
                loss = loss + 0.1 * fooled + 0.5 * alike
        for optimizer in optimizers:
            optimizer.zero_grad(set_to_none=True)
        loss.backward()
        norm = nn.utils.clip_grad_norm_(parameters, 1.0)
        if torch.isfinite(norm):
            for optimizer in optimizers:
                optimizer.step()
        spectral = spectral.detach()
        mean = spectral if step == 0 else mean.lerp(spectral, 0.02)
        step += 1
        if step % 100 == 0:
            note = f"{passed:5.1f} min  step {step}  spectra {mean.item():.3f}  commitment {commitment.item():.4f}  norm {norm.item():.2f}"
            if against is not None:
                note += f"  critic {against.item():.2f}"
            if step % 500 == 0:
                note += f"  held out {check(codec, held_out, spectra):.3f}"
                codec.save(args.out)
            print(note, flush=True)
    print(f"{step} steps, held out {check(codec, held_out, spectra):.3f}")
    codec.save(args.out)


if __name__ == "__main__":
    main()
