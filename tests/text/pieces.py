"""A small tokenizer.json of the form that Gemma and SigLIP 2 have, from this project's documentation: python pieces.py tokenizer.json [TOKENS]

`runtime/text/tests/pieces/small.json` is of 700 tokens; its lines are `python oracle.py small.json 300 11`.
"""
import json
import pathlib
import sys

from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers, processors, trainers


def train(path, size):
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    tokenizer.normalizer = normalizers.Replace(" ", "\u2581")
    special = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>"]
    trainer = trainers.BpeTrainer(
        vocab_size=size, special_tokens=[*special, *(f"<0x{byte:02X}>" for byte in range(256))], limit_alphabet=120, max_token_length=16,
        show_progress=False)
    docs = sorted(pathlib.Path(__file__).resolve().parents[2].glob("docs/*.md"))
    tokenizer.train_from_iterator((line.lower() for doc in docs for line in doc.read_text(encoding="utf-8").splitlines()), trainer)
    # As Gemma has it, where no space is left.
    tokenizer.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    tokenizer.post_processor = processors.TemplateProcessing(single="$A <eos>", special_tokens=[("<eos>", 1)])
    data = json.loads(tokenizer.to_str())
    # Bytes are not special tokens there; runs of line ends and spaces are tokens of their own.
    data["added_tokens"] = [token for token in data["added_tokens"] if token["content"] in special]
    tokenizer = Tokenizer.from_str(json.dumps(data))
    tokenizer.add_tokens([AddedToken("\n\n", normalized=False), AddedToken("\u2581\u2581", normalized=False)])
    tokenizer.save(str(path))


if __name__ == "__main__":
    train(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 700)
