#!/usr/bin/env python3
"""CLIP's and SigLIP's import beside Transformers: clip.py --vocabulary bpe_simple_vocab_16e6.txt.gz [--shapes small,tiny,b32] [--data ../shared/data]

No trained CLIP can be had offline, so this makes checkpoints with seeded weights in Transformers' own CLIPModel, imports them with
`ossicle-quantize clip` (those of open_clip likewise, from its own class), and compares: pixels after resizing and normalisation, tokens of
10,000 random and odd strings (of a CLIP as OpenAI makes them, with ftfy, and as Hugging Face does), float vectors of images and texts (the importer's, on tract's operators), logits of SigLIP, and INT8 vectors
(`ossicle embed`). Fails if a token or a pixel differs, or a float vector by more than 1e-4. The cosines of INT8 are of weights nobody trained:
they are printed, not judged. Needs torch, transformers, tokenizers, open_clip_torch, openai-clip, ftfy 6.3.1, Pillow and numpy; the vocabulary is in open_clip_torch. The
first SigLIP's shapes need sentencepiece and protobuf, too. Vocabularies of SigLIP and SigLIP 2 are made of this project's documentation.
"""

import argparse
import gzip
import importlib
import json
import pathlib
import random
import subprocess
import sys
import tempfile

SHAPES = {
    "small": (
        dict(hidden_size=128, intermediate_size=512, num_attention_heads=2, num_hidden_layers=3, image_size=64, patch_size=16),
        dict(hidden_size=64, intermediate_size=256, num_attention_heads=2, num_hidden_layers=3),
        64,
    ),
    "tiny": (  # TinyCLIP ViT-8M/16 Text-3M
        dict(hidden_size=256, intermediate_size=1024, num_attention_heads=4, num_hidden_layers=10, patch_size=16, hidden_act="gelu"),
        dict(hidden_size=256, intermediate_size=1024, num_attention_heads=4, num_hidden_layers=3, hidden_act="gelu"),
        512,
    ),
    "b32": (dict(), dict(), 512),
}
MOBILE = dict(
    embed_dim=512,
    vision_cfg=dict(timm_model_name="fastvit_mci0", timm_model_pretrained=False, timm_pool="avg", timm_proj=None, image_size=256),
    text_cfg=dict(context_length=77, vocab_size=49408, width=512, heads=8, layers=12, no_causal_mask=True),
)
OPEN_CLIP = {
    "open_clip": dict(
        embed_dim=64,
        vision_cfg=dict(image_size=64, layers=3, width=128, patch_size=16),
        text_cfg=dict(context_length=77, vocab_size=49408, width=64, heads=1, layers=3),
    ),
    # MobileCLIP2-S0, as it is trained and with its branches summed
    "mobileclip": MOBILE,
    "mobileclip-summed": MOBILE,
    "open_clip-b32": dict(
        embed_dim=512,
        quick_gelu=True,
        vision_cfg=dict(image_size=224, layers=12, width=768, patch_size=32),
        text_cfg=dict(context_length=77, vocab_size=49408, width=512, heads=8, layers=12),
    ),
}
SIGLIP = {
    "siglip-small": dict(
        vision_config=dict(hidden_size=128, intermediate_size=512, num_attention_heads=2, num_hidden_layers=3, image_size=64, patch_size=16),
        text_config=dict(hidden_size=128, intermediate_size=512, num_attention_heads=2, num_hidden_layers=3),
    ),
    "siglip-base": dict(vision_config=dict(), text_config=dict()),  # google/siglip-base-patch16-224
}
# SigLIP 2: Gemma's form of tokenizer; so400m has patches that do not fill the picture, and heads of 72 values.
GEMMA = {
    "siglip2-small": SIGLIP["siglip-small"],
    "siglip2-so400m-small": dict(
        vision_config=dict(hidden_size=144, intermediate_size=544, num_attention_heads=2, num_hidden_layers=3, image_size=90, patch_size=14),
        text_config=dict(hidden_size=144, intermediate_size=544, num_attention_heads=2, num_hidden_layers=3, projection_size=144),
    ),
    "siglip2-base": SIGLIP["siglip-base"],
    "siglip2-so400m": dict(
        vision_config=dict(
            hidden_size=1152, intermediate_size=4304, num_attention_heads=16, num_hidden_layers=27, image_size=384, patch_size=14),
        text_config=dict(hidden_size=1152, intermediate_size=4304, num_attention_heads=16, num_hidden_layers=27, projection_size=1152),
    ),
}
SIGLIP.update(GEMMA)
MEAN, DEVIATION = [0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]
WORDS = r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"


