"""The ranges in runtime/text/src/tables.rs and letters.rs, as Hugging Face's `tokenizers` answers for each code point: python tables.py"""
from tokenizers import Regex
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer, Split

POINTS = [chr(c) for c in range(0x110000) if not 0xD800 <= c < 0xE000]


def normalizer(**on):
    off = {"clean_text": False, "handle_chinese_chars": False, "strip_accents": False, "lowercase": False}
    return BertNormalizer(**{**off, **on}).normalize_str


def ranges(name, characters):
    found = []
    for c in map(ord, characters):
        if found and found[-1][1] == c - 1:
            found[-1][1] = c
        else:
            found.append([c, c])
    print(name, ", ".join(f"(0x{a:x}, 0x{b:x})" for a, b in found))


clean, accents, ideographs = normalizer(clean_text=True), normalizer(strip_accents=True), normalizer(handle_chinese_chars=True)
split = BertPreTokenizer().pre_tokenize_str
ranges("OTHER", [c for c in POINTS if c not in "\0\ufffd" and clean(f"a{c}b") == "ab"])
ranges("NONSPACING", [c for c in POINTS if accents(f"a{c}b") == "ab"])
ranges("PUNCTUATION", [c for c in POINTS if ord(c) >= 128 and len(split(f"a{c}b")) == 3])
ranges("IDEOGRAPHS", [c for c in POINTS if ideographs(c) == f" {c} "])


def matching(expression, around):
    parts = Split(Regex(expression), "isolated").pre_tokenize_str
    return [c for c in POINTS if len(parts(around + c + around)) == 3]


ranges("LETTERS", matching(r"\p{L}", "1"))
ranges("NUMBERS", matching(r"\p{N}", "a"))
