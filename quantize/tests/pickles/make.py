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

# A codec as audiocraft exports it: one ratio, four channels.
generator = torch.Generator().manual_seed(7)


def codec():
    def conv(name, *shape, bias):
        state[f"{name}.weight_g"] = torch.rand(shape[0], 1, 1, generator=generator) + 0.5
        state[f"{name}.weight_v"] = torch.randn(*shape, generator=generator)
        state[f"{name}.bias"] = torch.randn(bias, generator=generator) / 4

    def lstm(name, channels):
        for part in ["weight_ih", "weight_hh", "bias_ih", "bias_hh"]:
            shape = [4 * channels] + [channels] * part.startswith("weight")
            state[f"{name}.lstm.{part}_l0"] = torch.randn(*shape, generator=generator) / 3

    def residual(name):
        conv(f"{name}.block.1.conv.conv", 2, 4, 3, bias=2)
        conv(f"{name}.block.3.conv.conv", 4, 2, 1, bias=4)

    state = collections.OrderedDict()
    conv("encoder.model.0.conv.conv", 4, 1, 3, bias=4)
    residual("encoder.model.1")
    conv("encoder.model.3.conv.conv", 8, 4, 4, bias=8)
    lstm("encoder.model.4", 8)
    conv("encoder.model.6.conv.conv", 6, 8, 3, bias=6)
    conv("decoder.model.0.conv.conv", 8, 6, 3, bias=8)
    lstm("decoder.model.1", 8)
    conv("decoder.model.3.convtr.convtr", 8, 4, 4, bias=4)
    residual("decoder.model.4")
    conv("decoder.model.6.conv.conv", 1, 4, 3, bias=1)
    for q in range(2):
        state[f"quantizer.vq.layers.{q}._codebook.embed"] = torch.randn(16, 6, generator=generator)
        state[f"quantizer.vq.layers.{q}._codebook.cluster_size"] = torch.ones(16)
        state[f"quantizer.vq.layers.{q}._codebook.inited"] = torch.ones(1)
    settings = """sample_rate: 16000
channels: 1
compression_model: encodec
encodec: {autoencoder: seanet, quantizer: rvq, sample_rate: '${sample_rate}', channels: '${channels}', causal: false, renormalize: false}
seanet:
  dimension: 6
  causal: ${encodec.causal}
  n_filters: 4
  n_residual_layers: 1
  ratios: [2]
  activation: ELU
  norm: weight_norm
  kernel_size: 3
  residual_kernel_size: 3
  last_kernel_size: 3
  pad_mode: constant
  true_skip: true
  compress: 2
  lstm: 1
  disable_norm_outer_blocks: 0
  decoder: {trim_right_ratio: 1.0, final_activation: null}
rvq: {n_q: 2, bins: 16}
"""
    return {"best_state": state, "xp.cfg": settings, "version": "1.4.0a2", "exported": True}


torch.save(codec(), folder / "compression_state_dict.bin")
