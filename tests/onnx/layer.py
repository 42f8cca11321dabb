"""Runs exported layers in ONNX Runtime with basic optimisations and compares every bit with our kernels' results: layer.py FOLDER"""

import sys
from pathlib import Path

import numpy as np
import onnxruntime as ort


def main() -> int:
    models = sorted(Path(sys.argv[1]).glob("*.onnx"))
    if not models:
        print(f"no models in {sys.argv[1]}", file=sys.stderr)
        return 2
    different = 0
    for model in models:
        options = ort.SessionOptions()
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
        session = ort.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
        width = session.get_inputs()[0].shape[1]
        x = np.fromfile(model.with_suffix(".x.f32"), "<f4").reshape(-1, width)
        (theirs,) = session.run(["y"], {"x": x})
        ours = np.fromfile(model.with_suffix(".y.f32"), "<f4").reshape(theirs.shape)
        unequal = int((theirs.view(np.uint32) != ours.view(np.uint32)).sum())
        different += unequal
        print(f"{model.stem}: {theirs.shape[0]} x {theirs.shape[1]}, {unequal} of {theirs.size} values differ")
        if unequal:
            row, column = np.argwhere(theirs.view(np.uint32) != ours.view(np.uint32))[0]
            print(f"    first at [{row}, {column}]: ours {ours[row, column]!r}, ONNX Runtime {theirs[row, column]!r}")
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
