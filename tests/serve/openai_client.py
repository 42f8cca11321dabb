#!/usr/bin/env python3
"""The `openai` package and curl as clients of `ossicle serve`."""

import asyncio
import base64
import io
import json
import subprocess
import sys
import wave

import openai
from service import BINARY, MODEL, ROOT, SAMPLE, reference, service, spoken

ANSWER = "The light is on. It is 21.5 degrees."


def formats(client, expected):
    def ask(**options):
        with SAMPLE.open("rb") as file:
            return client.audio.transcriptions.create(file=file, model=MODEL.name, **options)

    assert ask().text == expected
    assert ask(response_format="text").strip() == expected
    for name in ("srt", "vtt"):
        assert ask(response_format=name).strip() == reference(SAMPLE, "--format", name)
    verbose = ask(response_format="verbose_json", timestamp_granularities=["word", "segment"], language="en", temperature=0)
    ours = json.loads(reference(SAMPLE, "--format", "json", "--word-timestamps"))
    words = [word for segment in ours["segments"] for word in segment["words"]]
    assert verbose.text == expected and verbose.language == "english" and verbose.duration == ours["duration"]
    assert [segment.tokens for segment in verbose.segments] == [segment["tokens"] for segment in ours["segments"]]
    assert [(word.word, word.start, word.end) for word in verbose.words] == [(word["word"].strip(), word["start"], word["end"]) for word in words]
    events = list(ask(stream=True))
    assert "".join(event.delta for event in events[:-1]) == events[-1].text == expected
    assert [event.type for event in events] == ["transcript.text.delta"] * (len(events) - 1) + ["transcript.text.done"]


def speech(client):
    """As the package asks by default (mp3, answered as wav), in each format, and while the samples come."""
    expected, create = spoken(ANSWER), client.audio.speech.create
    whole = create(model="tts-1", voice="alloy", input=ANSWER)
    assert whole.response.headers["content-type"] == "audio/wav" and whole.content[44:] == expected
    with wave.open(io.BytesIO(whole.content)) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (24000, 1, 2)
        assert file.readframes(len(expected)) == expected
    assert create(model="hibari", voice="hibari", input=ANSWER, response_format="pcm").content == expected
    flac = create(model="tts-1", voice="nova", input=ANSWER, response_format="flac")
    assert flac.response.headers["content-type"] == "audio/flac" and len(flac.content) < len(expected) * 0.8
    said = subprocess.run([BINARY, "transcribe", "--model", str(MODEL), "-"], input=flac.content, check=True, capture_output=True).stdout
    assert "light is on" in said.decode().lower(), said
    assert len(create(model="tts-1", voice="nova", input=ANSWER, response_format="pcm", speed=2).content) < len(expected) * 0.7
    with client.audio.speech.with_streaming_response.create(model="tts-1", voice="nova", input=ANSWER, response_format="pcm") as parts:
        assert b"".join(parts.iter_bytes()) == expected
    options = {"model": "tts-1", "voice": "nova", "input": ANSWER, "response_format": "pcm", "stream_format": "sse"}
    with client.audio.speech.with_streaming_response.create(**options) as parts:
        events = [json.loads(line[6:]) for line in parts.iter_lines() if line]
    assert b"".join(base64.b64decode(event["audio"]) for event in events[:-1]) == expected
    assert events[-1]["type"] == "speech.audio.done"
    fails(openai.BadRequestError, 400, create, model="tts-1", voice="nova", input="")
    fails(openai.BadRequestError, 400, create, model="tts-1", voice="nova", input="x", response_format="opus")
    fails(openai.BadRequestError, 400, create, model="tts-1", voice="nova", input="x", speed=4)
    fails(openai.NotFoundError, 404, create, model="whisper-1", voice="nova", input="x")
    fails(openai.APIStatusError, 413, create, model="tts-1", voice="nova", input="x" * 100_000)


