#!/usr/bin/env python3
"""Thresholds of `home-sounds` by measured false alarms, and what they find. Needs numpy and soundfile.

    home_sounds.py                       # the table: events of the program on recordings that chose nothing
    home_sounds.py --write               # chooses thresholds anew and writes them into the settings first

Recordings: wild, free_sounds, sound_events (clips), read_en, long_en, noise of --data. Each class has patterns below for what it truly is in them
(recall) and for what may hold it (left out); all else is a false alarm. The threshold of a class is the least of 0.30, 0.35 and so on with at most
so many false events an hour on the recordings with even line numbers in their manifests; recordings with odd ones are reported and choose
nothing. Labels and times stand in the settings. Alarms that no recording has are synthesised: three beeps of half a second and a pause, as
smoke alarms do, and four short ones and a long pause, as carbon monoxide alarms do, into kitchens and other backgrounds.
"""

import argparse
import hashlib
import json
import pathlib
import re
import subprocess
import sys
import tempfile
import tomllib
import wave

import numpy as np

from common import DATA, ROOT, manifest

SETTINGS = ROOT / "runtime" / "pipelines" / "sounds" / "home-sounds.toml"
SETS = ["wild", "free_sounds", "sound_events", "read_en", "long_en", "noise"]
STEPS = np.arange(6, 20) * 0.05
# False events an hour that a class may have where its threshold is chosen.
STRICT, USUAL = 0.5, 2.0
PEOPLE = r"cafe|church$|bar$|restaurant|supermarket|street|crowd|audience|city|laundry|inside a train|kitchen|dishes"

# For each class: false events an hour, what it is, what may hold it. Patterns are of a recording's description.
CLASSES = {
    "smoke_alarm": (STRICT, r"synthesised (smoke|monoxide)", r"^alarm$|an alarm sounding|pager|synthesised"),
    "fire_alarm": (STRICT, None, r"synthesised|^alarm$|an alarm sounding|pager|school bell"),
    "siren": (STRICT, r"siren", r"alarm|street|road|city"),
    "glass_breaking": (STRICT, r"glass (break|shatter|smash|crack)|bottle smash|pane|glass shattering", r"ice breaking|egg crack|wood being hit|synthesised"),
    "scream": (STRICT, r"woman scream", r"cat scream|crowd"),
    "doorbell": (USUAL, r"doorbell|door chime", r"cabin chime"),
    "knock": (USUAL, r"knock", r"banging on a door|woodpecker|wood being hit"),
    "door_slam": (USUAL, r"door (closing|being shut)|trunk closing", r"\bdoor|cabinet"),
    "baby_cry": (USUAL, r"^baby_cry$", r"supermarket|restaurant"),
    "dog": (USUAL, r"^dog_bark$|(dogs?|puppy|chihuahua) bark", r"\bdogs?\b|poodle|pug\b|terrier|bulldog|coyote|farm|night village"),
    "cat": (USUAL, r"cat (meow|scream)", r"miaow|farm"),
    "snoring": (USUAL, r"snoring", r"breathing|panting"),
    "cough": (USUAL, None, PEOPLE + r"|vomit|sneeze"),
    "footsteps": (USUAL, r"footsteps(?! in)|walk on gravel", PEOPLE + r"|footsteps|house|bison"),
    "water": (USUAL, r"from a tap|running tap|dishes", r"water|river|brook|hot spring|geyser|pool|cave|splash|bubbl|glugs|kitchen|drip|laundry"),
    "kettle": (USUAL, None, None),
    "beep": (USUAL, r"digital (alarm|watch)", r"alarm|pager|supermarket|synthesised|toaster|cash register|sonar|horn"),
    "vacuum_cleaner": (USUAL, None, None),
    "speech": (USUAL, r"^speech$", PEOPLE + r"|baby_cry|night village|wipers|\bman\b|\bwoman\b|person|someone|dogs? |exercise|farm|vomit|road|pager|airplane"),
    "music": (USUAL, r"^music|jazz|piano|guitar|drums|choir|trombone|music box", PEOPLE + r"|drum|bell|gong|chime|horn|cymbal|exercise|road"),
}


def recordings(data, folder):
    """Each with path, description, seconds, and whether it is one of those that thresholds are chosen by."""
    found = []
    for name in SETS:
        for number, clip in enumerate(manifest(data, name), 1):
            if name == "noise" and re.search("exercise_bike|running_tap|miaowing", clip["file"]):
                continue  # free_sounds has more of the same recordings.
            what = {"read_en": "speech", "long_en": "speech"}.get(name) or clip.get("what") or clip.get("class")
            what = what or pathlib.Path(clip["file"]).stem.replace("_", " ")
            found.append({"path": str(clip["path"]), "what": what, "set": name, "seconds": clip["seconds"], "chooses": number % 2 == 0})
    for path in synthesised(data, folder):
        found.append({"path": str(path), "what": f"synthesised {path.stem}", "set": "synthesised", "seconds": 12, "chooses": False})
    return found


