#!/usr/bin/env python3
"""Writes the state dicts of this folder with PyTorch (2.15 made those that are here): make.py [FOLDER]

`legacy.pth`, `zip.pt` and `protocol4.pt` hold the same tensors; the others hold what is read otherwise or refused.
"""

import collections
import pathlib
import sys

import torch

folder = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else pathlib.Path(__file__).parent
line = torch.arange(10, dtype=torch.float32)
tensors = collections.OrderedDict()
tensors["a.weight"] = torch.arange(6, dtype=torch.float32).reshape(2, 3) / 4
tensors["a.half"] = (torch.arange(4) / 8).half()
tensors["a.brain"] = (torch.arange(3) - 1).bfloat16()
tensors["a.num_batches_tracked"] = torch.tensor(7)
tensors["tail"] = line[6:]
torch.save(tensors, folder / "zip.pt")
torch.save(tensors, folder / "protocol4.pt", pickle_protocol=4)
torch.save(tensors, folder / "legacy.pth", _use_new_zipfile_serialization=False)

torch.manual_seed(1)
model = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.BatchNorm1d(2))
training = {"epoch": 3, "best": 0.5, "state_dict": model.state_dict(), "parameters": dict(model.named_parameters())}
torch.save(training, folder / "training.pt")
torch.save({"turned": line.reshape(2, 5).t()}, folder / "turned.pt")
torch.save(model, folder / "module.pt")
