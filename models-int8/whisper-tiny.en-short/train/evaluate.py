#!/usr/bin/env python3
"""How well a model hears windows of clip + margin: evaluate.py MODEL [--sets ...] [--margins ...] [--float]

MODEL is an int8 folder, run by `ossicle` (one greedy attempt, nothing judged or repeated), or with --float a checkpoint in Hugging Face's format, run by
PyTorch. Sets: read_en (word error rate), cuts (the first 1 to 3 s of each read_en clip; word differences from what the original says in 30 s),
coffee (clips with all slots in the text), noise (clips with words). Margin "full" is the 30 s window. A text loops if it holds a run of words
three times over, or never ends. One JSON object a line.
"""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

import numpy
import soundfile

ROOT = pathlib.Path(__file__).resolve().parents[3]
sys.path.append(str(ROOT / "tests" / "accuracy"))

import common  # noqa: E402
import scoring  # noqa: E402

RATE = 16000
SETS = "read_en,cuts,coffee,noise"
MARGINS = "0.2,0.5,1,2,full"


def with_margin(model, margin, folder):
    """A copy of an int8 folder, but for its weights, that asks for exactly this margin."""
    for path in pathlib.Path(model).resolve().iterdir():
        (folder / path.name).symlink_to(path)
    settings = json.loads((folder / "generation_config.json").read_text())
    settings["short_windows"] = {"margin_seconds": float(margin), "step_seconds": 0.02}
    (folder / "generation_config.json").unlink()
    (folder / "generation_config.json").write_text(json.dumps(settings))


def run_int8(args, clips, margin, timestamps):
    """{stem: (text, whether it ended)} of `ossicle transcribe`."""
    with tempfile.TemporaryDirectory() as model, tempfile.TemporaryDirectory() as out:
        window = "full"
        if margin != "full":
            with_margin(args.model, margin, pathlib.Path(model))
            window = "auto"
        options = ["--format", "json", "--output-dir", out, "--no-checks", "--window", window, "--model", model if margin != "full" else args.model, "--threads", "1"]
        options += [] if timestamps else ["--no-timestamps"]
        subprocess.run([args.ossicle, "transcribe", *options, *(str(clip["path"]) for clip in clips)], check=True, stderr=subprocess.DEVNULL)
        heard = {}
        for clip in clips:
            transcript = json.loads((pathlib.Path(out) / f"{scoring.stem(clip)}.json").read_text())
            # 224 tokens are the most a window may have: such a text was cut off.
            heard[scoring.stem(clip)] = transcript["text"], all(len(segment["tokens"]) < 220 for segment in transcript["segments"])
        return heard


def run_float(args, clips, margin, timestamps):
    import torch

    import network

    if "float" not in run_float.__dict__:
        run_float.float = network.Whisper(args.model).eval()
    model, heard = run_float.float, {}
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(pathlib.Path(args.model) / "tokenizer.json"))
    for clip in clips:
        samples = common.load(clip["path"])[: 30 * RATE]
        frames = network.FULL_FRAMES if margin == "full" else network.frames_of(len(samples) + int(float(margin) * RATE))
        with torch.no_grad():
            encoded = model.encode(model.mel(samples)[None, :, :frames])
        tokens = model.greedy(encoded, timestamps)[0][0]
        heard[scoring.stem(clip)] = tokenizer.decode([t for t in tokens if t < model.eot]), tokens[-1] == model.eot
    return heard


def loops(text):
    """Whether a run of one to ten words comes three times in a row; single words five times."""
    words = common.normalise(text).split()
    for length in range(1, 11):
        times = 5 if length == 1 else 3
        for i in range(len(words) - times * length + 1):
            if words[i : i + length] * times == words[i : i + times * length]:
                return True
    return False


def cuts(clips, folder):
    """The first 1 to 3 s of each clip, each cut at the quietest 20 ms within 0.3 s of a length that steps through that range."""
    made = []
    for i, clip in enumerate(clips):
        samples = common.load(clip["path"])
        near = int((1.3 + 1.4 * (i % 15) / 14) * RATE)
        starts = range(near - int(0.3 * RATE), near + int(0.3 * RATE), 160)
        end = min(starts, key=lambda start: float(numpy.square(samples[start : start + 320]).sum())) + 160
        path = folder / f"{scoring.stem(clip)}.wav"
        soundfile.write(path, samples[:end], RATE)
        made.append({"file": path.name, "path": path, "lang": "en"})
    return made


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("--float", action="store_true")
    parser.add_argument("--sets", default=SETS)
    parser.add_argument("--margins", default=MARGINS)
    parser.add_argument("--modes", default="plain,timestamps")
    parser.add_argument("--every", type=int, default=1, help="only each N-th recording")
    parser.add_argument("--ossicle", default=str(ROOT / "target" / "release" / "ossicle"))
    parser.add_argument("--original", default=str(ROOT / "models-int8" / "whisper-tiny.en"), help="int8 folder whose 30 s texts are the reference of cuts")
    parser.add_argument("--data", default=common.DATA)
    args = parser.parse_args()
    run = run_float if args.float else run_int8
    with tempfile.TemporaryDirectory() as folder:
        for name in args.sets.split(","):
            clips = common.manifest(args.data, "read_en" if name == "cuts" else name)[:: args.every]
            if name == "cuts":
                clips = cuts(clips, pathlib.Path(folder))
                original = argparse.Namespace(**{**vars(args), "model": args.original})
                for clip, (text, _) in zip(clips, run_int8(original, clips, "full", False).values()):
                    clip["text"] = text
            for mode in args.modes.split(","):
                for margin in args.margins.split(","):
                    heard = run(args, clips, margin, mode == "timestamps")
                    texts = {stem: text for stem, (text, _) in heard.items()}
                    row = {"set": name, "mode": mode, "margin": margin, "clips": len(clips)}
                    if name in ("read_en", "cuts"):
                        row["wer"] = common.score(clips, texts)[0]["wer"]
                    elif name == "coffee":
                        row["all_slots_percent"] = scoring.slots(clips, texts)[0]["percent"]
                    else:
                        row["clips_with_words"] = scoring.words_in_noise(clips, texts)[0]["clips_with_words"]
                    looped = sorted(stem for stem, (text, ended) in heard.items() if loops(text) or not ended)
                    print(json.dumps({**row, "loops": len(looped), "looped": looped[:5]}), flush=True)


if __name__ == "__main__":
    main()
