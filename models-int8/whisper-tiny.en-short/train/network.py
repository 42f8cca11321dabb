"""Whisper in PyTorch with an encoder window of any length, its mel spectrogram, and greedy decoding.

The network is transformers' WhisperModel; only the encoder's loop is written out, since transformers insists on 30 s.
"""

import json
import pathlib

import numpy
import torch
from torch.nn import functional
from transformers import WhisperFeatureExtractor, WhisperModel
from transformers.cache_utils import DynamicCache, EncoderDecoderCache

RATE = 16000
HOP = 160
FULL_FRAMES = 3000
MAX_TOKENS = 160
FIRST_TIMESTAMP_AT_MOST = 50  # of 0.02 s: Whisper's rule that text starts within the first second


class Whisper(torch.nn.Module):
    """A checkpoint folder in Hugging Face's format: network, mel front end and the token ids that decoding needs."""

    def __init__(self, folder):
        super().__init__()
        self.folder = pathlib.Path(folder)
        self.net = WhisperModel.from_pretrained(folder, dtype=torch.float32, attn_implementation="sdpa")
        self.features = WhisperFeatureExtractor.from_pretrained(folder)
        settings = json.loads((self.folder / "generation_config.json").read_text())
        self.sot, self.eot = settings["decoder_start_token_id"], settings["eos_token_id"]
        self.no_timestamps = settings["no_timestamps_token_id"]
        self.first_timestamp = self.no_timestamps + 1
        banned = torch.zeros(self.net.config.vocab_size)
        banned[settings["suppress_tokens"]] = -torch.inf
        banned[self.no_timestamps] = -torch.inf
        first = banned.clone()
        first[settings["begin_suppress_tokens"]] = -torch.inf
        self.register_buffer("banned", banned)
        self.register_buffer("banned_first", first)

    def mel(self, samples):
        """Log-mel of up to 30 s, zero padded: [80, 3000]."""
        samples = samples[: FULL_FRAMES * HOP]
        return torch.from_numpy(self.features(samples, sampling_rate=RATE, return_tensors="np").input_features[0])

    def encode(self, mel):
        """Encoder output [B, F / 2, d] of mel [B, 80, F], F even and at most 3000; positions count from 0."""
        net = self.net.encoder
        x = functional.gelu(net.conv2(functional.gelu(net.conv1(mel)))).transpose(1, 2)
        x = x + net.embed_positions.weight[: x.shape[1]]
        for layer in net.layers:
            x = layer(x, None)
            x = x[0] if isinstance(x, tuple) else x
        return net.layer_norm(x)

    def hidden(self, tokens, encoded):
        """Decoder output [B, T, d] under the tokens [B, T]."""
        return self.net.decoder(input_ids=tokens, encoder_hidden_states=encoded, use_cache=False).last_hidden_state

    def logits(self, hidden):
        return hidden @ self.net.decoder.embed_tokens.weight.T

    @torch.no_grad()
    def greedy(self, encoded, timestamps, limits=None, shared=None):
        """Greedy decoding of a batch [B, S, d], each row up to its limit of tokens.

        Returns for each row its tokens after the prompt (end-of-text included if it came in time), the decoder's outputs at the prompt's last token
        and every later one [T, d], the one at start-of-transcript [d], and the mean log-probability. A row that repeats itself ends without
        end-of-text. `shared` is a DynamicCache for the keys and values of `encoded`, filled by the first call and used by later ones.
        """
        count = encoded.shape[0]
        limits = limits or [MAX_TOKENS] * count
        step = torch.tensor([[self.sot] if timestamps else [self.sot, self.no_timestamps]] * count, device=encoded.device)
        cache = EncoderDecoderCache(DynamicCache(), DynamicCache() if shared is None else shared)
        tokens, states, scores, running, start = [[[] for _ in range(count)] for _ in range(3)] + [set(range(count)), None]
        while running:
            out = self.net.decoder(input_ids=step, encoder_hidden_states=encoded, past_key_values=cache, use_cache=True).last_hidden_state
            start = out[:, 0] if start is None else start
            scored = self.logits(out[:, -1])
            chosen = [self.eot] * count
            for row in sorted(running):
                allowed = scored[row] + (self.banned if tokens[row] else self.banned_first)
                allowed = self.timestamp_rules(allowed, tokens[row]) if timestamps else allowed[: self.first_timestamp]
                token = chosen[row] = int(allowed.argmax())
                scores[row].append(float(allowed[token] - allowed.logsumexp(-1)))
                tokens[row].append(token)
                states[row].append(out[row, -1])
                if token == self.eot or len(tokens[row]) >= limits[row] or (len(tokens[row]) % 8 == 0 and loops(tokens[row], 6)):
                    running.discard(row)
            step = torch.tensor(chosen, device=encoded.device)[:, None]
        return [(tokens[row], torch.stack(states[row]), start[row], float(numpy.mean(scores[row]))) for row in range(count)]

    def timestamp_rules(self, logits, tokens):
        """OpenAI's rules: timestamps in pairs, never backwards, one first; a timestamp wherever all of them together outweigh every word."""
        first = self.first_timestamp
        is_time = [t >= first for t in tokens]
        logits = logits.clone()
        if not tokens:
            logits[:first] = -torch.inf
            logits[first + FIRST_TIMESTAMP_AT_MOST + 1 :] = -torch.inf
            return logits
        if is_time[-1]:
            if len(tokens) < 2 or is_time[-2]:
                logits[first:] = -torch.inf
            else:
                logits[: self.eot] = -torch.inf
        times = [t for t in tokens if t >= first]
        if times:
            # A segment may not be empty: the next timestamp is later, but for the one that opens the next segment.
            logits[first : times[-1] + (0 if is_time[-1] and not (len(tokens) < 2 or is_time[-2]) else 1)] = -torch.inf
        if logits[first:].logsumexp(-1) > logits[:first].max():
            logits[:first] = -torch.inf
        return logits


def frames_of(samples):
    """Mel frames of that many samples, rounded up to an even number."""
    return min(FULL_FRAMES, -(-samples // (2 * HOP)) * 2)


def loops(tokens, times=3):
    """Whether some run of up to 20 tokens follows itself `times` times."""
    for length in range(1, 21):
        for i in range(len(tokens) - times * length + 1):
            if all(tokens[i : i + length] == tokens[i + k * length : i + (k + 1) * length] for k in range(1, times)):
                return True
    return False
