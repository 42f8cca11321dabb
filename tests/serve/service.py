"""An `ossicle serve` to test, and what clients need."""

import contextlib
import os
import pathlib
import re
import signal
import subprocess
import wave

ROOT = pathlib.Path(__file__).resolve().parents[2]
SAMPLE = ROOT / "samples/kitchen.wav"
MODEL = ROOT / "models-int8/whisper-tiny.en"
BINARY = os.environ.get("OSSICLE", str(ROOT / "target/release/ossicle"))


class Service:
    """A service that listens: `wyoming` and `http` say where."""

    def __init__(self, *options):
        command = [BINARY, "serve", "--model", str(MODEL), *([] if "--threads" in options else ["--threads", "1"]), *options]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        self.places = {}
        wanted = sum(option in ("--uri", "--http") for option in options) or 2
        while len(self.places) < wanted:
            line = self.process.stderr.readline()
            assert line, "the service ended"
            found = re.match(r"(wyoming|http): listening at (\S+)", line)
            if found:
                self.places[found[1]] = found[2]

    @property
    def wyoming(self):
        return self.places["wyoming"]

    @property
    def http(self):
        return self.places["http"]

    def resident_kb(self):
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", status)[1])

    def stop(self):
        """Ends it as a supervisor does; gives its exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=10)


@contextlib.contextmanager
def service(*options):
    running = Service(*options)
    try:
        yield running
        assert running.stop() == 0
    finally:
        running.process.kill()


def reference(path=SAMPLE, *options):
    """What the command line says."""
    command = [BINARY, "transcribe", "--model", str(MODEL), "--threads", "1", *options, str(path)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def spoken(text):
    """What the command line says, as raw samples."""
    return subprocess.run([BINARY, "speak", text], check=True, capture_output=True).stdout


def samples(path=SAMPLE):
    """16-bit mono samples of a wav file, and their rate."""
    with wave.open(str(path), "rb") as file:
        assert (file.getsampwidth(), file.getnchannels()) == (2, 1)
        return file.readframes(file.getnframes()), file.getframerate()
