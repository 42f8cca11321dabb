"""Texts and the tokens that Hugging Face's `tokenizers` makes of them: python oracle.py tokenizer.json COUNT [SEED] > lines.jsonl

    cargo run --release -p ossicle-text --example compare -- tokenizer.json lines.jsonl

compares them with ours. `runtime/text/tests/oracle.jsonl` holds 400 of seed 11.
"""
import json, random, sys
from tokenizers import Tokenizer

WORDS = (
    "the of dog's barking na\u00efve caf\u00e9 \u00c4pfel \ufb01ne \u00bd \u2460 \u2126 \u03a3\u0391\u03a3 \u0130stanbul \u00df \u6f22\u5b57 \u304b\u306a "
    "\ud55c\uad6d\uc5b4 \u0e2a\u0e27\u0e31\u0e2a\u0e14\u0e35 \u0928\u092e\u0938\u094d\u0924\u0947 \U0001f642 \U0001f469\u200d\U0001f467 e\u0301 a\u0300\u0301 "
    "\u200b \u00ad \ufeff don't U.S.A. 3.14 $5 C++ a_b x-y \t \n \r \0 \ufffd [CLS] [SEP] [MASK][PAD] [UNK] [cls] ##ing "
    "antidisestablishmentarianism \u0345 \u1e9e \u01c5 \ufdfa"
).split(" ")


def text(rng):
    def characters(most, *ranges):
        points = (rng.randint(*rng.choice(ranges)) for _ in range(rng.randint(0, most)))
        return "".join(chr(c) for c in points if not 0xD800 <= c < 0xE000)

    kind = rng.random()
    if kind < 0.4:
        return "".join(rng.choice(WORDS) + rng.choice([" ", "", "  ", "\u00a0", "\u3000", "-", "'"]) for _ in range(rng.randint(0, 12)))
    if kind < 0.6:
        return characters(30, (1, 127), (0x80, 0x24F), (0x300, 0x36F), (0x370, 0x5FF))
    if kind < 0.8:
        return characters(20, (1, 0x10FFFF))
    if kind < 0.9:
        return characters(20, (0x2000, 0x206F), (0x3000, 0x9FFF), (0xF900, 0xFFFF), (0x20000, 0x2FFFF), (0x61, 0x7A))
    return rng.choice("abcxyz") * rng.choice([1, 50, 99, 100, 101, 120, 300]) + rng.choice(WORDS)


tokenizer = Tokenizer.from_file(sys.argv[1])
tokenizer.no_padding()
tokenizer.no_truncation()
rng = random.Random(int(sys.argv[3]) if len(sys.argv) > 3 else 11)
for _ in range(int(sys.argv[2])):
    line = text(rng)
    print(json.dumps({"text": line, "ids": tokenizer.encode(line).ids}))
