"""Recordings, what they are called, and what is made from them while training."""

import hashlib
import json
from pathlib import Path

import numpy as np
import soundfile
from scipy.signal import fftconvolve, resample_poly

RATE = 16_000
# What each of the ten classes of `sound_events` is called; the first is the plain name.
CLASSES = {
    "dog_bark": ["a dog barking", "a dog barks", "barking", "dog", "a barking dog"],
    "rain": ["rain", "rain falling", "it is raining", "steady rain", "rainfall"],
    "sea_waves": ["sea waves", "waves on the shore", "the sea", "ocean waves breaking", "surf on a beach"],
    "baby_cry": ["a baby crying", "a baby cries", "a crying infant", "baby", "an infant wailing"],
    "clock_tick": ["a clock ticking", "a clock ticks", "the ticking of a clock", "clock", "tick tock"],
    "person_sneeze": ["a person sneezing", "someone sneezes", "a sneeze", "sneezing", "a man sneezing"],
    "helicopter": ["a helicopter", "a helicopter flying", "a helicopter hovers overhead", "helicopter rotor"],
    "chainsaw": ["a chainsaw", "a chainsaw cutting wood", "someone saws with a chainsaw", "a running chainsaw"],
    "rooster": ["a rooster crowing", "a rooster crows", "a cock crowing", "rooster", "cock-a-doodle-doo"],
    "fire_crackling": ["a fire crackling", "a crackling fire", "a campfire", "fire burning", "logs crackle in the fire"],
}


def _bare(words):
    """Without its article."""
    for article in ("a ", "an ", "the "):
        if words.lower().startswith(article):
            return words[len(article):]
    return words


def _read(path):
    samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    samples = samples.mean(axis=1)
    if rate != RATE:
        samples = resample_poly(samples, RATE, rate).astype(np.float32)
    return samples


def _trimmed(samples, floor_db=-60):
    """Without the silence at both ends: what lies `floor_db` under the loudest 20 ms."""
    frame = 320
    count = len(samples) // frame
    if count < 2:
        return samples
    power = (samples[: count * frame].reshape(count, frame) ** 2).mean(axis=1)
    loud = np.flatnonzero(power > power.max() * 10 ** (floor_db / 10))
    return samples[max(loud[0] - 1, 0) * frame : (loud[-1] + 2) * frame]


def recordings(data):
    """Every recording: its samples, names, authors and whether it is held out (one in twelve, by its name's digest)."""
    found = []
    events = data / "sound_events"
    for line in (events / "manifest.jsonl").read_text().splitlines():
        entry = json.loads(line)
        names = CLASSES[entry["class"]]
        found.append((events, entry, names, entry["class"], entry["attribution"]))
    sounds = data / "free_sounds"
    for line in (sounds / "manifest.jsonl").read_text().splitlines():
        entry = json.loads(line)
        caption = entry["caption"].rstrip(".")
        names = [entry["what"], _bare(entry["what"]), caption[0].lower() + caption[1:]]
        found.append((sounds, entry, names, None, entry["author"]))
    for folder, entry, names, kind, author in found:
        digest = hashlib.sha256(entry["file"].encode()).digest()
        yield {
            "file": f"{folder.name}/{entry['file']}",
            "samples": _trimmed(_read(folder / entry["file"])),
            "names": names,
            "class": kind or (entry["classes"][0] if len(entry["classes"]) == 1 else None),
            "held_out": digest[0] % 12 == 0,
            "author": author,
            "licence": entry["licence"],
        }


