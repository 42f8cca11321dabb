"""Scores that are not word errors: coffee slots, word times, languages, noise."""

import pathlib
import re
import statistics

import common

DIGITS = {w: str(i) for i, w in enumerate("zero one two three four five six seven eight nine".split())} | {"oh": "0", "o": "0"}


def stem(clip):
    return pathlib.Path(clip["file"]).stem


def slots(clips, texts):
    """Share of clips in whose normalised transcript every slot value occurs."""
    missed = []
    for clip in clips:
        heard = f" {common.normalise(texts.get(stem(clip), ''))} "
        lacking = [v for v in clip["slots"].values() if f" {common.normalise(v)} " not in heard]
        if lacking:
            missed.append((stem(clip), lacking, heard.strip()))
    return {"clips": len(clips), "right": len(clips) - len(missed), "percent": round(100 * (1 - len(missed) / len(clips)), 2)}, missed


def words_in_noise(clips, texts):
    """Clips without speech in which words were heard."""
    heard = {stem(c): texts.get(stem(c), "").strip() for c in clips}
    heard = {k: v for k, v in heard.items() if v}
    return {"clips": len(clips), "clips_with_words": len(heard), "words": sum(len(v.split()) for v in heard.values())}, heard


def languages(clips, found):
    """Clips whose language was found; `found` maps stems to language codes."""
    wrong = [(stem(c), c["lang"], found.get(stem(c))) for c in clips if found.get(stem(c)) != c["lang"]]
    return {"clips": len(clips), "right": len(clips) - len(wrong)}, wrong


def spoken_digits(word):
    """The digits a written word stands for: "388" is three of them, "Three," one, anything else none."""
    plain = re.sub(r"[^a-z0-9]", "", word.lower())
    return list(plain) if plain.isdigit() else [DIGITS[plain]] if plain in DIGITS else []


def matches(reference, hypothesis):
    """Index pairs of equal items on one cheapest edit path."""
    n, m = len(reference), len(hypothesis)
    cost = [[i + j if i * j == 0 else 0 for j in range(m + 1)] for i in range(n + 1)]
    for i in range(1, n + 1):
        for j in range(1, m + 1):
            cost[i][j] = min(cost[i - 1][j] + 1, cost[i][j - 1] + 1, cost[i - 1][j - 1] + (reference[i - 1] != hypothesis[j - 1]))
    pairs, i, j = [], n, m
    while i and j:
        if cost[i][j] == cost[i - 1][j - 1] + (reference[i - 1] != hypothesis[j - 1]):
            i, j = i - 1, j - 1
            if reference[i] == hypothesis[j]:
                pairs.append((i, j))
        elif cost[i][j] == cost[i - 1][j] + 1:
            i -= 1
        else:
            j -= 1
    return pairs[::-1]


def word_times(clips, words):
    """Absolute errors of word starts and ends in seconds. `words` maps stems to [{word, start, end}].

    Transcripts may join digits ("388"): of such a word only the first digit's start and the last one's end count.
    """
    starts, ends, total, rows = [], [], 0, []
    for clip in clips:
        reference = [(spoken_digits(w["word"])[0], w["start"], w["end"]) for w in clip["words"]]
        hypothesis = []
        for w in words.get(stem(clip), []):
            found = spoken_digits(w["word"])
            for k, digit in enumerate(found):
                hypothesis.append((digit, w["start"] if k == 0 else None, w["end"] if k + 1 == len(found) else None))
        total += len(reference)
        for i, j in matches([r[0] for r in reference], [h[0] for h in hypothesis]):
            (digit, start, end), (_, heard_start, heard_end) = reference[i], hypothesis[j]
            row = {"clip": stem(clip), "digit": digit, "start": start, "end": end}
            if heard_start is not None:
                starts.append(abs(heard_start - start))
                row["start_error"] = round(heard_start - start, 3)
            if heard_end is not None:
                ends.append(abs(heard_end - end))
                row["end_error"] = round(heard_end - end, 3)
            rows.append(row)
    middle = lambda errors: round(statistics.median(errors), 4) if errors else None
    p90 = lambda errors: round(sorted(errors)[int(0.9 * len(errors))], 4) if errors else None
    both = starts + ends
    return {
        "digits": total, "matched_starts": len(starts), "matched_ends": len(ends), "median_start": middle(starts), "median_end": middle(ends),
        "median": middle(both), "p90": p90(both),
    }, rows
