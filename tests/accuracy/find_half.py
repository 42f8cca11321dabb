"""First hits of `ossicle find` among described sounds that its caption map has not heard: python find_half.py RELEASE MODELS DATA

RELEASE holds `ossicle` and `ossicle-quantize`, MODELS `yamnet` and `minilm`, DATA `free_sounds` and `sound_events`. A map learns from the half of
`free_sounds` whose files' SHA-256 begins with an even byte, and from `sound_events`; the other half is searched, 76 of it at a time, 40 times. Needs
numpy.
"""
import hashlib, json, random, shutil, struct, subprocess, sys, tempfile
from pathlib import Path

import numpy


def tensors(path):
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    header, body = json.loads(data[8 : 8 + length]), data[8 + length :]
    return header, {name: body[slice(*info["data_offsets"])] for name, info in header.items() if name != "__metadata__"}


def replaced(folder, captions):
    """The folder's caption map replaced by another."""
    header, parts = tensors(folder / "model.safetensors")
    _, new = tensors(captions)
    # Blocks of 16 rows, the last one filled up.
    rows = len(new["bias"]) // 4
    missing = -rows % 16
    weight = numpy.pad(numpy.frombuffer(new["weight"], numpy.int8).reshape(rows, -1), ((0, missing), (0, 0)))
    weight = weight.reshape((rows + missing) // 16, 16, -1, 4).transpose(0, 2, 1, 3)
    parts |= {"captions.weight": weight.tobytes()}
    parts |= {f"captions.{name}": new[name] + bytes(4 * missing) for name in ("weight_scale", "bias")}
    body = b""
    for name in sorted(parts, key=lambda name: header[name]["data_offsets"]):
        body += parts[name]
    data = (folder / "model.safetensors").read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    assert len(data) == 8 + length + len(body)
    (folder / "model.safetensors").write_bytes(data[: 8 + length] + body)
    names = [line.split()[1] for line in (folder / "SHA256SUMS").read_text().splitlines()]
    (folder / "SHA256SUMS").write_text("".join(f"{hashlib.sha256((folder / name).read_bytes()).hexdigest()}  {name}\n" for name in names))


def main():
    release, models, data = (Path(path).absolute() for path in sys.argv[1:4])
    items = [json.loads(line) for line in open(data / "free_sounds/manifest.jsonl")]
    learned = {item["file"] for item in items if hashlib.sha256((data / "free_sounds" / item["file"]).read_bytes()).digest()[0] % 2 == 0}
    held = [item for item in items if item["file"] not in learned]
    work = Path(tempfile.mkdtemp())
    listed = (Path(__file__).parents[2] / "quantize/cards/captions.tsv").read_text().splitlines()
    kept = [line for line in listed if not line.startswith("free_sounds/") or line.split("\t")[0][len("free_sounds/") :] in learned]
    (work / "list.tsv").write_text("\n".join(kept) + "\n")
    (work / "sounds").mkdir()
    for item in held:
        shutil.copy(data / "free_sounds" / item["file"], work / "sounds")
    quantize = [release / "ossicle-quantize", "captions", work / "list.tsv", "--data", data, "--model", models / "yamnet", "--find-model", models / "minilm"]
    subprocess.run([*quantize, "-o", work / "captions.safetensors"], check=True)
    shutil.copytree(models / "minilm", work / "minilm")
    replaced(work / "minilm", work / "captions.safetensors")
    find = [release / "ossicle", "find", "--model", models / "yamnet", "--find-model", work / "minilm", "--index-file", work / "index"]
    subprocess.run([*find, "--index", work / "sounds"], check=True)
    found = []
    for item in held:
        command = [*find, item["what"], work / "sounds", "--no-update", "--format", "jsonl", "--top", "100000", "--windows", "1"]
        lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
        found.append({Path(hit["file"]).name: hit["score"] for hit in map(json.loads, lines)})
    names = [Path(item["file"]).name for item in held]
    rng = random.Random(0)
    shares = []
    for _ in range(40):
        chosen = rng.sample(range(len(held)), 76)
        shares.append(100 * sum(max(chosen, key=lambda j: found[i][names[j]]) == i for i in chosen) / 76)
    print(f"{len(held)} sounds of the other half: {sum(shares) / len(shares):.1f} % first among 76 of them, mean of {len(shares)} draws")
    shutil.rmtree(work)


main()
