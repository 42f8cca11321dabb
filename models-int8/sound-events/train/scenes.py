"""Scenes with exact labels, made at random from clips, backgrounds, speech, music and rooms.

Labels follow the convention of the scenes in `sound_events`: a clip is active where a frame of 20 ms is at most 38 dB below its loudest one,
gaps of up to 0.4 s closed.
"""

import json
import pathlib
import zlib

import numpy
import scipy.signal
import soundfile

RATE = 16000
CLASSES = ["dog_bark", "rain", "sea_waves", "baby_cry", "clock_tick", "person_sneeze", "helicopter", "chainsaw", "rooster", "fire_crackling"]
LABELS = [*CLASSES, "speech", "music", "silence"]
CONTINUOUS = ("rain", "sea_waves", "fire_crackling", "helicopter", "chainsaw")
CELL = 640  # samples of a label: 40 ms
SCENE = 30 * RATE
SILENT = -60.0  # dBFS: a cell with no other label and less than this is silence
UNKNOWN = 2  # a label that is neither there nor not there: nothing is learned from it
FREE = 0.15  # share of a scene's sounds that are free ones

FRAME = RATE // 50
BELOW_LOUDEST = 38.0
CLOSED_GAP = 0.4


def decibels(samples):
    return 10 * numpy.log10(numpy.mean(numpy.square(samples, dtype=numpy.float64)) + 1e-12)