def tokenizer(vocabulary):
    """`tokenizer.json` as Hugging Face has it for CLIP, from OpenAI's list of merges."""
    merges = [line.split() for line in gzip.open(vocabulary, "rt", encoding="utf-8").read().split("\n")[1 : 49152 - 256 - 2 + 1]]
    seen = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = [byte for byte in range(256) if byte not in seen]
    characters = [chr(byte) for byte in seen] + [chr(256 + i) for i in range(len(hidden))]
    tokens = characters + [c + "</w>" for c in characters] + ["".join(merge) for merge in merges] + ["<|startoftext|>", "<|endoftext|>"]
    flags = dict(single_word=False, lstrip=False, rstrip=False, special=True)
    split = dict(type="Split", pattern={"Regex": WORDS}, behavior="Removed", invert=True)
    return {
        "version": "1.0",
        "added_tokens": [
            dict(id=49406, content="<|startoftext|>", normalized=True, **flags),
            dict(id=49407, content="<|endoftext|>", normalized=False, **flags),
        ],
        "normalizer": {
            "type": "Sequence",
            "normalizers": [{"type": "NFC"}, {"type": "Replace", "pattern": {"Regex": "\\s+"}, "content": " "}, {"type": "Lowercase"}],
        },
        "pre_tokenizer": {
            "type": "Sequence",
            "pretokenizers": [split, {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}],
        },
        "post_processor": {
            "type": "RobertaProcessing",
            "sep": ["<|endoftext|>", 49407],
            "cls": ["<|startoftext|>", 49406],
            "trim_offsets": False,
            "add_prefix_space": False,
        },
        "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
        "model": {
            "type": "BPE",
            "unk_token": "<|endoftext|>",
            "continuing_subword_prefix": "",
            "end_of_word_suffix": "</w>",
            "vocab": {token: i for i, token in enumerate(tokens)},
            "merges": [" ".join(merge) for merge in merges],
        },
    }


def checkpoint(folder, shape, seed, vocabulary):
    """A CLIP of seeded weights, livelier than those that training begins with."""
    import torch
    from transformers import CLIPConfig, CLIPModel

    torch.manual_seed(seed)
    vision, text, projection = SHAPES[shape]
    text = dict(text, bos_token_id=49406, eos_token_id=49407)
    model = CLIPModel(CLIPConfig(vision_config=vision, text_config=text, projection_dim=projection)).eval()
    livelier(model)
    model.save_pretrained(folder)
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer(vocabulary)))
    side = vision.get("image_size", 224)
    json.dump(
        dict(crop_size=side, do_center_crop=True, do_normalize=True, do_resize=True, resample=3, size=side,
             image_mean=MEAN, image_std=DEVIATION),
        open(folder / "preprocessor_config.json", "w"),
    )

    def vector(found):
        return getattr(found, "pooler_output", found)

    def encode_image(pixels):
        return vector(model.get_image_features(pixel_values=pixels))

    def encode_text(ids):
        return vector(model.get_text_features(input_ids=ids))

    return encode_image, encode_text, side, False


