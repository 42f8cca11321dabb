"""What YAMNet's own classifier knows of the head's classes from AudioSet: rows to begin with, and a say in sounds that go on.

Few clips teach less of rain, the sea, fire and engines than AudioSet did: a head alone takes one for another. So their logits rise and fall with those of
YAMNet's detectors (late fusion): by SHARE of the distance to what these usually say to such a clip, as far as REACH below it.
"""

import csv

import numpy
import torch

import scenes
import yamnet

# Classes of AudioSet whose detectors the head begins with.
RELATED = (
    "Dog", "Bark", "Howl", "Growling", "Rain", "Raindrop", "Rain on surface", "Waves, surf", "Ocean", "Stream", "Water", "Wind", "Baby cry, infant cry",
    "Crying, sobbing", "Tick-tock", "Clock", "Tick", "Sneeze", "Cough", "Helicopter", "Aircraft", "Engine", "Chainsaw", "Power tool", "Lawn mower",
    "Chicken, rooster", "Crowing, cock-a-doodle-doo", "Bird", "Fire", "Crackle", "Speech", "Music", "Silence", "White noise", "Insect",
)  # fmt: skip
# Classes of ours that go on, and the detectors that have a say in them by their mean.
GOING_ON = {
    "rain": ("Rain", "Raindrop", "Rain on surface"),
    "sea_waves": ("Waves, surf", "Ocean"),
    "helicopter": ("Helicopter", "Aircraft", "Aircraft engine"),
    "chainsaw": ("Chainsaw", "Power tool", "Lawn mower", "Light engine (high frequency)"),
    "fire_crackling": ("Fire", "Crackle"),
}
SHARE, REACH = 0.4, 8.0
SHIFT = 0.8  # so that scores stay about where they were
USUAL = 0.25  # quantile over clips
# How the say is laid out among the head's units, for 8 bits: several small ones for each class, within a whole vector.
COPIES, SCALE, UNITS = 3, 0.5, 16


class Detectors:
    def __init__(self, network_file, labels_file):
        network = yamnet.Yamnet(network_file)
        with open(labels_file, newline="", encoding="utf-8") as table:
            self.names = [row["display_name"] for row in csv.DictReader(table)]
        self.weight, self.bias = network.classifier, network.classifier_bias
        self.classes = [scenes.LABELS.index(name) for name in GOING_ON]

    def related(self):
        return self.weight[[self.names.index(name) for name in RELATED]]

    def going_on(self, clips, fold=None):
        """Rows [5][1024] and biases [5] over the last map's mean, 0 where a detector is REACH below what it usually reaches in these clips."""
        rows = [[self.names.index(name) for name in names] for names in GOING_ON.values()]
        weight, bias = (torch.stack([values[row].mean(0) for row in rows]) for values in (self.weight, self.bias))
        steps = 5 * scenes.RATE // (8 * scenes.CELL) + 1
        for i, name in enumerate(GOING_ON):
            chosen = (clips["labels"] == scenes.CLASSES.index(name)) & (clips["fold"] != fold)
            reached = torch.from_numpy(clips["mean"][chosen, :steps].astype(numpy.float32)) @ weight[i] + bias[i]
            bias[i] += REACH - reached.amax(1).quantile(USUAL)
        return weight, bias

    def say(self, mean, weight, bias):
        """What is added to the logits of cells of 40 ms [..][steps * 8][labels], from the last map's means [..][steps][1024]."""
        found = torch.zeros(*mean.shape[:-1], len(scenes.LABELS))
        found[..., self.classes] = SHIFT + SHARE * (torch.relu(mean @ weight.T + bias) - REACH)
        return found.repeat_interleave(8, -2)

    def appended(self, tensors, weight, bias, mean_input):
        """The head's tensors with units that nothing but the last layer reads."""
        weight, bias = ((SCALE * values).repeat_interleave(COPIES, 0) for values in (weight, bias))
        extra = {name: tensor.float() for name, tensor in tensors.items()}
        for name, tensor in extra.items():
            kind, _, part = name.partition(".")
            if kind == "inputs" and part.endswith("weight"):
                rows = torch.zeros(UNITS, tensor.shape[1])
                if part == f"{mean_input}.weight":
                    rows[: len(weight)] = weight
                extra[name] = torch.cat([tensor, rows])
            elif name == "inputs.0.bias" or kind == "blocks" and part.endswith("bias"):
                more = torch.zeros(UNITS)
                if kind == "inputs":
                    more[: len(bias)] = bias
                extra[name] = torch.cat([tensor, more])
            elif kind == "blocks":
                width = len(tensor)
                taps = torch.nn.functional.pad(tensor.view(width, 3, width), (0, UNITS, 0, 0, 0, UNITS))
                extra[name] = taps.flatten(1)
            elif name == "classes.weight":
                more = torch.zeros(len(tensor), UNITS)
                for i, label in enumerate(self.classes):
                    more[label, i * COPIES : (i + 1) * COPIES] = SHARE / (SCALE * COPIES)
                extra[name] = torch.cat([tensor, more], 1)
            else:
                extra[name] = tensor.clone()
                extra[name][self.classes] += SHIFT - SHARE * REACH
        return {name: tensor.half().contiguous() for name, tensor in extra.items()}
