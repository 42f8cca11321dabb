#!/usr/bin/env python3
"""Writes sounds.wav: a clock, a smoke alarm and waves, synthesised. sounds.py [FILE]"""

import math
import random
import struct
import sys
import wave

RATE = 16000
SECONDS = 10


def tick(samples, at, high):
    """A click of wheels: four tones that die away in milliseconds, and a trace of noise."""
    tones = [(2300, 6, 0.5), (3700, 4, 0.6), (5200, 3, 0.4), (900, 8, 0.3)]
    for i in range(RATE // 20):
        t = i / RATE
        value = random.gauss(0, 0.6) * math.exp(-t / 0.0008)
        for hertz, milliseconds, amplitude in tones:
            hertz *= 1 if high else 0.89
            value += amplitude * math.exp(-1000 * t / milliseconds) * math.sin(2 * math.pi * hertz * t)
        samples[at + i] += value * (0.5 if high else 0.4)


def beep(samples, at):
    """Half a second of a piezo's 3150 Hz and its octave, with soft edges."""
    length = RATE // 2
    for i in range(length):
        phase = 2 * math.pi * 3150 * i / RATE
        samples[at + i] += 0.35 * min(1, i / 80, (length - i) / 80) * (math.sin(phase) + 0.4 * math.sin(2 * phase))


def waves(samples, start, end):
    """Noise without its highest tones that swells every two seconds."""
    low = 0
    for i in range(start, end):
        t = (i - start) / RATE
        low += 0.35 * (random.gauss(0, 1) - low)
        swell = 0.15 + (0.5 - 0.5 * math.cos(math.pi * t)) ** 2
        samples[i] += 0.35 * min(1, t / 0.2, (end - i) / RATE / 0.1) * swell * low


def main():
    random.seed(1)
    samples = [random.gauss(0, 0.0005) for _ in range(SECONDS * RATE)]
    for number in range(6):
        tick(samples, int((0.25 + 0.5 * number) * RATE), number % 2 == 0)
    for number in range(3):
        beep(samples, int((3.3 + number) * RATE))
    waves(samples, int(6.2 * RATE), SECONDS * RATE)
    values = [round(32767 * max(-1, min(1, sample))) for sample in samples]
    with wave.open(sys.argv[1] if len(sys.argv) > 1 else "sounds.wav", "wb") as file:
        file.setparams((1, 2, RATE, 0, "NONE", ""))
        file.writeframes(struct.pack(f"<{len(values)}h", *values))


if __name__ == "__main__":
    main()
