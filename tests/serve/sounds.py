#!/usr/bin/env python3
"""Mosquitto hears of an alarm while it sounds: `ossicle listen --events --mqtt` and `ossicle detect --mqtt` at a real-time pace; and of a cat
that `ossicle look --mqtt` sees."""

import json
import math
import os
import pathlib
import random
import shutil
import struct
import subprocess
import sys
import tempfile
import time

from mqtt import Broker, free_port
from service import BINARY, MODEL, ROOT

RATE, BEGINS, LASTS = 16000, 2.0, 4.0


def alarm():
    """A quiet room, a tone of 3.1 kHz, the room again: 16-bit samples."""
    values, room = [], random.Random(1)
    for n in range(int((BEGINS + LASTS + 2.5) * RATE)):
        t = n / RATE
        tone = 9000 * math.sin(math.tau * 3100 * t) if BEGINS <= t < BEGINS + LASTS else 0
        values.append(int(tone + room.gauss(0, 33)))
    return struct.pack(f"<{len(values)}h", *values)


def check(broker, name, command, environment):
    """What the broker hears of the alarm, and when."""
    program = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, env=environment)
    config = json.loads(as_text(broker.hear(f"homeassistant/sensor/ossicle_{name}/sound/config")[0]))
    assert config["state_topic"] == f"ossicle/{name}/sound", config
    assert config["value_template"] == "{{ value_json.class[:255] }}", config
    assert broker.hear(f"ossicle/{name}/status") == ("online", True)
    # The rest of the model is opened before the first sample is heard.
    time.sleep(1)
    sound, start, late = alarm(), time.monotonic(), None
    for index in range(0, len(sound), 640):
        time.sleep(max(0, start + index / 2 / RATE - time.monotonic()))
        program.stdin.write(sound[index : index + 640])
        program.stdin.flush()
        while late is None and not broker.messages.empty():
            message = broker.messages.get()
            if message["topic"] == f"ossicle/{name}/sound":
                begun = json.loads(as_text(message["payload"]))
                if begun["class"] == "smoke_alarm":
                    assert begun["event"] == "sound_start" and not message["retain"], message
                    late = time.monotonic() - start - BEGINS
    assert late is not None and late < 1.5, f"{name}: {late} s after it began"
    program.stdin.close()
    assert program.wait(timeout=60) == 0
    while True:
        over = json.loads(as_text(broker.hear(f"ossicle/{name}/sound")[0]))
        if (over["event"], over["class"]) == ("sound", "smoke_alarm"):
            break
    assert over["start"] == begun["start"] and over["end"] > BEGINS + LASTS - 0.5, over
    assert broker.hear(f"ossicle/{name}/status") == ("offline", True)
    return late


def sees(broker, name, folder, environment):
    """What the broker hears of six frames of a cat."""
    for index in range(6):
        shutil.copy(ROOT / "samples/cat.jpg", pathlib.Path(folder, f"{index}.jpg"))
    command = [BINARY, "look", folder, "--rate", "2", "--classes", "tabby,Egyptian cat", "--mqtt-name", name]
    subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL)
    config = json.loads(as_text(broker.hear(f"homeassistant/sensor/ossicle_{name}/sight/config")[0]))
    assert config["state_topic"] == f"ossicle/{name}/sight", config
    first = json.loads(as_text(broker.hear(f"ossicle/{name}/sight")[0]))
    assert first["event"] == "start" and first["class"] in ("tabby", "Egyptian cat"), first
    while (last := json.loads(as_text(broker.hear(f"ossicle/{name}/sight")[0])))["event"] != "end":
        pass
    assert last["end"] > last["start"] and "mean" in last, last
    assert broker.hear(f"ossicle/{name}/status") == ("offline", True)


def as_text(payload):
    return payload if isinstance(payload, str) else json.dumps(payload)


def main():
    missing = [program for program in ("mosquitto", "mosquitto_sub", "mosquitto_passwd") if not shutil.which(program)]
    if missing:
        print(f"SKIPPED: no {', '.join(missing)} here, so no broker has heard of sounds", file=sys.stderr)
        return
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        pathlib.Path(folder).chmod(0o755)
        broker = Broker(folder, port)
        environment = dict(os.environ, OSSICLE_MODELS=str(ROOT / "models-int8"), OSSICLE_EVENTS_MQTT=f"mqtt://ada:se:cr@t@127.0.0.1:{port}")
        listen = ["listen", "-", "--model", str(MODEL), "--json", "--events", "--config", "home-sounds", "--mqtt-name", "hall"]
        detect = ["detect", "--raw", "-", "--config", "home-sounds", "--mqtt-name", "attic"]
        try:
            with tempfile.TemporaryDirectory() as pictures:
                sees(broker, "door", pictures, environment)
            told = [check(broker, name, [BINARY, *command], environment) for name, command in (("hall", listen), ("attic", detect))]
        finally:
            broker.end()
    print("sounds: an alarm is told %.2f s after it began by listen, %.2f s by detect; look tells of a cat" % tuple(told))


if __name__ == "__main__":
    sys.exit(main())
