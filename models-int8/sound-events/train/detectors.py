"""What YAMNet's own classifier knows of the head's classes from AudioSet: rows to begin with, and a say in sounds that last.

Few clips teach less of rain, the sea, fire and engines than AudioSet did: a head alone takes one for another. So their logits rise and fall with those of
YAMNet's detectors (late fusion): by SHARE of the distance to what these usually say to such a clip, as far as REACH below it.
"""

import csv

import numpy
import torch
import torch.nn.functional as F

import network
import scenes
import yamnet

# Classes of AudioSet whose detectors the head begins with.
RELATED = (
    "Dog", "Bark", "Howl", "Growling", "Rain", "Raindrop", "Rain on surface", "Waves, surf", "Ocean", "Stream", "Water", "Wind", "Baby cry, infant cry",
    "Crying, sobbing", "Tick-tock", "Clock", "Tick", "Sneeze", "Cough", "Helicopter", "Aircraft", "Engine", "Chainsaw", "Power tool", "Lawn mower",
    "Chicken, rooster", "Crowing, cock-a-doodle-doo", "Bird", "Fire", "Crackle", "Speech", "Music", "Silence", "White noise", "Insect",
)  # fmt: skip
# Classes of ours that last, and the detectors that have a say in them by their mean.
LASTING = {
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
        classifier = yamnet.Yamnet(network_file)
        with open(labels_file, newline="", encoding="utf-8") as table:
            self.names = [row["display_name"] for row in csv.DictReader(table)]
        self.weight, self.bias = classifier.classifier, classifier.classifier_bias
        self.classes = [scenes.LABELS.index(name) for name in LASTING]

    def related(self):
        return self.weight[[self.names.index(name) for name in RELATED]]

    def lasting(self, clips, fold=None):
        """Rows [5][1024] and biases [5] over the last map's mean, 0 where a detector is REACH below what it usually reaches in these clips."""
        rows = [[self.names.index(name) for name in names] for names in LASTING.values()]
        weight, bias = (torch.stack([values[row].mean(0) for row in rows]) for values in (self.weight, self.bias))
        steps = 5 * scenes.RATE // (8 * scenes.CELL) + 1
        for i, name in enumerate(LASTING):
            chosen = (clips["labels"] == scenes.CLASSES.index(name)) & (clips["fold"] != fold)
            reached = torch.from_numpy(clips["mean"][chosen, :steps].astype(numpy.float32)) @ weight[i] + bias[i]
            bias[i] += REACH - reached.amax(1).quantile(USUAL)
        return weight, bias

    def appended(self, tensors, weight, bias):
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
        units = slice(width, width + COPIES * len(self.classes))
        tensors[f"inputs.{list(network.INPUTS).index('mean')}.weight"][units] = SCALE * weight.repeat_interleave(COPIES, 0)
        tensors["inputs.0.bias"][units] = SCALE * bias.repeat_interleave(COPIES)
        for i, label in enumerate(self.classes):
            tensors["classes.weight"][label, width + i * COPIES :][:COPIES] = SHARE / (SCALE * COPIES)
            tensors["classes.bias"][label] += SHIFT - SHARE * REACH
        return {name: tensor.half().contiguous() for name, tensor in tensors.items()}
