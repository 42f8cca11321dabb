#!/usr/bin/env python3
"""Home Assistant's tests of its own sentences: `ossicle command match`, and with --hassil the Python library hassil on the same.

FOLDER is in the layout of OHF-Voice/intents (../shared/data/ha_intents if not given). A sentence is right with its intent and every slot
that its test names, case aside; where a test lists several values, each of them is right. Each sentence is asked once more with words
that nobody expects before and behind it: none of these may be taken. hassil runs in a process of its own; give a Python that has hassil
and pyyaml with --hassil. Times are processor time of the answers alone, without reading the sentences; memory is a process's largest.
"""

import argparse
import collections
import json
import os
import pathlib
import random
import subprocess
import sys
import tempfile
import time

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = os.environ.get("OSSICLE", str(ROOT / "target/release/ossicle"))
FOREIGN = ["xylophone", "the emperor", "seventeen geese"]


def read(path):
    return yaml.load(path.read_text(encoding="utf-8"), getattr(yaml, "CSafeLoader", yaml.SafeLoader))


def read_all(path):
    return [d for d in yaml.load_all(path.read_text(encoding="utf-8"), getattr(yaml, "CSafeLoader", yaml.SafeLoader)) if d]


def cases(folder, language):
    """The tests: a house, and sentences each with intent and slots."""
    tests = folder / "tests" / language
    shared = read(tests / "_fixtures.yaml") if (tests / "_fixtures.yaml").is_file() else {}
    for path in sorted(tests.rglob("*.yaml")):
        if path.name.startswith("_"):
            continue
        for document in read_all(path):
            house = {key: document.get(key) or shared.get(key) or [] for key in ("areas", "floors", "entities")}
            said = []
            for test in document.get("tests") or []:
                intent = (test.get("intent") or {}).get("name", path.parent.name)
                slots = test.get("slots") or (test.get("intent") or {}).get("slots") or {}
                said += [(sentence, intent, slots) for sentence in test["sentences"]]
            if said:
                yield path.relative_to(tests), house, said


def plain(value):
    if isinstance(value, float) and value == int(value):
        value = int(value)
    return str(value).strip().casefold()


def is_right(intent, slots, answer):
    got = answer.get("slots") or {}

    def fits(wanted, given):
        wanted = [plain(v) for v in wanted] if isinstance(wanted, list) else [plain(wanted)]
        given = [plain(v) for v in given] if isinstance(given, list) else [plain(given)]
        return any(value in wanted for value in given)

    return answer.get("intent") == intent and all(name in got and fits(value, got[name]) for name, value in slots.items())


class Ossicle:
    def __init__(self, folder, language):
        self.command = [BINARY, "command", "match", "--sentences", str(folder), "--language", language, "--format", "jsonl"]

    def ask(self, house, lines):
        with tempfile.NamedTemporaryFile("w", suffix=".yaml", encoding="utf-8") as file:
            yaml.safe_dump(house, file, allow_unicode=True)
            file.flush()
            command = [*self.command, "--home", file.name]
            run = subprocess.run(command, input="\n".join(lines) + "\n", capture_output=True, text=True, check=False)
        if run.returncode:
            sys.exit(run.stderr.strip())
        return [json.loads(line) for line in run.stdout.splitlines()]


class Hassil:
    """A worker in another Python that answers a house and its lines with a line of JSON."""

    def __init__(self, python, folder, language):
        command = [python, __file__, str(folder), "--language", language, "--worker"]
        self.worker = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, house, lines):
        self.worker.stdin.write(json.dumps([house, lines], default=str) + "\n")
        self.worker.stdin.flush()
        return json.loads(self.worker.stdout.readline())


def hassil_intents(folder, language):
    """hassil's own form of the folder."""
    whole = {"language": language, "intents": {}, "lists": {}, "expansion_rules": {}, "skip_words": []}
    common = folder / "sentences" / language / "_common.yaml"
    about = (read(common) if common.is_file() else None) or {}
    whole["skip_words"], whole["settings"] = about.get("skip_words") or [], about.get("settings") or {}
    for path in [*sorted((folder / "lists").glob("*.yaml")), *sorted((folder / "lists" / language).glob("*.yaml"))]:
        whole["lists"].update((read(path) or {}).get("lists") or {})
    for path in sorted((folder / "rules" / language).glob("*.yaml")):
        whole["expansion_rules"].update((read(path) or {}).get("expansion_rules") or {})
    for intent, info in read(folder / "intents.yaml").items():
        data = []
        for name, combination in (info.get("slot_combinations") or {}).items():
            path = folder / "sentences" / language / intent / f"{name}.yaml"
            blocks = [b for d in read_all(path) for b in d["data"]] if path.is_file() else []
            full = [b for b in blocks if not b.get("speech_to_phrase")] or blocks
            for block in full:
                slots, requires = dict(block.get("slots") or {}), dict(block.get("requires_context") or {})
                domains = block.get("name_domains")
                if domains:
                    requires["domain"] = combination["name_domain_groups"][domains] if isinstance(domains, str) else domains
                elif block.get("inferred_domain"):
                    slots["domain"] = block["inferred_domain"]
                if combination.get("context_area"):
                    requires["area"] = {"slot": True}
                data.append({"sentences": block["sentences"], "slots": slots, "requires_context": requires, "response": block.get("response")})
        whole["intents"][intent] = {"data": data}
    return whole


