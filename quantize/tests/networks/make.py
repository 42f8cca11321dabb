"""Makes the networks of these tests: `python make.py` (PyTorch with its ONNX exporters, onnx, onnxscript).

Each learns to name the shape in small noisy images. The images come from `shapes`, which `shapes.rs` repeats pixel by pixel.
"""

import json
import sys
from pathlib import Path

import numpy as np
import onnx
import torch
from torch import nn

SIDE = 32
LABELS = ["disc", "ring", "square", "frame", "plus", "cross", "up", "down", "rows", "columns"]
MEAN, STD = [0.5, 0.45, 0.4], [0.25, 0.27, 0.3]
HERE = Path(__file__).parent


class Random:
    """The linear congruential generator of Numerical Recipes, one for each image."""

    def __init__(self, indices):
        self.state = (np.asarray(indices, np.uint64) * 2654435761 + 12345) & 0xFFFFFFFF
        self.below(1)

    def below(self, n):
        self.state = (self.state * 1664525 + 1013904223) & 0xFFFFFFFF
        return ((self.state >> 16) * np.uint64(n) >> 16).astype(np.int64)


def shapes(indices):
    """Images `[n][32][32][3]` u8 and their classes; image i is always the same."""
    r = Random(indices)
    label = r.below(len(LABELS))
    back = np.stack([r.below(256) for _ in range(3)], -1)
    front = np.stack([r.below(97) + 48 for _ in range(3)], -1)
    front = np.where(back < 128, back + front, back - front)
    cx, cy, radius, noise = 10 + r.below(13), 10 + r.below(13), 6 + r.below(5), 8 + r.below(40)
    images = np.empty((len(label), SIDE, SIDE, 3), np.uint8)
    for y in range(SIDE):
        for x in range(SIDE):
            dx, dy, s = x - cx, y - cy, radius
            ax, ay = abs(dx), abs(dy)
            box, d = np.maximum(ax, ay) <= s, dx * dx + dy * dy
            inside = np.select([label == i for i in range(10)], [
                d <= s * s,
                (d <= s * s) & (4 * d >= s * s),
                box,
                box & (2 * np.maximum(ax, ay) > s),
                box & (np.minimum(ax, ay) * 3 <= s),
                box & (abs(ax - ay) * 3 <= s),
                box & (2 * ax <= dy + s),
                box & (2 * ax <= s - dy),
                box & ((dy + s) // 3 % 2 == 0),
                box & ((dx + s) // 3 % 2 == 0),
            ])
            for c in range(3):
                value = np.where(inside, front[:, c], back[:, c])
                value = value + ((r.below(511) - 255) * noise) // 256
                images[:, y, x, c] = np.clip(value, 0, 255)
    return images, label


class SqueezeExcite(nn.Module):
    def __init__(self, channels, inner):
        super().__init__()
        self.squeeze, self.excite = nn.Conv2d(channels, inner, 1), nn.Conv2d(inner, channels, 1)

    def forward(self, x):
        gate = nn.functional.adaptive_avg_pool2d(x, 1)
        return x * nn.functional.hardsigmoid(self.excite(torch.relu(self.squeeze(gate))))


class Bottleneck(nn.Module):
    """MobileNetV3's block (Howard et al. 2019)."""

    def __init__(self, inputs, inner, outputs, side, stride, excite, act):
        super().__init__()
        layers = [nn.Conv2d(inputs, inner, 1, bias=False), nn.BatchNorm2d(inner), act()]
        layers += [nn.Conv2d(inner, inner, side, stride, side // 2, groups=inner, bias=False), nn.BatchNorm2d(inner), act()]
        layers += [SqueezeExcite(inner, max(8, inner // 4))] if excite else []
        layers += [nn.Conv2d(inner, outputs, 1, bias=False), nn.BatchNorm2d(outputs)]
        self.layers, self.residual = nn.Sequential(*layers), stride == 1 and inputs == outputs

    def forward(self, x):
        return x + self.layers(x) if self.residual else self.layers(x)


def mobilenet():
    re, hs = nn.ReLU, nn.Hardswish
    return nn.Sequential(
        nn.Conv2d(3, 16, 3, 2, 1, bias=False), nn.BatchNorm2d(16), hs(),
        Bottleneck(16, 16, 16, 3, 1, True, re),
        Bottleneck(16, 48, 24, 3, 2, False, re),
        Bottleneck(24, 72, 24, 3, 1, False, nn.ReLU6),
        Bottleneck(24, 72, 40, 5, 2, True, hs),
        Bottleneck(40, 120, 40, 5, 1, True, hs),
        nn.Conv2d(40, 96, 1, bias=False), nn.BatchNorm2d(96), hs(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(96, 64), hs(), nn.Dropout(0.1), nn.Linear(64, 10),
    )


def conv(inputs, outputs, side, stride=1, groups=1, act=True):
    layers = [nn.Conv2d(inputs, outputs, side, stride, side // 2, groups=groups, bias=False), nn.BatchNorm2d(outputs)]
    return nn.Sequential(*layers, *([nn.ReLU()] if act else []))


class Fire(nn.Module):
    """SqueezeNet's module (Iandola et al. 2016): two convolutions of one map, joined."""

    def __init__(self, inputs, squeeze, expand):
        super().__init__()
        self.squeeze, self.one, self.three = conv(inputs, squeeze, 1), conv(squeeze, expand, 1), conv(squeeze, expand, 3)

    def forward(self, x):
        x = self.squeeze(x)
        return torch.cat([self.one(x), self.three(x)], 1)


class Dense(nn.Module):
    """DenseNet's layers (Huang et al. 2017): each reads what all before it made."""

    def __init__(self, inputs, growth, count):
        super().__init__()
        widths = [inputs + growth * i for i in range(count)]
        self.layers = nn.ModuleList([nn.Sequential(nn.BatchNorm2d(w), nn.ReLU(), conv(w, 2 * growth, 1), nn.Conv2d(2 * growth, growth, 3, 1, 1)) for w in widths])

    def forward(self, x):
        maps = [x]
        for layer in self.layers:
            maps.append(layer(torch.cat(maps, 1)))
        return torch.cat(maps, 1)


class Shuffle(nn.Module):
    """ShuffleNetV2's unit (Ma et al. 2018): one half of the channels is worked on, then both are shuffled."""

    def __init__(self, channels):
        super().__init__()
        half = channels // 2
        self.branch = nn.Sequential(conv(half, half, 1), conv(half, half, 3, groups=half, act=False), conv(half, half, 1))

    def forward(self, x):
        left, right = x.chunk(2, 1)
        b, c, h, w = x.shape
        x = torch.cat([left, self.branch(right)], 1)
        return x.view(b, 2, c // 2, h, w).transpose(1, 2).reshape(b, c, h, w)


class Grouped(nn.Module):
    """ResNeXt's block (Xie et al. 2017)."""

    def __init__(self, inputs, inner, outputs, stride, groups):
        super().__init__()
        self.layers = nn.Sequential(conv(inputs, inner, 1), conv(inner, inner, 3, stride, groups), conv(inner, outputs, 1, act=False))
        self.shortcut = nn.Identity() if stride == 1 and inputs == outputs else conv(inputs, outputs, 1, stride, act=False)

    def forward(self, x):
        return torch.relu(self.shortcut(x) + self.layers(x))


def branches():
    return nn.Sequential(
        conv(3, 24, 3, 2), nn.MaxPool2d(3, 2, ceil_mode=True),
        Fire(24, 12, 20), Dense(40, 12, 3), conv(76, 48, 1), Shuffle(48), Shuffle(48),
        Grouped(48, 40, 64, 2, 5), Grouped(64, 64, 64, 1, 4),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10),
    )


class Attention(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.qkv, self.out, self.heads = nn.Linear(width, 3 * width), nn.Linear(width, width), heads

    def forward(self, x):
        b, t, w = x.shape
        q, k, v = self.qkv(x).reshape(b, t, 3, self.heads, w // self.heads).permute(2, 0, 3, 1, 4)
        weights = (q @ k.transpose(-2, -1) * (w // self.heads) ** -0.5).softmax(-1)
        return self.out((weights @ v).transpose(1, 2).reshape(b, t, w))


class SplitAttention(nn.Module):
    """Queries, keys and values by layers of their own."""

    def __init__(self, width, heads):
        super().__init__()
        self.q, self.k, self.v, self.out = (nn.Linear(width, width) for _ in range(4))
        self.heads = heads

    def forward(self, x):
        b, t, w = x.shape
        q, k, v = (layer(x).reshape(b, t, self.heads, -1).transpose(1, 2) for layer in (self.q, self.k, self.v))
        return self.out(nn.functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(b, t, w))


class Block(nn.Module):
    def __init__(self, width, heads, attention, act):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width, eps=1e-6), nn.LayerNorm(width, eps=1e-6)
        self.attention = attention(width, heads)
        self.mlp = nn.Sequential(nn.Linear(width, 2 * width), act(), nn.Linear(2 * width, width))

    def forward(self, x):
        x = x + self.attention(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class Vit(nn.Module):
    """Patches, a class token, positions (Dosovitskiy et al. 2021)."""

    def __init__(self, width=48, heads=3, depth=3):
        super().__init__()
        self.patches = nn.Conv2d(3, width, 4, 4)
        self.token = nn.Parameter(torch.zeros(1, 1, width))
        self.positions = nn.Parameter(torch.randn(1, 65, width) * 0.02)
        self.blocks = nn.Sequential(*[Block(width, heads, Attention, nn.GELU) for _ in range(depth)])
        self.norm, self.head = nn.LayerNorm(width, eps=1e-6), nn.Linear(width, 10)

    def forward(self, x):
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(x.shape[0], -1, -1), x], 1) + self.positions
        return self.head(self.norm(self.blocks(x))[:, 0])


class ConvTransformer(nn.Module):
    """A convolutional stem, the mean of all tokens, SiLU."""

    def __init__(self, width=32, heads=4, depth=2):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 24, 3, 2, 1), nn.GELU(), nn.MaxPool2d(3, 2, 1), nn.Conv2d(24, width, 3, 1, 1))
        self.positions = nn.Parameter(torch.randn(1, 64, width) * 0.02)
        self.blocks = nn.Sequential(*[Block(width, heads, SplitAttention, nn.SiLU) for _ in range(depth)])
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, 10)

    def forward(self, x):
        x = self.stem(x).flatten(2).transpose(1, 2) + self.positions
        return self.head(self.norm(self.blocks(x)).mean(1)).softmax(-1)


class Norm2d(nn.LayerNorm):
    """Layer normalisation over the channels of a map."""

    def forward(self, x):
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class ConvNext(nn.Module):
    """ConvNeXt's block (Liu et al. 2022), with squeeze-and-excitation."""

    def __init__(self, width):
        super().__init__()
        self.filters, self.norm = nn.Conv2d(width, width, 7, padding=3, groups=width), nn.LayerNorm(width)
        self.up, self.down = nn.Linear(width, 3 * width), nn.Linear(3 * width, width)
        self.scale = nn.Parameter(torch.full((width, 1, 1), 0.3))
        self.excite = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(width, 16, 1), nn.ReLU(), nn.Conv2d(16, width, 1), nn.Hardsigmoid())

    def forward(self, x):
        y = self.filters(x).permute(0, 2, 3, 1)
        y = self.down(nn.functional.gelu(self.up(self.norm(y)))).permute(0, 3, 1, 2)
        return x + self.scale * (y * self.excite(y))


def convnext():
    """As today's exporter writes it: means over the last two axes, last first, and a view with strides as a gather."""
    return nn.Sequential(
        nn.Conv2d(3, 32, 4, 2, 1), Norm2d(32), ConvNext(32), ConvNext(32),
        Norm2d(32), nn.Conv2d(32, 48, 2, 2), ConvNext(48), ConvNext(48),
        nn.AdaptiveAvgPool2d(1), Norm2d(48), nn.Flatten(), nn.Linear(48, 10),
    )


def tensor(images):
    x = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255
    return (x - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1)


def strip(path):
    """Takes away where on this machine each node came from."""
    model = onnx.load(path)
    graph = model.graph
    for part in [model, graph, *graph.node, *graph.value_info, *graph.input, *graph.output, *graph.initializer]:
        part.doc_string = ""
        del part.metadata_props[:]
    onnx.save(model, path)


def train(model, steps, rate):
    images, labels = shapes(np.arange(1 << 20, (1 << 20) + 8000))
    x, y = tensor(images), torch.from_numpy(labels)
    optimizer = torch.optim.AdamW(model.parameters(), rate, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, steps)
    model.train()
    for step in range(steps):
        at = torch.randint(len(y), (64,))
        out = model(x[at])
        loss = nn.functional.nll_loss(torch.log(out + 1e-9), y[at]) if isinstance(model, ConvTransformer) else nn.functional.cross_entropy(out, y[at])
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
    model.eval()
    images, labels = shapes(np.arange(1000))
    with torch.no_grad():
        right = (model(tensor(images)).argmax(1).numpy() == labels).mean()
    print(f"{right:.3f} of 1000 images", file=sys.stderr)


def main():
    torch.manual_seed(1)
    torch.set_num_threads(1)
    example = torch.zeros(1, 3, SIDE, SIDE)
    names = {"input_names": ["image"], "output_names": ["scores"]}
    for name, make, steps, rate, options in [
        # PRESERVE keeps batch normalisation as nodes of its own.
        ("mobilenet", mobilenet, 300, 4e-3, {"dynamo": False, "opset_version": 17, "training": torch.onnx.TrainingMode.PRESERVE}),
        ("branches", branches, 300, 4e-3, {"dynamo": False, "opset_version": 17}),
        # 14 has neither LayerNormalization nor Gelu.
        ("vit", Vit, 700, 2e-3, {"dynamo": False, "opset_version": 14, "dynamic_axes": {"image": {0: "batch"}}}),
        ("conv-transformer", ConvTransformer, 500, 2e-3, {"dynamo": True, "opset_version": 20, "external_data": False}),
        ("convnext", convnext, 900, 5e-3, {"dynamo": True, "external_data": False}),
    ]:
        if len(sys.argv) > 1 and name not in sys.argv[1:]:
            continue
        model = make()
        train(model, steps, rate)
        folder = HERE / name
        folder.mkdir(exist_ok=True)
        torch.onnx.export(model, (example,), str(folder / "model.onnx"), **names, **options)
        strip(str(folder / "model.onnx"))
        (folder / "labels.txt").write_text("".join(f"{label}\n" for label in LABELS))
        settings = {"do_resize": True, "size": {"height": SIDE, "width": SIDE}, "resample": 2, "rescale_factor": 1 / 255, "image_mean": MEAN, "image_std": STD}
        (folder / "preprocessor_config.json").write_text(json.dumps(settings, indent=2) + "\n")


if __name__ == "__main__":
    main()
