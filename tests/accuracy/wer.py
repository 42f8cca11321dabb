#!/usr/bin/env python3
"""Word error rate of a set: wer.py SET TEXTS [--data DIR] [--worst N]

TEXTS is a file of JSON lines with `file` and `text`, as transcribe_set.py and reference.py write them. Whisper's English normaliser on both sides;
the rate is all edits over all words.
"""

import argparse
import json

import common


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("set")
    parser.add_argument("texts")
    parser.add_argument("--data", default=common.DATA)
    parser.add_argument("--worst", type=int, default=10)
    parser.add_argument("--json", action="store_true", help="the totals alone, as one JSON object")
    args = parser.parse_args()
    totals, rows = common.score(common.manifest(args.data, args.set), common.read_texts(args.texts))
    print(json.dumps(totals))
    if not args.json:
        common.show_worst(rows, args.worst)


if __name__ == "__main__":
    main()
