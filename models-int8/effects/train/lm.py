"""Trains the language model over codes: MusicGen's decoder (Copet et al. 2023) over MiniLM's rows, on windows of five seconds.

    python lm.py pool  DATA codec POOL --windows 9000
    python lm.py train POOL MINILM OUT --minutes 60 [--resume OUT]

`pool` mixes windows and writes their codes, others with another --seed; `train` learns from all of them. MINILM is the folder of
all-MiniLM-L6-v2. OUT is a checkpoint in Hugging Face's form that `ossicle-quantize audiogen` reads.
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
from codec import BOOKS, CODES, DEVICE, HOP, Codec
from muon import Muon

SECONDS = 5
FRAMES = SECONDS * sounds.RATE // HOP
WIDTH, LAYERS, HEADS, INNER, TEXT = 384, 6, 6, 1536, 384

# Kinds of sounds that get an even share of the windows next to what recordings there are.
KINDS = {"birds": ("bird",), "wind": ("wind blowing", "wind howling", "howling cold wind", "winter wind"), "train": ("a train", "in a train"),
         "footsteps": ("footsteps",), "doorbell": ("doorbell",)}

# Never mixed with each other, so that such mixtures can be asked for that no window had.
APART = [{"dog_bark", "sea_waves"}, {"baby_cry", "rain"}, {"birds", "fire_crackling"}, {"footsteps", "wind"}, {"clock_tick", "smoke_alarm"},
         {"doorbell", "helicopter"}, {"train", "rooster"}, {"chainsaw", "person_sneeze"}]


class Windows:
    """Windows of five seconds and how they may be described."""

    def __init__(self, found, seed):
        self.rng = np.random.default_rng(seed)
        self.rooms = sounds.rooms(self.rng, 60)
        kinds = {}
        for recording in found:
            kind = recording["class"]
            for name, words in KINDS.items():
                if any(word in recording["names"][0] for word in words) and "chime" not in recording["names"][0]:
                    kind = {"doorbell": "doorbell"}.get(name, name)
            kinds.setdefault(kind or recording["file"], []).append(recording)
        self.names, self.kinds = list(kinds), list(kinds.values())
        # A kind of many recordings comes more often than a lone recording, not in proportion; one of a few as if it had a dozen.
        share = lambda kind: len(kind) if len(kind) < 3 else min(max(len(kind), 12), 40)
        weights = np.array([share(k) ** 0.85 * min(sum(len(r["samples"]) for r in k) / sounds.RATE, 4.0) ** 0.3 for k in self.kinds])
        self.weights = weights / weights.sum()
        self.length = SECONDS * sounds.RATE

    def paced(self, samples):
        if self.rng.random() < 0.5:
            return samples
        pace = self.rng.uniform(0.9, 1.12)
        return np.interp(np.arange(int(len(samples) / pace)) * pace, np.arange(len(samples)), samples).astype(np.float32)

    def sound(self, kind):
        """A window of one kind, at a peak of 1."""
        rng = self.rng
        recording = kind[rng.integers(len(kind))]
        names = list(recording["names"])
        samples = self.paced(recording["samples"])
        window = np.zeros(self.length, dtype=np.float32)
        if len(samples) >= self.length * 0.9:
            begin = rng.integers(0, max(len(samples) - self.length, 0) + 1)
            part = samples[begin : begin + self.length]
            window[: len(part)] = part
        else:
            # Once, or again and again with pauses: the same recording, or another of its kind.
            at = int(rng.uniform(0, 0.3) * sounds.RATE)
            again = rng.random() < (0.75 if len(samples) < 2.5 * sounds.RATE else 0.5)
            while at < self.length:
                part = samples[: self.length - at]
                window[at : at + len(part)] += part
                at += len(samples) + int(rng.uniform(0.05, 1.0) * sounds.RATE)
                if not again:
                    break
                if rng.random() < 0.4:
                    samples = self.paced(kind[rng.integers(len(kind))]["samples"])
        return sounds.levelled(window, 1.0), names

    def window(self):
        rng = self.rng
        which = rng.choice(len(self.kinds), p=self.weights)
        window, names = self.sound(self.kinds[which])
        chance, level = rng.random(), 10 ** rng.uniform(-0.5, -0.05)
        if chance < 0.12:
            window = sounds.in_room(window, self.rooms[rng.integers(len(self.rooms))])
            names = [f"{n}{where}" for n in names for where in rng.choice([" in a room", " in a large room", " indoors", " with reverberation"], 2)]
        elif chance < 0.22:
            # Far away: softer, duller, with more of the room than of itself.
            spectrum = np.fft.rfft(window) / (1 + (np.fft.rfftfreq(len(window), 1 / sounds.RATE) / rng.uniform(1500, 3000)) ** 2)
            window = sounds.in_room(np.fft.irfft(spectrum, len(window)).astype(np.float32), self.rooms[rng.integers(len(self.rooms))])
            level *= 0.35
            names = [f"{n}{where}" for n in names for where in rng.choice([" in the distance", " far away", " from far off"], 2)]
        elif chance < 0.42:
            other = self.rng.choice(len(self.kinds), p=self.weights)
            if other != which and {self.names[which], self.names[other]} not in APART:
                second, more = self.sound(self.kinds[other])
                if rng.random() < 0.5:
                    window = window + second * rng.uniform(0.6, 1.0)
                    names = [f"{a} and {b}" for a in rng.choice(names, 2) for b in rng.choice(more, 2)]
                else:
                    window = window + second * rng.uniform(0.15, 0.35)
                    names = [f"{a} with {b} in the background" for a in rng.choice(names, 2) for b in rng.choice(more, 2)]
        elif chance < 0.47:
            names = [f"the sound of {n}" for n in names]
        return np.clip(sounds.levelled(window, level), -1, 1), [str(n) for n in names]


def minilm(folder):
    from transformers import AutoTokenizer, BertModel

    model = BertModel.from_pretrained(folder, add_pooling_layer=False).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)

    def rows(texts):
        with torch.no_grad():
            inputs = tokenizer(texts, return_tensors="pt", padding=True)
            return [r[:n] for r, n in zip(model(**inputs).last_hidden_state, inputs.attention_mask.sum(1).tolist())]

    return rows


def pool(args):
    torch.set_num_threads(args.threads)
    known, held_out = sounds.open_data(args.data)
    codec = Codec.load(args.codec).eval().to(DEVICE)
    args.pool.mkdir(parents=True, exist_ok=True)
    for name, found, count, seed in (("held_out", held_out, 256, 7), (f"known-{args.seed}", known, args.windows, args.seed)):
        if (args.pool / f"{name}.pt").exists():
            continue
        windows, codes, texts, begin = Windows(found, seed), [], [], time.time()
        while len(codes) * 16 < count:
            batch = [windows.window() for _ in range(16)]
            with torch.no_grad(), torch.autocast(DEVICE, dtype=torch.bfloat16):
                codes.append(codec.encode(torch.tensor(np.stack([w for w, _ in batch])).to(DEVICE)).to("cpu", torch.int16))
            texts += [names for _, names in batch]
            if len(codes) % 40 == 0:
                print(f"{name}: {len(texts)} of {count} windows, {time.time() - begin:.0f} s", flush=True)
        draft = args.pool / f"{name}.{args.seed}.draft"
        torch.save((torch.cat(codes), texts), draft)
        draft.rename(args.pool / f"{name}.pt")


class Layer(nn.Module):
    def __init__(self):
        super().__init__()
        linear = lambda i, o: nn.Linear(i, o, bias=False)
        self.self_norm, self.cross_norm, self.forward_norm = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.q, self.k, self.v, self.out = (linear(WIDTH, WIDTH) for _ in range(4))
        self.cross_q, self.cross_k, self.cross_v, self.cross_out = (linear(WIDTH, WIDTH) for _ in range(4))
        self.up, self.down = linear(WIDTH, INNER), linear(INNER, WIDTH)

    def forward(self, x, text, mask, drop):
        heads = lambda t: t.view(t.shape[0], -1, HEADS, WIDTH // HEADS).transpose(1, 2)
        flat = lambda t: t.transpose(1, 2).reshape(x.shape)
        h = self.self_norm(x)
        x = x + F.dropout(self.out(flat(F.scaled_dot_product_attention(heads(self.q(h)), heads(self.k(h)), heads(self.v(h)), is_causal=True))), drop)
        h = self.cross_norm(x)
        # A row without a description has a mask of nothing but its first row, which is zeros.
        seen = F.scaled_dot_product_attention(heads(self.cross_q(h)), heads(self.cross_k(text)), heads(self.cross_v(text)), attn_mask=mask)
        x = x + F.dropout(self.cross_out(flat(seen)), drop)
        return x + F.dropout(self.down(F.gelu(self.up(self.forward_norm(x)))), drop)


class LanguageModel(nn.Module):
    def __init__(self):
        super().__init__()
        self.text = nn.Linear(TEXT, WIDTH)
        self.embeddings = nn.ModuleList(nn.Embedding(CODES + 1, WIDTH) for _ in range(BOOKS))
        self.layers = nn.ModuleList(Layer() for _ in range(LAYERS))
        self.norm = nn.LayerNorm(WIDTH)
        self.heads = nn.ModuleList(nn.Linear(WIDTH, CODES, bias=False) for _ in range(BOOKS))
        half = WIDTH // 2
        phases = torch.arange(2048)[:, None] * torch.exp(torch.arange(half) * -(math.log(10_000) / (half - 1)))
        self.register_buffer("positions", torch.cat([phases.cos(), phases.sin()], 1))
        for name, parameter in self.named_parameters():
            if parameter.dim() == 2:
                nn.init.normal_(parameter, std=0.02 if "embed" in name or "heads" in name else parameter.shape[1] ** -0.5 * 0.7)
            if name.endswith(("out.weight", "down.weight")):
                parameter.data.mul_((2 * LAYERS) ** -0.5)

    def forward(self, sequence, text, lengths, dropped, drop=0.0):
        """`sequence` [batch, books, steps], `text` [batch, rows, width]: logits [batch, books, steps, codes]."""
        x = sum(e(sequence[:, k]) for k, e in enumerate(self.embeddings)) + self.positions[: sequence.shape[2]]
        x = F.dropout(x, drop)
        rows = torch.arange(text.shape[1], device=text.device)
        text = self.text(text) * ((rows < lengths[:, None]) & ~dropped[:, None])[..., None]
        mask = ((rows < lengths[:, None]) | dropped[:, None] & (rows == 0))[:, None, None, :]
        for layer in self.layers:
            x = layer(x, text, mask, drop)
        x = self.norm(x)
        return torch.stack([head(x) for head in self.heads], 1)

    def save(self, out):
        out.mkdir(parents=True, exist_ok=True)
        names = {"self_norm": "self_attn_layer_norm", "cross_norm": "encoder_attn_layer_norm", "forward_norm": "final_layer_norm", "up": "fc1",
                 "down": "fc2", "q": "self_attn.q_proj", "k": "self_attn.k_proj", "v": "self_attn.v_proj", "out": "self_attn.out_proj",
                 "cross_q": "encoder_attn.q_proj", "cross_k": "encoder_attn.k_proj", "cross_v": "encoder_attn.v_proj",
                 "cross_out": "encoder_attn.out_proj"}
        tensors = {}
        for name, value in self.state_dict().items():
            parts = name.split(".")
            if parts[0] == "text":
                name = f"enc_to_dec_proj.{parts[1]}"
            elif parts[0] == "embeddings":
                name = f"decoder.model.decoder.embed_tokens.{parts[1]}.weight"
            elif parts[0] == "heads":
                name = f"decoder.lm_heads.{parts[1]}.weight"
            elif parts[0] == "norm":
                name = f"decoder.model.decoder.layer_norm.{parts[1]}"
            elif parts[0] == "layers":
                name = f"decoder.model.decoder.layers.{parts[1]}.{names[parts[2]]}.{parts[3]}"
            else:
                continue
            tensors[name] = value.half().cpu().contiguous()
        save_file(tensors, out / "model.safetensors")
        decoder = {"vocab_size": CODES, "num_hidden_layers": LAYERS, "ffn_dim": INNER, "num_attention_heads": HEADS, "hidden_size": WIDTH,
                   "num_codebooks": BOOKS, "max_position_embeddings": 2048, "activation_function": "gelu", "scale_embedding": False,
                   "audio_channels": 1}
        (out / "config.json").write_text(json.dumps({"model_type": "musicgen", "decoder": decoder}, indent=2) + "\n")
        generation = {"max_length": FRAMES, "guidance_scale": 3.0, "do_sample": True}
        (out / "generation_config.json").write_text(json.dumps(generation, indent=2) + "\n")

    def load(self, folder):
        own = self.state_dict()
        tensors = load_file(folder / "model.safetensors")
        names = {"self_attn_layer_norm": "self_norm", "encoder_attn_layer_norm": "cross_norm", "final_layer_norm": "forward_norm", "fc1": "up",
                 "fc2": "down", "self_attn.q_proj": "q", "self_attn.k_proj": "k", "self_attn.v_proj": "v", "self_attn.out_proj": "out",
                 "encoder_attn.q_proj": "cross_q", "encoder_attn.k_proj": "cross_k", "encoder_attn.v_proj": "cross_v",
                 "encoder_attn.out_proj": "cross_out"}
        for name, value in tensors.items():
            name = name.replace("enc_to_dec_proj", "text").replace("decoder.model.decoder.", "").replace("decoder.lm_heads", "heads")
            if not name.startswith("layers"):
                name = name.replace("embed_tokens", "embeddings").replace("layer_norm.", "norm.")
            else:
                head, index, *middle, last = name.split(".")
                name = f"{head}.{index}.{names['.'.join(middle)]}.{last}"
            own[name].copy_(value)


def delayed(codes):
    """Codes [batch, books, frames] as the model sees them: book k comes k steps late, after a step of special codes."""
    batch, _, frames = codes.shape
    sequence = torch.full((batch, BOOKS, frames + BOOKS), CODES, device=codes.device)
    for k in range(BOOKS):
        sequence[:, k, 1 + k : 1 + k + frames] = codes[:, k]
    return sequence


def loss_of(model, codes, text, dropped, drop):
    lengths = torch.tensor([len(t) for t in text]).to(DEVICE)
    rows = nn.utils.rnn.pad_sequence(text, batch_first=True).to(DEVICE)
    sequence, dropped = delayed(codes.to(DEVICE)), dropped.to(DEVICE)
    with torch.autocast(DEVICE, dtype=torch.bfloat16):
        logits = model(sequence[:, :, :-1], rows, lengths, dropped, drop)
    targets = sequence[:, :, 1:]
    each = F.cross_entropy(logits.float().flatten(0, 2), targets.flatten(), ignore_index=CODES, reduction="none").view(targets.shape)
    return each.sum((0, 2)) / (targets != CODES).sum((0, 2)).clamp(min=1)


def train(args):
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed), random.seed(args.seed)
    pools = [torch.load(path) for path in sorted(args.pool.glob("known-*.pt"))]
    codes, texts = torch.cat([c for c, _ in pools]), [names for _, t in pools for names in t]
    held_codes, held_texts = torch.load(args.pool / "held_out.pt")
    rows, have = minilm(args.minilm), {}
    every = sorted({t for names in texts + held_texts for t in names})
    for begin in range(0, len(every), 256):
        have.update({t: r.clone() for t, r in zip(every[begin : begin + 256], rows(every[begin : begin + 256]))})
    model = LanguageModel()
    if args.resume:
        model.load(args.resume)
    model.to(DEVICE)
    matrices = [p for n, p in model.named_parameters() if n.startswith("layers") and p.dim() == 2]
    others = [p for n, p in model.named_parameters() if not (n.startswith("layers") and p.dim() == 2)]
    muon, adam = Muon(matrices, args.rate, decay=0.02, momentum=0.95), torch.optim.AdamW(others, lr=args.rate * 0.5, betas=(0.9, 0.98), weight_decay=0.01)
    mean_model = LanguageModel().to(DEVICE)
    mean_model.load_state_dict(model.state_dict())
    print(f"{sum(p.numel() for p in model.parameters()) / 1e6:.1f} M parameters, {len(texts)} windows, {len(every)} descriptions", flush=True)
    begin, step, mean, order = time.time(), 0, None, []
    while (passed := (time.time() - begin) / 60) < args.minutes:
        share = passed / args.minutes
        # Up, then level, then down to nothing over the last 45 %.
        scale = min(1, (step + 1) / 60) * min(1, (1 - share) / 0.45 + 0.02)
        muon.param_groups[0]["lr"], adam.param_groups[0]["lr"] = args.rate * scale, args.rate * 0.5 * scale
        if len(order) < args.batch:
            order = torch.randperm(len(texts)).tolist()
        picked, order = order[: args.batch], order[args.batch :]
        each = loss_of(model, codes[picked].long(), [have[random.choice(texts[i])] for i in picked], torch.rand(len(picked)) < 0.1, args.drop)
        loss = (each * torch.tensor([1.0, 0.8, 0.7, 0.6], device=DEVICE)).sum() / 3.1
        muon.zero_grad(set_to_none=True), adam.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(others, 1.0)
        muon.step(), adam.step()
        step += 1
        pace = min(0.995, 1 - 1 / (step / 3 + 1))
        with torch.no_grad():
            for a, b in zip(mean_model.parameters(), model.parameters()):
                a.lerp_(b, 1 - pace)
        mean = each.detach() if mean is None else mean.lerp(each.detach(), 0.05)
        if step % 20 == 0:
            note = f"{passed:5.1f} min  step {step}  loss " + " ".join(f"{x:.3f}" for x in mean.tolist())
            if step % 200 == 0:
                note += "  held out " + " ".join(f"{x:.3f}" for x in held_out(mean_model, held_codes, held_texts, have).tolist())
                mean_model.save(args.out)
            print(note, flush=True)
    print(f"{step} steps, held out " + " ".join(f"{x:.3f}" for x in held_out(mean_model, held_codes, held_texts, have).tolist()))
    mean_model.save(args.out)


def held_out(model, codes, texts, have):
    with torch.no_grad():
        parts = [loss_of(model, codes[i : i + 32].long(), [have[t[0]] for t in texts[i : i + 32]], torch.zeros(len(texts[i : i + 32]), dtype=torch.bool), 0.0)
                 for i in range(0, min(len(texts), 128), 32)]
    return torch.stack(parts).mean(0)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    p = commands.add_parser("pool")
    for name in ("data", "codec", "pool"):
        p.add_argument(name, type=Path)
    p.add_argument("--windows", type=int, default=9000)
    p.add_argument("--seed", type=int, default=3)
    p.add_argument("--threads", type=int, default=1)
    p.set_defaults(run=pool)
    t = commands.add_parser("train")
    for name in ("pool", "minilm", "out"):
        t.add_argument(name, type=Path)
    t.add_argument("--minutes", type=float, default=60)
    t.add_argument("--threads", type=int, default=2)
    t.add_argument("--batch", type=int, default=24)
    t.add_argument("--rate", type=float, default=5e-3)
    t.add_argument("--drop", type=float, default=0.1)
    t.add_argument("--seed", type=int, default=0)
    t.add_argument("--resume", type=Path)
    t.set_defaults(run=train)
    args = parser.parse_args()
    args.run(args)


if __name__ == "__main__":
    main()