def livelier(model):
    """Weights further from those that training begins with."""
    import torch

    for name, values in model.named_buffers():
        if name.endswith("running_mean"):
            values.data += 0.2 * torch.randn_like(values)
        elif name.endswith("running_var"):
            values.data *= 1 + torch.rand_like(values)
    for name, values in model.named_parameters():
        if name.endswith("gamma"):
            values.data = 0.3 * torch.randn_like(values)
        elif values.ndim == 1:
            values.data += 0.2 * torch.randn_like(values)
        elif "position" in name:
            values.data += 0.05 * torch.randn_like(values)
        elif values.ndim > 1:
            values.data *= 2


def open_clip_checkpoint(folder, shape, seed, vocabulary):
    """The same by open_clip's class, saved as it saves: functions of a batch of pixels and of one of tokens."""
    import torch
    from open_clip.model import CLIP, CustomTextCLIP
    from timm.utils import reparameterize_model
    from torch.nn import functional

    torch.manual_seed(seed)
    config = OPEN_CLIP[shape]
    mobile = "timm_model_name" in config["vision_cfg"]
    model = (CustomTextCLIP if mobile else CLIP)(**config).eval()
    livelier(model)
    if shape.endswith("summed"):
        model = reparameterize_model(model)
    torch.save(model.state_dict(), folder / "open_clip_pytorch_model.bin")
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer(vocabulary)))
    # MobileCLIP's pixels are from 0 to 1, resized linearly.
    figures = dict(mean=[0, 0, 0], std=[1, 1, 1], interpolation="bilinear") if mobile else dict(mean=MEAN, std=DEVIATION)
    preprocess = dict(dict(interpolation="bicubic", resize_mode="shortest", mode="RGB"), **figures)
    saved = dict(config, custom_text=True) if mobile else config
    (folder / "open_clip_config.json").write_text(json.dumps(dict(model_cfg=saved, preprocess_cfg=preprocess)))

    def encode(ids):
        return model.encode_text(functional.pad(ids, (0, 77 - ids.shape[1])))

    return model.encode_image, encode, config["vision_cfg"]["image_size"], mobile


def siglip_tokenizer(folder):
    """A SentencePiece model like SigLIP's, and `tokenizer.json` of the same: small letters, no punctuation, single spaces, and what
    SentencePiece does itself."""
    import base64
    import string

    import sentencepiece
    from sentencepiece import sentencepiece_model_pb2
    from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

    docs = sorted(pathlib.Path(__file__).resolve().parents[2].glob("docs/*.md"))
    text = folder / "docs.txt"
    text.write_text("".join(line.lower() + "\n" for path in docs for line in path.read_text(encoding="utf-8").splitlines()))
    sentencepiece.SentencePieceTrainer.train(
        input=str(text), model_prefix=str(folder / "spiece"), vocab_size=2000, model_type="unigram", pad_id=0, eos_id=1, unk_id=2, bos_id=-1,
        pad_piece="<pad>", normalization_rule_name="nmt_nfkc", minloglevel=2,
    )
    proto = sentencepiece_model_pb2.ModelProto()
    proto.ParseFromString((folder / "spiece.model").read_bytes())
    tokenizer = Tokenizer(models.Unigram([(piece.piece, piece.score) for piece in proto.pieces], unk_id=2, byte_fallback=False))
    tokenizer.normalizer = normalizers.Sequence([
        normalizers.Lowercase(),
        normalizers.Replace(Regex("[" + "".join("\\" + c for c in string.punctuation) + "]"), ""),
        normalizers.Replace(Regex(r"\s+"), " "),
        normalizers.Strip(),
        normalizers.Precompiled(proto.normalizer_spec.precompiled_charsmap),
        normalizers.Replace(Regex(" {2,}"), " "),
        normalizers.Strip(),
    ])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always", split=True)
    tokenizer.decoder = decoders.Metaspace(prepend_scheme="always", split=True)
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    from tokenizers import AddedToken

    tokenizer.add_special_tokens([AddedToken("</s>", lstrip=True, rstrip=True), AddedToken("<unk>", lstrip=True, rstrip=True)])
    tokenizer.save(str(folder / "tokenizer.json"))


