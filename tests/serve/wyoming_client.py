#!/usr/bin/env python3
"""The `wyoming` package as the client of `ossicle serve`, as Home Assistant uses it."""

import array
import asyncio
import sys
import tempfile

from service import MODEL, reference, samples, service, spoken
from wyoming.asr import Transcribe, Transcript, TranscriptChunk, TranscriptStart, TranscriptStop
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.client import AsyncClient
from wyoming.error import Error
from wyoming.info import Describe, Info
from wyoming.intent import Intent, NotRecognized, Recognize
from wyoming.ping import Ping, Pong
from wyoming.tts import Synthesize, SynthesizeChunk, SynthesizeStart, SynthesizeStop, SynthesizeStopped, SynthesizeVoice

ANSWER = "The light in the kitchen is on. It is 21.5 degrees, said Dr. Smith. Good night!"


async def say(client, audio, rate, width, channels, block=2048):
    await client.write_event(AudioStart(rate, width, channels).event())
    for start in range(0, len(audio), block):
        await client.write_event(AudioChunk(rate, width, channels, audio[start : start + block]).event())
    await client.write_event(AudioStop().event())


async def transcript(uri, audio, rate=16000, width=2, channels=1, **request):
    async with AsyncClient.from_uri(uri, read_timeout=60) as client:
        await client.write_event(Transcribe(**request).event())
        await say(client, audio, rate, width, channels)
        event = await client.read_event()
        assert Transcript.is_type(event.type), event
        return Transcript.from_event(event)


async def describes(uri):
    async with AsyncClient.from_uri(uri) as client:
        await client.write_event(Describe().event())
        info = Info.from_event(await client.read_event())
        assert [model.name for model in info.asr[0].models] == [MODEL.name]
        assert info.asr[0].models[0].languages == ["en"] and info.asr[0].installed
        await client.write_event(Ping(text="x").event())
        assert Pong.from_event(await client.read_event()).text == "x"


async def answer(client):
    """Samples from an audio-start to its audio-stop."""
    event = await client.read_event()
    assert AudioStart.is_type(event.type), event
    start, heard = AudioStart.from_event(event), b""
    assert (start.rate, start.width, start.channels) == (24000, 2, 1), start
    while AudioChunk.is_type((event := await client.read_event()).type):
        heard += AudioChunk.from_event(event).audio
    assert AudioStop.is_type(event.type), event
    return heard


async def speaks(uri):
    """Whole texts, and texts in parts as Home Assistant sends them: with the whole one behind them."""
    expected, voice = spoken(ANSWER), SynthesizeVoice(name="hibari")
    async with AsyncClient.from_uri(uri) as client:
        await client.write_event(Describe().event())
        program = Info.from_event(await client.read_event()).tts[0]
        assert program.supports_synthesize_streaming and program.installed and program.attribution.name
        assert [(one.name, one.languages) for one in program.voices] == [("hibari", ["en-US"])]
        assert program.voices[0].attribution.url and program.voices[0].version
        await client.write_event(Synthesize(ANSWER, voice=voice).event())
        assert await answer(client) == expected
        await client.write_event(SynthesizeStart(voice=voice).event())
        for word in ANSWER.split(" "):
            await client.write_event(SynthesizeChunk(f"{word} ").event())
        await client.write_event(Synthesize(ANSWER, voice=voice).event())
        await client.write_event(SynthesizeStop().event())
        assert await answer(client) == expected
        assert SynthesizeStopped.is_type((await client.read_event()).type)
        # Before the whole text is there.
        await client.write_event(SynthesizeStart().event())
        await client.write_event(SynthesizeChunk("The light is on. And it").event())
        assert AudioStart.is_type((await client.read_event()).type)
        await client.write_event(SynthesizeChunk(" is dark.").event())
        await client.write_event(SynthesizeStop().event())
        while not SynthesizeStopped.is_type((event := await client.read_event()).type):
            assert event.type in ("audio-chunk", "audio-stop"), event
        await client.write_event(Synthesize("x" * 50_000).event())
        assert Error.from_event(await client.read_event()).code == "too-long"