def made(count, seed):
    """Alarms, doorbells, beeps and wind, made by arithmetic."""
    rng = np.random.default_rng(seed)
    for index in range(count):
        seconds = rng.uniform(2.0, 6.0)
        t = np.arange(int(seconds * RATE)) / RATE
        kind = index % 4
        if kind == 0:
            # The three long pulses of a smoke alarm (ISO 8201), or its short beeps in fours.
            tone = rng.uniform(2900, 3400)
            on, off, group, pause = (0.5, 0.5, 3, 1.0) if rng.random() < 0.5 else (0.1, 0.1, 4, rng.uniform(0.3, 0.6))
            period = group * (on + off) + pause
            phase = (t + rng.uniform(0, period)) % period
            gate = (phase < group * (on + off)) & (phase % (on + off) < on)
            wave = np.sign(np.sin(2 * np.pi * tone * t)) * 0.3 + np.sin(2 * np.pi * tone * t)
            samples = wave * np.convolve(gate, np.hanning(80) / 40, "same")
            names = ["a smoke alarm", "a smoke alarm beeping", "a smoke detector goes off", "a fire alarm beeping"]
            group = "smoke_alarm"
        elif kind == 1:
            # Two struck bars, a third apart.
            low = rng.uniform(450, 700)
            samples = np.zeros_like(t)
            for begin in np.arange(0.05, seconds, rng.uniform(2.0, 3.5)):
                for step, pitch in ((0.0, low * 1.26), (rng.uniform(0.4, 0.7), low)):
                    since = t - begin - step
                    for partial, level, decay in ((1, 1.0, 2.0), (2.76, 0.35, 5.0), (5.4, 0.15, 9.0)):
                        samples += (since > 0) * level * np.sin(2 * np.pi * pitch * partial * since) * np.exp(-decay * np.maximum(since, 0))
            names = ["a doorbell", "a doorbell rings", "ding dong", "someone rings the doorbell"]
            group = "doorbell"
        elif kind == 2:
            tone, period = rng.uniform(800, 2500), rng.uniform(0.5, 1.2)
            gate = ((t + rng.uniform(0, period)) % period) < rng.uniform(0.1, 0.3)
            samples = np.sin(2 * np.pi * tone * t) * np.convolve(gate, np.hanning(160) / 80, "same")
            names = ["a beeping microwave", "beeps", "an electronic timer beeping", "a device beeps"]
            group = "beep"
        else:
            # Brown-tinted noise, its level and colour swelling slowly.
            spectrum = np.fft.rfft(rng.standard_normal(len(t)))
            f = np.fft.rfftfreq(len(t), 1 / RATE)
            dull = np.fft.irfft(spectrum / (1 + (f / rng.uniform(120, 250)) ** 1.5), len(t))
            bright = np.fft.irfft(spectrum * np.exp(-(((f - rng.uniform(500, 900)) / 300) ** 2)), len(t))
            slow = lambda: np.interp(t, np.arange(0, seconds + 1, 0.7), rng.uniform(0.1, 1.0, len(np.arange(0, seconds + 1, 0.7))))
            samples = dull / dull.std() * slow() + 0.7 * bright / bright.std() * slow() ** 2
            names = ["wind", "wind blowing", "strong wind howling", "a windy day", "gusts of wind"]
            group = "wind"
        samples = (0.5 * samples / (np.abs(samples).max() + 1e-9)).astype(np.float32)
        yield {"file": f"made/{group}-{index}", "samples": samples, "names": names, "class": group, "held_out": False,
               "author": None, "licence": None}


def rooms(rng, count):
    """Impulse responses: the direct sound, then noise that dies away."""
    found = []
    for _ in range(count):
        decay = rng.uniform(0.15, 0.9)
        t = np.arange(int(decay * RATE)) / RATE
        tail = rng.standard_normal(len(t)) * np.exp(-6.9 * t / decay)
        response = np.fft.irfft(np.fft.rfft(tail) / (1 + (np.fft.rfftfreq(len(t), 1 / RATE) / 4000) ** 2) ** 0.5, len(t))
        response *= rng.uniform(0.1, 0.5) / np.sqrt((response**2).sum())
        response[0] += 1.0
        found.append(response.astype(np.float32))
    return found


def in_room(samples, response):
    return fftconvolve(samples, response)[: len(samples)].astype(np.float32)


def levelled(samples, peak):
    return samples * (peak / (np.abs(samples).max() + 1e-6))


def open_data(data):
    """All recordings, those that are held out last."""
    found = list(recordings(Path(data))) + list(made(160, 1))
    return [r for r in found if not r["held_out"]], [r for r in found if r["held_out"]]
