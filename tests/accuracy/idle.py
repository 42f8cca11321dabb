#!/usr/bin/env python3
"""What `ossicle listen -` costs while nobody speaks: idle.py [SECONDS] [OPTION...]. Plays quiet noise to it at its own pace; prints the share of one core that all its threads took, reading
included (Linux)."""

import os
import pathlib
import random
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = os.environ.get("OSSICLE", str(ROOT / "target/release/ossicle"))
RATE, BLOCK = 16000, 0.1


def busy_seconds(pid):
    threads = pathlib.Path(f"/proc/{pid}/task").iterdir()
    return sum(int((thread / "schedstat").read_text().split()[0]) for thread in threads) / 1e9


def main():
    seconds, options = float(sys.argv[1]) if len(sys.argv) > 1 else 30.0, sys.argv[2:]
    environment = {"OSSICLE_MODELS": str(ROOT / "models-int8"), **os.environ}
    listening = subprocess.Popen([BINARY, "listen", "-", *options], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment)
    noise = random.Random(1)
    blocks = [b"".join(noise.randrange(-20, 21).to_bytes(2, "little", signed=True) for _ in range(int(RATE * BLOCK))) for _ in range(40)]
    listening.stdin.write(blocks[0])
    listening.stdin.flush()
    # The first line comes once the models are loaded.
    listening.stdout.readline()
    start, before = time.monotonic(), busy_seconds(listening.pid)
    for number in range(int(seconds / BLOCK)):
        time.sleep(max(0.0, start + number * BLOCK - time.monotonic()))
        listening.stdin.write(blocks[number % len(blocks)])
        listening.stdin.flush()
    spent, wall = busy_seconds(listening.pid) - before, time.monotonic() - start
    listening.stdin.close()
    listening.wait()
    print(f"{100 * spent / wall:.2f} % of one core over {wall:.0f} s")


if __name__ == "__main__":
    main()
