#!/usr/bin/env python3
"""Phonemes of words and sentences, next to the package hibari-tts.

Words of its lexicons, words that are in none of them (of its tagger's vocabulary, of --words FILE, or of both), and sentences: those of the recordings in ../shared/data, Home Assistant's test
sentences, and the ones with figures and homographs below. Words of a sentence are compared in order, marks left out. Run it with a Python that has hibari-tts:

    python3 -m venv v && v/bin/pip install hibari-tts==0.2.1
    cargo run --release -p ossicle-quantize -- phonemes v/lib/python3*/site-packages/hibari/assets -o phonemes.bin
    cargo build --release -p ossicle-phonemes --examples
    v/bin/python tests/accuracy/phonemes.py phonemes.bin
"""

import argparse
import difflib
import gzip
import json
import pathlib
import random
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
SETS = ("read_en", "long_en", "misc_en", "spontaneous_en")

FIGURES = """
The meeting is at 7:45 and ends at 17:45.
Wake me up at 6:15 am.
Set a timer for 5 minutes and 30 seconds.
The temperature is 21.5 degrees.
It is 3:07 p.m. in London.
The battery is at 87%.
There are 3 lights on and 12 lights off.
The train leaves at 23:59.
Turn the volume up by 10%.
I was born in 1987 and moved in 2003.
The bill was $45.99.
He paid $1,250 for it.
It costs £3.50 or €4.
The 1st and 2nd place went to team 7.
On the 23rd of June, 1999, it rained 15 mm.
She ran 26.2 miles in 4:12:30.
The file is 2.5 GB, the limit 512 MB.
Drive 120 km at 65 mph.
Mr. Brown and Mrs. Green met Dr. Black.
It happened in the 1960s and '70s.
Room 101 is on floor 3.
Flight BA2490 departs from gate A12.
My number is 555-867-5309.
Add 1/2 cup of sugar and 3/4 teaspoon of salt.
The ratio is 3:1.
World War II ended in 1945.
Queen Elizabeth II and King Charles III.
Chapter 12, page 345.
He is 6 ft 2 in tall and weighs 180 lbs.
The year 2000 was fun, 2010 too, and 1066 long ago.
100,000 people and 2,500,000 ants.
0.5 is a half, .25 is a quarter.
It is -5 outside, or about 23 °F.
Visit openai.com or mail info@test.org.
The CEO of IBM and the USA's president met the EU.
The MP3 player and the 4K TV.
I'll take 2 of the 3.
Version 2.0.1 was released on 2024-05-17.
They met on 5/17/2024.
It's 20th century art.
We won 3-2 on Monday.
Pages 10-12 and years 1990-1995.
He was #1 in the USA.
A & B, rock & roll, AT&T.
The U.S. economy grew 2.3%.
Prof. Lee lives on 5th Ave. in N.Y.
Approx. 50 people, etc.
It's 5 o'clock.
She has 1 cat, 21 dogs and 0 fish.
The 7-year-old boy has a 10-speed bike.
At 10 a.m. we left. At 9 p.m. we came back.
Today is Monday, January 5, 2026.
The score was 21 to 14.
Call 911 now!
It weighs 1.5 kg, i.e. 3.3 lb.
1,000,000,000 stars
Est. 1850.
No. 10 Downing St.
He said: "It's 50/50."
$5 million, $3.2 billion, $100k
10x faster, 2x4
5 < 6 and 7 > 2, 2 + 2 = 4
""".strip().splitlines()

HOMOGRAPHS = """
The wind was too strong to wind the sail.
The bandage was wound around the wound.
They were too close to the door to close it.
A bass was painted on the head of the bass drum.
I did not object to the object.
The farm was used to produce produce.
He could lead if he would get the lead out.
The soldier decided to desert his dessert in the desert.
Since there is no time like the present, he thought it was time to present the present.
I had to subject the subject to a series of tests.
How can I intimate this to my most intimate friend?
The insurance was invalid for the invalid.
There was a row among the oarsmen about how to row.
Upon seeing the tear in the painting I shed a tear.
The dove dove into the bushes.
She records a new record every year.
He will permit you to get a permit.
They increase the increase. We import the import.
Please perfect this perfect plan.
The contract says the metal will contract.
Don't insult me with that insult.
We live near a live music venue.
I read that you read books; have you read this one?
He has read the letter. They read it yesterday.
Separate the separate parts.
An estimate: they estimate ten.
The delegate will delegate the work.
He is a graduate who will graduate.
Use the house to house people. What's the use?
I wish to convert the convert.
The rebel will rebel. The suspect is one they suspect.
He tried to conduct good conduct.
Minute details take a minute.
Is the content content?
What a moderate man to moderate the debate.
My alternate will alternate with yours.
Is it appropriate to appropriate funds?
The console will console him.
The refuse heap: I refuse to touch it.
Can you project the project on the wall?
Mr. O'Neill's dog doesn't bark at Ms. Schwarzenegger.
Siobhan and Nguyen ate gnocchi at Worcester's café.
Elon Musk tweeted about SpaceX's Starlink and Tesla.
The Wi-Fi router's IP is 192.168.1.1.
Anthropic, OpenAI, Google and Microsoft.
ChatGPT and Kubernetes run on GPUs.
The résumé of the naïve fiancée.
It's raining cats and dogs, isn't it?
"Well," she said, "that's that."
(He didn't answer; he couldn't.)
Yes! No? Maybe... I don't know.
Wait—what did you say?
Hello, world! Goodbye; see you later.
The kitchen light is on. The bedroom is 21 degrees.
Your timer for ten minutes is done.
Playing "Bohemian Rhapsody" by Queen in the living room.
It will be sunny tomorrow with a high of 75 and a low of 58.
You have 3 new messages and 1 missed call.
The front door is unlocked, and the garage is open.
I've added milk, eggs and bread to your shopping list.
""".strip().splitlines()