def work(folder, language):
    """hassil's side."""
    import resource

    from hassil import Intents, TextSlotList, recognize_best

    intents = Intents.from_dict(hassil_intents(folder, language))
    asked = seconds = 0
    for line in sys.stdin:
        house, lines = json.loads(line)
        names = []
        for entity in house["entities"]:
            domain = entity.get("domain") or str(entity.get("id", "")).split(".")[0]
            names.append((entity["name"], entity["name"], {"domain": domain}))
        lists = {"name": TextSlotList.from_tuples(names, name="name")}
        for list_name, key in (("area", "areas"), ("floor", "floors")):
            lists[list_name] = TextSlotList.from_strings([place["name"] for place in house[key]], name=list_name)
        answers = []
        for text in lines:
            start = time.process_time()
            best = recognize_best(text, intents, slot_lists=lists, intent_context={"area": "here"}, best_slot_name="name")
            asked, seconds = asked + 1, seconds + time.process_time() - start
            slots = {name: entity.value for name, entity in best.entities.items()} if best else {}
            answers.append({"intent": best.intent.name if best else None, "slots": slots})
        usage = {"microseconds": 1e6 * seconds / asked, "megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}
        answers.append(usage)
        print(json.dumps(answers, default=str), flush=True)


def measure(folder, language):
    """Microseconds a sentence and megabytes of one process that answers all sentences for one house, those of reading the folder taken away."""
    house = {"areas": [], "floors": [], "entities": []}
    lines, names = [], set()
    for _, of, said in cases(folder, language):
        lines += [sentence for sentence, _, _ in said]
        for key, places in of.items():
            fresh = [place for place in places if (key, place["name"]) not in names]
            names.update((key, place["name"]) for place in fresh)
            house[key] += fresh

    def run(lines):
        with tempfile.NamedTemporaryFile("w", suffix=".yaml", encoding="utf-8") as file:
            yaml.safe_dump(house, file, allow_unicode=True)
            file.flush()
            command = ["/usr/bin/env", "python3", "-c", CHILD, *Ossicle(folder, language).command, "--home", file.name]
            done = subprocess.run(command, input="\n".join(lines) + "\n", capture_output=True, text=True, check=True)
        seconds, kilobytes = done.stderr.split()[-2:]
        return float(seconds), int(kilobytes) / 1024

    few = min(run(lines[:1])[0] for _ in range(5))
    all_of_them, megabytes = min(run(lines * 5) for _ in range(3))
    return 1e6 * (all_of_them - few) / (5 * len(lines) - 1), megabytes, 1e3 * few


# Runs a command on our standard input and tells its processor seconds and largest memory.
CHILD = """
import resource, subprocess, sys
status = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode
usage = resource.getrusage(resource.RUSAGE_CHILDREN)
print(usage.ru_utime + usage.ru_stime, usage.ru_maxrss, file=sys.stderr)
sys.exit(status)
"""


def check(program, folder, language, show):
    rng = random.Random(1)
    total = right = taken = 0
    missed = collections.Counter()
    usage = {}
    for path, house, said in cases(folder, language):
        lines = [sentence for sentence, _, _ in said]
        spoilt = [f"{word} {line} {word}" for line in lines for word in [rng.choice(FOREIGN)]]
        answers = program.ask(house, lines + spoilt)
        if "microseconds" in answers[-1]:
            usage = answers.pop()
        for (sentence, intent, slots), answer in zip(said, answers):
            total += 1
            if is_right(intent, slots, answer):
                right += 1
            else:
                missed[intent] += 1
                if show > 0:
                    show -= 1
                    print(f"  {path}: {sentence!r} wants {intent} {slots}, got {answer.get('intent')} {answer.get('slots')}")
        taken += sum(bool(answer.get("intent")) for answer in answers[len(lines):])
    return total, right, taken, missed, usage


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=pathlib.Path, default=ROOT.parent / "shared/data/ha_intents")
    parser.add_argument("--language", action="append", help="codes; all that have tests if left out")
    parser.add_argument("--hassil", metavar="PYTHON", help="a Python with hassil and pyyaml")
    parser.add_argument("--least", type=float, metavar="PERCENT", help="end with 1 if less is right, or a spoilt sentence is taken")
    parser.add_argument("--times", action="store_true", help="microseconds a sentence and memory of ossicle, too")
    parser.add_argument("--show", type=int, default=0, metavar="N", help="show so many that are not right")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if not (args.folder / "tests").is_dir():
        sys.exit(f"SKIPPED: no tests in {args.folder}")
    if args.worker:
        return work(args.folder, args.language[0])
    languages = args.language or sorted(path.name for path in (args.folder / "tests").iterdir() if path.is_dir() and path.name[0] != "_")
    good = True
    for language in languages:
        programs = [("ossicle", Ossicle(args.folder, language))]
        if args.hassil:
            programs.append(("hassil", Hassil(args.hassil, args.folder, language)))
        for name, program in programs:
            total, right, taken, missed, usage = check(program, args.folder, language, args.show)
            if name == "ossicle" and args.times:
                usage = dict(zip(("microseconds", "megabytes", "milliseconds to start"), measure(args.folder, language)))
            share = 100 * right / max(total, 1)
            used = "".join(f", {value:.1f} {what}" for what, value in usage.items())
            print(f"{language} {name}: {right} of {total} right ({share:.1f} %), {taken} spoilt taken{used}; {dict(missed.most_common(4))}", flush=True)
            if name == "ossicle" and args.least is not None:
                good &= share >= args.least and not taken
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
