#!/usr/bin/env python3
"""YAMNet's features in f64 as the oracle of tests/yamnet.rs: reads tests/golden/chirp.i16, writes tests/golden/chirp.yamnet. Needs numpy."""
from pathlib import Path

import numpy as np

GOLDEN = Path(__file__).resolve().parent / "golden"
FRAME, HOP, FFT, BANDS = 400, 160, 512, 64


def htk_mel(hz):
    return 1127.0 * np.log1p(hz / 700.0)


def filters():
    edges = np.linspace(htk_mel(125.0), htk_mel(7500.0), BANDS + 2)[:, None]
    bins = htk_mel(np.linspace(0, 8000, FFT // 2 + 1))
    rising = (bins - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - bins) / (edges[2:] - edges[1:-1])
    return np.maximum(0, np.minimum(rising, falling))


samples = np.fromfile(GOLDEN / "chirp.i16", "<i2") / 32768.0
frames = np.lib.stride_tricks.sliding_window_view(samples, FRAME)[::HOP]
window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(FRAME) / FRAME)
magnitude = np.abs(np.fft.rfft(frames * window, FFT))
np.log(magnitude @ filters().T + 0.001).astype("<f4").tofile(GOLDEN / "chirp.yamnet")
