#!/usr/bin/env python3
"""One of Piper's voices stage by stage, next to its original graph in ONNX Runtime (f32).

    piper_stages.py VOICE.onnx MODEL [--sentences FILE] [--count 20] [--speaker N] [--words RECOGNISER] [--time]

MODEL is the folder that `ossicle-quantize piper VOICE.onnx` made. Phonemes are espeak-ng's. Without noise the original decides alone, so both are
compared without: durations first, then all stages with the original's durations given to ours, as relative distances, and the log-mel distance of the
samples. --words says the sentences with noise, each side with its own, and counts the word errors of a Whisper (whisper-tiny.en); --time compares
processor time, one thread, three rounds. Needs numpy, onnx, onnxruntime and espeak-ng, and what is compared built:
`cargo build --release --workspace --bin ossicle --example piper_stages`.
"""
import argparse
import json
import re
import resource
import subprocess
import tempfile
import time
import unicodedata
import wave
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import helper

import common

ROOT = Path(__file__).resolve().parents[2]
OSSICLE = ROOT / "target/release/ossicle"
DURATIONS = "/Ceil_output_0"
SENTENCES = ROOT / "quantize/src/minilm/sentences.txt"
# Our tensor, the graph's.
STAGES = [
    ("vits.text.output", "/enc_p/proj/Conv_output_0"),
    ("vits.durations", "/dp/Split_output_0"),
    ("vits.flow.3.leave", "/Mul_7_output_0"),
    ("vits.decoder.input", "/dec/conv_pre/Conv_output_0"),
    ("vits.decoder.stages.0.upsample", "/dec/ups.0/ConvTranspose_output_0"),
    ("vits.decoder.stages.1.upsample", "/dec/ups.1/ConvTranspose_output_0"),
    ("vits.decoder.stages.2.upsample", "/dec/ups.2/ConvTranspose_output_0"),
    ("vits.samples", "output"),
]


