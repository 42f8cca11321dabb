#!/usr/bin/env python3
"""torchvision's networks with random weights as ONNX, with what ossicle-quantize wants beside them: export_networks.py OUT [NAME...]

OUT/NAME has model.onnx (224 x 224, opset 17), labels.txt and preprocessor_config.json; OUT/images has six pictures to calibrate with. Needs torch,
torchvision and onnx. Batch normalisation takes its statistics from the pictures: without them activations vanish or overflow.
"""

import json
import pathlib
import sys

import numpy
import torch
import torchvision
from PIL import Image

NAMES = (
    "mobilenet_v3_small", "mobilenet_v2", "resnet18", "resnet50", "efficientnet_b0", "vit_b_16", "squeezenet1_1", "googlenet", "densenet121",
    "shufflenet_v2_x1_0", "resnext50_32x4d", "regnet_x_400mf", "regnet_y_400mf", "convnext_tiny", "mnasnet1_0",
)  # fmt: skip
SIDE = 224
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
PREPROCESSOR = {"size": {"height": SIDE, "width": SIDE}, "resample": 2, "rescale_factor": 1 / 255, "image_mean": MEAN, "image_std": STD}


def picture(rng):
    """Coloured discs on a gradient, and noise."""
    y, x = numpy.mgrid[0:SIDE, 0:SIDE] / SIDE
    image = numpy.zeros((SIDE, SIDE, 3))
    for _ in range(12):
        column, row, radius = rng.random(3)
        image[(x - column) ** 2 + (y - row) ** 2 < (radius / 3) ** 2] = rng.random(3)
    image = 0.7 * image + 0.3 * numpy.stack([x, y, 1 - x], 2) + rng.normal(0, 0.05, image.shape)
    return (numpy.clip(image, 0, 1) * 255).astype(numpy.uint8)


def network(name, inputs):
    built = getattr(torchvision.models, name)(weights=None, **({"init_weights": True} if name == "googlenet" else {}))
    norms = [layer for layer in built.modules() if isinstance(layer, torch.nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = None
        norm.reset_running_stats()
    if norms:
        with torch.no_grad():
            built.train()(inputs)
    return built.eval()


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    out = pathlib.Path(sys.argv[1])
    torch.manual_seed(3)
    rng = numpy.random.default_rng(5)
    pictures = [picture(rng) for _ in range(6)]
    (out / "images").mkdir(parents=True, exist_ok=True)
    for i, image in enumerate(pictures):
        Image.fromarray(image).save(out / "images" / f"{i}.png")
    inputs = torch.from_numpy(numpy.stack(pictures)).permute(0, 3, 1, 2) / 255
    inputs = (inputs - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1)
    for name in sys.argv[2:] or NAMES:
        built, folder = network(name, inputs), out / name
        folder.mkdir(exist_ok=True)
        names = {"input_names": ["image"], "output_names": ["scores"]}
        torch.onnx.export(built, (torch.zeros(1, 3, SIDE, SIDE),), str(folder / "model.onnx"), dynamo=False, opset_version=17, **names)
        (folder / "labels.txt").write_text("".join(f"class {i}\n" for i in range(1000)))
        (folder / "preprocessor_config.json").write_text(json.dumps(PREPROCESSOR, indent=1) + "\n")
        print(folder, flush=True)


if __name__ == "__main__":
    main()
