"""What is lost where phases are made up from true magnitudes: python effects_phases.py OSSICLE DATA

The clips of the ten classes that the recipe of `effects` holds out are taken apart into magnitudes and put together again, with windows of several
lengths, by a phase vocoder whose phases are locked to peaks (Laroche and Dolson 1999) and then some rounds of Griffin and Lim (1984). Printed is
the mean score that YAMNet gives the right class. This chose the codec's windows; the runtime does the same frame by frame.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np
import soundfile

sys.path.insert(0, str(Path(__file__).parents[2] / "models-int8/effects/train"))
from effects import CLASSES, first, heard  # noqa: E402
import data as sounds  # noqa: E402


class Transform:
    def __init__(self, size, step):
        self.size, self.step, self.window = size, step, np.hanning(size + 1)[:-1]

    def spectra(self, samples, count):
        """Phases are those in the middle of the window."""
        padded = np.pad(samples, ((self.size - self.step) // 2, self.size))
        frames = np.stack([padded[t * self.step :][: self.size] * self.window for t in range(count)])
        return np.fft.rfft(np.roll(frames, -self.size // 2, 1), axis=1)

    def samples(self, spectra):
        frames = np.roll(np.fft.irfft(spectra, axis=1), self.size // 2, 1) * self.window
        out, weight = np.zeros((2, len(frames) * self.step + self.size))
        for t, frame in enumerate(frames):
            out[t * self.step :][: self.size] += frame
            weight[t * self.step :][: self.size] += self.window**2
        return (out / np.maximum(weight, 1e-3))[(self.size - self.step) // 2 :][: len(frames) * self.step]

    def phases(self, logs):
        """Each peak goes on from what its bin was at, by the mean of both frequencies; the bins up to the valleys around it go along."""
        count, bins = logs.shape
        out, turns, own = np.zeros((count, bins)), np.random.default_rng(0).uniform(0, 2 * np.pi, bins), np.arange(float(bins))
        for t, row in enumerate(logs):
            peaks = np.flatnonzero((row[1:-1] > row[:-2]) & (row[1:-1] >= row[2:])) + 1
            peaks = peaks if len(peaks) else np.array([1])
            left, middle, right = row[peaks - 1], row[peaks], row[peaks + 1]
            places = peaks + np.clip((left - right) / (2 * (left - 2 * middle + right) - 1e-9), -0.5, 0.5)
            edges = [0] + [a + int(np.argmin(row[a : b + 1])) for a, b in zip(peaks, peaks[1:])] + [bins]
            at = turns[peaks] + np.pi * self.step / self.size * (own[peaks] + places)
            turns, own = np.repeat(at, np.diff(edges)), np.repeat(places, np.diff(edges))
            out[t] = turns
        return out

    def back(self, samples, rounds):
        count = len(samples) // self.step
        magnitudes = np.abs(self.spectra(samples[: count * self.step], count))
        spectra = magnitudes * np.exp(1j * self.phases(np.log(magnitudes + 1e-6)))
        for _ in range(rounds):
            spectra = magnitudes * np.exp(1j * np.angle(self.spectra(self.samples(spectra), count)))
        return self.samples(spectra)


def main():
    ossicle, data = sys.argv[1:]
    clips = [clip for clip in sounds.recordings(Path(data)) if clip["held_out"] and clip["class"] in CLASSES]
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / f"{index}.wav" for index in range(len(clips))]

        def score(change):
            for file, clip in zip(files, clips):
                soundfile.write(file, np.clip(change(clip["samples"][: 5 * sounds.RATE]), -1, 1), sounds.RATE)
            return np.mean([first(scores)[1][CLASSES[clip["class"]]] for scores, clip in zip(heard(ossicle, files), clips)])

        print(f"{len(clips)} clips as they are: {score(lambda samples: samples):.2f}")
        for size, step in ((512, 160), (320, 160), (256, 160), (256, 80), (192, 64)):
            given = [score(lambda samples: Transform(size, step).back(samples, rounds)) for rounds in (0, 3, 10)]
            print(f"{size} samples every {step}: " + ", ".join(f"{value:.2f} after {n} rounds" for value, n in zip(given, (0, 3, 10))))


main()
