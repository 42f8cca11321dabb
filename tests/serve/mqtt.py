#!/usr/bin/env python3
"""Mosquitto as the broker of `ossicle serve`: what Home Assistant would discover and hear."""

import json
import pathlib
import queue
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time

from record import exchange
from service import Service, reference, samples, service, spoken
from soak import wyoming_request

TOPIC = "ossicle/kitchen"
CONFIG = "homeassistant/sensor/ossicle_kitchen"


class Broker:
    def __init__(self, folder, port):
        config = pathlib.Path(folder, "mosquitto.conf")
        passwords = pathlib.Path(folder, "passwords")
        subprocess.run(["mosquitto_passwd", "-c", "-b", passwords, "ada", "se:cr@t"], check=True, capture_output=True)
        passwords.chmod(0o644)
        config.write_text(f"listener {port} 127.0.0.1\npassword_file {passwords}\nallow_anonymous false\n")
        self.process = subprocess.Popen(["mosquitto", "-c", config], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.messages, self.listener = queue.Queue(), None
        self.login = ["-p", str(port), "-u", "ada", "-P", "se:cr@t"]
        self.listen()

    def listen(self):
        """Hears everything, as soon as the broker is there."""
        for _ in range(100):
            probe = subprocess.run(["mosquitto_pub", *self.login, "-t", "probe", "-m", "x"], capture_output=True)
            if probe.returncode == 0:
                break
            time.sleep(0.1)
        command = ["mosquitto_sub", *self.login, "-V", "5", "-t", "#", "-T", f"{TOPIC}/speech", "-F", "%j", "--retain-as-published"]
        self.listener = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        threading.Thread(target=lambda: [self.messages.put(json.loads(line)) for line in self.listener.stdout], daemon=True).start()

    def hear(self, topic):
        """The next message of a topic: its payload and whether it is retained."""
        while True:
            message = self.messages.get(timeout=20)
            if message["topic"] == topic:
                return message["payload"], bool(message["retain"])

    def end(self):
        for process in (self.listener, self.process):
            process.kill()
            process.wait()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def says(broker, options, folder):
    """Texts that are published to be said: as wav messages, or played."""
    answer = "The light is on. It is 21.5 degrees."
    say = lambda text: subprocess.run(["mosquitto_pub", *broker.login, "-t", f"{TOPIC}/say", "-m", text], check=True)
    hear = lambda what: (lambda payload: json.loads(payload) if isinstance(payload, str) else payload)(broker.hear(f"{TOPIC}/{what}")[0])
    with service(*options):
        payload, retained = broker.hear("homeassistant/notify/ossicle_kitchen/say/config")
        config = json.loads(payload) if isinstance(payload, str) else payload
        assert retained and config["command_topic"] == f"{TOPIC}/say", config
        assert broker.hear(f"{TOPIC}/status")[0] == "online"
        wav = subprocess.Popen(["mosquitto_sub", *broker.login, "-t", f"{TOPIC}/speech", "-C", "1", "-F", "%x"], stdout=subprocess.PIPE)
        time.sleep(0.5)
        say(answer)
        said = hear("said")
        expected = spoken(answer)
        assert said == {"text": answer, "seconds": round(len(expected) / 48000, 3)}, said
        assert bytes.fromhex(wav.communicate(timeout=20)[0].decode().strip())[44:] == expected
        say(json.dumps({"text": "It is on.", "speed": 2}))
        assert hear("said")["seconds"] < 1.5
        for bad in ("{", "{}", "\u65e5\u672c", "x" * 50_000, json.dumps({"text": "x", "speed": 9})):
            say(bad)
            assert "\n" not in hear("said")["error"]
    assert broker.hear(f"{TOPIC}/status") == ("offline", True)
    played = pathlib.Path(folder, "played.raw")
    with service(*options, "--say-output", str(played)):
        assert broker.hear(f"{TOPIC}/status")[0] == "online"
        time.sleep(0.5)
        say("The light is on.")
        assert hear("said")["text"] == "The light is on."
        assert played.read_bytes() == spoken("The light is on.")
    assert broker.hear(f"{TOPIC}/status") == ("offline", True)


def main():
    missing = [program for program in ("mosquitto", "mosquitto_sub", "mosquitto_passwd") if not shutil.which(program)]
    if missing:
        print(f"SKIPPED: no {', '.join(missing)} here, so no broker has heard the service", file=sys.stderr)
        return
    expected, speech, port = reference(), wyoming_request(samples()[0]), free_port()
    with tempfile.TemporaryDirectory() as folder:
        pathlib.Path(folder).chmod(0o755)
        broker = Broker(folder, port)
        options = ["--uri", "tcp://127.0.0.1:0", "--mqtt", f"mqtt://ada:se:cr@t@127.0.0.1:{port}", "--mqtt-name", "kitchen"]
        try:
            with service(*options) as running:
                for sensor, topic in (("transcript", "text"), ("intent", "name")):
                    payload, retained = broker.hear(f"{CONFIG}/{sensor}/config")
                    config = json.loads(payload) if isinstance(payload, str) else payload
                    assert retained and config["state_topic"] == f"{TOPIC}/{sensor}", config
                    assert config["value_template"] == "{{ value_json.%s[:255] }}" % topic, config
                assert broker.hear(f"{TOPIC}/status") == ("online", True)
                exchange(running.wyoming, speech)
                payload, retained = broker.hear(f"{TOPIC}/transcript")
                heard = json.loads(payload) if isinstance(payload, str) else payload
                assert heard == {"text": expected, "language": "en", "source": "wyoming"} and not retained, heard
            assert broker.hear(f"{TOPIC}/status") == ("offline", True)
            says(broker, options, folder)
            # Killed, it leaves its last will; without a broker it serves on, and comes back with it.
            killed = Service(*options)
            assert broker.hear(f"{TOPIC}/status")[0] == "online"
            killed.process.kill()
            assert broker.hear(f"{TOPIC}/status") == ("offline", True)
            broker.end()
            with service(*options) as running:
                assert expected.encode() in exchange(running.wyoming, speech)
                broker = Broker(folder, port)
                assert broker.hear(f"{TOPIC}/status")[0] == "online"
                exchange(running.wyoming, speech)
                assert broker.hear(f"{TOPIC}/transcript")
        finally:
            broker.end()
    print(f"mqtt: {heard}")


if __name__ == "__main__":
    sys.exit(main())
