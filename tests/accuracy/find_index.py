#!/usr/bin/env python3
"""Time and instructions of a search in a made index: find_index.py [--pictures 100000] [--target target/release] [--rounds 20]

Writes an index of so many pictures with random vectors of efficientnet-lite0's width (and one of a single picture), and searches both with
`ossicle find WORDS FOLDER --no-update --kind pictures --threads 1`, the words' vector included. Told are the least of all rounds: seconds of the
clock and of the processor, and instructions by `valgrind --tool=callgrind` where it is installed (its processor has no AVX-512). What lies between
the two indexes is the search itself and the reading of the index.
"""

import argparse
import hashlib
import json
import os
import pathlib
import random
import re
import resource
import shutil
import struct
import subprocess
import tempfile
import time

WIDTH = 384
RECORD = 64


def index(path, folder, count, model):
    """A safetensors file as docs/find.md has it."""
    rng = random.Random(1)
    files, text = bytearray(), bytearray()
    for i in range(count):
        name = f"{folder}/photos/{i // 1000:03}/IMG_{i:06}.jpg".encode()
        files += struct.pack("<QIIIIQq16s8B", len(text), len(name), 0, i, 1, 2_000_000 + i, i, hashlib.md5(name).digest(), 1, *[0] * 7)
        text += name
    rows = bytes(rng.randbytes(count * WIDTH))
    scales = struct.pack("<f", 0.05 / 127) * count
    tensors, at = {}, 0
    for name, dtype, shape, data in [
        ("pictures.scales", "F32", [count], scales),
        ("files", "U8", [count, RECORD], files),
        ("pictures.rows", "I8", [count, WIDTH], rows),
        ("text", "U8", [len(text)], text),
    ]:
        tensors[name] = dict(dtype=dtype, shape=shape, data_offsets=[at, at + len(data)])
        at += len(data)
    header = json.dumps({"__metadata__": {"format": "ossicle-find 3", "pictures": model}, **tensors}).encode()
    header += b" " * (-len(header) % 8)
    path.write_bytes(struct.pack("<Q", len(header)) + header + scales + files + rows + text)


def measure(command, rounds):
    best = [float("inf")] * 2
    for _ in range(rounds):
        before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        took, after = time.perf_counter() - begun, resource.getrusage(resource.RUSAGE_CHILDREN)
        used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        best = [min(best[0], took), min(best[1], used)]
    return best


def instructions(command, folder):
    if not shutil.which("valgrind"):
        return None
    run = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={folder}/callgrind", *command]
    found = re.search(r"Collected : (\d+)", subprocess.run(run, check=True, capture_output=True, text=True).stderr)
    return int(found[1])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=100_000)
    parser.add_argument("--target", default="target/release")
    parser.add_argument("--models", default="models-int8")
    parser.add_argument("--rounds", type=int, default=20)
    arguments = parser.parse_args()
    ossicle = str(pathlib.Path(arguments.target, "ossicle").resolve())
    os.environ["OSSICLE_MODELS"] = str(pathlib.Path(arguments.models).resolve())
    sums = pathlib.Path(arguments.models, "efficientnet-lite0", "SHA256SUMS").read_bytes()
    with tempfile.TemporaryDirectory() as folder:
        # As the program sees it.
        folder = str(pathlib.Path(folder).resolve())
        found = {}
        for count in (1, arguments.pictures):
            path = pathlib.Path(folder, f"{count}.index")
            index(path, folder, count, hashlib.sha256(sums).hexdigest())
            command = [ossicle, "find", "a red car", folder, "--index-file", str(path), "--no-update", "--kind", "pictures", "--threads", "1"]
            hits = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            assert hits.count("IMG_") == min(count, 10), hits
            clock, used = measure(command, arguments.rounds)
            counted = instructions(command, folder)
            found[count] = (clock, used, counted)
            told = f", {counted / 1e6:.1f} M instructions" if counted else ""
            print(f"{count} pictures, {path.stat().st_size / 1e6:.1f} MB: {1e3 * clock:.1f} ms, of the processor {1e3 * used:.1f} ms{told}")
        (one, one_used, _), (all, all_used, _) = found.values()
        print(f"reading the index and searching it: {1e3 * (all - one):.1f} ms, of the processor {1e3 * (all_used - one_used):.1f} ms")


if __name__ == "__main__":
    main()
