#!/usr/bin/env python3
"""Who waits how long while one client uploads long recordings again and again: load.py [SECONDS] [-- OPTION...].

Eight clients have recordings of 2 to 120 s, one of 19 minutes; each asks again once it has its answer. Prints, for each length, how many answers there were and the median and longest time to
them, and fails if anybody was turned away or a command of 2 s took longer than a second. Options go to `ossicle serve`. What else the machine does counts: run it alone.
"""

import collections
import io
import statistics
import sys
import threading
import time
import urllib.parse
import wave

import service as serving
from soak import form, post

LENGTHS = (2, 2, 2, 5, 10, 30, 60, 120, 19 * 60)
MOST_SECONDS = 1.0


def recording(seconds):
    """Speech with pauses of a second, as long as is wanted."""
    speech, _ = serving.samples()
    data = (speech + bytes(32_000)) * (seconds * 32_000 // (len(speech) + 32_000) + 1)
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setparams((1, 2, 16000, 0, "NONE", ""))
        file.writeframes(data[: seconds * 32_000])
    return form(out.getvalue())


def main():
    arguments = sys.argv[1:]
    options = arguments[arguments.index("--") + 1 :] if "--" in arguments else []
    arguments = arguments[: arguments.index("--")] if "--" in arguments else arguments
    duration = float(arguments[0]) if arguments else 60
    times, refused, end = collections.defaultdict(list), [], time.monotonic() + duration
    lock = threading.Lock()

    def ask(place, seconds, body):
        while time.monotonic() < end:
            start = time.monotonic()
            status, text = post(place, body)
            with lock:
                times[seconds].append(time.monotonic() - start)
                if status != 200:
                    refused.append((seconds, status, text))
            time.sleep(0.2)

    with serving.service("--http", "127.0.0.1:0", "--threads", "2", *options) as running:
        place = urllib.parse.urlparse(running.http)
        clients = [threading.Thread(target=ask, args=(place, seconds, recording(seconds))) for seconds in reversed(LENGTHS)]
        for client in clients:
            client.start()
        for client in clients:
            client.join()
        for seconds, all_times in sorted(times.items()):
            print(f"{seconds:5} s: {len(all_times):4} answers, median {statistics.median(all_times):6.2f} s, longest {max(all_times):6.2f} s")
        print(f"resident memory {running.resident_kb() / 1000:.1f} MB")
    assert not refused, refused[:3]
    assert max(times[2]) <= MOST_SECONDS, max(times[2])


if __name__ == "__main__":
    main()
