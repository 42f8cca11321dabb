"""The head: from the encoder's rows to a score for each class every 40 ms, as `runtime/models/src/whisper_events/mod.rs` describes it."""

import pathlib
import sys

import torch
import torch.nn.functional as F
from torch import nn

sys.path.append(str(pathlib.Path(__file__).resolve().parents[2] / "sound-events" / "train"))

DILATIONS = (1, 2, 4, 8, 4)
WIDTH = 128
ROWS = 2  # of 20 ms, to a cell


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
        return F.relu(x + self.dropout(normed(self.norm, self.linear(torch.cat(taps, 2)))))


def normed(layer, x):
    return layer(x.flatten(0, 1)).view_as(x)


class Head(nn.Module):
    """[batch][2 * cells][384] to logits [batch][cells][classes]. Rows of zeros follow the recording."""

    def __init__(self, depth, classes, dropout=0.1, noise=0.3):
        super().__init__()
        self.noise = noise
        self.register_buffer("mean", torch.zeros(depth))
        self.register_buffer("scale", torch.ones(depth))
        self.projection = nn.Linear(ROWS * depth, WIDTH, bias=False)
        self.norm = nn.BatchNorm1d(WIDTH)
        self.blocks = nn.ModuleList(Block(WIDTH, dilation, dropout) for dilation in DILATIONS)
        self.classes = nn.Linear(WIDTH, classes)

    def forward(self, rows):
        cells = rows.shape[1] // ROWS
        rows = F.pad(rows, (0, 0, 0, ROWS * sum(DILATIONS)))
        x = F.dropout((rows - self.mean) * self.scale, self.noise, self.training).unflatten(1, (-1, ROWS)).flatten(2)
        x = F.relu(normed(self.norm, self.projection(x)))
        for block in self.blocks:
            x = block(x)
        return self.classes(x[:, :cells])