async def refuses(uri):
    async with AsyncClient.from_uri(uri) as client:
        await client.write_event(Transcribe(language="de").event())
        await say(client, bytes(32000), 16000, 2, 1)
        assert Error.from_event(await client.read_event()).code == "bad-request"
        assert await client.read_event() is None


async def streams(uri, audio, expected):
    async with AsyncClient.from_uri(uri) as client:
        await say(client, audio, 16000, 2, 1)
        assert TranscriptStart.is_type((await client.read_event()).type)
        text = ""
        while TranscriptChunk.is_type((event := await client.read_event()).type):
            text += TranscriptChunk.from_event(event).text
        assert Transcript.from_event(event).text == text == expected
        assert TranscriptStop.is_type((await client.read_event()).type)


async def understands(uri):
    """As Home Assistant's conversation agent asks, and as the protocol has it."""
    async with AsyncClient.from_uri(uri) as client:
        await client.write_event(Describe().event())
        assert Info.from_event(await client.read_event()).intent[0].models[0].languages == ["en"]
        for question in (Transcript("Turn off the kitchen lights."), Recognize("turn off the lights in the kitchen")):
            await client.write_event(question.event())
            intent = Intent.from_event(await client.read_event())
            values = {entity.name: entity.value for entity in intent.entities}
            assert (intent.name, values["area"], values["domain"]) == ("HassTurnOff", "kitchen", "light"), intent
        await client.write_event(Recognize("who painted the ceiling").event())
        assert NotRecognized.is_type((await client.read_event()).type)


async def guesses(uri, audio, expected):
    """Whatever is said becomes the sentence that is nearest."""
    guess = (await transcript(uri, audio)).text
    assert guess != expected, guess
    async with AsyncClient.from_uri(uri) as client:
        await client.write_event(Recognize(guess).event())
        assert Intent.is_type((await client.read_event()).type), guess


async def formats(uri, audio, expected):
    """The same sound as stereo, in 24 and 32 bits and at twice the rate."""
    mono = array.array("h", audio)
    stereo = array.array("h", [sample for sample in mono for _ in "lr"])
    assert (await transcript(uri, stereo.tobytes(), channels=2)).text == expected
    for width in (3, 4):
        wide = b"".join(bytes(width - 2) + audio[i : i + 2] for i in range(0, len(audio), 2))
        assert (await transcript(uri, wide, width=width)).text == expected
    assert "kitchen lights" in (await transcript(uri, stereo.tobytes(), rate=32000)).text


async def main():
    audio, rate = samples()
    expected = reference()
    assert rate == 16000
    with tempfile.TemporaryDirectory() as folder:
        for uri in ("tcp://127.0.0.1:0", f"unix://{folder}/wyoming.sock"):
            with service("--uri", uri) as running:
                await describes(running.wyoming)
                await speaks(running.wyoming)
                heard = await transcript(running.wyoming, audio, language="en-US")
                assert (heard.text, heard.language) == (expected, "en"), heard
                assert (await transcript(running.wyoming, bytes(64000))).text == ""
                together = await asyncio.gather(*(transcript(running.wyoming, audio) for _ in range(5)))
                assert [heard.text for heard in together] == [expected] * 5
                await refuses(running.wyoming)
                await formats(running.wyoming, audio, expected)
    with service("--stream", "--uri", "tcp://127.0.0.1:0") as running:
        await streams(running.wyoming, audio, expected)
    with service("--sentences", "home", "--uri", "tcp://127.0.0.1:0") as running:
        await understands(running.wyoming)
        assert (await transcript(running.wyoming, audio)).text == expected
    with service("--sentences", "home", "--constrained", "--threshold", "0", "--uri", "tcp://127.0.0.1:0") as running:
        await guesses(running.wyoming, audio, expected)
    print(f"wyoming: {expected!r} over TCP and a Unix socket")


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
