#!/usr/bin/env python3
"""How long an answer takes over Wyoming, to its first and to its last samples, and what the voice adds to the service's memory."""

import json
import socket
import sys
import time
import urllib.parse

from service import service

TEXT = "The light in the kitchen is on and it is warm."
ROUNDS = 60


def speech(stream, text):
    """Seconds until the first samples and the last, and how long they are."""
    data = json.dumps({"text": text}).encode()
    start, first, samples = time.perf_counter(), None, 0
    stream.write(json.dumps({"type": "synthesize", "data_length": len(data)}).encode() + b"\n" + data)
    stream.flush()
    while True:
        head = json.loads(stream.readline())
        stream.read(head.get("data_length", 0))
        samples += len(stream.read(head.get("payload_length", 0))) // 2
        if head["type"] == "audio-chunk":
            first = first or time.perf_counter() - start
        elif head["type"] == "audio-stop":
            return first, time.perf_counter() - start, samples / 24000
        else:
            assert head["type"] == "audio-start", head


def main():
    with service("--uri", "tcp://127.0.0.1:0", "--voice", "none") as running:
        mute = running.resident_kb()
    with service("--uri", "tcp://127.0.0.1:0") as running:
        place = urllib.parse.urlparse(running.wyoming)
        with socket.create_connection((place.hostname, place.port)) as client:
            rounds = [speech(client.makefile("rwb"), TEXT) for _ in range(ROUNDS)]
        first, last = (min(times[at] for times in rounds) * 1000 for at in (0, 1))
        more = (running.resident_kb() - mute) / 1000
    print(f"{rounds[0][2]:.2f} s of speech: first samples after {first:.1f} ms, last after {last:.1f} ms; {more:.1f} MB more than without a voice")


if __name__ == "__main__":
    sys.exit(main())
