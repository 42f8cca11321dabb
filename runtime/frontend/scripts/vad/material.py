"""Training material for the voice activity network: speech with known activity, mixed with noise, rooms and music.

Everything is 16 kHz mono f32. Activity comes from the energy of the clean speech, before anything is mixed in.
"""
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import soundfile as sf
from scipy.signal import butter, fftconvolve, resample_poly, sosfilt

RATE = 16000
HOP = 160
WINDOW = 400
# Reserved for checking by the project: never trained on.
RESERVED = {669, 6272, 19, 2416, 3664, 1898, 1867, 7859, 3242, 6848, 3526}
# Of the sets for checking: the chapter that is long_en. (Those of read_en are left out by name.)
CHECKED_CHAPTER = "128985"
# Noise recordings that are trained on; the rest of both folders is for checking.
TRAINED_NOISE = {"kitchen_0", "doing_the_dishes_a", "dude_miaowing_a", "sb_noise1"}
TRAINED_BACKGROUNDS = {"boat", "storm"}


def read(path):
    samples, rate = sf.read(path, dtype="float32", always_2d=True)
    samples = samples.mean(axis=1)
    if rate != RATE:
        common = np.gcd(rate, RATE)
        samples = resample_poly(samples, RATE // common, rate // common).astype(np.float32)
    return samples


def activity(clean):
    """Whether each whole hop of clean speech holds speech: its 25 ms energy is within 32 dB of the loud frames and 8 dB above the quiet ones;
    gaps up to 80 ms are speech, bursts below 40 ms are not."""
    hops = len(clean) // HOP
    if hops == 0:
        return np.zeros(0, bool)
    padded = np.pad(clean, (WINDOW - HOP) // 2 + 1)
    squares = np.concatenate([[0.0], np.cumsum(padded.astype(np.float64) ** 2)])
    first = np.arange(hops) * HOP
    level = 10 * np.log10((squares[first + WINDOW] - squares[first]) / WINDOW + 1e-12)
    heard = level[level > level.max() - 60]
    active = level > max(np.percentile(heard, 95) - 32, np.percentile(level, 5) + 8)
    return without_runs(without_runs(active, False, 8), True, 3)


def without_runs(active, value, longest):
    """Flips runs of `value` of at most `longest` frames inside of the other."""
    active = active.copy()
    edges = np.flatnonzero(np.diff(active.astype(np.int8))) + 1
    bounds = np.concatenate([[0], edges, [len(active)]])
    for start, end in zip(bounds[:-1], bounds[1:]):
        if active[start] == value and end - start <= longest and start > 0 and end < len(active):
            active[start:end] = not value
    return active


def librispeech(root, speakers=None, without=frozenset()):
    """Recordings of the speakers that are not reserved, less those named, and their sentences."""
    clips, sentences = [], []
    for folder in sorted(p for p in Path(root).iterdir() if p.is_dir()):
        speaker = int(folder.name)
        if speaker in RESERVED or (speakers is not None and speaker not in speakers):
            continue
        clips += [read(path) for path in sorted(folder.rglob("*.flac")) if path.stem not in without and path.parent.name != CHECKED_CHAPTER]
        for path in sorted(folder.rglob("*.trans.txt")):
            sentences += [line.split(" ", 1)[1].lower() for line in path.read_text().splitlines()]
    return clips, sentences


def synthesised(sentences, count, rng):
    """Speech of espeak-ng and flite: voices, rates and pitches at random, a few words each."""
    voices = ["en-us", "en-gb", "en-gb-scotland", "de", "fr", "es", "it", "nl", "sv", "pl", "ru", "tr"]
    variants = ["", "+f1", "+f2", "+f3", "+f4", "+m2", "+m3", "+m5", "+m7"]
    clips = []
    with tempfile.TemporaryDirectory() as folder:
        out = f"{folder}/out.wav"
        for index in range(count):
            words = sentences[rng.integers(len(sentences))].split()
            start = rng.integers(max(1, len(words) - 8))
            text = " ".join(words[start : start + rng.integers(1, 9)])
            if index % 3 == 0:
                command = ["flite", "-voice", str(rng.choice(["kal16", "awb", "rms", "slt"])), "-t", text, "-o", out]
            else:
                voice = str(rng.choice(voices)) + str(rng.choice(variants))
                command = ["espeak-ng", "-v", voice, "-s", str(rng.integers(110, 220)), "-p", str(rng.integers(20, 80)), "-w", out, text]
            subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
            clips.append(read(out))
    return clips


def coloured(rng, length, slope):
    """Noise whose power falls with frequency to the power `slope`: 0 white, 1 pink, 2 brown."""
    spectrum = np.fft.rfft(rng.standard_normal(length))
    frequency = np.maximum(np.fft.rfftfreq(length, 1 / RATE), 20)
    noise = np.fft.irfft(spectrum * frequency ** (-slope / 2), length)
    return (noise / noise.std()).astype(np.float32)


def hum(rng, length):
    """Mains hum or an engine: harmonics of 40 to 400 Hz, slowly swelling."""
    time = np.arange(length) / RATE
    base = rng.choice([50.0, 60.0, rng.uniform(40, 400)])
    tone = sum(rng.uniform(0, 1) / n * np.sin(2 * np.pi * n * base * time + rng.uniform(0, 6.3)) for n in range(1, 12))
    tone *= 1 + 0.3 * np.sin(2 * np.pi * rng.uniform(0.1, 8) * time)
    return (tone / tone.std() + rng.uniform(0, 0.5) * coloured(rng, length, 1)).astype(np.float32)


def clicks(rng, length):
    """Keys, cutlery, steps: decaying bursts and resonances."""
    out = 0.003 * rng.standard_normal(length)
    for _ in range(rng.integers(3, 40)):
        size = int(rng.uniform(0.005, 0.3) * RATE)
        at = rng.integers(max(1, length - size))
        time = np.arange(size) / RATE
        decay = np.exp(-time / rng.uniform(0.002, 0.08))
        ring = sum(np.sin(2 * np.pi * rng.uniform(200, 6000) * time + rng.uniform(0, 6.3)) for _ in range(rng.integers(1, 5)))
        burst = rng.uniform(0.1, 1) * decay * (ring + rng.uniform(0, 2) * rng.standard_normal(size))
        out[at : at + size] += burst[: length - at]
    return (out / out.std()).astype(np.float32)


def music(rng, length):
    """Notes with harmonics, envelopes and vibrato over a beat, chords beneath, drums beside."""
    out = np.zeros(length)
    beat = rng.uniform(0.12, 0.6)
    scale = 55 * 2 ** (rng.integers(0, 12) / 12) * 2 ** (np.array([0, 2, 4, 5, 7, 9, 11, 12, 14, 16, 19, 21, 24, 28, 31, 36]) / 12)
    shape = rng.uniform(0.3, 2.5)
    harmonics = rng.uniform(0, 1, 14) / np.arange(1, 15) ** shape
    attack, decay, vibrato = rng.uniform(0.003, 0.08), rng.uniform(0.1, 1.5), rng.uniform(0, 0.012)
    voices = rng.integers(1, 5)
    drums = rng.uniform() < 0.6
    for index in range(int(length / RATE / beat) + 1):
        at = int(index * beat * RATE)
        for voice in range(voices):
            if rng.uniform() < 0.25:
                continue
            size = min(length - at, int(beat * rng.choice([1, 1, 2, 4]) * RATE))
            if size <= 0:
                continue
            time = np.arange(size) / RATE
            pitch = rng.choice(scale) * 2.0 ** rng.integers(0, 3)
            phase = 2 * np.pi * pitch * (time + vibrato / 5 * np.sin(2 * np.pi * 5 * time) / pitch * 55)
            note = sum(a * np.sin((n + 1) * phase) for n, a in enumerate(harmonics) if (n + 1) * pitch < 7600)
            out[at : at + size] += note * np.minimum(time / attack, 1) * np.exp(-time / decay) * np.minimum((size - np.arange(size)) / 400, 1)
        if drums:
            size = min(length - at, int(0.15 * RATE))
            time = np.arange(max(size, 0)) / RATE
            kick = np.sin(2 * np.pi * 60 * np.exp(-8 * time) * time * 2) if index % 2 == 0 else rng.standard_normal(max(size, 0))
            out[at : at + size] += rng.uniform(0.5, 2) * kick * np.exp(-time / rng.uniform(0.02, 0.08))
    return (out / max(out.std(), 1e-6)).astype(np.float32)


def delta(ticks):
    """A MIDI delta time."""
    parts = [ticks & 0x7F]
    while ticks := ticks >> 7:
        parts.insert(0, 0x80 | ticks & 0x7F)
    return bytes(parts)


def piece(rng, seconds):
    """A MIDI file of one track: instruments at random over a progression of chords, mostly with drums."""
    beat = int(rng.uniform(0.25, 0.75) * 960)
    beats, root = int(seconds * 960 / beat), rng.integers(40, 60)
    degrees = np.array([0, 2, 4, 5, 7, 9, 11] if rng.uniform() < 0.6 else [0, 2, 3, 5, 7, 8, 10])
    chords = rng.integers(0, 7, 4)
    events = []
    for channel in range(rng.integers(1, 5)):
        events.append((0, bytes([0xC0 | channel, rng.integers(0, 120)])))
        kind, density, octave = rng.integers(0, 3), rng.uniform(0.4, 1.0), 12 * rng.integers(-1, 3)
        for index in range(beats * (1 + (kind == 1))):
            if rng.uniform() > density:
                continue
            at = index * beat // (1 + (kind == 1))
            chord = chords[at // beat // 4 % 4]
            steps = [chord, chord + 2, chord + 4] if kind == 0 else [rng.integers(0, 14)] if kind == 1 else [chord]
            for step in steps:
                note = int(np.clip(root + octave + 12 * (step // 7) + degrees[step % 7], 20, 108))
                length = int(beat * rng.uniform(0.3, 2))
                events += [(at, bytes([0x90 | channel, note, rng.integers(50, 120)])), (at + length, bytes([0x80 | channel, note, 0]))]
    if rng.uniform() < 0.7:
        for index in range(2 * beats):
            drums = [42] + ([36] if index % 4 == 0 else []) + ([38] if index % 4 == 2 else []) + ([rng.integers(35, 82)] if rng.uniform() < 0.2 else [])
            events += [(index * beat // 2, bytes([0x99, drum, rng.integers(40, 120)])) for drum in drums]
    track, now = b"", 0
    for at, event in sorted(events, key=lambda event: event[0]):
        track += delta(at - now) + event
        now = at
    track += b"\0\xff\x2f\0"
    # 480 ticks a quarter at the default 120 a minute: 960 a second.
    return b"MThd\0\0\0\6\0\0\0\1" + (480).to_bytes(2, "big") + b"MTrk" + len(track).to_bytes(4, "big") + track


def played(soundfont, count, rng):
    """Pieces of music played by fluidsynth on a soundfont."""
    pieces = []
    with tempfile.TemporaryDirectory() as folder:
        midi, out = f"{folder}/piece.mid", f"{folder}/out.wav"
        for _ in range(count):
            Path(midi).write_bytes(piece(rng, 20))
            subprocess.run(["fluidsynth", "-ni", "-q", "-r", str(RATE), "-F", out, soundfont, midi], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            samples = read(out)[: 20 * RATE]
            if np.abs(samples).max() > 0.01:
                pieces.append(samples)
    return pieces


def room(rng, measured):
    """An impulse response that starts with its direct sound: a measured one or exponentially decaying noise."""
    if rng.uniform() < 0.3:
        response = measured[rng.integers(len(measured))]
        response = response[np.argmax(np.abs(response)) :]
    else:
        size = int(rng.uniform(0.05, 0.5) * RATE)
        response = rng.standard_normal(size) * 10 ** (-3 * np.arange(size) / size) * rng.uniform(0.02, 0.15)
        response[0] = 1
    return (response / np.abs(response).max()).astype(np.float32)


class Mixer:
    """Makes sequences of samples and activity."""

    def __init__(self, speech, noises, pieces, rooms, rng):
        self.speech, self.noises, self.pieces, self.rooms, self.rng = speech, noises, pieces, rooms, rng

    def looped(self, clips, length):
        """One of the clips from anywhere on, again and again."""
        clip = clips[self.rng.integers(len(clips))]
        return np.tile(np.roll(clip, self.rng.integers(len(clip))), length // len(clip) + 1)[:length]

    def noise(self, length):
        rng = self.rng
        kind = rng.uniform()
        if kind < 0.45:
            noise = self.looped(self.noises, length)
            if rng.uniform() < 0.3:
                # A little faster or slower: other animals, other engines.
                noise = np.tile(resample_poly(noise, rng.integers(7, 14), 10), 2)[:length]
        elif kind < 0.53:
            noise = coloured(rng, length, rng.uniform(0, 2.2))
        elif kind < 0.6:
            noise = hum(rng, length)
        elif kind < 0.7:
            noise = clicks(rng, length)
        elif kind < 0.76:
            noise = music(rng, length)
        else:
            noise = self.looped(self.pieces, length)
        # Levels follow the loud parts, or a lone bark would be scaled up beyond measure.
        frames = np.sqrt((noise[: length // HOP * HOP].reshape(-1, HOP) ** 2).mean(axis=1))
        return noise / max(np.percentile(frames, 90), 1e-5)

    def clean(self, length):
        rng = self.rng
        samples, active = np.zeros(length, np.float32), np.zeros(length // HOP, bool)
        at = int(rng.exponential(0.5) * RATE) // HOP * HOP
        while at < length - HOP:
            clip, label = self.speech[rng.integers(len(self.speech))]
            first = rng.integers(max(1, len(clip) // HOP - 100))
            hops = min(int(rng.uniform(0.3, 8) * 100), len(clip) // HOP - first, (length - at) // HOP)
            part = clip[first * HOP : (first + hops) * HOP]
            loud = np.percentile(np.abs(part), 95) + 1e-5
            samples[at : at + len(part)] = part / loud * 10 ** rng.uniform(-0.3, 0.3)
            active[at // HOP : at // HOP + hops] = label[first : first + hops]
            at += len(part) + int(min(rng.exponential(1.2), 5) * RATE) // HOP * HOP
        return samples, active

    def sequence(self, seconds):
        """`(samples, active)`: some speech, some without any, from very quiet to clipped."""
        rng, length = self.rng, seconds * RATE
        if rng.uniform() < 0.66:
            clean, active = self.clean(length)
            heard = np.repeat(active, HOP)
            level = np.sqrt((clean[heard] ** 2).mean()) if heard.any() else 1.0
            speech = clean / max(level, 1e-5)
            if rng.uniform() < 0.4:
                speech = fftconvolve(speech, room(rng, self.rooms))[:length].astype(np.float32)
            snr = rng.uniform(-3, 32)
            mixed = speech
            if rng.uniform() < 0.85:
                mixed = speech + self.noise(length) * 10 ** (-snr / 20)
            if rng.uniform() < 0.3:
                mixed = mixed + self.noise(length) * 10 ** (-rng.uniform(10, 35) / 20)
        else:
            mixed, active = self.noise(length), np.zeros(length // HOP, bool)
            if rng.uniform() < 0.4:
                mixed = mixed + self.noise(length) * 10 ** (-rng.uniform(0, 20) / 20)
        if rng.uniform() < 0.15:
            band = [rng.uniform(50, 300), rng.uniform(3000, 4000)]
            mixed = sosfilt(butter(6, band, "bandpass", fs=RATE, output="sos"), mixed)
        mixed = mixed * 10 ** (rng.uniform(-52, -8) / 20)
        if rng.uniform() < 0.05:
            mixed = mixed * 10 ** rng.uniform(0.5, 1.5)
        mixed = mixed + rng.uniform(0, 1) * 10 ** rng.uniform(-5, -3.5) * rng.standard_normal(length)
        if rng.uniform() < 0.1:
            mixed = mixed + rng.uniform(-0.05, 0.05)
        # As a sound card delivers it.
        return (np.round(np.clip(mixed, -1, 1 - 2**-15) * 32768) / 32768).astype(np.float32), active
