#!/usr/bin/env python3
"""A voice beside its original in Python and ONNX Runtime: rounds go ours, theirs, ours, ..., so that a busy machine hurts all alike; the least times are compared.

voice.py HIBARI_PACKAGE [--model hibari] [--ossicle target/release/ossicle] [--rounds 10] [--core 0] [--sentences 20]

HIBARI_PACKAGE is the unpacked wheel of hibari-tts (or a folder that it is installed in). Compared are processor times, one thread each:
  graph    64 phonemes that last 50 ms each: `ossicle bench network`, and the int8 graph in ONNX Runtime with durations given
  speech   phonemes to samples: `ossicle speak --phonemes`, start of the program included, and the package once it is loaded
Needs numpy, scipy, onnx and onnxruntime.
"""
import argparse
import json
import os
import pathlib
import resource
import subprocess
import sys
import tempfile
import time

from worker import Worker

ROOT = pathlib.Path(__file__).resolve().parents[2]
SENTENCES = ROOT / "quantize/src/minilm/sentences.txt"
DURATIONS = "/Cast_32_output_0"
# The prosody frames of 25 ms that `ossicle bench network` gives to each phoneme.
LASTING = 2
RATE = 24000


def graph_worker(package, phonemes):
    """Speaks as `ossicle bench network --serve` does: the graph for so many phonemes, whose durations are an input."""
    import numpy
    import onnx
    import onnxruntime

    start = time.perf_counter()
    model = onnx.load(package / "hibari/assets/hibari.onnx")
    nodes = [node for node in model.graph.node if DURATIONS not in node.output]
    assert len(nodes) + 1 == len(model.graph.node), "the graph has no such durations"
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    model.graph.input.append(onnx.helper.make_tensor_value_info(DURATIONS, onnx.TensorProto.INT64, ["L"]))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    feed = {"ids": numpy.arange(phonemes, dtype=numpy.int64)[None] % 170, "speed": numpy.ones(1, numpy.float32)}
    feed[DURATIONS] = numpy.full(phonemes, LASTING, numpy.int64)
    feed = {given.name: feed[given.name] for given in session.get_inputs()}
    print(json.dumps({"load": (time.perf_counter() - start) * 1e3}), flush=True)
    for line in sys.stdin:
        runs, cpu = int(line), time.process_time()
        for _ in range(runs):
            session.run(None, feed)
        print(json.dumps({"c_total": (time.process_time() - cpu) * 1e3 / runs}), flush=True)


def speech_worker(package, clauses):
    """Says all clauses for each line."""
    sys.path.insert(0, str(package))
    from hibari import Hibari

    start = time.perf_counter()
    voice, clauses = Hibari(), pathlib.Path(clauses).read_text().splitlines()
    print(json.dumps({"load": (time.perf_counter() - start) * 1e3}), flush=True)
    for _ in sys.stdin:
        cpu = time.process_time()
        samples = sum(len(voice.from_phonemes(clause, seed=0)) for clause in clauses)
        print(json.dumps({"c_total": (time.process_time() - cpu) * 1e3, "seconds": samples / RATE}), flush=True)


def speak(command, clauses):
    """Processor milliseconds of a program that says all clauses, and the seconds it said."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with open(clauses) as text:
        said = subprocess.run(command, stdin=text, stdout=subprocess.PIPE, check=True).stdout
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {"c_total": (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) * 1e3, "seconds": len(said) / 2 / RATE}


def clauses_of(package, count):
    sys.path.insert(0, str(package))
    from hibari import Hibari

    voice = Hibari()
    lines = [line.strip() for line in SENTENCES.read_text().splitlines() if len(line.split()) > 3]
    return [phonemes for line in lines[:: max(1, len(lines) // count)][:count] for phonemes in voice.phonemize(line)]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("package", type=pathlib.Path)
    parser.add_argument("--model", default="hibari")
    parser.add_argument("--ossicle", default=str(ROOT / "target/release/ossicle"))
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--core", help="pin every worker to this core")
    parser.add_argument("--phonemes", type=int, default=64)
    parser.add_argument("--sentences", type=int, default=20)
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        return graph_worker(args.package, args.phonemes) if args.worker == "graph" else speech_worker(args.package, args.worker)
    if args.core:
        os.sched_setaffinity(0, [int(args.core)])
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write("\n".join(clauses_of(args.package, args.sentences)))
        file.flush()
        python = [sys.executable, os.path.abspath(__file__), str(args.package), "--phonemes", str(args.phonemes), "--worker"]
        common = ["--threads", "1"]
        ours = Worker([args.ossicle, "bench", "network", args.model, "--tokens", str(args.phonemes), *common, "--serve"], core=args.core)
        graph, speech = (Worker([*python, what], core=args.core) for what in ("graph", file.name))
        said = [args.ossicle, "speak", "--phonemes", "-", "--voice", args.model, *common]
        times = {"graph": ([], []), "speech": ([], [])}
        for number in range(args.rounds + 1):
            measured = {"graph": (ours.round(20), graph.round(20)), "speech": (speak(said, file.name), speech.round())}
            # The first warms up.
            for name, pair in measured.items() if number else ():
                for row, one in zip(times[name], pair):
                    row.append(one["c_total"])
        for worker in (ours, graph, speech):
            worker.close()
    lasting = {"graph": [args.phonemes * LASTING * 0.025] * 2, "speech": [one["seconds"] for one in measured["speech"]]}
    print("| | speech, s | ossicle, ms a second | original, ms a second | ratio of the least | of the medians |\n|---|---|---|---|---|---|")
    for name, rows in times.items():
        (least, median) = ([pick(row) / seconds for row, seconds in zip(rows, lasting[name])] for pick in (min, lambda row: sorted(row)[len(row) // 2]))
        print(f"| {name} | {lasting[name][0]:.1f} | {least[0]:.2f} | {least[1]:.2f} | {least[0] / least[1]:.3f} | {median[0] / median[1]:.3f} |")


if __name__ == "__main__":
    main()