def session(model, outputs, forced):
    model = onnx.ModelProto.FromString(model.SerializeToString())
    graph = model.graph
    if forced:
        nodes = [node for node in graph.node if node.output[0] != DURATIONS]
        del graph.node[:]
        graph.node.extend(nodes)
        graph.input.append(helper.make_tensor_value_info(DURATIONS, onnx.TensorProto.FLOAT, [1, 1, "L"]))
    known = {value.name for value in graph.output}
    graph.output.extend(helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in outputs if name not in known)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def log_mel(samples, rate):
    """80 bands up to half the rate, windows of 50 ms every 12.5 ms, in decibels above -80 of full scale."""
    size, hop = rate // 20, rate // 80
    window = np.hanning(size)
    frames = np.lib.stride_tricks.sliding_window_view(np.pad(samples, size // 2), size)[::hop]
    power = np.abs(np.fft.rfft(frames * window, axis=1)) ** 2 / (window.sum() / 2) ** 2
    mel = lambda hertz: 2595 * np.log10(1 + hertz / 700)
    edges = np.linspace(mel(0), mel(rate / 2), 82)
    bins = mel(np.arange(size // 2 + 1) * rate / size)
    bank = np.maximum(0, np.minimum((bins - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None],
                                    (edges[2:, None] - bins) / (edges[2:] - edges[1:-1])[:, None]))
    bank /= bank.sum(1, keepdims=True) + 1e-9
    return 10 * np.log10(power @ bank.T + 1e-8)


def symbols(line, voice, ids):
    spoken = subprocess.run(["espeak-ng", "-v", voice, "-q", "--ipa"], input=line, text=True, capture_output=True, check=True).stdout
    phonemes = unicodedata.normalize("NFD", " ".join(spoken.split("\n")).strip() + ".")
    return ids["^"] + ids["_"] + [n for p in phonemes if p in ids for n in ids[p] + ids["_"]] + ids["$"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("voice", type=Path)
    parser.add_argument("model")
    parser.add_argument("--sentences", type=Path, default=SENTENCES)
    parser.add_argument("--count", type=int, default=20)
    parser.add_argument("--speaker", type=int, help="of a voice of several: the number of the one that MODEL is")
    parser.add_argument("--words", metavar="RECOGNISER")
    parser.add_argument("--time", action="store_true")
    args = parser.parse_args()
    settings = json.loads(Path(f"{args.voice}.json").read_text())
    rate, ids = settings["audio"]["sample_rate"], settings["phoneme_id_map"]
    lines = [line.strip() for line in args.sentences.read_text().splitlines() if len(line.split()) > 3]
    lines = lines[:: max(1, len(lines) // args.count)][: args.count]
    clauses = [symbols(line, settings["espeak"]["voice"], ids) for line in lines]
    model = onnx.load(args.voice)
    made = {output for node in model.graph.node for output in node.output}
    stages = [(ours, name) for ours, name in STAGES if name in made]
    names = [name for _, name in stages]
    scales = np.array([0, settings["inference"]["length_scale"], 0], np.float32)
    settings["sid"] = {} if args.speaker is None else {"sid": np.array([args.speaker], np.int64)}
    feed = lambda clause: {"input": np.array([clause], np.int64), "input_lengths": np.array([len(clause)], np.int64), "scales": scales} | settings["sid"]
    original = session(model, [*names, DURATIONS], False)
    theirs = [dict(zip([*names, DURATIONS], original.run([*names, DURATIONS], feed(clause)))) for clause in clauses]
    with tempfile.TemporaryDirectory() as folder:
        program = ROOT / "target/release/examples/piper_stages"
        run = lambda lines, out: subprocess.run([program, args.model, out, "0", "0"], input="\n".join(lines), text=True, check=True)
        text = lambda numbers: " ".join(str(int(n)) for n in numbers)
        run([text(clause) for clause in clauses], f"{folder}/own")
        run([f"{text(c)} / {text(value[DURATIONS].ravel())}" for c, value in zip(clauses, theirs)], f"{folder}/forced")
        differing = count = apart = frames = 0
        for i, value in enumerate(theirs):
            own, want = np.fromfile(f"{folder}/own/{i}/lasting.u32", np.uint32).astype(int), value[DURATIONS].ravel().astype(int)
            differing, count = differing + (own != want).sum(), count + len(want)
            apart, frames = apart + abs(own - want).sum(), frames + want.sum()
        print(f"{len(clauses)} clauses, {count} symbols, {frames} frames; durations other than the original's: {differing} symbols, {apart} frames")
        for ours, name in stages:
            rows = []
            for i, value in enumerate(theirs):
                got, want = np.fromfile(f"{folder}/forced/{i}/{ours}.f32", np.float32).astype(float), value[name][0].astype(float)
                want = want.ravel() if ours == "vits.samples" else want.T.ravel()
                assert len(got) == len(want), (ours, len(got), len(want))
                rows.append((got @ want / np.linalg.norm(got) / np.linalg.norm(want), np.linalg.norm(got - want) / np.linalg.norm(want)))
            cosine, distance = np.mean(rows, axis=0)
            print(f"{ours:34} cosine {cosine:.6f}  relative distance {distance:.4f}")
        distances = []
        for i, value in enumerate(theirs):
            got, want = np.fromfile(f"{folder}/forced/{i}/vits.samples.f32", np.float32), value["output"].ravel()
            distances.append(np.abs(log_mel(got, rate) - log_mel(want, rate)).mean())
        print(f"log-mel distance of the samples: {np.mean(distances):.3f} dB")
    if args.words:
        words(args, settings, lines, clauses, original)
    if args.time:
        times(args, settings, clauses)


def noisy(settings, clause):
    inference = settings["inference"]
    scales = np.array([inference["noise_scale"], inference["length_scale"], inference["noise_w"]], np.float32)
    return {"input": np.array([clause], np.int64), "input_lengths": np.array([len(clause)], np.int64), "scales": scales} | settings["sid"]


def words(args, settings, lines, clauses, original):
    plain = lambda text: re.sub(r"[^a-z' ]", " ", text.lower()).split()
    heard = lambda path: subprocess.run([OSSICLE, "transcribe", "--model", args.words, path], capture_output=True, text=True, check=True).stdout
    count = ours = theirs = 0
    with tempfile.TemporaryDirectory() as folder:
        text = "\n".join(" ".join(map(str, clause)) for clause in clauses)
        inference = settings["inference"]
        program = [ROOT / "target/release/examples/piper_stages", args.model, f"{folder}/said", str(inference["noise_scale"]), str(inference["noise_w"])]
        subprocess.run(program, input=text, text=True, check=True)
        for i, (line, clause) in enumerate(zip(lines, clauses)):
            # Figures are written in one way and read out in another.
            if re.search(r"\d", line):
                continue
            both = [np.fromfile(f"{folder}/said/{i}/vits.samples.f32", np.float32), original.run(["output"], noisy(settings, clause))[0].ravel()]
            found = []
            for samples in both:
                with wave.open(f"{folder}/one.wav", "wb") as out:
                    out.setnchannels(1), out.setsampwidth(2), out.setframerate(settings["audio"]["sample_rate"])
                    out.writeframes((np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes())
                found.append(common.distance(plain(line), plain(heard(f"{folder}/one.wav"))))
            count, ours, theirs = count + len(plain(line)), ours + found[0], theirs + found[1]
    print(f"word errors of {args.words}, {count} words: ours {ours} ({100 * ours / count:.1f} %), original {theirs} ({100 * theirs / count:.1f} %)")


def times(args, settings, clauses):
    rate = settings["audio"]["sample_rate"]
    letters = {numbers[0]: phoneme for phoneme, numbers in settings["phoneme_id_map"].items()}
    around = [settings["phoneme_id_map"][symbol][0] for symbol in "_^$"]
    text = "\n".join("".join(letters[n] for n in clause if n not in around) for clause in clauses)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    plain = onnxruntime.InferenceSession(str(args.voice), options, providers=["CPUExecutionProvider"])
    for _ in range(3):
        started = time.process_time()
        count = sum(plain.run(None, noisy(settings, clause))[0].size for clause in clauses)
        theirs = (time.process_time() - started) * rate / count
        used = lambda: sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2])
        started = used()
        command = [OSSICLE, "speak", "--phonemes", "-", "--voice", args.model, "--threads", "1"]
        said = subprocess.run(command, input=text.encode(), capture_output=True, check=True).stdout
        ours = (used() - started) * rate / (len(said) / 2)
        print(f"ms for a second of speech: ours {1000 * ours:.1f}, ONNX Runtime {1000 * theirs:.1f}")


if __name__ == "__main__":
    main()