def gemma_tokenizer(folder, size):
    """A small tokenizer of Gemma's form, and what Transformers makes of it for SigLIP 2: small letters first."""
    path = folder / "tokenizer.json"
    imported("pieces").train(path, size)
    file = json.loads(path.read_text(encoding="utf-8"))
    file["normalizer"] = {"type": "Sequence", "normalizers": [{"type": "Lowercase"}, file["normalizer"]]}
    (folder / "oracle.json").write_text(json.dumps(file), encoding="utf-8")


def imported(name):
    """A script of tests/text."""
    sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "text"))
    return importlib.import_module(name)


def siglip_checkpoint(folder, shape, seed, _):
    """A SigLIP of seeded weights."""
    import torch
    from torch.nn import functional
    from transformers import SiglipConfig, SiglipModel

    torch.manual_seed(seed)
    figures, size, pad = SIGLIP[shape], 2000, 1
    if shape in GEMMA:
        # One token more than asked for, for two line ends.
        size, pad = size + 1, 0
        gemma_tokenizer(folder, size - 1)
    else:
        siglip_tokenizer(folder)
    text = dict(figures["text_config"], vocab_size=size)
    model = SiglipModel(SiglipConfig(vision_config=figures["vision_config"], text_config=text)).eval()
    livelier(model)
    model.logit_scale.data.fill_(2.3)
    model.logit_bias.data.fill_(-4.0)
    model.save_pretrained(folder)
    side = figures["vision_config"].get("image_size", 224)
    json.dump(
        dict(do_normalize=True, do_rescale=True, do_resize=True, resample=3, rescale_factor=1 / 255, size=dict(height=side, width=side),
             image_mean=[0.5] * 3, image_std=[0.5] * 3, image_processor_type="SiglipImageProcessor", processor_class="SiglipProcessor"),
        open(folder / "preprocessor_config.json", "w"),
    )

    def encode_image(pixels):
        return model.get_image_features(pixel_values=pixels).pooler_output

    def encode_text(ids):
        return model.get_text_features(input_ids=functional.pad(ids, (0, 64 - ids.shape[1]), value=pad)).pooler_output

    return encode_image, encode_text, side, model


def slow_tokens(folder, texts):
    """How many texts SiglipTokenizer itself, which reads the SentencePiece model, makes other tokens of than `tokenizer.json`."""
    from tokenizers import Tokenizer
    from transformers import SiglipTokenizer

    slow, fast = SiglipTokenizer(str(folder / "spiece.model")), Tokenizer.from_file(str(folder / "tokenizer.json"))
    return [text for text in texts if slow(text)["input_ids"] != fast.encode(text).ids]


def strings(count, seed):
    """Captions, and what nobody would write: any characters, long words, marks, capitals, accents, special tokens."""
    rng = random.Random(seed)
    words = "a photo of the dog's cat, don't we'll 42 7th Zürich naïve Ελλάς Σ日本語 한국어 🐈‍⬛ ½ ² Ⅷ ＦＵＬＬ ﬁne <b> &amp; !!! -- … ' 's".split()
    odd = ["<|endoftext|>", "<|startoftext|>", "\u200b", "\xa0", "\x85", "\t", "\n", "\x00", "e\u0301", "\ufeff", "İ", "ß", "ẞ", "\U0001f468\u200d\U0001f469"]
    for i in range(count):
        kind = i % 5
        if kind == 0:
            yield " ".join(rng.choice(words) for _ in range(rng.randint(1, 12)))
        elif kind == 1:
            yield "".join(rng.choice(words + odd + [" "]) for _ in range(rng.randint(1, 20)))
        elif kind == 2:
            points = (rng.choice((rng.randint(0, 0x7F), rng.randint(0, 0x2FFF), rng.randint(0, 0x10FFFF))) for _ in range(rng.randint(1, 30)))
            yield "".join(chr(c) for c in points if not 0xD800 <= c < 0xE000)
        elif kind == 3:
            yield "".join(rng.choice("abcdefghijklmnopqrstuvwxyzABC'") for _ in range(rng.randint(1, 200)))
        else:
            yield "".join(rng.choice("aeiou'sdtmrvl 019.,!") for _ in range(rng.randint(1, 40)))


