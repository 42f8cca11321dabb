"""A linear probe over clips' embeddings, YAMNet's usual use, that has a say in sounds that last (late fusion).

Scenes teach the head when a sound is there; what rain, the sea, fire and engines are as a whole, the mean over a clip tells better, and that wind or a
machine is none of these. So the logits of classes that last rise and fall with the probe's: by SHARE of the distance to what it usually says to such a clip, as far as REACH below it.
"""

import numpy
import torch
import torch.nn.functional as F

import network
import scenes

# Classes that last: the probe has a say in them.
LASTING = [scenes.LABELS.index(name) for name in ("rain", "sea_waves", "helicopter", "chainsaw", "fire_crackling")]
SHARE, REACH = 1.2, 5.0
SHIFT = 3.6  # of the logits, for what the probe takes from them: back to where thresholds.py looks for thresholds
FAVOURED = {"rain": 0.5, "fire_crackling": -0.5}  # of the logits: rain was taken for fire more often than fire for rain
USUAL = 0.1  # quantile over clips
PENALTY = 0.03  # of the probe's squared weights
NONE = 0.2  # of the clips' weight that pieces of other sounds have together
STEPS = 5 * scenes.RATE // (8 * scenes.CELL) + 1  # of the last map in a clip
# How the say is laid out among the head's units, for 8 bits: several small ones for each class, within a whole vector.
COPIES, SCALE, UNITS = 3, 0.5, 16


def fit(means, labels, others=None):
    """Multinomial logistic regression from embeddings [clips][1024] to classes, and to none of them for `others` [pieces][1024]: weight
    [classes][1024] and bias [classes]."""
    each, count = torch.ones(len(labels)), len(scenes.CLASSES)
    if others is not None:
        each = torch.cat([each, torch.full((len(others),), NONE * len(labels) / len(others))])
        means, labels, count = torch.cat([means, others]), torch.cat([labels, torch.full((len(others),), count)]), count + 1
    middle, spread = means.mean(0), means.std(0) + 0.1 * means.std()  # what hardly ever moves is not blown up
    standard = (means - middle) / spread
    weight, bias = (torch.zeros(shape, requires_grad=True) for shape in ((count, means.shape[1]), count))
    optimiser = torch.optim.LBFGS([weight, bias], max_iter=300, line_search_fn="strong_wolfe")

    def penalised():
        optimiser.zero_grad()
        lost = (F.cross_entropy(standard @ weight.T + bias, labels, reduction="none") * each).sum() / each.sum()
        lost = lost + PENALTY * weight.square().sum()
        lost.backward()
        return lost

    optimiser.step(penalised)
    weight, bias = weight.detach(), bias.detach()
    return weight / spread, bias - weight @ (middle / spread)


def without(head):
    """The tensors of a head, without the units that `appended` put behind them."""
    width, all_units, found = network.WIDTH, len(head["inputs.0.bias"]), {}
    for name, tensor in head.items():
        tensor = tensor.float()
        if name.startswith("blocks.") and name.endswith("weight"):
            tensor = tensor.view(all_units, 3, all_units)[:width, :, :width].flatten(1)
        elif name == "classes.weight":
            tensor = tensor[:, :width]
        elif name != "classes.bias":
            tensor = tensor[:width]
        found[name] = tensor.clone()
    for label in LASTING:
        found["classes.bias"][label] -= SHIFT - SHARE * REACH + FAVOURED.get(scenes.LABELS[label], 0)
    return found


def pieces(kept):
    """Of scenes that are kept, the means [pieces][1024] of those pieces as long as a clip in which none of the ten classes is or may be."""
    found, length = [], STEPS * 8
    for scene in kept:
        for first in range(0, len(scene["labels"]) - length + 1, length):
            if not scene["labels"][first : first + length, : len(scenes.CLASSES)].any():
                found.append(scene["mean"][first // 8 :][:STEPS].astype(numpy.float32).mean(0))
    return torch.from_numpy(numpy.stack(found)) if found else None


def lasting(clips, fold=None, others=None):
    """Rows [5][1024] and biases [5] over the last map's mean, 0 where the probe is REACH below what it usually reaches in these clips."""
    known = clips["fold"] != fold
    means, labels = torch.from_numpy(clips["mean"][known, :STEPS].astype(numpy.float32)), torch.from_numpy(clips["labels"][known])
    weight, bias = (of[LASTING] for of in fit(means.mean(1), labels.long(), others))
    for i, label in enumerate(LASTING):
        reached = means[labels == label] @ weight[i] + bias[i]
        bias[i] += REACH - reached.amax(1).quantile(USUAL)
    return weight, bias


def appended(tensors, weight, bias):
    """The head's tensors with units that nothing but the last layer reads."""
    tensors = {name: tensor.float() for name, tensor in tensors.items()}
    width = len(tensors["inputs.0.bias"])
    for name, tensor in tensors.items():
        if name.startswith("blocks.") and name.endswith("weight"):
            tensors[name] = F.pad(tensor.view(width, 3, width), (0, UNITS, 0, 0, 0, UNITS)).flatten(1)
        elif name == "classes.weight" or name.endswith("bias") and name != "classes.bias":
            tensors[name] = F.pad(tensor, (0, UNITS))
        elif name != "classes.bias":
            tensors[name] = F.pad(tensor, (0, 0, 0, UNITS))
    units = slice(width, width + COPIES * len(LASTING))
    tensors[f"inputs.{list(network.INPUTS).index('mean')}.weight"][units] = SCALE * weight.repeat_interleave(COPIES, 0)
    tensors["inputs.0.bias"][units] = SCALE * bias.repeat_interleave(COPIES)
    for i, label in enumerate(LASTING):
        tensors["classes.weight"][label, width + i * COPIES :][:COPIES] = SHARE / (SCALE * COPIES)
        tensors["classes.bias"][label] += SHIFT - SHARE * REACH + FAVOURED.get(scenes.LABELS[label], 0)
    return {name: tensor.half().contiguous() for name, tensor in tensors.items()}
