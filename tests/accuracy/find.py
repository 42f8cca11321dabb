"""First hits of `ossicle find`: python find.py OSSICLE DATA [SET...]

DATA holds `wild`, `free_sounds` and `sound_events` with manifests. For the first two, each recording is looked for by its manifest's words among
all of its set, and among random 76 of it; for the third, each clip gets the likeliest of ten descriptions.
"""
import json, random, subprocess, sys, tempfile
from pathlib import Path

DESCRIPTIONS = {
    "dog_bark": "a dog barking", "rain": "rain falling", "sea_waves": "waves on the sea shore", "baby_cry": "a baby crying",
    "clock_tick": "a ticking clock", "person_sneeze": "someone sneezing", "helicopter": "a helicopter flying overhead",
    "chainsaw": "a chainsaw cutting wood", "rooster": "a rooster crowing in the morning", "fire_crackling": "a crackling camp fire",
}


def scores(ossicle, words, folder, index):
    command = [ossicle, "find", words, folder, "--index-file", index, "--no-update", "--format", "jsonl", "--top", "100000", "--windows", "1"]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    return {Path(hit["file"]).name: hit["score"] for hit in map(json.loads, lines)}


def main():
    ossicle, data = sys.argv[1], Path(sys.argv[2])
    for name in sys.argv[3:] or ["wild", "free_sounds", "sound_events"]:
        items = [json.loads(line) for line in open(data / name / "manifest.jsonl")]
        folder, index = str(data / name / "audio"), f"{tempfile.mkdtemp()}/index"
        subprocess.run([ossicle, "find", "--index", folder, "--index-file", index], check=False)
        file = lambda item: Path(item["file"]).name
        if name == "sound_events":
            by_label = {label: scores(ossicle, words, folder, index) for label, words in DESCRIPTIONS.items()}
            right = sum(max(by_label, key=lambda label: by_label[label][file(item)]) == item["class"] for item in items)
            print(f"{name}: {right} of {len(items)} clips right, {100 * right / len(items):.1f} %")
            continue
        found = [scores(ossicle, item["what"], folder, index) for item in items]
        first = lambda chosen: sum(max(chosen, key=lambda j: found[i][file(items[j])]) == i for i in chosen)
        everything = list(range(len(items)))
        print(f"{name}: first hit of {first(everything)} of {len(items)}, {100 * first(everything) / len(items):.1f} %")
        if len(items) > 76:
            rng = random.Random(0)
            shares = [100 * first(rng.sample(everything, 76)) / 76 for _ in range(20)]
            print(f"{name}: {sum(shares) / len(shares):.1f} % among 76 of them, mean of {len(shares)} draws")


main()
