"""The head: from YAMNet's maps to a score for each class every 40 ms, as `runtime/models/src/yamnet/head.rs` describes it."""

import torch
import torch.nn.functional as F
from torch import nn

# What it reads, and how many cells of 40 ms a row of it stands for: as `yamnet.Yamnet.maps` has it.
INPUTS = {"early": (512, 1), "middle": (1024, 2), "late": (2048, 4), "mean": (1024, 8)}
DILATIONS = (1, 2, 4, 8, 4)
WIDTH = 128


def norm(layer, x):
    return layer(x.flatten(0, 1)).view_as(x)


class Block(nn.Module):
    """x(t) becomes relu(x(t) + W [x(t - d), x(t), x(t + d)] + b), zeros before the first cell."""

    def __init__(self, width, dilation, dropout):
        super().__init__()
        self.dilation = dilation
        self.linear = nn.Linear(3 * width, width, bias=False)
        self.norm = nn.BatchNorm1d(width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x):
        cells, padded = x.shape[1], F.pad(x, (0, 0, self.dilation, self.dilation))
        taps = [padded[:, tap * self.dilation :][:, :cells] for tap in range(3)]
        return F.relu(x + self.dropout(norm(self.norm, self.linear(torch.cat(taps, 2)))))


class Noise:
    """Dropout whose masks are pieces of one long mask: drawing millions of values for each step would take longer than the rest of it."""

    def __init__(self, share, size=1 << 25):
        self.mask = F.dropout(torch.ones(size), share).bfloat16() if share else None

    def __call__(self, x):
        if self.mask is None:
            return x
        at = int(torch.randint(len(self.mask) - x.numel(), ()))
        return x * self.mask[at : at + x.numel()].view_as(x)


class Head(nn.Module):
    """[batch][rows][values] of each input, standardised and in bf16, to logits [batch][cells][classes]."""

    def __init__(self, classes, width=WIDTH, dilations=DILATIONS, dropout=0.3, noise=0.3, units=0.3):
        super().__init__()
        self.noise, self.units, self.fixed = Noise(noise), units, False
        self.projections = nn.ModuleDict({name: nn.Linear(size, width, bias=False) for name, (size, _) in INPUTS.items()})
        for name, (size, _) in INPUTS.items():
            self.register_buffer(f"{name}_mean", torch.zeros(size))
            self.register_buffer(f"{name}_scale", torch.ones(size))
        self.norm = nn.BatchNorm1d(width)
        self.blocks = nn.ModuleList(Block(width, dilation, dropout) for dilation in dilations)
        self.classes = nn.Linear(width, classes)

    @torch.no_grad()
    def begin_with(self, detectors):
        """The first units begin as these rows [detectors][1024] over the mean alone, what YAMNet's own classifier has for related classes."""
        for name, layer in self.projections.items():
            layer.weight[: len(detectors)] = detectors / self.mean_scale if name == "mean" else 0.0

    @torch.no_grad()
    def go_on_from(self, tensors):
        """Begins as a trained head whose tensors are folded; what was normalised in its training stays as it was then."""
        bias = tensors["inputs.0.bias"].clone()
        for i, (name, layer) in enumerate(self.projections.items()):
            layer.weight.copy_(tensors[f"inputs.{i}.weight"] / getattr(self, f"{name}_scale"))
            bias += tensors[f"inputs.{i}.weight"] @ getattr(self, f"{name}_mean")
        shifts = [(self.norm, bias)]
        for i, block in enumerate(self.blocks):
            block.linear.weight.copy_(tensors[f"blocks.{i}.weight"])
            shifts.append((block.norm, tensors[f"blocks.{i}.bias"]))
        for norm, shift in shifts:
            norm.running_var.fill_(1 - norm.eps)
            norm.bias.copy_(shift)
        self.classes.weight.copy_(tensors["classes.weight"])
        self.classes.bias.copy_(tensors["classes.bias"])
        self.fixed = True

    def train(self, mode=True):
        super().train(mode)
        if mode and self.fixed:
            for layer in self.modules():
                if isinstance(layer, nn.BatchNorm1d):
                    layer.eval()
        return self

    def without_some(self, rows):
        """Some values are missing here and there, and some units for a whole scene, so that a class does not rest on few of them."""
        units = F.dropout(torch.ones(len(rows), 1, rows.shape[2]), self.units)
        return self.noise(rows) * units.to(rows.dtype)

    def forward(self, maps):
        x = 0
        for name, (_, cells) in INPUTS.items():
            rows = self.without_some(maps[name]) if self.training else maps[name]
            x = x + self.projections[name](rows).repeat_interleave(cells, 1)
        x = F.relu(norm(self.norm, x))
        for block in self.blocks:
            x = block(x)
        return self.classes(x)


class Shipped:
    """The head as the runtime has it, in f32: from its folded tensors."""

    def __init__(self, tensors, dilations=DILATIONS):
        self.tensors, self.dilations = {name: tensor.float() for name, tensor in tensors.items()}, dilations

    @torch.no_grad()
    def __call__(self, maps):
        """Of one recording's maps, in the order of INPUTS, logits [cells][classes]."""
        x = self.tensors["inputs.0.bias"]
        for i, (rows, (_, cells)) in enumerate(zip(maps, INPUTS.values())):
            x = x + (rows @ self.tensors[f"inputs.{i}.weight"].T).repeat_interleave(cells, 0)
        x = F.relu(x)
        for i, d in enumerate(self.dilations):
            padded = F.pad(x, (0, 0, d, d))
            taps = torch.cat([padded[tap * d :][: len(x)] for tap in range(3)], 1)
            x = F.relu(x + taps @ self.tensors[f"blocks.{i}.weight"].T + self.tensors[f"blocks.{i}.bias"])
        return x @ self.tensors["classes.weight"].T + self.tensors["classes.bias"]
