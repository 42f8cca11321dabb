"""What is heard in training: recordings and synthesised speech, cut, moved, in rooms, in noise."""

import json
import pathlib

import numpy
import scipy.signal
import soundfile
import soxr

RATE = 16000
LONGEST = 15.0  # seconds of most training clips
LONG = (18.0, 29.0)  # seconds of the long ones
# Kept for checking; they are in no training clip.
RESERVED_SPEAKERS = {"669", "6272", "19", "2416", "3664", "1898", "1867", "7859", "3242", "6848", "3526"}
# Of the speakers of the evaluation sets read_en and long_en, these are heard in no training clip either; of the others, no recording of those sets is.
HELD_OUT_SPEAKERS = {"226", "332", "1970", "5789", "8629"}
RECORDED_SETS = ("misc_en", "spontaneous_en", "multi")


def load(path):
    samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    mono = samples.mean(axis=1)
    return mono if rate == RATE else soxr.resample(mono, rate, RATE, quality="HQ")


def lines(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.is_file() else []


class Material:
    """The recordings of a data folder, of synthesised speech and, where given, of LibriSpeech.

    LibriSpeech leaves out the reserved and the held out speakers, and every recording of the evaluation set read_en.
    """

    def __init__(self, data, spoken, librispeech=None):
        data, spoken = pathlib.Path(data), pathlib.Path(spoken)
        self.spoken = sorted(spoken / line["file"] for line in lines(spoken / "manifest.jsonl"))
        self.recorded = [data / name / line["file"] for name in RECORDED_SETS for line in lines(data / name / "manifest.jsonl")]
        self.read = []
        if librispeech:
            left_out = RESERVED_SPEAKERS | HELD_OUT_SPEAKERS
            evaluated = {pathlib.Path(line["file"]).stem for line in lines(data / "read_en" / "manifest.jsonl")}
            found = sorted(pathlib.Path(librispeech).rglob("*.flac"))
            self.read = [path for path in found if path.stem.split("-")[0] not in left_out and path.stem not in evaluated]
        self.quiet = [data / "sound_events" / line["file"] for name in ("manifest.jsonl", "background.jsonl") for line in lines(data / "sound_events" / name)]
        self.noises = self.quiet + [data / "noise" / line["file"] for line in lines(data / "noise" / "manifest.jsonl")]
        self.rooms = [load(data / "rir" / line["file"]) for line in lines(data / "rir" / "manifest.jsonl")]

    def __str__(self):
        return f"{len(self.spoken)} synthesised, {len(self.recorded)} recorded, {len(self.read)} of LibriSpeech, {len(self.quiet)} without speech, {len(self.noises)} noises, {len(self.rooms)} rooms"

    def clip(self, rng):
        """One training clip: (kind, samples)."""
        kinds = ["spoken", "joined", "long", "recorded", "quiet"]
        kind = str(rng.choice(kinds, p=[0.3, 0.1, 0.1, 0.4, 0.1] if self.read else [0.5, 0.1, 0.1, 0.2, 0.1]))
        if kind == "quiet":
            return kind, self.without_speech(rng)
        if kind == "recorded":
            source = self.read if self.read and rng.random() < 0.8 else self.recorded
            speech = piece(rng, load(rng.choice(source)), 1, LONGEST)
            speech = faster(speech, rng.uniform(0.95, 1.05))
        else:
            read = kind != "spoken" and rng.random() < 0.6
            speech = self.voice(rng, read)
            wanted = {"spoken": 0, "joined": rng.uniform(5, 12), "long": rng.uniform(*LONG)}[kind]
            while len(speech) < wanted * RATE:
                speech = numpy.concatenate([speech, numpy.zeros(int(rng.uniform(0.1, 0.9) * RATE), numpy.float32), self.voice(rng, read)])
        if rng.random() < 0.15:
            kind, speech = "cut", speech[: int(rng.uniform(0.3, 1) * len(speech))]
        lead, tail = rng.uniform(0, 0.4), rng.exponential(0.2)
        samples = numpy.concatenate([numpy.zeros(int(lead * RATE), numpy.float32), speech, numpy.zeros(0 if kind == "cut" else int(min(tail, 1.5) * RATE), numpy.float32)])
        samples = samples[: int((LONG[1] if kind == "long" else LONGEST) * RATE)]
        if self.rooms and rng.random() < 0.3:
            room = self.rooms[rng.integers(len(self.rooms))]
            samples = scipy.signal.fftconvolve(samples, room / numpy.linalg.norm(room))[: len(samples)].astype(numpy.float32)
        if rng.random() < 0.55:
            samples = mixed(samples, self.noise(rng, len(samples)), rng.uniform(5, 30))
        return kind, level(samples, rng.uniform(-25, -1))

    def voice(self, rng, read=False):
        if read and self.read:
            return load(rng.choice(self.read))
        speech = load(rng.choice(self.spoken))
        # Pitch and tempo together: other speakers from the same voice.
        return faster(speech, rng.uniform(0.87, 1.18))

    def noise(self, rng, length):
        if rng.random() < 0.25:
            # Between white and brown.
            white = numpy.fft.rfft(rng.standard_normal(length))
            return numpy.fft.irfft(white / numpy.maximum(1, numpy.arange(len(white))) ** rng.uniform(0, 1), length).astype(numpy.float32)
        noise = load(rng.choice(self.noises))
        noise = numpy.tile(noise, -(-length // len(noise)) + 1)
        start = rng.integers(len(noise) - length + 1)
        return noise[start : start + length]

    def without_speech(self, rng):
        samples = load(rng.choice(self.quiet)) if rng.random() < 0.7 else self.noise(rng, int(LONGEST * RATE))
        return level(piece(rng, samples, 1, 10), rng.uniform(-50, -3))


def piece(rng, samples, least, most):
    """A random stretch of `least` to `most` seconds; all of it half the time if it is short enough."""
    if len(samples) <= most * RATE and rng.random() < 0.5:
        return samples
    length = min(len(samples), int(rng.uniform(least, most) * RATE))
    start = rng.integers(len(samples) - length + 1)
    return samples[start : start + length]


def faster(samples, factor):
    return soxr.resample(samples, RATE * factor, RATE, quality="MQ").astype(numpy.float32)


def mixed(speech, noise, decibels):
    """With noise that many dB below the speech."""
    power = [float(numpy.mean(x.astype(numpy.float64) ** 2)) + 1e-12 for x in (speech, noise)]
    return speech + noise * numpy.float32((power[0] / power[1]) ** 0.5 * 10 ** (-decibels / 20))


def level(samples, decibels):
    """Peak at that many dB below full scale."""
    return samples * numpy.float32(10 ** (decibels / 20) / max(1e-6, float(numpy.abs(samples).max())))
