"""YAMNet's log-mel features, and of its maps what the head reads, as `runtime/models/src/yamnet` computes them.

A patch of 96 frames every 32; of its early maps the middle third is kept, so that the patches' middles join without a gap.
"""

import numpy
import onnx
import torch
import torch.nn.functional as F

FRAME, HOP, BINS = 400, 160, 64
PATCH, STEP = 96, 32  # frames of 10 ms in a patch, and from one patch to the next
LEAD = 5440  # samples of silence in front of a recording: its first cell of 40 ms lies where the middle third of the first patch begins
# The layers whose maps the head reads beside the last one's mean.
EARLY, MIDDLE, LATE = 2, 4, 10


def htk(hz):
    return 1127.0 * numpy.log1p(hz / 700.0)


def filters():
    edges = htk(125.0) + (htk(7500.0) - htk(125.0)) * numpy.arange(BINS + 2)[:, None] / (BINS + 1)
    bins = htk(numpy.linspace(0, 8000, 257))
    up, down = (bins - edges[:-2]) / (edges[1:-1] - edges[:-2]), (edges[2:] - bins) / (edges[2:] - edges[1:-1])
    return numpy.maximum(0, numpy.minimum(up, down)).astype(numpy.float32)


FILTERS = filters().T
WINDOW = (0.5 - 0.5 * numpy.cos(2 * numpy.pi * numpy.arange(FRAME) / FRAME)).astype(numpy.float32)


def log_mel(samples):
    """[frames][64] of every whole frame."""
    frames = numpy.lib.stride_tricks.sliding_window_view(samples.astype(numpy.float32), FRAME)[::HOP]
    power = torch.fft.rfft(torch.from_numpy(frames * WINDOW), 512).abs()
    return torch.log(power @ torch.from_numpy(FILTERS) + 0.001).numpy()


class Yamnet:
    """The float network of an ONNX file, its simulated rounding passed over."""

    def __init__(self, path):
        model = onnx.load(path)
        weights = {t.name: onnx.numpy_helper.to_array(t) for t in model.graph.initializer}
        self.classifier, self.classifier_bias = (torch.tensor(weights[f"model.classifier.{name}"].copy()) for name in ("weight", "bias"))
        self.convolutions = []
        for node in model.graph.node:
            if node.op_type == "Conv":
                weight, bias = (torch.tensor(weights[name.replace("_qdq", "")].copy()) for name in node.input[1:3])
                stride = next(a.ints[0] for a in node.attribute if a.name == "strides")
                self.convolutions.append((weight, bias, stride))

    @torch.no_grad()
    def maps(self, mel):
        """Of each patch of frames [n][64] what the head reads: early [patches][8][4][128], middle [patches][4][4][256], late [patches][2][4][512], all by
        time and (joined) bands, and the last map's mean [patches][1024]."""
        patches = numpy.lib.stride_tricks.sliding_window_view(mel, PATCH, axis=0)[::STEP].transpose(0, 2, 1)
        return [torch.cat(maps) for maps in zip(*(self.patches(batch) for batch in torch.from_numpy(patches.copy())[:, None].split(8)))]

    def patches(self, x):
        found = []
        for i, (weight, bias, stride) in enumerate(self.convolutions):
            if weight.shape[2] == 3:
                x = F.pad(x, (1, 1, 1, 1) if stride == 1 else (0, 1, 0, 1))
            x = F.relu_(F.conv2d(x, weight, bias, stride, groups=x.shape[1] if weight.shape[1] == 1 else 1))
            if i in (2 * EARLY + 2, 2 * MIDDLE + 2, 2 * LATE + 2):
                rows = x.shape[2] // 3
                third = x[:, :, rows : 2 * rows].permute(0, 2, 3, 1)
                found.append(third.unflatten(2, (4, -1)).mean(3))
        return *found, x.mean((2, 3))
