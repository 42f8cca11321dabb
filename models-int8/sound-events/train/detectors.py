"""YAMNet's own detectors, from AudioSet, of sounds related to the head's classes: what the head begins with."""

import csv

import yamnet

# Classes of AudioSet whose detectors the head begins with.
RELATED = (
    "Dog", "Bark", "Howl", "Growling", "Rain", "Raindrop", "Rain on surface", "Waves, surf", "Ocean", "Stream", "Water", "Wind", "Baby cry, infant cry",
    "Crying, sobbing", "Tick-tock", "Clock", "Tick", "Sneeze", "Cough", "Helicopter", "Aircraft", "Engine", "Chainsaw", "Power tool", "Lawn mower",
    "Chicken, rooster", "Crowing, cock-a-doodle-doo", "Bird", "Fire", "Crackle", "Speech", "Music", "Silence", "White noise", "Insect",
)  # fmt: skip


def related(folder):
    """Rows [detectors][1024] over the last map's mean, of the YAMNet in a folder with model.onnx and yamnet_class_map.csv."""
    with open(folder / "yamnet_class_map.csv", newline="", encoding="utf-8") as table:
        names = [row["display_name"] for row in csv.DictReader(table)]
    return yamnet.Yamnet(folder / "model.onnx").classifier[[names.index(name) for name in RELATED]]
