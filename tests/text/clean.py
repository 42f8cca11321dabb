"""What CLIP's own tokenizers do to a text first, by PyPI's ftfy 6.3.1 and html.unescape (Python 3.11):

    python clean.py tables > runtime/text/src/clean/tables.rs
    python clean.py entities > runtime/text/src/clean/entities.txt
    python clean.py lines COUNT [SEED] > lines.jsonl
    cargo run --release -p ossicle-text --example clean -- lines.jsonl
    python clean.py tokens COUNT [SEED] > tokens.jsonl         # by PyPI's openai-clip 1.0.1, without torch
    cargo run --release -p ossicle-text --example compare -- tokenizer.json tokens.jsonl ftfy

The examples compare them with ours. `runtime/text/tests/clean.jsonl` holds 1,000 of seed 11. ftfy is Robyn Speer's, under Apache-2.0.
"""
import html
import html.entities
import importlib.metadata
import importlib.util
import json
import random
import re
import sys
import unicodedata

import ftfy
from ftfy.badness import MOJIBAKE_CATEGORIES
from ftfy.chardata import CHARMAP_ENCODINGS, UTF8_CLUES

CLASSES = {
    "COMMON": "common",
    "CONTROL": "c1",
    "BAD": "bad",
    "LAW": "law",
    "CURRENCY": "currency",
    "OPENING": "start_punctuation",
    "CLOSING": "end_punctuation",
    "NUMERIC": "numeric",
    "FACE": "kaomoji",
    "UPPER": "upper_accented",
    "LOWER": "lower_accented",
    "UPPER_PLAIN": "upper_common",
    "LOWER_PLAIN": "lower_common",
    "BOX": "box",
    "LEADS_2": "utf8_first_of_2",
    "LEADS_3": "utf8_first_of_3",
    "LEADS_4": "utf8_first_of_4",
    "FOLLOWS": "utf8_continuation",
    "FOLLOWS_ONLY": "utf8_continuation_strict",
}


def clean(text):
    """As CLIP's simple_tokenizer and open_clip's do it."""
    text = html.unescape(html.unescape(ftfy.fix_text(text))).strip()
    return re.sub(r"\s+", " ", text).strip().lower()


def wrapped(items):
    line = "   "
    for item in items:
        if len(line) + len(item) + 2 > 132:
            print(line)
            line = "   "
        line += f" {item},"
    print(line)


def tables():
    print("//! Classes of characters and single-byte encodings, as ftfy 6.3.1 has them (Robyn Speer, Apache-2.0).")
    print("//!\n//! Found by asking it of each code point (`tests/text/clean.py tables`).\n")
    members = {**MOJIBAKE_CATEGORIES, **UTF8_CLUES}
    for bit, (name, theirs) in enumerate(CLASSES.items()):
        print(f"pub(super) const {name}: u32 = 1 << {bit};")
    matches = [re.compile("[" + members[theirs] + "]").match for theirs in CLASSES.values()]
    ranges = []
    for point in range(0x10000):
        if 0xD800 <= point < 0xE000:
            continue
        mask = sum(1 << bit for bit, match in enumerate(matches) if match(chr(point)))
        if not mask:
            continue
        if ranges and ranges[-1][1] == point - 1 and ranges[-1][2] == mask:
            ranges[-1][1] = point
        else:
            ranges.append([point, point, mask])
    print("\n/// First, last, and the classes of what lies between.")
    print("#[rustfmt::skip]\npub(super) const CLASSES: &[(u16, u16, u32)] = &[")
    wrapped(f"(0x{a:x}, 0x{b:x}, 0x{mask:x})" for a, b, mask in ranges)
    print("];")
    names = CHARMAP_ENCODINGS[1:]
    print(f"\n/// What the bytes from 0x80 on stand for: {', '.join(names)}.")
    print(f"#[rustfmt::skip]\npub(super) static ENCODINGS: [[u16; 128]; {len(names)}] = [")
    for name in names:
        print("    [")
        wrapped(f"0x{ord(c):x}" for c in bytes(range(0x80, 0x100)).decode(name))
        print("    ],")
    print("];")


