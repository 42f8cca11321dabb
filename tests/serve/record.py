#!/usr/bin/env python3
"""Records sessions: what the `wyoming` package writes, and what `ossicle serve` answers, in runtime/cli/tests/sessions. `cargo test -p
ossicle-cli --test serve` plays them back and compares the bytes."""

import io
import socket
import sys
import urllib.parse

from service import ROOT, samples, service
from wyoming.asr import Transcribe, Transcript
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.event import write_event
from wyoming.info import Describe
from wyoming.intent import Recognize
from wyoming.ping import Ping

FOLDER = ROOT / "runtime/cli/tests/sessions"


def audio(data, rate=16000, block=8192):
    yield AudioStart(rate, 2, 1, timestamp=0)
    for start in range(0, len(data), block):
        yield AudioChunk(rate, 2, 1, data[start : start + block], timestamp=start // 32)
    yield AudioStop(timestamp=len(data) // 32)


def sessions():
    data, _ = samples()
    yield "describe", (), [Describe(), Ping(text="are you there"), Ping()]
    yield "transcribe", (), [Transcribe(language="en"), *audio(data)]
    yield "stream", ("--stream",), audio(data)
    yield "nothing", (), [*audio(bytes(64000)), *audio(b"")]
    yield "intents", ("--sentences", "home"), [Describe(), Recognize("Turn off the kitchen lights!"), Transcript("set a timer for 10 minutes"), Recognize("who painted the ceiling")]
    yield "refused", (), [Transcribe(name="whisper-large"), *audio(bytes(320))]


def exchange(uri, request):
    place = urllib.parse.urlparse(uri)
    with socket.create_connection((place.hostname, place.port), timeout=60) as client:
        client.sendall(request)
        client.shutdown(socket.SHUT_WR)
        answer = b""
        while block := client.recv(65536):
            answer += block
    return answer


def main():
    FOLDER.mkdir(exist_ok=True)
    for name, options, events in sessions():
        request = io.BytesIO()
        for event in events:
            write_event(event.event(), request)
        with service("--uri", "tcp://127.0.0.1:0", *options) as running:
            answer = exchange(running.wyoming, request.getvalue())
        (FOLDER / f"{name}.request").write_bytes(request.getvalue())
        (FOLDER / f"{name}.response").write_bytes(answer)
        print(f"{name}: {len(request.getvalue())} bytes, {answer.decode()!r}")


if __name__ == "__main__":
    sys.exit(main())
