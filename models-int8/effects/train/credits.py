"""Whose sounds `effects` learned from: python credits.py DATA > ../CREDITS.md"""

import json
import sys
from pathlib import Path


def main():
    free, named = 0, []
    for folder in ("sound_events", "free_sounds"):
        for line in (Path(sys.argv[1]) / folder / "manifest.jsonl").read_text().splitlines():
            entry = json.loads(line)
            licence = entry["licence"].replace("CC-BY-", "CC BY ")
            if "BY" not in licence:
                free += 1
                continue
            whose = entry.get("attribution") or f'"{entry["what"]}" by {entry["author"]}'
            named.append((whose, licence, entry["source"].split(" <- ")[-1]))
    print("# Whose sounds this model learned from\n")
    print(f"{free + len(named)} recordings: {free} are CC0 or in the public domain, {len(named)} are under a licence that asks for credit. They were")
    print("resampled, cut, mixed and given rooms; none of them is in the model. One in twelve of them only checked it.\n")
    print("| recording | licence | source |\n|---|---|---|")
    for row in sorted(set(named), key=lambda row: row[0].lower()):
        print("| " + " | ".join(part.replace("|", "\\|") for part in row) + " |")


main()