def entities():
    """A line for each name: the name, `*` if it may end without a semicolon, and its characters in hexadecimal."""
    table = html.entities.html5
    for name in sorted(name[:-1] for name in table if name.endswith(";")):
        bare = "*" if name in table else ""
        assert not bare or table[name] == table[name + ";"]
        print(f"{name} {bare}{','.join(f'{ord(c):x}' for c in table[name + ';'])}")


WORDS = (
    "a photo of the cat's dog don't na\u00efve caf\u00e9 Z\u00fcrich \u0395\u03bb\u03bb\u03ac\u03c2 \u041f\u0440\u0438\u0432\u0435\u0442 \u6f22\u5b57 "
    "\u30ab\u30bf\u30ab\u30ca \ud55c\uad6d\uc5b4 \u201ccurly\u201d \u2018quotes\u2019 it\u2019s \u2013 \u2014 \u2026 \u20ac5 \u00a35 10\u00b3 \u00bd "
    "\ufb01ne o\ufb03ce \uff26\uff35\uff2c\uff2c\u3000\uff12 \uff76\uff9e \u0149 \u01c4 \u0132 \U0001f642 \U0001f468\u200d\U0001f469 \u2714 \u2122 "
    "\u00e0 la \u00c3 voil\u00e0 \u00c5ngstr\u00f6m \u0160koda \u0141\u00f3d\u017a \u00ab mot \u00bb \u00bf qu\u00e9 ? 20\u00b0 \u00d7 \u03c0 \u221a2 \u2502\u2500\u2518 "
    "&amp; &lt;b&gt; &eacute; &EACUTE; &notit; &amp;amp;quot; &#233; &#xe9; &#x80; &#59; &#0; &#xD800; &#99999999; &AMP &copy2 &hellip; <i> x<y "
    "\x1b[31mred\x1b[0m \x1b[ \x00 \x07 \x1a \x7f \x85 \x92 \x9d \r\n \r \n \u2028 \u2029 \ufeff \ufffc \u206a \u200b \xad \xa0 \ufffd ? "
    "e\u0301 a\u0300\u0301 \u0130stanbul \u03a3\u0391\u03a3 \u1e9e \u017ft <|endoftext|> <|STARTOFTEXT|> !!<|endoftext|> 's '\u017f"
).split(" ")
WRONG = ["latin-1", "cp1252", "cp1251", "cp1250", "cp1253", "cp1254", "cp1257", "iso-8859-2", "mac_roman", "cp437"]
WRONG += [name for name in CHARMAP_ENCODINGS if name.startswith("sloppy")]


def spoiled(rng, text):
    """UTF-8 read by another encoding, perhaps with losses on the way."""
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        text = text.encode("utf-8", "surrogatepass").decode(rng.choice(WRONG), rng.choice(["replace", "replace", "ignore"]))
    kind = rng.random()
    if kind < 0.2:
        text = text.replace("\xa0", " ")
    elif kind < 0.3:
        text = text.replace("\ufffd", "?")
    elif kind < 0.4 and text:
        at = rng.randrange(len(text))
        text = text[:at] + text[at + 1 :]
    elif kind < 0.5:
        text = "".join(rng.choice(WORDS[:40]) + " " for _ in range(2)) + text
    return text


def astral_by_halves(text):
    """CESU-8: each half of a surrogate pair by itself; a NUL in two bytes."""
    found = b""
    for c in text:
        code = c.encode("utf-16-be")
        for unit in (code[i : i + 2] for i in range(0, len(code), 2)):
            found += unit.decode("utf-16-be", "surrogatepass").encode("utf-8", "surrogatepass") if unit != b"\0\0" else b"\xc0\x80"
    return found


