"""Sounds from text next to transformers, on seeded weights: every stage of the float models, and what INT8 makes of them.

    pip install torch transformers
    cargo build --release --workspace --examples
    python tests/accuracy/generation.py [codec] [lm] [t5] [--large] [--keep FOLDER]

Each float stage has to be within 1e-4 of transformers', of the stage's largest value; those that are not are named.
INT8 is measured against float. Small shapes by default, real ones with --large.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch

ROOT = Path(__file__).resolve().parents[2]
TOLERANCE = 1e-4
failures = []


def example(name, *args):
    """Runs one of quantize's examples."""
    program = ROOT / "target/release/examples" / name
    done = subprocess.run([program, *map(str, args)], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{name}: {done.stderr.strip()}")
    return done.stdout


def floats(path):
    return np.fromfile(path, np.float32)


def same(case, name, ours, theirs):
    """Compares a stage; returns the largest difference relative to the largest value."""
    theirs = np.asarray(theirs, np.float32).ravel()
    if ours.shape != theirs.shape:
        failures.append(f"{case}: {name} has {ours.size} values, transformers {theirs.size}")
        return float("inf")
    difference = float(np.abs(ours - theirs).max() / max(1e-6, np.abs(theirs).max())) if theirs.size else 0.0
    if not difference <= TOLERANCE:
        failures.append(f"{case}: {name} differs by {difference:.2e}")
    return difference


def decibels(exact, other):
    difference = np.sum((np.asarray(exact, np.float64) - other) ** 2)
    return 10 * np.log10(np.sum(np.asarray(exact, np.float64) ** 2) / max(difference, 1e-30))


# ---- EnCodec


def audiocraft_package(model, path):
    """The same weights as audiocraft's export has them: a zip pickle with a state dict and the settings as text."""
    config = model.config
    names = [
        ("quantizer.layers.", "quantizer.vq.layers."),
        (".codebook.", "._codebook."),
        ("encoder.layers.", "encoder.model."),
        ("decoder.layers.", "decoder.model."),
    ]
    transposed = {i for i, layer in enumerate(model.decoder.layers) if type(layer).__name__ == "EncodecConvTranspose1d"}
    state = {}
    for name, tensor in model.state_dict().items():
        parts = name.split(".")
        for from_, to in names:
            name = name.replace(from_, to, 1)
        if ".conv." in name:
            is_transposed = parts[0] == "decoder" and int(parts[2]) in transposed
            name = name.replace(".conv.", ".convtr.convtr." if is_transposed else ".conv.conv.", 1)
        name = name.replace("parametrizations.weight.original0", "weight_g").replace("parametrizations.weight.original1", "weight_v")
        state[name] = tensor.clone()
    ratios = "".join(f"\n  - {ratio}" for ratio in config.upsampling_ratios)
    settings = f"""sample_rate: {config.sampling_rate}
channels: {config.audio_channels}
compression_model: encodec
encodec:
  autoencoder: seanet
  quantizer: rvq
  sample_rate: ${{sample_rate}}
  channels: ${{channels}}
  causal: {str(config.use_causal_conv).lower()}
  renormalize: false
seanet:
  dimension: {config.hidden_size}
  channels: ${{channels}}
  causal: ${{encodec.causal}}
  n_filters: {config.num_filters}
  n_residual_layers: {config.num_residual_layers}
  ratios:{ratios}
  activation: ELU
  activation_params:
    alpha: 1.0
  norm: weight_norm
  norm_params: {{}}
  kernel_size: {config.kernel_size}
  residual_kernel_size: {config.residual_kernel_size}
  last_kernel_size: {config.last_kernel_size}
  dilation_base: {config.dilation_growth_rate}
  pad_mode: {config.pad_mode}
  true_skip: {str(not config.use_conv_shortcut).lower()}
  compress: {config.compress}
  lstm: {config.num_lstm_layers}
  disable_norm_outer_blocks: 0
  encoder: {{}}
  decoder:
    trim_right_ratio: {config.trim_right_ratio}
    final_activation: null
    final_activation_params: null
rvq:
  n_q: {config.num_quantizers}
  q_dropout: false
  bins: {config.codebook_size}
  decay: 0.99
"""
    torch.save({"best_state": state, "xp.cfg": settings, "version": "1.4.0a2", "exported": True}, path)


def codec(name, work, samples, **changes):
    from transformers import EncodecConfig, EncodecModel

    torch.manual_seed(3)
    config = EncodecConfig(**changes)
    model = EncodecModel(config).eval()
    with torch.no_grad():
        for key, tensor in model.state_dict().items():
            if key.endswith("codebook.embed"):
                tensor.copy_(torch.randn_like(tensor))
            elif key.endswith("original0"):
                # Lengths that are not those of the directions.
                tensor.mul_(torch.rand_like(tensor) + 0.75)
            elif key.endswith("original1"):
                tensor.mul_(2.0)
    frames = samples // config.hop_length
    codes = torch.randint(config.codebook_size, (config.num_quantizers, frames))
    sound = 0.3 * torch.sin(torch.arange(samples) * 0.07) + 0.1 * torch.randn(samples)
    folder = work / name
    folder.mkdir(parents=True)
    model.save_pretrained(folder / "hf")
    audiocraft_package(model, folder / "compression_state_dict.bin")
    codes.numpy().astype("<u4").tofile(folder / "codes")
    sound.numpy().astype("<f4").tofile(folder / "samples")

    stages = {}
    for side in ["encoder", "decoder"]:
        for i, layer in enumerate(getattr(model, side).layers):
            layer.register_forward_hook(lambda _, __, out, key=f"{side}.{i}": stages.__setitem__(key, out[0].numpy()))
    with torch.no_grad():
        values = model.quantizer.decode(codes[:, None])
        stages["quantizer"] = values[0].numpy()
        decoded = model.decoder(values)[0, 0].numpy()
        latents = model.encoder(sound[None, None])
        wanted = model.quantizer.encode(latents, config.target_bandwidths[-1])[:, 0].numpy()
    for source in [folder / "hf", folder / "compression_state_dict.bin"]:
        case = f"codec {name}, {source.name}"
        out = folder / f"out-{source.stem}"
        example("codec_stages", source, folder / "codes", folder / "samples", out)
        compared = [path for path in sorted(out.glob("*.f32")) if path.stem != "int8"]
        # An activation and what comes before it may be one stage.
        whole = ["quantizer", *(f"{side}.{len(getattr(model, side).layers) - 1}" for side in ("encoder", "decoder"))]
        missing = [stage for stage in whole if stage not in {path.stem for path in compared}]
        if missing or len(compared) < 20:
            failures.append(f"{case}: {len(compared)} stages were written, {missing} are missing")
        worst = max((same(case, path.stem, floats(path), stages[path.stem]) for path in compared), default=0.0)
        ours = np.fromfile(out / "codes.u32", np.uint32).reshape(wanted.shape)
        int8_codes = np.fromfile(out / "int8.u32", np.uint32).reshape(wanted.T.shape).T
        if (ours != wanted).mean() > 0.001:
            failures.append(f"{case}: {(ours != wanted).sum()} of {ours.size} codes differ")
        noise = decibels(decoded, floats(out / "int8.f32"))
        print(
            f"{case}: {len(compared)} stages within {worst:.1e}, {(ours == wanted).mean():.2%} of codes equal; "
            f"INT8: decoder {noise:.1f} dB, {(int8_codes == wanted).mean():.1%} of codes equal"
        )


def codecs(work, large):
    small = dict(hidden_size=24, num_filters=8, codebook_size=64, target_bandwidths=[1.2])
    audiogen = dict(sampling_rate=16000, use_causal_conv=False, use_conv_shortcut=False)
    codec("small-constant", work, 9000, **small, **audiogen, pad_mode="constant")
    codec("small-reflect", work, 8970, **small, **audiogen, pad_mode="reflect")
    codec("small-short", work, 700, **small, **audiogen, pad_mode="reflect")
    codec("small-causal", work, 9000, **small)
    codec("small-32khz", work, 9000, **small, sampling_rate=32000, use_causal_conv=False, use_conv_shortcut=False, upsampling_ratios=[8, 5, 4, 4])
    if large:
        real = dict(audiogen, num_filters=64, codebook_size=2048, target_bandwidths=[2.2])
        codec("audiogen", work, 32000, **real, pad_mode="constant")
        codec("encodec-24khz", work, 24000)


# ---- The language model over codes


def audiocraft_lm(model, projection, path):
    """The same weights as audiocraft's export has them."""
    config = model.config
    ours = model.state_dict()
    state = {f"emb.{k}.weight": ours[f"model.decoder.embed_tokens.{k}.weight"] for k in range(config.num_codebooks)}
    state |= {f"linears.{k}.weight": ours[f"lm_heads.{k}.weight"] for k in range(config.num_codebooks)}
    state |= {f"out_norm.{part}": ours[f"model.decoder.layer_norm.{part}"] for part in ["weight", "bias"]}
    for i in range(config.num_hidden_layers):
        old, new = f"model.decoder.layers.{i}", f"transformer.layers.{i}"
        for a, b in [("self_attn", "self_attn"), ("encoder_attn", "cross_attention")]:
            joined = torch.cat([ours[f"{old}.{a}.{part}_proj.weight"] for part in "qkv"])
            state[f"{new}.{b}.in_proj_weight"] = joined
            state[f"{new}.{b}.out_proj.weight"] = ours[f"{old}.{a}.out_proj.weight"]
        for a, b in [("self_attn_layer_norm", "norm1"), ("encoder_attn_layer_norm", "norm_cross"), ("final_layer_norm", "norm2")]:
            state |= {f"{new}.{b}.{part}": ours[f"{old}.{a}.{part}"] for part in ["weight", "bias"]}
        for a, b in [("fc1", "linear1"), ("fc2", "linear2")]:
            state[f"{new}.{b}.weight"] = ours[f"{old}.{a}.weight"]
    for part in ["weight", "bias"]:
        state[f"condition_provider.conditioners.description.output_proj.{part}"] = getattr(projection, part).detach()
    settings = f"""lm_model: transformer_lm
transformer_lm:
  n_q: {config.num_codebooks}
  card: {config.vocab_size}
  dim: {config.hidden_size}
  num_heads: {config.num_attention_heads}
  num_layers: {config.num_hidden_layers}
  hidden_scale: {config.ffn_dim // config.hidden_size}
  causal: true
  norm_first: true
  norm: layer_norm
  activation: gelu
  bias_proj: false
  bias_ff: false
  bias_attn: false
  layer_scale: null
  qk_layer_norm: false
  past_context: null
  positional_embedding: sin
  cross_attention: true
codebooks_pattern:
  modeling: delay
  delay:
    delays: {list(range(config.num_codebooks))}
    flatten_first: 0
    empty_initial: 0
fuser:
  cross_attention_pos_emb: false
"""
    torch.save({"best_state": state, "xp.cfg": settings, "version": "1.4.0a2", "exported": True}, path)


def language_model(name, work, steps, text_rows, text_size, **changes):
    from transformers import MusicgenDecoderConfig, MusicgenForCausalLM

    torch.manual_seed(5)
    special = changes.get("vocab_size", 2048)
    config = MusicgenDecoderConfig(dropout=0.0, pad_token_id=special, bos_token_id=special, **changes)
    model = MusicgenForCausalLM(config).eval()
    projection = torch.nn.Linear(text_size, config.hidden_size)
    with torch.no_grad():
        for key, tensor in model.state_dict().items():
            # Weights whose products are of order one, and norms that are not the identity.
            if tensor.dim() == 2:
                scale = 0.3 if "embed_tokens" in key else 1.5 / tensor.shape[1] ** 0.5
                tensor.copy_(scale * torch.randn_like(tensor))
            elif key.endswith("norm.weight"):
                tensor.copy_(0.7 + 0.6 * torch.rand_like(tensor))
            elif key.endswith("norm.bias"):
                tensor.copy_(0.1 * torch.randn_like(tensor))
    codebooks = config.num_codebooks
    tokens = torch.randint(config.vocab_size + 1, (steps, codebooks))
    tokens[0] = config.vocab_size
    text = torch.randn(text_rows, text_size)
    folder = work / name
    folder.mkdir(parents=True)
    audiocraft_lm(model, projection, folder / "state_dict.bin")
    # As it stands in a MusicGen.
    from safetensors.torch import save_file

    whole = {f"decoder.{key}": value for key, value in model.state_dict().items()}
    whole |= {f"enc_to_dec_proj.{part}": getattr(projection, part).detach() for part in ["weight", "bias"]}
    (folder / "hf").mkdir()
    save_file({key: value.contiguous().clone() for key, value in whole.items()}, folder / "hf" / "model.safetensors")
    (folder / "hf" / "config.json").write_text(json.dumps({"model_type": "musicgen", "decoder": config.to_dict()}))
    tokens.numpy().astype("<u4").tofile(folder / "tokens")
    text.detach().numpy().astype("<f4").tofile(folder / "text")

    stages = {}
    hook = lambda key: lambda _, __, out: stages.__setitem__(key, (out[0] if isinstance(out, tuple) else out)[0].detach().numpy())
    for i, layer in enumerate(model.model.decoder.layers):
        layer.register_forward_hook(hook(f"layer.{i}"))
    logits = {}
    with torch.no_grad():
        for row, rows in [("with", projection(text)[None]), ("without", torch.zeros(1, text_rows, config.hidden_size))]:
            out = model(input_ids=tokens.T, encoder_hidden_states=rows, use_cache=False).logits
            logits[row] = out.transpose(0, 1).reshape(steps, -1).numpy()
            if row == "with":
                wanted = dict(stages)
    for source in [folder / "hf", folder / "state_dict.bin"]:
        case = f"language model {name}, {source.name}"
        out = folder / f"out-{source.stem}"
        example("lm_stages", source, folder / "tokens", folder / "text", out)
        worst = max(same(case, key, floats(out / f"{key}.f32"), value) for key, value in wanted.items())
        for row, value in logits.items():
            worst = max(worst, same(case, f"logits {row}", floats(out / f"{row}.f32"), value))
        int8 = floats(out / "int8.f32").reshape(steps, 2, -1)
        guided = lambda cond, uncond: (uncond + 3 * (cond - uncond)).reshape(steps, codebooks, -1)
        exact, ours = guided(logits["with"], logits["without"]), guided(int8[:, 0], int8[:, 1])
        agree = (exact.argmax(-1) == ours.argmax(-1)).mean()
        print(
            f"{case}: {len(wanted)} layers and logits of {steps} steps within {worst:.1e}; INT8: logits "
            f"{decibels(logits['with'], int8[:, 0]):.1f} dB, {decibels(logits['without'], int8[:, 1]):.1f} dB without a description, "
            f"likeliest code under guidance equal in {agree:.1%}"
        )


def language_models(work, large):
    small = dict(hidden_size=128, num_attention_heads=2, num_hidden_layers=3, ffn_dim=512, vocab_size=64)
    language_model("small", work, 60, 9, 48, **small)
    language_model("small-2-codebooks", work, 60, 20, 128, **{**small, "num_codebooks": 2})
    if large:
        # AudioGen-small's width; all of its 24 layers would be 4 GB of files.
        language_model("audiogen-small-4-layers", work, 60, 12, 1024, num_hidden_layers=4)


# ---- T5's encoder


def encoder(name, work, tokens, **changes):
    from transformers import T5Config, T5EncoderModel

    torch.manual_seed(7)
    config = T5Config(dropout_rate=0.0, **changes)
    model = T5EncoderModel(config).eval()
    with torch.no_grad():
        for key, tensor in model.state_dict().items():
            if "relative_attention_bias" in key:
                tensor.copy_(torch.randn_like(tensor))
            elif key.endswith("layer_norm.weight"):
                tensor.copy_(0.7 + 0.6 * torch.rand_like(tensor))
            elif tensor.dim() == 2:
                scale = 1.0 if "shared" in key or "embed_tokens" in key else (0.35 if ".SelfAttention.q" in key else 1.0) / tensor.shape[1] ** 0.5
                tensor.copy_(scale * torch.randn_like(tensor))
    ids = torch.randint(3, config.vocab_size, (tokens,))
    ids[-1] = 1
    folder = work / name
    folder.mkdir(parents=True)
    model.save_pretrained(folder / "hf")
    ids.numpy().astype("<u4").tofile(folder / "tokens")
    stages = {}
    for i, block in enumerate(model.encoder.block):
        block.register_forward_hook(lambda _, __, out, key=f"layer.{i}": stages.__setitem__(key, out[0][0].detach().numpy()))
    with torch.no_grad():
        rows = model(input_ids=ids[None]).last_hidden_state[0].numpy()
    case = f"t5 {name}"
    example("t5_stages", folder / "hf", folder / "tokens", folder / "out")
    worst = max(same(case, key, floats(folder / "out" / f"{key}.f32"), value) for key, value in stages.items())
    worst = max(worst, same(case, "rows", floats(folder / "out" / "rows.f32"), rows))
    int8 = decibels(rows.ravel(), floats(folder / "out" / "int8.f32"))
    print(f"{case}: {len(stages)} layers and rows of {tokens} tokens within {worst:.1e}; INT8: rows {int8:.1f} dB")


def encoders(work, large):
    small = dict(vocab_size=96, d_model=64, d_kv=64, d_ff=160, num_layers=3, num_heads=2)
    encoder("small", work, 12, **small)
    encoder("small-long", work, 300, **small)
    encoder("small-buckets", work, 40, **{**small, "d_kv": 32, "relative_attention_num_buckets": 16, "relative_attention_max_distance": 20})
    if large:
        encoder("t5-base", work, 20, d_model=768, d_kv=64, d_ff=3072, num_layers=12, num_heads=12)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", help="codec, lm, t5; all by default")
    parser.add_argument("--large", action="store_true", help="real shapes too")
    parser.add_argument("--keep", type=Path, help="folder for checkpoints and stages, kept")
    args = parser.parse_args()
    torch.set_num_threads(1)
    parts = {"codec": codecs, "lm": language_models, "t5": encoders}
    if unknown := set(args.parts) - set(parts):
        sys.exit(f"no part {unknown.pop()!r}: {', '.join(parts)}")
    with tempfile.TemporaryDirectory() as temporary:
        for name, part in parts.items():
            if not args.parts or name in args.parts:
                part((args.keep or Path(temporary)) / name, args.large)
    for failure in failures:
        print("FAILED", failure)
    sys.exit(bool(failures))


if __name__ == "__main__":
    main()
