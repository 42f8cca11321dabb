#!/usr/bin/env python3
"""Transcripts of the reference programs, to compare ours with.

reference.py hf MODEL SET OUT      transformers f32, greedy, no timestamps, one 30 s window; with --encoder DIR the encoder outputs too (NAME.npy)
reference.py fw MODEL SET OUT      faster-whisper (CTranslate2 folder), --compute-type int8|float32, beam 1, its own defaults otherwise; --words for word times

OUT is a file of JSON lines: file, text, language, words. One thread.
"""

import argparse
import json
import pathlib

import common


def hf(args, clips):
    import numpy
    import torch
    from tokenizers import Tokenizer
    from transformers import WhisperFeatureExtractor, WhisperForConditionalGeneration

    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    model = WhisperForConditionalGeneration.from_pretrained(args.model, dtype=torch.float32, attn_implementation="eager").eval()
    features = WhisperFeatureExtractor.from_pretrained(args.model)
    tokenizer = Tokenizer.from_file(str(pathlib.Path(args.model) / "tokenizer.json"))
    settings = json.loads((pathlib.Path(args.model) / "generation_config.json").read_text())
    prompt = [settings["decoder_start_token_id"]]
    if settings["is_multilingual"]:
        prompt += [tokenizer.token_to_id(t) for t in (f"<|{args.language or 'en'}|>", "<|transcribe|>")]
    prompt.append(settings["no_timestamps_token_id"])
    banned = torch.zeros(model.config.vocab_size)
    banned[settings["suppress_tokens"]] = -torch.inf
    banned[settings["no_timestamps_token_id"] :] = -torch.inf
    first = banned.clone()
    first[settings["begin_suppress_tokens"]] = -torch.inf
    for clip in clips:
        mel = features(common.load(clip["path"])[:480000], sampling_rate=16000, return_tensors="pt").input_features
        encoded = model.model.encoder(mel)
        if args.encoder:
            pathlib.Path(args.encoder).mkdir(parents=True, exist_ok=True)
            numpy.save(pathlib.Path(args.encoder) / f"{pathlib.Path(clip['file']).stem}.npy", encoded.last_hidden_state[0].numpy())
        tokens, past, step, logprobs = [], None, prompt, []
        while len(tokens) < 224:
            out = model(encoder_outputs=encoded, decoder_input_ids=torch.tensor([step]), past_key_values=past, use_cache=True)
            logits = out.logits[0, -1] + (banned if tokens else first)
            past, token = out.past_key_values, int(logits.argmax())
            logprobs.append(float(logits.log_softmax(-1)[token]))
            if token == settings["eos_token_id"]:
                break
            tokens.append(token)
            step = [token]
        yield clip, {"text": tokenizer.decode(tokens), "avg_logprob": round(sum(logprobs) / len(logprobs), 4)}


def fw(args, clips):
    from faster_whisper import WhisperModel

    model = WhisperModel(args.model, device="cpu", compute_type=args.compute_type, cpu_threads=1)
    for clip in clips:
        options = {"beam_size": 1, "word_timestamps": args.words, "without_timestamps": args.no_timestamps, "condition_on_previous_text": args.carry, "language": args.language}
        if args.greedy:
            options["temperature"] = 0.0
        segments, info = model.transcribe(common.load(clip["path"]), **options)
        segments = list(segments)
        row = {"text": "".join(s.text for s in segments), "language": info.language}
        row["segments"] = [{"start": s.start, "end": s.end, "text": s.text, "avg_logprob": s.avg_logprob, "no_speech_prob": s.no_speech_prob, "compression_ratio": s.compression_ratio, "temperature": s.temperature} for s in segments]
        if args.words:
            row["words"] = [{"word": w.word, "start": w.start, "end": w.end} for s in segments for w in s.words]
        yield clip, row


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("program", choices=("hf", "fw"))
    parser.add_argument("model")
    parser.add_argument("set")
    parser.add_argument("out")
    parser.add_argument("--data", default=common.DATA)
    parser.add_argument("--every", type=int, default=1, help="only each N-th recording")
    parser.add_argument("--language")
    parser.add_argument("--encoder", help="hf: folder for the encoder outputs")
    parser.add_argument("--compute-type", default="int8")
    parser.add_argument("--words", action="store_true")
    parser.add_argument("--no-timestamps", action="store_true")
    parser.add_argument("--greedy", action="store_true", help="fw: temperature 0 alone, no fallback")
    parser.add_argument("--carry", action="store_true", help="fw: condition on the previous text")
    args = parser.parse_args()
    clips = common.manifest(args.data, args.set)[:: args.every]
    with open(args.out, "w", encoding="utf-8") as out:
        for clip, row in {"hf": hf, "fw": fw}[args.program](args, clips):
            out.write(json.dumps({"file": clip["file"], **row}, ensure_ascii=False) + "\n")
            out.flush()


if __name__ == "__main__":
    main()