def text(rng):
    def characters(most, *ranges):
        points = (rng.randint(*rng.choice(ranges)) for _ in range(rng.randint(1, most)))
        return assigned(map(chr, points))

    def words(most):
        return "".join(rng.choice(WORDS) + rng.choice([" ", " ", "", "  "]) for _ in range(rng.randint(1, most)))

    kind = rng.randrange(12)
    if kind < 2:
        return words(12)
    if kind < 5:
        return spoiled(rng, words(8))
    if kind == 5:
        return words(3) + spoiled(rng, words(3)) + words(3)
    if kind == 6:
        # Letters and marks that stand in what went wrong
        return characters(12, (0x20, 0x7E), (0x80, 0xFF), (0xA0, 0x17F), (0x391, 0x451), (0x2013, 0x2122), (0x2500, 0x2593))
    if kind == 7:
        members = [c for name in ("bad", "start_punctuation", "end_punctuation", "currency", "numeric", "law", "common") for c in MOJIBAKE_CATEGORIES[name]]
        members += list("\u00c2\u00c3\u00ce\u00d0\u00d8\u00d9\u00e0\u00e2\u0152\u0153\u0432\u0402\u0413\u0412\u0420\u0421\u0392\u0393\u039e\u039f\u03b2\u0101\u221a\u2248\u201a\u00c4az .,?!Z_7")
        return "".join(rng.choice(members) for _ in range(rng.randint(1, 10)))
    if kind == 8:
        return spoiled(rng, characters(8, (0x20, 0x7E), (0xA0, 0x24F), (0x2010, 0x2040), (0x3040, 0x30FF), (0x1F300, 0x1F64F)))
    if kind == 9:
        return characters(20, (1, 0x7F), (1, 0x24F), (1, 0x2FFF), (0xFB00, 0xFFFF), (1, 0x10FFFF))
    if kind == 10:
        names = list(html.entities.html5)
        pieces = (rng.choice(["&", "&", "&amp;", "&#", "&#x"]) + rng.choice([rng.choice(names), rng.choice(names).upper(), str(rng.randint(0, 70000))])
                  + rng.choice(["", ";", "x", " "]) for _ in range(rng.randint(1, 5)))
        return "".join(pieces)
    return astral_by_halves(words(4)).decode(rng.choice(["latin-1", "sloppy-windows-1252", "sloppy-windows-1251"]))


def assigned(text):
    """A text without characters that this Python's Unicode does not know: later ones may be letters to one side and not to the other."""
    return "".join(c for c in text if unicodedata.category(c) not in ("Cs", "Cn"))


def known(rng):
    """A text that has none of them once it is clean, either."""
    while True:
        line = text(rng)
        if assigned(clean(line)) == clean(line):
            return line


def openai_tokenizer():
    """The tokenizer of openai-clip: its package itself would want torch."""
    path = importlib.metadata.distribution("openai-clip").locate_file("clip/simple_tokenizer.py")
    spec = importlib.util.spec_from_file_location("simple_tokenizer", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.SimpleTokenizer()


def tokens(count, seed):
    rng, tokenizer = random.Random(seed), openai_tokenizer()
    for _ in range(count):
        line = known(rng)
        print(json.dumps({"text": line, "ids": [49406, *tokenizer.encode(line), 49407]}))


def lines(count, seed):
    if ftfy.__version__ != "6.3.1":
        sys.exit(f"ftfy {ftfy.__version__}: 6.3.1 is what is compared with")
    rng = random.Random(seed)
    for _ in range(count):
        line = text(rng)
        print(json.dumps({"text": line, "clean": clean(line)}))


if __name__ == "__main__":
    what = sys.argv[1] if len(sys.argv) > 1 else ""
    if what in ("lines", "tokens"):
        {"lines": lines, "tokens": tokens}[what](int(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else 11)
    elif what in ("tables", "entities"):
        {"tables": tables, "entities": entities}[what]()
    else:
        sys.exit(__doc__)
