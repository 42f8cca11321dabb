#!/usr/bin/env python3
"""Pictures found by words: find_pictures.py [--model efficientnet-lite0] [--data ../shared/data]

`ossicle find NAME` over the photos of COCO, for each of COCO's 80 names of which there is a photo: how often the first hit shows the thing
(precision), how many of the photos that show it are among the first five (recall; more than five cannot be), and how often a hit with a certain
score is right. Also the first other hit of `find --like` for each photo: how often it shows one of the things that the photo shows, next to what
chance would give.
"""

import argparse
import json
import pathlib
import subprocess
import tempfile

import common


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="efficientnet-lite0")
    parser.add_argument("--data", default=common.DATA)
    parser.add_argument("--program", default=common.ROOT / "target/release/ossicle")
    args = parser.parse_args()
    photos = {picture["path"].name: set(picture["objects"]) for picture in common.manifest(args.data, "images") if picture["set"] == "coco"}
    folder = pathlib.Path(args.data, "images/coco")
    names = [name for name in (folder.parent / "coco_labels.txt").read_text(encoding="utf-8").splitlines() if name]
    with tempfile.TemporaryDirectory() as place:
        common_arguments = ["--model", args.model, "--index-file", f"{place}/index"]
        subprocess.run([args.program, "find", "--index", folder, *common_arguments], check=True)

        def find(*query):
            command = [args.program, "find", *query, folder, *common_arguments, "--no-update", "--format", "jsonl", "--top", "1000"]
            hits = map(json.loads, subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines())
            return [(photos[pathlib.Path(hit["file"]).name], hit["score"]) for hit in hits]

        first, recall, most, scored = [], [], [], []
        for name in names:
            showing = sum(name in objects for objects in photos.values())
            hits = [(name in objects, score) for objects, score in find(name)]
            scored += hits
            if showing:
                first.append(hits[0][0])
                recall.append(sum(right for right, _ in hits[:5]) / showing)
                most.append(min(5, showing) / showing)
        mean = lambda values: 100 * sum(values) / len(values)
        print(f"{len(first)} names, {len(photos)} photos: first hit right {mean(first):.1f} %, recall at 5 {mean(recall):.1f} % (at most {mean(most):.1f})")
        edges = [2, 0.6, 0.5, 0.4, 0.3, 0.2, -2]
        for high, low in zip(edges, edges[1:]):
            right = [right for right, score in scored if low <= score < high]
            if right:
                print(f"of {len(right)} hits with a score from {low} to {high}, {mean(right):.1f} % are right")
        share = lambda photo, objects: bool(photos[photo] & objects)
        alike = [share(photo, find("--like", folder / photo)[0][0]) for photo in photos]
        chance = [share(photo, photos[other]) for photo in photos for other in photos if other != photo]
        print(f"like a photo: the first other shows one of its things for {mean(alike):.1f} %, any other for {mean(chance):.1f} %")


if __name__ == "__main__":
    main()