def ours(args, lines):
    done = subprocess.run([args.program, args.file], input="\n".join(lines) + "\n", check=True, capture_output=True, text=True)
    return done.stdout.splitlines()


def words(said):
    return [word for word in (word.strip(".,;:!?…—()“”\"") for word in said.replace(" | ", " ").split()) if word]


def compare(args, title, lines, theirs):
    total = right = 0
    if not lines:
        return
    for line, mine, other in zip(lines, ours(args, lines), theirs, strict=True):
        mine, other = words(mine), words(other)
        blocks = difflib.SequenceMatcher(a=other, b=mine, autojunk=False).get_matching_blocks()
        total += len(other)
        right += sum(block.size for block in blocks)
        if args.list and mine != other:
            print(f"{line}\n    {' '.join(mine)}\n    {' '.join(other)} (hibari)")
    print(f"{title}: {100 * right / max(total, 1):.2f} % of {total} words in {len(lines)} lines")


def sentence(text):
    """A transcript as a sentence: in small letters with a capital, where it is all capitals."""
    text = " ".join(text.split())
    if text == text.upper():
        text = re.sub(r"\bi\b", "I", text.lower())
        text = text[:1].upper() + text[1:] + "."
    return text


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", help="what `ossicle-quantize phonemes` wrote")
    parser.add_argument("--program", default=str(ROOT / "target/release/examples/phonemes"))
    parser.add_argument("--words", type=pathlib.Path, metavar="FILE", help="words besides, one a line")
    parser.add_argument("--data", type=pathlib.Path, default=ROOT.parent / "shared/data")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--list", action="store_true", help="print what differs")
    args = parser.parse_args()
    try:
        import hibari
    except ImportError:
        sys.exit("SKIPPED: no hibari-tts in this Python")
    assets = pathlib.Path(hibari.__file__).parent / "assets"
    loaded = lambda name: json.loads(gzip.open(assets / name).read())
    lexicon = set(loaded("lexicon_us_gold.json.gz")) | set(loaded("lexicon_us_silver.json.gz"))
    tagger = loaded("tagger.json.gz")
    draw = random.Random(args.seed)
    inside = draw.sample(sorted(word for word in lexicon if re.fullmatch(r"[A-Za-z]+('[a-z]+)?", word)), 2500)
    pool = {*tagger["vocab"], *tagger["tagdict"], *(args.words.read_text(encoding="utf-8").split() if args.words else [])}
    outside = sorted(word for word in pool if re.fullmatch(r"[A-Za-z]{2,24}", word) and word not in lexicon and word.lower() not in lexicon)
    outside = draw.sample(outside, min(2500, len(outside)))
    sentences = []
    for name in SETS:
        manifest = args.data / name / "manifest.jsonl"
        for line in manifest.read_text(encoding="utf-8").splitlines() if manifest.is_file() else []:
            text = json.loads(line).get("transcript") or json.loads(line).get("text") or ""
            sentences += [sentence(part) for part in re.split(r"(?<=[.!?])\s+", text) if 10 < len(part) < 300]
    if not sentences:
        print(f"SKIPPED: no transcripts in {args.data}")
    voice = hibari.Hibari()
    said = lambda lines: [" | ".join(voice.phonemize(line)) for line in lines]
    for title, lines in [
        ("words of the lexicon", inside),
        ("other words", outside),
        ("transcripts", sentences),
        ("figures", FIGURES),
        ("homographs, names, talk", HOMOGRAPHS),
    ]:
        compare(args, title, lines, said(lines))


if __name__ == "__main__":
    main()