def embeddings(client):
    """Texts as the package asks by default (base64) and as numbers, and an image beside them: the vectors of `ossicle embed`."""
    def embedded(*args):
        command = [BINARY, "embed", "--model", "efficientnet-lite0", *args]
        lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
        return [json.loads(line)["vector"] for line in lines]

    create, cat = client.embeddings.create, ROOT / "samples/cat.jpg"
    texts, image = ["a cat", "a dog on a sofa"], "data:image/jpeg;base64," + base64.b64encode(cat.read_bytes()).decode()
    expected = [*embedded("--text", texts[0], "--text", texts[1]), *embedded(str(cat))]
    for options in ({}, {"encoding_format": "float"}):
        answer = create(model="text-embedding-3-small", input=[*texts, image], **options)
        assert [item.index for item in answer.data] == [0, 1, 2] and answer.usage.total_tokens > 4
        for item, vector in zip(answer.data, expected, strict=True):
            assert len(item.embedding) == len(vector) and all(abs(a - b) < 1e-7 for a, b in zip(item.embedding, vector))
    assert create(model="efficientnet-lite0", input=texts[0]).data[0].embedding == create(model="efficientnet-lite0", input=texts).data[0].embedding
    for bad in ("", [], [[1, 2]], "data:image/png;base64,AAAA", ["x" * 100_000]):
        fails(openai.BadRequestError, 400, create, model="efficientnet-lite0", input=bad)


def fails(error, status, call, *arguments, **options):
    try:
        call(*arguments, **options)
    except error as refused:
        assert refused.status_code == status and refused.body["message"], refused
        return
    raise AssertionError(f"no {error.__name__}")


def errors(client):
    create = client.audio.transcriptions.create
    fails(openai.NotFoundError, 404, create, file=SAMPLE, model="gpt-4o-transcribe")
    fails(openai.BadRequestError, 400, create, file=SAMPLE, model="whisper-1", language="de")
    fails(openai.BadRequestError, 400, create, file=SAMPLE, model="whisper-1", response_format="diarized_json")
    fails(openai.APIStatusError, 415, create, file=("a.txt", io.BytesIO(b"no sound")), model="whisper-1")
    fails(openai.APIStatusError, 413, create, file=("a.wav", io.BytesIO(bytes(30_000_000))), model="whisper-1")
    fails(openai.NotFoundError, 404, client.audio.translations.create, file=SAMPLE, model="whisper-1")
    fails(openai.NotFoundError, 404, client.models.retrieve, "gpt-4o")


async def together(url, expected):
    async with openai.AsyncOpenAI(base_url=url, api_key="none") as client:
        calls = [client.audio.transcriptions.create(file=SAMPLE, model="whisper-1") for _ in range(8)]
        assert [heard.text for heard in await asyncio.gather(*calls)] == [expected] * 8


def curl(url, expected):
    command = ["curl", "--silent", "--show-error", "--fail", "-F", f"file=@{SAMPLE}", "-F", "model=whisper-1", "-F", "response_format=text"]
    for more in ([], ["-H", "Transfer-Encoding: chunked"], ["-H", "Expect: 100-continue"]):
        answer = subprocess.run([*command, *more, f"{url}/audio/transcriptions"], check=True, capture_output=True, text=True)
        assert answer.stdout.strip() == expected, answer


def main():
    expected = reference()
    with service("--http", "127.0.0.1:0", "--max-upload", "20MB") as running:
        url = f"{running.http}/v1"
        with openai.OpenAI(base_url=url, api_key="none", max_retries=0) as client:
            assert [model.id for model in client.models.list()] == [MODEL.name, "hibari"]
            assert client.models.retrieve(MODEL.name).id == MODEL.name
            formats(client, expected)
            speech(client)
            errors(client)
        asyncio.run(together(url, expected))
        curl(url, expected)
    with service("--http", "127.0.0.1:0", "--embeddings", "efficientnet-lite0") as running:
        with openai.OpenAI(base_url=f"{running.http}/v1", api_key="none", max_retries=0) as client:
            embeddings(client)
    print(f"openai, curl: {expected!r}")


if __name__ == "__main__":
    sys.exit(main())