def vectors(command, key):
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    return [json.loads(line) for line in lines if key in json.loads(line)]


def main():
    import numpy
    import torch
    from PIL import Image
    from tokenizers import Tokenizer
    from transformers import CLIPImageProcessorPil, SiglipImageProcessorPil

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vocabulary", required=True)
    parser.add_argument("--shapes", default="small,tiny,open_clip,mobileclip,mobileclip-summed")
    parser.add_argument("--data", default="../shared/data")
    parser.add_argument("--pictures", type=int, default=12)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--target", default="target/release")
    arguments = parser.parse_args()
    pictures = sorted(pathlib.Path(arguments.data, "images").rglob("*.jpg"))
    if not pictures:
        sys.exit(f"{arguments.data}: no pictures: left out")
    pictures = pictures[:: len(pictures) // arguments.pictures][: arguments.pictures]
    target, ok, own = pathlib.Path(arguments.target), True, imported("clean").openai_tokenizer()
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        paths = []
        for i, picture in enumerate(pictures):
            # Decoders of JPEG differ in the last bit.
            paths.append(folder / f"{i}.png")
            Image.open(picture).convert("RGB").save(paths[-1])
        images = folder / "images.txt"
        images.write_text("".join(f"{path}\n" for path in paths))
        captions = [" ".join(imported("clean").assigned(text).split()) for text in strings(60, arguments.seed)]
        captions = [text for text in captions if text]
        for shape in arguments.shapes.split(","):
            source, model_folder = folder / f"{shape}-f32", folder / shape
            source.mkdir()
            make = open_clip_checkpoint if shape in OPEN_CLIP else siglip_checkpoint if shape in SIGLIP else checkpoint
            encode_image, encode_text, side, mobile = make(source, shape, arguments.seed, arguments.vocabulary)
            texts = folder / "texts.txt"
            texts.write_text("".join(f"{text}\n" for text in captions))
            subprocess.run([target / "ossicle-quantize", "clip", source, "-o", model_folder], check=True, capture_output=True)
            floats = subprocess.run([target / "examples/clip_vectors", source, images, texts], capture_output=True, text=True, check=True)
            floats = [json.loads(line) for line in floats.stdout.split("\n") if line]
            processor = CLIPImageProcessorPil(
                size={"shortest_edge": side},
                crop_size={"height": side, "width": side},
                image_mean=[0, 0, 0] if mobile else MEAN,
                image_std=[1, 1, 1] if mobile else DEVIATION,
                resample=2 if mobile else 3,
            )
            if shape in SIGLIP:
                processor = SiglipImageProcessorPil(size={"height": side, "width": side})
            oracle = Tokenizer.from_file(str(source / ("oracle.json" if shape in GEMMA else "tokenizer.json")))
            oracle.enable_truncation(64 if shape in SIGLIP else 77)

            def tokens_of(text, most=None):
                if shape in SIGLIP:
                    return oracle.encode(text).ids
                return [49406, *own.encode(text)][: most and most - 1] + [49407]

            worst = {"pixels": 0.0, "image": 0.0, "text": 0.0}
            tokens = 0
            references, ours_all = {"image": [], "text": []}, {"image": [], "text": []}
            with torch.no_grad():
                for line in floats:
                    if "image" in line:
                        picture = Image.open(line["image"])
                        if shape in SIGLIP:
                            # Columns first, as every Pillow before 13 does where both sides change by factors of their own.
                            picture = picture.resize((side, picture.height), Image.BICUBIC)
                        pixels = processor(picture, return_tensors="pt")["pixel_values"]
                        ours = torch.tensor(line["pixels"]).reshape(1, side, side, 3).permute(0, 3, 1, 2)
                        worst["pixels"] = max(worst["pixels"], float((pixels - ours).abs().max()))
                        vector, kind = encode_image(pixels)[0], "image"
                    else:
                        ids = tokens_of(line["text"], 77)
                        tokens += ids != line["tokens"]
                        vector, kind = encode_text(torch.tensor([ids]))[0], "text"
                    vector = (vector / vector.norm()).numpy()
                    references[kind].append(vector)
                    ours_all[kind].append(line["vector"])
                    worst[kind] = max(worst[kind], float(numpy.abs(vector - numpy.array(line["vector"])).max()))
            ossicle = [target / "ossicle", "embed", "--model", model_folder]
            ints = {
                "image": [line["vector"] for line in vectors([*ossicle, *paths], "file")],
                "text": [line["vector"] for line in vectors([*ossicle, "--texts", texts], "text")],
            }
            if shape in SIGLIP:
                config = json.loads((model_folder / "config.json").read_text())
                dot = lambda all: numpy.array(all["image"]) @ numpy.array(all["text"]).T
                exact = dot(references) * float(mobile.logit_scale.detach().exp()) + float(mobile.logit_bias.detach())
                logits = float(numpy.abs(dot(ours_all) * config["logit_scale"] + config["logit_bias"] - exact).max())
                print(f"{shape}: logits differ by {logits:.1e}")
                if shape not in GEMMA:
                    many = list(strings(2000, arguments.seed + 2))
                    plain = sum(text.isprintable() for text in many)
                    other = slow_tokens(source, many)
                    print(f"{shape}: SiglipTokenizer makes other tokens of {len(other)} of {len(many)} odd strings,"
                          f" {sum(text.isprintable() for text in other)} of {plain} without control characters")
                ok &= logits < 1e-4 and config["scores"] == "sigmoid"
            print(f"{shape}: of {len(captions)} texts {tokens} have other tokens")
            print(f"{shape}: pixels differ by {worst['pixels']:.1e}, float vectors by {worst['image']:.1e} (images), {worst['text']:.1e} (texts)")
            for kind, found in ints.items():
                cosines = (numpy.array(found) * numpy.array(references[kind])).sum(axis=1)
                print(f"{shape}: INT8 {kind}s: cosine {cosines.mean():.4f} in the mean, {cosines.min():.4f} at least, of {len(cosines)}")
            ok &= tokens == 0 and worst["pixels"] < 1e-6 and worst["image"] < 1e-4 and worst["text"] < 1e-4
            nasty = list(strings(10_000, arguments.seed + 1))
            oracle.no_truncation()
            lines = folder / "lines.jsonl"

            def compare(what, tokenizer, texts, ids, more=()):
                lines.write_text("".join(json.dumps({"text": text, "ids": ids(text)}) + "\n" for text in texts))
                compared = subprocess.run([target / "examples/compare", tokenizer, lines, *more], capture_output=True, text=True)
                print(f"{shape}: {what}:", compared.stdout.strip().splitlines()[-1] if compared.stdout else compared.stderr)
                return compared.returncode == 0

            by_hub = lambda text: oracle.encode(text).ids
            written = model_folder / "tokenizer.json"
            ok &= compare("tokens by `tokenizers`", written, nasty, by_hub)
            if shape not in SIGLIP:
                # Half of them such as ftfy repairs.
                clean, rng = imported("clean"), random.Random(arguments.seed + 3)
                spoiled = [clean.assigned(text) for text in nasty[:5000]] + [clean.known(rng) for _ in range(5000)]
                ok &= compare("tokens by openai-clip, with ftfy", written, spoiled, tokens_of, ["ftfy"])
            if shape in SIGLIP and shape not in GEMMA:
                # The same from the SentencePiece model alone.
                (source / "tokenizer.json").unlink()
                alone = folder / f"{shape}-pieces"
                command = [target / "ossicle-quantize", "clip", source, "-o", alone, "--towers", "text"]
                subprocess.run(command, check=True, capture_output=True)
                ok &= compare("tokens by spiece.model", alone / "tokenizer.json", nasty, by_hub)
    sys.exit(0 if ok else "FAILED")


if __name__ == "__main__":
    main()