def activity(samples):
    """Spans of samples in which a clip is heard."""
    frames = samples[: len(samples) // FRAME * FRAME].reshape(-1, FRAME)
    level = 10 * numpy.log10(numpy.square(frames, dtype=numpy.float64).mean(1) + 1e-14)
    spans = []
    for frame in numpy.flatnonzero(level > max(level.max() - BELOW_LOUDEST, -100.0)):
        if spans and (frame - spans[-1][1]) * FRAME <= CLOSED_GAP * RATE:
            spans[-1][1] = frame + 1
        else:
            spans.append([frame, frame + 1])
    return [(first * FRAME, last * FRAME) for first, last in spans]


def lines(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.is_file() else []


def load(path):
    samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    samples = samples.mean(1)
    return samples if rate == RATE else scipy.signal.resample_poly(samples, RATE, rate).astype(numpy.float32)


def coloured(rng, length, slope):
    """Noise whose power falls with frequency to the power `slope`: 0 white, 1 pink, 2 brown."""
    spectrum = rng.standard_normal(length // 2 + 1) + 1j * rng.standard_normal(length // 2 + 1)
    noise = numpy.fft.irfft(spectrum / numpy.maximum(numpy.arange(length // 2 + 1), 8) ** (slope / 2), length)
    return (noise / noise.std()).astype(numpy.float32)


def tune(rng, length):
    """A tune of a few synthetic voices and a drum: what stands for music beside the recording."""
    out = numpy.zeros(length, numpy.float32)
    beat = int(rng.uniform(0.12, 0.5) * RATE)
    root = rng.uniform(90, 220)
    scale = numpy.array([0, 2, 4, 5, 7, 9, 11] if rng.random() < 0.5 else [0, 2, 3, 5, 7, 8, 10])
    for voice in range(rng.integers(1, 5)):
        harmonics = rng.uniform(0.2, 1.0, rng.integers(1, 10)) / numpy.arange(1, 11)[: rng.integers(1, 10)].size ** rng.uniform(0, 1)
        octave, decay, every = 2.0 ** rng.integers(0, 3), rng.uniform(0.5, 8), int(rng.choice([1, 1, 2, 4]))
        for start in range(0, length, beat * every):
            if rng.random() < 0.15:
                continue
            n = min(int(beat * every * rng.uniform(0.8, 1.6)), length - start)
            time = numpy.arange(n) / RATE
            pitch = root * octave * 2 ** (rng.choice(scale) / 12)
            note = sum(a * numpy.sin(2 * numpy.pi * pitch * (k + 1) * time) for k, a in enumerate(harmonics) if pitch * (k + 1) < 7500)
            out[start : start + n] += (note * numpy.exp(-decay * time) * numpy.minimum(1, time * 100) / (voice + 1)).astype(numpy.float32)
    if rng.random() < 0.7:
        for i, start in enumerate(range(0, length - RATE // 5, beat)):
            time = numpy.arange(RATE // 5) / RATE
            hit = numpy.sin(2 * numpy.pi * 60 * time) * numpy.exp(-20 * time) * 2 if i % 2 == 0 else rng.standard_normal(len(time)) * numpy.exp(-40 * time)
            out[start : start + len(time)] += (hit * rng.uniform(0.3, 0.6)).astype(numpy.float32)
    return out


def gaps(spans, length):
    cells = numpy.zeros(-(-length // CELL), bool)
    for first, last in spans:
        cells[round(first / CELL) : max(round(last / CELL), round(first / CELL) + 1)] = True
    return cells


def finished(samples, labels):
    """Within full scale; what has no other label and is quiet is silence."""
    samples = numpy.clip(samples, -1, 1)
    level = numpy.array([decibels(cell) for cell in samples.reshape(-1, CELL)])
    labels[:, -1] = ~labels[:, :-1].any(1) & (level < SILENT)
    return samples, labels


def free_fold(line):
    """The fold, 1 to 4, of a line of free_sounds: an author is in one fold, a park with dozens of recordings in all."""
    service = line["author"] == "National Park Service"
    return zlib.crc32((line["file"] if service else line["author"]).encode()) % 4 + 1


def free_labels(line):
    """Labels of a line of free_sounds that are heard in it, and those that may be."""
    holds = [LABELS.index(name) for name in line["classes"]]
    maybe = [LABELS.index(name) for name in line["maybe_classes"]]
    for label, name in ((LABELS.index("speech"), "Speech"), (LABELS.index("music"), "Music")):
        if line["group"] in ("human", "place", "music", "other") or name in line["yamnet"]:
            maybe.append(label)
    return holds, maybe


def keep(path, samples, labels):
    """Writes a scene's sound, and adds it to scenes.jsonl beside it, as in `sound_events`."""
    seconds = CELL / RATE
    edges = numpy.diff(numpy.pad(labels[:, : len(CLASSES)].astype(numpy.int8), ((1, 1), (0, 0))), axis=0)
    events = [
        {"onset": round(float(a) * seconds, 3), "offset": round(float(b) * seconds, 3), "class": name}
        for k, name in enumerate(CLASSES)
        for a, b in zip(numpy.flatnonzero(edges[:, k] == 1), numpy.flatnonzero(edges[:, k] == -1))
    ]
    soundfile.write(path, samples, RATE)
    with open(path.parent / "scenes.jsonl", "a", encoding="utf-8") as table:
        table.write(json.dumps({"file": path.name, "seconds": len(samples) / RATE, "events": events}) + "\n")


class Material:
    """Recordings of a data folder. Clips of `folds` only, changed more if `wide`; a share of speech and noise is `held` for checking. With
    `free`, sounds of free_sounds are among the clips and backgrounds."""

    def __init__(self, data, folds, held=False, wide=False, free=False):
        data = pathlib.Path(data)
        self.data, self.wide, self.read = data, wide, None
        events = data / "sound_events"
        self.clips = {name: [] for name in CLASSES}
        for line in lines(events / "manifest.jsonl"):
            if line["fold"] in folds:
                samples = load(events / line["file"])
                self.clips[line["class"]].append((line["clip_id"], samples, activity(samples)))
        # Which kitchen noise and which readers are heard in training, and which only in checking.
        self.backgrounds = [load(events / line["file"]) for line in lines(events / "background.jsonl") if "storm" not in line["file"]]
        noises = [(line, load(data / "noise" / line["file"])) for line in lines(data / "noise" / "manifest.jsonl")]
        home = [(line["file"], x) for line, x in noises if line["kind"] in ("ambient", "voice-non-speech")]
        self.backgrounds += [x for file, x in home if ("kitchen_2" in file or "running_tap" in file) == held]
        self.tap = next((x for file, x in home if "running_tap" in file), None)
        self.with_tap = False  # set once the tap has been a background
        self.music = [x for line, x in noises if line["kind"] == "music"]
        self.music = [x[len(x) * 3 // 4 :] if held else x[: len(x) * 3 // 4] for x in self.music]
        readers = sorted({line["speaker"] for line in lines(data / "read_en" / "manifest.jsonl")})
        checked = set(readers[::4])
        self.speech = [load(data / "read_en" / line["file"]) for line in lines(data / "read_en" / "manifest.jsonl") if (line["speaker"] in checked) == held]
        if not held:
            more = ("misc_en", "multi", "spontaneous_en")
            self.speech += [load(data / name / line["file"]) for name in more for line in lines(data / name / "manifest.jsonl")]
        # Sounds of all kinds, most of them none of the ten; those of other folds are for checking, as clips are.
        of_folds = [line for line in lines(data / "free_sounds" / "manifest.jsonl") if free and free_fold(line) in folds]
        self.free = [(free_labels(line), load(data / "free_sounds" / line["file"])) for line in of_folds]
        self.free_share = FREE if self.free else 0.0
        self.beds = [samples for (holds, maybe), samples in self.free if not holds and not maybe and len(samples) > 10 * RATE]
        self.rooms = [load(data / "rir" / line["file"]) for line in lines(data / "rir" / "manifest.jsonl")]

    def clip(self, rng, name, plain):
        """One clip, changed a little unless `plain`, and where it is heard."""
        _, samples, spans = self.clips[name][rng.integers(len(self.clips[name]))]
        if plain:
            return samples, spans
        if rng.random() < (0.7 if self.wide else 0.6):
            up = round(100 * 1.38 ** rng.uniform(-1, 1)) if self.wide else int(rng.integers(86, 117))
            samples = scipy.signal.resample_poly(samples, up, 100).astype(numpy.float32)
        if self.wide and rng.random() < 0.3:
            samples = swelled(rng, samples)
        if self.wide and rng.random() < 0.25:
            samples = hissed(rng, samples)
        if rng.random() < 0.6:
            samples = equalised(rng, samples)
        if rng.random() < 0.3:
            samples = self.in_room(rng, samples)
        return samples, activity(samples)

    def free_sound(self, rng, longest):
        """A free sound or a piece of it, changed a little; where it is heard, what it is, and what it may be beside that."""
        (holds, maybe), samples = self.free[rng.integers(len(self.free))]
        first = int(rng.integers(max(1, len(samples) - longest)))
        samples = samples[first : first + longest]
        if rng.random() < 0.5:
            samples = scipy.signal.resample_poly(samples, int(rng.integers(80, 124)), 100).astype(numpy.float32)
        if rng.random() < 0.4:
            samples = equalised(rng, samples)
        if rng.random() < 0.25:
            samples = self.in_room(rng, samples)
        return samples, activity(samples), holds, maybe

    def in_room(self, rng, samples):
        room = self.rooms[rng.integers(len(self.rooms))]
        room = room[max(0, numpy.abs(room).argmax() - 16) :][: RATE // 2]
        room = room * numpy.exp(-numpy.arange(len(room)) / RATE * rng.uniform(0, 20))
        return scipy.signal.fftconvolve(samples, room / numpy.linalg.norm(room))[: len(samples)].astype(numpy.float32)

    def background(self, rng, length, plain=False):
        """Unlabelled sound of the scene's length at 0 dB."""
        if rng.random() < (0.2 if plain else 0.35):
            return coloured(rng, length, 1.0 if plain else rng.uniform(0, 2.2))
        if self.beds and rng.random() < 0.25:
            return looped(rng, self.beds[rng.integers(len(self.beds))], length)
        samples = self.backgrounds[rng.integers(len(self.backgrounds))]
        self.with_tap |= samples is self.tap
        if not plain and rng.random() < 0.5:
            samples = equalised(rng, samples)
        return looped(rng, samples, length)

    def scene(self, rng, plain=False, changed=True):
        """Samples of 30 s and labels [750][13]. `plain` ones are mixed as those in `sound_events`; unless `changed`, of clips as they are."""
        out = numpy.zeros(SCENE, numpy.float32)
        labels = numpy.zeros((SCENE // CELL, len(LABELS)), numpy.uint8)
        floor = -50.0 if plain else rng.uniform(-75, -30)
        lasting = rng.random() < 0.2
        if lasting:
            name = str(rng.choice(("rain", "sea_waves", "fire_crackling") if plain else CONTINUOUS))
            samples, _ = self.clip(rng, name, not changed)
            floor = -42.5 if plain else max(floor, -55.0)
            out += looped(rng, samples, SCENE) * 10 ** (floor / 20)
            labels[:, LABELS.index(name)] = 1
        elif plain or rng.random() < 0.93:
            out += self.background(rng, SCENE, plain) * 10 ** (floor / 20)
        at = 0.0 if not plain and rng.random() < 0.3 else rng.uniform(0, 3) * RATE
        crowd = 0.0 if plain else rng.choice([0.0, 0.5, 1.5])
        spoken = 0.0 if plain else rng.choice([0.0, 0.15, 0.6])
        while at < SCENE - 0.4 * RATE:
            if self.free_share and rng.random() < self.free_share:
                samples, spans, holds, maybe = self.free_sound(rng, 8 * RATE)
                level = min(max(floor, -70.0) + rng.uniform(-2, 30), -6.0)
                self.put(out, labels, int(at), samples, spans, holds, maybe, level)
                at = max(at + len(samples) + (rng.uniform(-0.5, 3) - crowd) * RATE, 0)
                continue
            label, samples, spans = self.sound(rng, spoken, plain, changed)
            start = int(rng.uniform(0, 0.3) * RATE) if not plain and rng.random() < 0.3 else 0
            n = min(int(rng.uniform(*((2, 5) if plain else (0.5, 5))) * RATE) if label < len(CLASSES) else len(samples), len(samples) - start, SCENE - int(at))
            spans = [(max(a - start, 0), min(b - start, n)) for a, b in spans if min(b - start, n) - max(a - start, 0) >= FRAME]
            if spans:
                piece = samples[start : start + n] * numpy.minimum(1, numpy.arange(n, 0, -1) / 160).astype(numpy.float32)
                heard = numpy.concatenate([piece[a:b] for a, b in spans])
                snr = rng.choice([0, 5, 10, 15, 20]) if plain else rng.uniform(-2, 30)
                wanted = min(max(floor, -70.0) + snr, -6.0)
                out[int(at) : int(at) + n] += piece * 10 ** ((wanted - decibels(heard)) / 20)
                cells = gaps([(a + int(at), b + int(at)) for a, b in spans], SCENE)[: len(labels)]
                labels[cells, label] = 1
            at += n + (rng.uniform(-0.5, 3) - crowd) * RATE
            at = max(at, 0)
        if not plain and rng.random() < 0.1:
            out = self.in_room(rng, out)
        if not plain and rng.random() < 0.3:
            out = equalised(rng, out)
        return finished(out, labels)

    def put(self, out, labels, at, samples, spans, holds, maybe, level):
        """Adds a free sound to a scene, as loud as `level` says where it is heard."""
        samples = samples[: SCENE - at]
        spans = [(first, min(last, len(samples))) for first, last in spans if first < len(samples)]
        if spans:
            heard = numpy.concatenate([samples[first:last] for first, last in spans])
            out[at : at + len(samples)] += samples * 10 ** ((level - decibels(heard)) / 20)
            for label in maybe:
                cells = labels[at // CELL : -(-(at + len(samples)) // CELL), label]
                cells[cells == 0] = UNKNOWN
            for label in holds:
                cells = gaps([(first + at, last + at) for first, last in spans], SCENE)[: len(labels)]
                labels[cells, label] = 1

    def surroundings(self, rng):
        """Samples of 30 s and labels of free sounds one after another, alone or with others behind them."""
        out = numpy.zeros(SCENE, numpy.float32)
        labels = numpy.zeros((SCENE // CELL, len(LABELS)), numpy.uint8)
        if rng.random() < 0.3:
            out += self.background(rng, SCENE) * 10 ** (rng.uniform(-60, -30) / 20)
        together = 0.0 if rng.random() < 0.7 else rng.uniform(0.5, 4)
        at = 0
        while at < SCENE - RATE // 2:
            samples, spans, holds, maybe = self.free_sound(rng, int(rng.uniform(4, 15) * RATE))
            self.put(out, labels, at, samples, spans, holds, maybe, rng.uniform(-45, -8))
            at = max(at + len(samples) + int((rng.exponential(0.5) - together) * RATE), at + RATE)
        return finished(out, labels)

    def row(self, rng):
        """Samples of 30 s and labels of whole clips one after another, with nothing else beside them."""
        out = numpy.zeros(SCENE, numpy.float32)
        labels = numpy.zeros((SCENE // CELL, len(LABELS)), numpy.uint8)
        at, names = 0, list(rng.permutation(CLASSES))
        while at < SCENE and names:
            name = str(names.pop())
            samples, spans = self.clip(rng, name, rng.random() < 0.5)
            samples = samples[: SCENE - at]
            out[at : at + len(samples)] = samples * 10 ** (rng.uniform(-20, 0) / 20)
            labels[gaps([(first + at, last + at) for first, last in spans if first + at < SCENE], SCENE)[: len(labels)], LABELS.index(name)] = 1
            at += len(samples)
        return finished(out, labels)

    def recording(self, rng):
        """Samples of 30 s and labels of a recording without the ten classes as it would be made: read speech, mostly in the quiet, noises of
        a home, music."""
        out = numpy.zeros(SCENE, numpy.float32)
        labels = numpy.zeros((SCENE // CELL, len(LABELS)), numpy.uint8)
        kind = rng.random()
        if kind < 0.2:
            music = looped(rng, self.music[rng.integers(len(self.music))], SCENE) if self.music and rng.random() < 0.3 else tune(rng, SCENE)
            out += music / (numpy.abs(music).max() + 1e-6) * 10 ** (rng.uniform(-30, 0) / 20)
            labels[:, LABELS.index("music")] = gaps(activity(music), SCENE)
        elif kind < 0.6:
            out += self.background(rng, SCENE) * 10 ** (rng.uniform(-55, -15) / 20)
        if kind > 0.4 or rng.random() < 0.2:
            at, gain = 0, rng.uniform(-20, 3)
            while at < SCENE - FRAME:
                spoken = self.speech[rng.integers(len(self.speech))][: SCENE - at]
                spans = [(first + at, last + at) for first, last in activity(spoken)]
                out[at : at + len(spoken)] += spoken * 10 ** (gain / 20)
                labels[:, LABELS.index("speech")] |= gaps(spans, SCENE)[: len(labels)]
                at += len(spoken) + int(rng.exponential(0.5) * RATE)
        return finished(out, labels)

    def reading(self, i):
        """Samples of 30 s and labels of the i-th piece of read_en, all of it one after another as it is."""
        every = numpy.concatenate([load(path) for path in sorted((self.data / "read_en" / "audio").iterdir())]) if self.read is None else self.read
        self.read = every
        out = every[i * SCENE :][:SCENE].copy()
        labels = numpy.zeros((SCENE // CELL, len(LABELS)), numpy.uint8)
        labels[:, LABELS.index("speech")] = gaps(activity(out), SCENE)
        return finished(out, labels)

    def sound(self, rng, spoken, plain, changed):
        if rng.random() < spoken:
            samples = self.speech[rng.integers(len(self.speech))]
            if rng.random() < 0.25:
                music = looped(rng, self.music[rng.integers(len(self.music))], 8 * RATE) if self.music and rng.random() < 0.4 else tune(rng, 8 * RATE)
                return LABELS.index("music"), music, activity(music)
            first = rng.integers(max(1, len(samples) - 8 * RATE))
            samples = samples[first : first + 8 * RATE]
            return LABELS.index("speech"), samples, activity(samples)
        label = int(rng.integers(len(CLASSES)))
        if plain:
            label = CLASSES.index(str(rng.choice([name for name in CLASSES if name not in ("rain", "sea_waves", "fire_crackling")])))
        return label, *self.clip(rng, CLASSES[label], not changed)


def swelled(rng, samples):
    """What is quiet beside the loudest made quieter, or louder: the level to a power."""
    window = numpy.hanning(2 * FRAME + 1)
    level = numpy.sqrt(numpy.maximum(scipy.signal.fftconvolve(numpy.square(samples), window / window.sum(), "same"), 1e-10))
    return (samples * (level / level.max()) ** rng.uniform(-0.35, 0.6)).astype(numpy.float32)


def hissed(rng, samples):
    """With a recorder's noise all along, which makes all of the clip active where it is loud enough."""
    loudest = numpy.sqrt(numpy.square(samples[: len(samples) // FRAME * FRAME].reshape(-1, FRAME)).mean(1).max() + 1e-12)
    noise = coloured(rng, len(samples), rng.uniform(0, 2)) * loudest * 10 ** (-rng.uniform(32, 55) / 20)
    return (samples + noise).astype(numpy.float32)


def equalised(rng, samples):
    """Through a random tilt and a random resonance."""
    b, a = scipy.signal.butter(1, rng.uniform(200, 4000), rng.choice(["low", "high"]), fs=RATE)
    share = rng.uniform(0, 0.9)
    return ((1 - share) * samples + share * scipy.signal.lfilter(b, a, samples)).astype(numpy.float32)


def looped(rng, samples, length):
    """A piece of `length` from a random place at 0 dB, joined to itself by short fades where it is too short."""
    samples = numpy.roll(samples, int(rng.integers(len(samples))))
    fade = min(800, len(samples) // 4)
    ramp = numpy.linspace(0, 1, fade, dtype=numpy.float32)
    body = samples[:-fade].copy()
    body[:fade] = body[:fade] * ramp + samples[-fade:] * (1 - ramp)
    out = numpy.tile(body, -(-length // len(body)))[:length]
    return out / (numpy.sqrt(numpy.mean(numpy.square(out, dtype=numpy.float64))) + 1e-6).astype(numpy.float32)
