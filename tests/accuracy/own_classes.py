#!/usr/bin/env python3
"""How well classes are learned from a few recordings: `ossicle-quantize events` on some clips of each class, `ossicle detect --add-classes` on
clips of other folds.

    own_classes.py --release target/release --clips 6 FOLDER

FOLDER has manifest.jsonl with file, class and fold a line, and a folder background. The first --clips clips of folds 1 and 2 are learned from.
--background says what else is: none; home, the folder's background; or others, that and these folds' clips of the other classes, so that the
sounds that the class is checked against were among what it was learned against. Folds 3 and 4 are checked: a clip counts as heard if its class
has an event in it, and as a false alarm if another has.
"""
import argparse
import json
import subprocess
import tempfile
from pathlib import Path


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--release", type=Path, default=Path("target/release"))
    parser.add_argument("--clips", type=int, default=6)
    parser.add_argument("--background", choices=["none", "home", "others"], default="others")
    parser.add_argument("--classes", help="only these, with commas between them")
    parser.add_argument("folder", type=Path)
    args = parser.parse_args()

    clips = [json.loads(line) for line in (args.folder / "manifest.jsonl").read_text().splitlines()]
    names = sorted({clip["class"] for clip in clips})
    check = [clip for clip in clips if clip["fold"] in (3, 4)]
    print("| class | cross-validation: heard | precision | folds 3 and 4: heard | clips of other classes with a false alarm |")
    print("| --- | --- | --- | --- | --- |")
    heard_all, own_all, false_all, other_all = 0, 0, 0, 0
    for name in args.classes.split(",") if args.classes else names:
        with tempfile.TemporaryDirectory() as work:
            work = Path(work)
            (work / "clips").mkdir()
            (work / "others").mkdir()
            folds = [clip for clip in clips if clip["fold"] in (1, 2)]
            own = [clip for clip in folds if clip["class"] == name][: args.clips]
            for to, learn in (("clips", own), ("others", [clip for clip in folds if clip["class"] != name])):
                for clip in learn:
                    (work / to / Path(clip["file"]).name).symlink_to((args.folder / clip["file"]).resolve())
            command = [args.release / "ossicle-quantize", "events", "--add", "own " + name, work / "clips"]
            background = [args.folder / "background", work / "others"][: ["none", "home", "others"].index(args.background)]
            command += ["--background", *background] if background else []
            command += ["-o", work / "own"]
            table = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            quality = [cell.strip() for cell in table.splitlines()[2].split("|")]
            command = [args.release / "ossicle", "detect", "--add-classes", work / "own", "--classes", "own " + name, "--format", "jsonl"]
            files = [str(args.folder / clip["file"]) for clip in check]
            lines = subprocess.run([*command, *files], check=True, capture_output=True, text=True).stdout.splitlines()
        alarmed = {json.loads(line)["file"] for line in lines}
        own = [file for file, clip in zip(files, check) if clip["class"] == name]
        heard, false = len(alarmed.intersection(own)), len(alarmed.difference(own))
        heard_all, own_all = heard_all + heard, own_all + len(own)
        false_all, other_all = false_all + false, other_all + len(files) - len(own)
        print(f"| {name} | {quality[3]} | {quality[4]} | {heard} of {len(own)} | {false} of {len(files) - len(own)} |", flush=True)
    print(f"| all | | | {heard_all} of {own_all} | {false_all} of {other_all} |")


if __name__ == "__main__":
    main()
