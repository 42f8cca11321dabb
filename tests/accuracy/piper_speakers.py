#!/usr/bin/env python3
"""Makes one of Piper's voices one of several speakers, as Piper exports them: piper_speakers.py VOICE.onnx OUT.onnx [--count 5]

No voice of several speakers can be had as a package. The vectors and the layers that add them are random numbers here (seed 0), so speakers sound
broken, but the graph has the nodes and names of Piper's: then `ossicle-quantize piper OUT.onnx --speaker 3 -o MODEL` and
`piper_stages.py OUT.onnx MODEL --speaker 3` compare our biases with what ONNX Runtime makes of `sid`. Needs numpy and onnx.
"""
import argparse
import json
from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper

WIDTH = 64


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("voice", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--count", type=int, default=5)
    args = parser.parse_args()
    model, rng = onnx.load(args.voice), np.random.default_rng(0)
    graph = model.graph
    shapes = {tensor.name: list(tensor.dims) for tensor in graph.initializer}
    # An optimiser gave a table of the text the name that the new input has to have.
    for tensor in graph.initializer:
        if tensor.name == "sid":
            tensor.name = "renamed_sid"
    for node in graph.node:
        node.input[:] = ["renamed_sid" if name == "sid" else name for name in node.input]
    if "sid" in shapes:
        shapes["renamed_sid"] = shapes.pop("sid")
    # What nodes made of constants is a constant already where `sid` was one.
    kept = [value for value in graph.input if value.name != "sid"]
    del graph.input[:]
    graph.input.extend([*kept, helper.make_tensor_value_info("sid", onnx.TensorProto.INT64, [1])])
    put = lambda name, values: graph.initializer.append(numpy_helper.from_array(values.astype(np.float32), name))
    put("emb_g.weight", rng.standard_normal((args.count, WIDTH)))
    graph.initializer.append(numpy_helper.from_array(np.array([-1]), "emb_g.axes"))
    new = [helper.make_node("Gather", ["emb_g.weight", "sid"], ["/emb_g/Gather_output_0"], "/emb_g/Gather"),
           helper.make_node("Unsqueeze", ["/emb_g/Gather_output_0", "emb_g.axes"], ["/Unsqueeze_g_output_0"], "/Unsqueeze_g")]

    def layer(name, outputs):
        put(f"{name}.weight", rng.standard_normal((outputs, WIDTH, 1)) * 0.02)
        put(f"{name}.bias", rng.standard_normal(outputs) * 0.02)
        out = f"/{name}/Conv_output_0"
        new.append(helper.make_node("Conv", ["/Unsqueeze_g_output_0", f"{name}.weight", f"{name}.bias"], [out], f"/{name}/Conv"))
        return out

    def added(bias, value):
        """Adds `value` to what the convolution of this bias gives."""
        node = next(node for node in graph.node if node.op_type == "Conv" and bias in node.input)
        output = node.output[0]
        for other in graph.node:
            other.input[:] = [f"{output}_of_speaker" if name == output else name for name in other.input]
        new.append(helper.make_node("Add", [output, value], [f"{output}_of_speaker"], f"{node.name}_add"))

    added("dp.pre.bias", layer("dp.cond", shapes["dp.pre.bias"][0]))
    added("dec.conv_pre.bias", layer("dec.cond", shapes["dec.conv_pre.bias"][0]))
    for i in range(0, 16, 2):
        names = [f"flow.flows.{i}.enc.in_layers.{j}.bias" for j in range(16)]
        names = [name for name in names if name in shapes]
        if names:
            gates = shapes[names[0]][0]
            out = layer(f"flow.flows.{i}.enc.cond_layer", gates * len(names))
            for j, name in enumerate(names):
                for end, value in (("begin", j * gates), ("end", (j + 1) * gates)):
                    graph.initializer.append(numpy_helper.from_array(np.array([value]), f"{name}.{end}"))
                graph.initializer.append(numpy_helper.from_array(np.array([1]), f"{name}.axis"))
                new.append(helper.make_node("Slice", [out, f"{name}.begin", f"{name}.end", f"{name}.axis"], [f"{name}.of_speaker"], f"/{name}/Slice"))
                added(name, f"{name}.of_speaker")
    # Where their inputs are known: in topological order.
    nodes, known = [*new, *graph.node], {value.name for value in [*graph.input, *graph.initializer]} | {""}
    ordered = []
    while nodes:
        ready = [node for node in nodes if all(name in known for name in node.input)]
        assert ready, "a graph with subgraphs"
        ordered += ready
        known |= {name for node in ready for name in node.output}
        nodes = [node for node in nodes if not any(node is other for other in ready)]
    del graph.node[:]
    graph.node.extend(ordered)
    onnx.checker.check_model(model)
    onnx.save(model, args.out)
    settings = json.loads(Path(f"{args.voice}.json").read_text())
    settings |= {"num_speakers": args.count, "speaker_id_map": {f"speaker-{i}": i for i in range(args.count)}}
    Path(f"{args.out}.json").write_text(json.dumps(settings))


if __name__ == "__main__":
    main()