def synthesised(data, folder):
    """Alarms and sirens of 12 s in backgrounds, 0 to 20 dB above them while they sound."""
    import soundfile

    folder.mkdir(parents=True, exist_ok=True)
    backgrounds = [clip["path"] for clip in manifest(data, "noise") if "kitchen" in clip["file"]]
    backgrounds += sorted((data / "sound_events" / "background").glob("*.flac"))
    tones = [(f"smoke alarm {hertz} Hz", *beeps(hertz, 0.5, 1.0, 3, 4.0)) for hertz in (2900, 3150, 3400)]
    tones += [(f"monoxide alarm {hertz} Hz", *beeps(hertz, 0.1, 0.2, 4, 5.7)) for hertz in (2900, 3150, 3400)]
    sweep = 0.5 - 0.5 * np.cos(2 * np.pi * TIME / 4)
    tones += [("siren wail", *siren(600 + 800 * sweep)), ("siren two tones", *siren(np.where(TIME % 1 < 0.5, 450, 600)))]
    for number, (name, tone, gate) in enumerate(tones):
        for above in (0, 10, 20):
            path = folder / f"{name} {above} dB.wav"
            noise = np.resize(soundfile.read(backgrounds[(3 * number + above // 10) % len(backgrounds)])[0], len(TIME))
            ratio = np.sqrt((noise**2).mean() / (tone[gate] ** 2).mean()) * 10 ** (above / 20)
            mix = noise + ratio * tone
            write_wav(path, 0.5 * mix / np.abs(mix).max())
            yield path


TIME = np.arange(12 * 16000) / 16000


def beeps(hertz, on, every, count, period):
    """So many beeps, then a pause; and where they sound."""
    within = (TIME - 0.5) % period
    gate = (TIME >= 0.5) & (within < every * count) & (within % every < on)
    return gate * (np.sin(2 * np.pi * hertz * TIME) + 0.3 * np.sin(4 * np.pi * hertz * TIME)), gate


def siren(hertz):
    """A horn's harmonics of this pitch; and where it sounds."""
    phase = 2 * np.pi * np.cumsum(np.broadcast_to(hertz, TIME.shape)) / 16000
    return sum(np.sin(n * phase) / n for n in (1, 2, 3, 4, 5)), TIME >= 0


def write_wav(path, samples):
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 16000, 0, "NONE", ""))
        file.writeframes(np.round(32767 * samples).astype("<i2").tobytes())


def detect(args, *options):
    command = [args.ossicle, "detect", "--threads", "1", "--format", "jsonl", *options]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def scores(args, clips, labels):
    """For each recording start and end of its hops and each label's scores, kept in the cache."""
    index = {label: at for at, label in enumerate(labels)}
    missing = [clip["path"] for clip in clips if not kept(args, clip).is_file()]
    rows, last = [], None

    def keep(path):
        np.save(kept(args, {"path": path}), np.array(rows, np.float32))
        rows.clear()

    if missing:
        run = detect(args, "--model", "yamnet", "--top", str(len(labels)), *missing)
        for line in run.stdout:
            hop = json.loads(line)
            if last not in (None, hop["file"]):
                keep(last)
            last = hop["file"]
            row = np.zeros(2 + len(labels), np.float32)
            row[:2] = hop["start"], hop["end"]
            for entry in hop["top"]:
                row[2 + index[entry["label"]]] = entry["score"]
            rows.append(row)
        keep(last)
        assert run.wait() == 0
    return [np.load(kept(args, clip)) for clip in clips]


def kept(args, clip):
    model = hashlib.sha256((ROOT / "models-int8" / "yamnet" / "SHA256SUMS").read_bytes()).hexdigest()[:8]
    name = re.sub(r"\W+", "_", str(clip["path"])[-80:])
    return args.cache / f"{name}-{model}.npy"


def events(times, values, rules, threshold, seconds):
    """Events of a recording by the rules of docs/events.md, as (start, end)."""
    release, merge = rules.get("release", threshold * 2 / 3), rules.get("merge_seconds", 0.5)
    found, start, end, gap, blocked = [], None, 0.0, False, 0.0

    def close():
        nonlocal blocked, start
        if start is not None and end - start >= rules.get("min_seconds", 0.0) - 1e-6:
            found.append((start, end))
            blocked = end + rules.get("cooldown_seconds", 0.0)
        start = None

    for (begins, ends), score in zip(times, values):
        if start is not None and begins - end <= merge + 1e-6:
            if score >= (threshold if gap else release):
                end, gap = ends, False
            else:
                gap = True
            continue
        close()
        if score >= threshold and begins >= blocked - 1e-6:
            start, end, gap = begins, ends, False
    # What is heard in the last hop lasts to the end.
    end = min(end, seconds) if gap else seconds
    close()
    return found


def kind(name, clip):
    """Whether a recording holds the class (True), not (False), or may (None)."""
    _, is_it, may = CLASSES[name]
    if is_it and re.search(is_it, clip["what"]):
        return True
    return None if may and re.search(may, clip["what"]) else False


def choose(args, settings, clips):
    labels = (ROOT / "models-int8" / "yamnet" / "labels.txt").read_text().splitlines()
    heard = scores(args, clips, labels)
    text = SETTINGS.read_text()
    for name, rules in settings.items():
        outputs = [2 + labels.index(label) for label in rules["labels"]]
        used = [(clip, rows) for clip, rows in zip(clips, heard) if clip["chooses"] and kind(name, clip) is False]
        hours = sum(clip["seconds"] for clip, _ in used) / 3600
        count = lambda step: sum(len(events(rows[:, :2], rows[:, outputs].max(axis=1), rules, step, clip["seconds"])) for clip, rows in used)
        threshold = next((step for step in STEPS if count(step) <= CLASSES[name][0] * hours), STEPS[-1])
        print(f"{name}: {threshold:.2f}, {count(threshold)} false events in {hours:.2f} h; at {threshold - 0.05:.2f} {count(threshold - 0.05)}")
        text, replaced = re.subn(rf"(\[classes\.{name}\]\n(?:(?!\[).+\n)*?threshold = )[\d.]+", rf"\g<1>{threshold:.2f}", text)
        assert replaced == 1, name
    SETTINGS.write_text(text)


def report(args, settings, clips):
    found = {}
    run = detect(args, "--model", "yamnet", "--config", str(SETTINGS), *[clip["path"] for clip in clips])
    for line in run.stdout:
        event = json.loads(line)
        found.setdefault((event["file"], event["class"]), []).append(event)
    assert run.wait() == 0, "detect failed"
    print("| class | labels | threshold | heard | false events: wild | all | in what |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for name, rules in settings.items():
        holds = [clip for clip in clips if kind(name, clip)]
        caught = sum((clip["path"], name) in found for clip in holds)
        cells = [f"{caught} of {len(holds)}" if holds else "none to try"]
        for sets in (["wild"], SETS):
            others = [clip for clip in clips if not clip["chooses"] and clip["set"] in sets and kind(name, clip) is False]
            false = {clip["what"]: len(found.get((clip["path"], name), [])) for clip in others}
            cells.append(f"{sum(false.values())} in {sum(clip['seconds'] for clip in others) / 60:.0f} min")
        cells.append(", ".join(f"{what} {count}" for what, count in sorted(false.items(), key=lambda entry: -entry[1])[:4] if count))
        print(f"| {name} | {'; '.join(rules['labels'])} | {rules['threshold']:.2f} | {' | '.join(cells)} |")
        if args.verbose:
            print("   missed:", ", ".join(clip["what"] for clip in holds if (clip["path"], name) not in found))
    false_in = lambda clip, names: sum(len(found.get((clip["path"], name), [])) for name in names if kind(name, clip) is False)
    for name in SETS:
        others = [clip for clip in clips if not clip["chooses"] and clip["set"] == name]
        false = sum(false_in(clip, set(settings) - {"speech", "music"}) for clip in others)
        print(f"{name}: {false} false events of all classes but speech and music in {sum(clip['seconds'] for clip in others) / 60:.0f} min")
    alarms = [clip for clip in clips if re.search("(smoke|monoxide) alarm", clip["what"])]
    for what in ("smoke", "monoxide"):
        those = [clip["path"] for clip in alarms if what in clip["what"]]
        heard = {name: sum((path, name) in found for path in those) for name in ("smoke_alarm", "fire_alarm", "beep")}
        print(f"synthesised {what} alarms, {len(those)}: {heard}, any of them {sum(any((path, name) in found for name in heard) for path in those)}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ossicle", default=ROOT / "target" / "release" / "ossicle")
    parser.add_argument("--data", type=pathlib.Path, default=DATA)
    parser.add_argument("--cache", type=pathlib.Path, default=pathlib.Path(tempfile.gettempdir()) / "home-sounds", help="for scores and alarms")
    parser.add_argument("--write", action="store_true", help="choose thresholds and write them into the settings")
    parser.add_argument("--verbose", action="store_true", help="name what was missed")
    args = parser.parse_args()
    clips = recordings(args.data, args.cache)
    settings = tomllib.loads(SETTINGS.read_text())["classes"]
    if set(settings) != set(CLASSES):
        sys.exit(f"{SETTINGS} has other classes than this script")
    if args.write:
        choose(args, settings, clips)
        settings = tomllib.loads(SETTINGS.read_text())["classes"]
    report(args, settings, clips)


if __name__ == "__main__":
    main()
