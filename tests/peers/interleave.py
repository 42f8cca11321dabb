#!/usr/bin/env python3
"""Speed beside other runtimes: every worker is loaded once, then rounds go A B C A B C, so that a busy machine hurts all alike; the minima are compared.

interleave.py [--ours COMMAND] [--peers-dir DIR] [--worker NAME=COMMAND]... [--rounds 8] [--threads 1] [--core 0] [--cpu] [--json FILE]

A worker prints {"load": ms} when it is ready. For each line "round" on stdin it transcribes the recording once and prints one JSON line with the wall
milliseconds mel, enc, prefill, tok (per token), total, the same in CPU time as c_mel and so on, and rss_mb, ntok, text. On a busy machine the CPU times
are the ones to compare: --cpu.

--peers-dir DIR adds the usual peers: DIR holds jfk.wav, hf/ and ct2/ (the model as Hugging Face and CTranslate2 folders), onnx/ (export_onnx.py, quant_onnx.py)
and whispercpp_worker with ggml-q8_0.bin; those that are missing are named and left out. --scripts is the folder with bench_openvino.py and its companions,
../shared/peers beside the repository unless given.
"""

import argparse
import json
import os
import pathlib
import shlex
import sys

from worker import Worker

ROOT = pathlib.Path(__file__).resolve().parents[2]
FIGURES = ("mel", "enc", "prefill", "tok", "total")
CPU_FIGURES = tuple(f"c_{figure}" for figure in FIGURES)
OURS = "ossicle"


def usual(folder, scripts, threads):
    """(name, command) of the usual peers whose files are in `folder`."""
    python, threads = sys.executable, str(threads)
    onnx, hf, ct2, ggml = (str(folder / n) for n in ("onnx", "hf", "ct2", "ggml-q8_0.bin"))
    peers = [
        ("OpenVINO PTQ int8", onnx, [python, str(scripts / "bench_openvino.py"), onnx, hf, "ptq", threads]),
        ("OpenVINO w8 dyn", onnx, [python, str(scripts / "bench_openvino.py"), onnx, hf, "w8dq", threads]),
        ("ONNX Runtime int8", onnx, [python, str(scripts / "bench_onnxruntime.py"), onnx, hf, ".int8", threads]),
        ("CTranslate2 int8", ct2, [python, str(scripts / "bench_ct2.py"), ct2, "int8", threads]),
        ("whisper.cpp q8_0", ggml, [str(folder / "whispercpp_worker"), ggml, "jfk.wav", threads]),
    ]
    for name, needed, command in peers:
        if pathlib.Path(needed).exists() and pathlib.Path(command[0]).exists():
            yield name, command
        else:
            print(f"left out: {name} ({needed} is missing)", file=sys.stderr)


def table(results, prefix):
    lines = ["| worker | mel | encoder | prefill | per token | whole | RSS MB | load ms |", "|---|---|---|---|---|---|---|---|"]
    for name, r in sorted(results.items(), key=lambda item: item[1][prefix + "total"]):
        lines.append(f"| {name} | {r[prefix + 'mel']:.1f} | {r[prefix + 'enc']:.1f} | {r[prefix + 'prefill']:.1f} | {r[prefix + 'tok']:.2f} | {r[prefix + 'total']:.0f} | {r['rss_mb']:.0f} | {r['load']:.0f} |")
    if OURS in results and len(results) > 1:
        ours = results[OURS]
        for figure in ("enc", "tok", "total"):
            name, best = min(((n, r[prefix + figure]) for n, r in results.items() if n != OURS), key=lambda item: item[1])
            lines.append(f"\n{figure}: {ours[prefix + figure] / best:.3f} of the fastest peer's ({name}, {best:.2f} ms)")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ours", help='our worker, for example "target/release/ossicle bench whisper --threads 1 --serve jfk.wav"')
    parser.add_argument("--peers-dir", type=pathlib.Path)
    parser.add_argument("--scripts", type=pathlib.Path, default=ROOT.parent / "shared" / "peers")
    parser.add_argument("--worker", action="append", default=[], metavar="NAME=COMMAND")
    parser.add_argument("--only", help="peers whose names contain one of these words, separated by commas")
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--core", help="pin every worker to these cores (taskset's list)")
    parser.add_argument("--cpu", action="store_true", help="the table shows CPU time instead of wall time")
    parser.add_argument("--json")
    args = parser.parse_args()
    folder = args.peers_dir.resolve() if args.peers_dir else pathlib.Path.cwd()
    commands = list(usual(folder, args.scripts.resolve(), args.threads)) if args.peers_dir else []
    commands += [(w.split("=", 1)[0], shlex.split(w.split("=", 1)[1])) for w in args.worker]
    if args.only:
        commands = [c for c in commands if any(word.lower() in c[0].lower() for word in args.only.split(","))]
    workers = {}
    for name, command in commands:
        try:
            workers[name] = Worker(command, folder, args.core, args.threads, quiet=True)
        except (EOFError, OSError):
            print(f"left out: {name} (it does not start: run {shlex.join(command)})", file=sys.stderr)
    if args.ours:
        command = shlex.split(args.ours)
        command[0] = str(pathlib.Path(command[0]).resolve()) if os.sep in command[0] else command[0]
        workers[OURS] = Worker(command, None, args.core, args.threads)
    if not workers:
        parser.error("no workers: give --ours, --peers-dir or --worker")
    first = {name: worker.round()["total"] for name, worker in workers.items()}
    for number in range(args.rounds):
        for worker in workers.values():
            worker.rounds.append(worker.round())
        print(f"round {number + 1} of {args.rounds}", file=sys.stderr)
    results = {}
    for name, worker in workers.items():
        worker.close()
        results[name] = {f: min(r[f] for r in worker.rounds) for f in FIGURES + CPU_FIGURES} | {
            "load": worker.load, "first_total": first[name], "rss_mb": max(r["rss_mb"] for r in worker.rounds), "text": worker.rounds[-1]["text"], "rounds": worker.rounds,
        }
    print(table(results, "c_" if args.cpu else ""))
    texts = {name: r["text"] for name, r in results.items()}
    for name, text in texts.items():
        print(f"  {name}: {text.strip()}")
    if args.json:
        pathlib.Path(args.json).write_text(json.dumps({"threads": args.threads, "core": args.core, "rounds": args.rounds, "results": results}, indent=1) + "\n")


if __name__ == "__main__":
    main()
