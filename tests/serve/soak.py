#!/usr/bin/env python3
"""Memory over many requests, well-behaved and not: soak.py [REQUESTS]."""

import http.client
import io
import json
import random
import socket
import sys
import time
import urllib.parse
import wave

from record import audio, exchange
from service import samples, service
from wyoming.event import write_event

# A process that grows by less than this after its first requests has no leak: one transcript leaves more.
GROWTH_KB = 2048


def wyoming_request(data):
    request = io.BytesIO()
    for event in audio(data):
        write_event(event.event(), request)
    return request.getvalue()


def wav(data):
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setparams((1, 2, 16000, 0, "NONE", ""))
        file.writeframes(data)
    return out.getvalue()


def form(file):
    head = b'--b\r\nContent-Disposition: form-data; name="model"\r\n\r\nwhisper-1\r\n'
    head += b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'
    return head + file + b"\r\n--b--\r\n"


def post(place, body):
    connection = http.client.HTTPConnection(place.hostname, place.port, timeout=60)
    connection.request("POST", "/v1/audio/transcriptions", body, {"Content-Type": "multipart/form-data; boundary=b"})
    answer = connection.getresponse()
    text = answer.read()
    connection.close()
    return answer.status, text


def leave(place, request):
    """Goes away in the middle of a request or of the work on it."""
    with socket.create_connection((place.hostname, place.port)) as client:
        client.sendall(request[: random.randrange(len(request)) if random.random() < 0.5 else None])


def main():
    requests = int(sys.argv[1]) if len(sys.argv) > 1 else 300
    random.seed(1)
    data = samples()[0][16000:64000]
    file = wav(data)
    noise = bytes(random.randrange(256) for _ in range(30000))
    with service("--uri", "tcp://127.0.0.1:0", "--http", "127.0.0.1:0", "--max-queue", "64") as running:
        wyoming, web = urllib.parse.urlparse(running.wyoming), urllib.parse.urlparse(running.http)
        speech, body = wyoming_request(data), form(file)
        raw = b"POST /v1/audio/transcriptions HTTP/1.1\r\nContent-Type: multipart/form-data; boundary=b\r\n"
        raw += b"Content-Length: %d\r\n\r\n" % len(body) + body
        first, start = None, time.monotonic()
        for number in range(requests):
            if number % 2:
                status, text = post(web, body)
                assert status == 200, text
            else:
                assert b'"transcript"' in exchange(running.wyoming, speech)
            if number % 4 == 0:
                leave(wyoming, speech)
                leave(web, raw)
                leave(random.choice((wyoming, web)), noise)
            if number == max(30, requests // 10):
                first = running.resident_kb()
        last = running.resident_kb()
    seconds = time.monotonic() - start
    print(json.dumps({"requests": requests, "seconds": round(seconds), "first_kb": first, "last_kb": last, "growth_kb": last - first}))
    assert last - first < GROWTH_KB, "memory grows"


if __name__ == "__main__":
    sys.exit(main())
