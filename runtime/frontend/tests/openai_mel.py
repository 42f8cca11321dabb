#!/usr/bin/env python3
"""openai-whisper's log-mel features as the oracle of tests/mel.rs and tests/recordings.rs. Needs openai-whisper, numpy, soundfile.

    openai_mel.py golden               writes tests/golden/
    openai_mel.py recordings OUT FILE...   writes OUT/<n>.pcm and OUT/<n>.mel (f32, frame-major, 80 bins) for each recording
"""
import sys
from pathlib import Path

import numpy as np
import soundfile
import whisper

GOLDEN = Path(__file__).resolve().parent / "golden"


def features(audio, bins):
    """As whisper.transcribe sees them: over the recording and 30 s of silence behind it; the recording's own frames."""
    mel = whisper.log_mel_spectrogram(audio, bins, padding=whisper.audio.N_SAMPLES)
    return np.ascontiguousarray(mel.numpy().T[: len(audio) // 160], dtype="<f4")


def golden():
    rng = np.random.default_rng(6)
    t = np.arange(12_000) / 16_000
    chirp = 0.4 * np.sin(2 * np.pi * (60 * t + 0.5 * 9_000 * t * t)) * np.exp(-((t - 0.3) ** 2) / 0.05)
    noise = 0.003 * rng.standard_normal(len(t))
    pcm = np.round((chirp + noise) * 32_767).astype("<i2")
    GOLDEN.mkdir(exist_ok=True)
    pcm.tofile(GOLDEN / "chirp.i16")
    for bins in (80, 128):
        features(pcm.astype(np.float32) / 32_768, bins).tofile(GOLDEN / f"chirp.mel{bins}")


def recordings(out, files):
    for n, file in enumerate(files):
        audio, rate = soundfile.read(file, dtype="float32")
        assert rate in (16_000, 48_000) and audio.ndim == 1, file
        if rate == 48_000:
            # Both sides see the result, so any fair low-pass will do.
            t = np.arange(-96, 97)
            lowpass = np.sinc(t / 3.2) / 3.2 * np.hanning(len(t))
            audio = np.convolve(audio, lowpass, "same")[::3].astype(np.float32)
        audio.astype("<f4").tofile(Path(out) / f"{n}.pcm")
        features(audio, 80).tofile(Path(out) / f"{n}.mel")


if sys.argv[1] == "golden":
    golden()
else:
    recordings(sys.argv[2], sys.argv[3:])
