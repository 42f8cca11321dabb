#!/usr/bin/env python3
"""Transcribe sets with `ossicle` and score them: transcribe_set.py [SET...] [--ossicle BIN] [--out DIR] [--options ...]

Each set is one process, one model load. Scores: word error rate; slots for coffee; word times for digits_aligned; the language for multi (with whisper-base);
any words for noise. read_en runs as the published figures do, greedy in one 30 s window; the others with the defaults.
Transcripts are left in DIR as SET/NAME.json and SET.jsonl, scores in scores.json.
"""

import argparse
import json
import pathlib
import subprocess
import tempfile
import time

import common
import scoring

SETS = {
    "read_en": ["--window", "full", "--no-checks", "--no-timestamps"],
    "long_en": [],
    "misc_en": [],
    "spontaneous_en": [],
    "noise": [],
    "coffee": [],
    "digits_aligned": ["--word-timestamps"],
    "multi": ["--model", "whisper-base"],
}


def transcribe(binary, name, clips, options, out):
    folder = out / name
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.json"):
        old.unlink()
    start = time.perf_counter()
    command = [str(binary), "transcribe", "--format", "json", "--output-dir", str(folder), *options, *(str(c["path"]) for c in clips)]
    status = subprocess.run(command, cwd=common.ROOT).returncode
    seconds = time.perf_counter() - start
    if status:
        print(f"{name}: ossicle ended with status {status}")
    found = {}
    with open(out / f"{name}.jsonl", "w", encoding="utf-8") as lines:
        for clip in clips:
            path = folder / f"{scoring.stem(clip)}.json"
            if path.is_file():
                found[scoring.stem(clip)] = json.loads(path.read_text(encoding="utf-8"))
                lines.write(json.dumps({"file": clip["file"], "text": found[scoring.stem(clip)]["text"]}, ensure_ascii=False) + "\n")
    return found, seconds


def judge(name, clips, found, worst):
    texts = {stem: transcript["text"] for stem, transcript in found.items()}
    if name == "noise":
        totals, rows = scoring.words_in_noise(clips, texts)
        for stem, text in rows.items():
            print(f"  {stem}: {text!r} {[{k: round(s[k], 3) for k in ('avg_logprob', 'no_speech_prob', 'temperature')} for s in found[stem]['segments']]}")
        return totals
    if name == "coffee":
        totals, missed = scoring.slots(clips, texts)
        for stem, lacking, heard in missed[:worst]:
            print(f"  {stem}: lacks {lacking} in {heard!r}")
        return totals
    if name == "digits_aligned":
        words = {stem: [w for s in t["segments"] for w in s.get("words") or []] for stem, t in found.items()}
        totals, rows = scoring.word_times(clips, words)
        rows.sort(key=lambda r: -max(abs(r.get("start_error", 0)), abs(r.get("end_error", 0))))
        for row in rows[:worst]:
            print(f"  {row}")
        return totals
    if name == "multi":
        totals, wrong = scoring.languages(clips, {stem: t["language"] for stem, t in found.items()})
        print(f"  wrong languages: {wrong}")
        for lang in sorted({c["lang"] for c in clips}):
            some = [c for c in clips if c["lang"] == lang]
            totals[f"wer_{lang}"] = common.score(some, texts)[0]["wer"]
        return totals
    totals, rows = common.score(clips, texts)
    common.show_worst(rows, worst)
    return totals


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sets", nargs="*", metavar="SET", help=", ".join(SETS))
    parser.add_argument("--ossicle", type=pathlib.Path, default=common.ROOT / "target" / "release" / "ossicle")
    parser.add_argument("--data", default=common.DATA)
    parser.add_argument("--out", type=pathlib.Path, help="a temporary folder unless given")
    parser.add_argument("--every", type=int, default=1, help="only each N-th recording")
    parser.add_argument("--worst", type=int, default=5)
    parser.add_argument("--bare", action="store_true", help="leave out the sets' own options")
    parser.add_argument("--options", nargs=argparse.REMAINDER, default=[], help="everything after this goes to ossicle transcribe")
    args = parser.parse_args()
    unknown = [name for name in args.sets if name not in SETS]
    if unknown:
        parser.error(f"no such set: {', '.join(unknown)}")
    with tempfile.TemporaryDirectory() as scratch:
        out = (args.out or pathlib.Path(scratch)).resolve()
        scores = {}
        for name in args.sets or SETS:
            clips = common.manifest(args.data, name)[:: args.every]
            options = ([] if args.bare else SETS[name]) + args.options
            found, seconds = transcribe(args.ossicle.resolve(), name, clips, options, out)
            print(f"{name} {' '.join(options)}")
            scores[name] = judge(name, clips, found, args.worst) | {"files": len(found), "seconds": round(seconds, 1)}
            print(f"  {json.dumps(scores[name])}")
        (out / "scores.json").write_text(json.dumps(scores, indent=1) + "\n")


if __name__ == "__main__":
    main()
