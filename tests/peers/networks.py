#!/usr/bin/env python3
"""Networks beside ONNX Runtime, f32 and int8: rounds go ours, f32, int8, ours, ..., so that a busy machine hurts all alike; the least times are compared.

networks.py [--ossicle target/release/ossicle] [--rounds 10] [--core 0] [--cpu] [--json FILE] NAME=MODEL.onnx:FOLDER ...

FOLDER is what ossicle-quantize --onnx made of MODEL.onnx. ONNX Runtime's int8 model is made here: static quantisation to QDQ nodes, u8 activations and s8 weights
by channel, ranges from eight inputs of noise, which is enough for its speed. One thread each. Needs onnxruntime and onnx.
"""

import argparse
import json
import os
import pathlib
import shlex
import sys
import tempfile
import time

from worker import Worker

ROOT = pathlib.Path(__file__).resolve().parents[2]
KINDS = ("ossicle", "f32", "int8")
# What one kind runs in a round takes about this long.
ROUND_MS = 150


def session(path):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def feeds(path, count):
    """Noise of the size that the network's one input has; open dimensions are 1."""
    import numpy

    [given] = session(path).get_inputs()
    random = numpy.random.default_rng(1)
    shape = [size if isinstance(size, int) else 1 for size in given.shape]
    return [{given.name: random.standard_normal(shape).astype(numpy.float32)} for _ in range(count)]


def worker(path):
    """Speaks as `ossicle bench network --serve` does."""
    start = time.perf_counter()
    network, [feed] = session(path), feeds(path, 1)
    print(json.dumps({"load": (time.perf_counter() - start) * 1e3}), flush=True)
    for line in sys.stdin:
        runs, walls, cpu = int(line), [], time.process_time()
        for _ in range(runs):
            wall = time.perf_counter()
            network.run(None, feed)
            walls.append(time.perf_counter() - wall)
        print(json.dumps({"total": min(walls) * 1e3, "c_total": (time.process_time() - cpu) * 1e3 / runs}), flush=True)


def quantise(path, folder):
    """ONNX Runtime's own int8 model."""
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Reader(CalibrationDataReader):
        def __init__(self):
            self.feeds = iter(feeds(path, 8))

        def get_next(self):
            return next(self.feeds, None)

    prepared, out = f"{folder}/prepared.onnx", f"{folder}/int8.onnx"
    quant_pre_process(path, prepared, skip_symbolic_shape=True)
    quantize_static(prepared, out, Reader(), quant_format=QuantFormat.QDQ, per_channel=True, activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8)
    return out


def measure(ours, source, folder, args):
    with tempfile.TemporaryDirectory() as temporary:
        python = [sys.executable, os.path.abspath(__file__), "--worker"]
        commands = {"ossicle": [*shlex.split(ours), "bench", "network", "--threads", "1", "--serve", folder], "f32": [*python, source]}
        try:
            commands["int8"] = [*python, quantise(source, temporary)]
        except Exception as error:
            print(f"{source}: ONNX Runtime does not quantise it: {error!r}", file=sys.stderr)
        workers = {kind: Worker(command, core=args.core) for kind, command in commands.items()}
        runs = {}
        for kind, one in workers.items():
            one.round(1)
            runs[kind] = max(1, round(ROUND_MS / max(one.round(1)["total"], 0.01)))
        for _ in range(args.rounds):
            for kind, one in workers.items():
                one.rounds.append(one.round(runs[kind]))
        for one in workers.values():
            one.close()
        return {kind: {key: min(times[key] for times in one.rounds) for key in ("total", "c_total")} for kind, one in workers.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ossicle", default=str(ROOT / "target/release/ossicle"))
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--core", help="pin every worker to this core")
    parser.add_argument("--cpu", action="store_true", help="compare CPU time, the mean of a round's runs, instead of the wall time of the fastest run")
    parser.add_argument("--json")
    parser.add_argument("--worker", metavar="MODEL", help=argparse.SUPPRESS)
    parser.add_argument("networks", nargs="*", metavar="NAME=MODEL.onnx:FOLDER")
    args = parser.parse_args()
    if args.worker:
        return worker(args.worker)
    if not args.networks or any("=" not in one or ":" not in one for one in args.networks):
        parser.error("give networks as NAME=MODEL.onnx:FOLDER")
    results = {}
    key = "c_total" if args.cpu else "total"
    print("| network | ossicle, ms | ONNX Runtime f32 | ONNX Runtime int8 | of f32's time | of int8's time |\n|---|---|---|---|---|---|", flush=True)
    for one in args.networks:
        name, _, rest = one.partition("=")
        source, _, folder = rest.rpartition(":")
        try:
            result = results[name] = measure(args.ossicle, source, folder, args)
        except EOFError as error:
            sys.exit(error)
        own, f32, int8 = (result.get(kind, {}).get(key) for kind in KINDS)
        figures = ["-" if x is None else f"{x:.2f}" for x in (own, f32, int8, own / f32, own / int8 if int8 else None)]
        print(f"| {name} | {' | '.join(figures)} |", flush=True)
    if args.json:
        pathlib.Path(args.json).write_text(json.dumps({"rounds": args.rounds, "core": args.core, "results": results}, indent=1) + "\n")


if __name__ == "__main__":
    main()
