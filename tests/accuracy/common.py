"""What the accuracy scripts share: recordings, text normalisation, word errors.

Recordings live outside the repository, in ../shared/data beside it unless --data says otherwise: one folder a set with manifest.jsonl and audio/.
"""

import functools
import json
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
DATA = ROOT.parent / "shared" / "data"


def manifest(data, name):
    """The recordings of a set: the manifest's objects, with the audio file as `path`. Leaves with a loud message when the set is absent."""
    folder = pathlib.Path(data) / name
    if not (folder / "manifest.jsonl").is_file():
        sys.exit(f"SKIPPED: no recordings at {folder} (give their place with --data)")
    clips = [json.loads(line) for line in (folder / "manifest.jsonl").read_text(encoding="utf-8").splitlines()]
    for clip in clips:
        clip["path"] = folder / clip["file"]
    return clips


def load(path):
    """Mono 16 kHz f32 samples of an audio file."""
    import soundfile
    import soxr

    samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    mono = samples.mean(axis=1)
    return mono if rate == 16000 else soxr.resample(mono, rate, 16000, quality="VHQ")


@functools.cache
def english():
    from whisper.normalizers import EnglishTextNormalizer

    return EnglishTextNormalizer()


@functools.cache
def basic(split_letters):
    from whisper.normalizers import BasicTextNormalizer

    return BasicTextNormalizer(split_letters=split_letters)


def normalise(text, lang="en"):
    """Words as they are compared; Japanese and Chinese become characters, so that word errors are character errors."""
    if lang == "en":
        return english()(text)
    return basic(lang in ("ja", "zh"))(text)


def edits(reference, hypothesis):
    """(substitutions, insertions, deletions) between two normalised texts."""
    if not reference.split():
        return 0, len(hypothesis.split()), 0
    import jiwer

    out = jiwer.process_words(reference, hypothesis)
    return out.substitutions, out.insertions, out.deletions


def distance(wanted, heard):
    """Fewest words to be changed, added or left out between two lists of words."""
    row = list(range(len(heard) + 1))
    for i, word in enumerate(wanted):
        before, row = row, [i + 1]
        for j, other in enumerate(heard):
            row.append(min(before[j] + (word != other), before[j + 1] + 1, row[j] + 1))
    return row[-1]


def score(clips, texts):
    """Word errors of a set: totals, and one row a clip, worst first. `texts` maps a file's stem to what was heard."""
    rows, total, words = [], [0, 0, 0], 0
    for clip in clips:
        stem = pathlib.Path(clip["file"]).stem
        lang = clip.get("lang", "en")
        reference, hypothesis = normalise(clip["text"], lang), normalise(texts.get(stem, ""), lang)
        found = edits(reference, hypothesis)
        total = [a + b for a, b in zip(total, found)]
        words += len(reference.split())
        rows.append({"clip": stem, "edits": sum(found), "words": len(reference.split()), "reference": reference, "hypothesis": hypothesis})
    rows.sort(key=lambda row: -row["edits"])
    wer = 100 * sum(total) / words if words else 0.0
    return {"wer": round(wer, 3), "substitutions": total[0], "insertions": total[1], "deletions": total[2], "words": words, "clips": len(clips)}, rows


def show_worst(rows, count):
    for row in [r for r in rows if r["edits"]][:count]:
        print(f"  {row['edits']:3d}/{row['words']:<3d} {row['clip']}\n      said  {row['reference'][:300]}\n      heard {row['hypothesis'][:300]}")


def read_texts(path):
    """{stem: text} from a file of JSON lines with `file` and `text` (several lines of one file are joined)."""
    texts = {}
    for line in pathlib.Path(path).read_text(encoding="utf-8").splitlines():
        entry = json.loads(line)
        stem = pathlib.Path(entry["file"]).stem
        texts[stem] = texts.get(stem, "") + " " + entry["text"]
    return texts
