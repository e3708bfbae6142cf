"""Two people in a group call, with LiveKit's own library: `python -m tests.system.call`, as the lab's client.

JSON is on stdin: `people`, two tokens each with the address that they are for. The first says a word and sings, the
second listens; the answer is JSON on stdout: what was heard, or why somebody does not get in. It is there before they
leave, as the library has been seen to abort while it leaves.
"""

from __future__ import annotations

import array
import asyncio
import json
import math
import sys
from typing import Any

from livekit import rtc

RATE, PART = 48000, 480
LOUD = 1000


async def sing(source: rtc.AudioSource) -> None:
    """A tone of 440 Hz, until nobody listens any more."""
    number = 0
    while True:
        beats = (math.sin(2 * math.pi * 440 * (number * PART + i) / RATE) for i in range(PART))
        data = array.array("h", (int(12000 * each) for each in beats)).tobytes()
        await source.capture_frame(rtc.AudioFrame(data, RATE, 1, PART))
        number += 1


async def heard(track: rtc.Track, parts: int) -> int:
    """How many parts of sound came that were not silence, of as many as it takes."""
    loud = 0
    async for event in rtc.AudioStream(track):
        loud += int(max(map(abs, event.frame.data)) > LOUD)
        if loud >= parts:
            return loud
    return loud


async def call(people: list[dict[str, str]]) -> None:
    """Both join, and what one sends the other gets."""
    one, two = rtc.Room(), rtc.Room()
    word: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    track: asyncio.Future[rtc.Track] = asyncio.get_running_loop().create_future()
    two.on("data_received", lambda packet: word.set_result(packet.data.decode()))
    two.on("track_subscribed", lambda got, *_: track.set_result(got))
    singing = None
    try:
        for room, person in zip((one, two), people, strict=True):
            await room.connect(person["url"], person["jwt"])
        source = rtc.AudioSource(RATE, 1)
        await one.local_participant.publish_track(rtc.LocalAudioTrack.create_audio_track("voice", source))
        singing = asyncio.create_task(sing(source))
        sound = await asyncio.wait_for(track, 30)
        loud = await asyncio.wait_for(heard(sound, 200), 30)
        await one.local_participant.publish_data("Can you hear me?", reliable=True)
        tell({"word": await asyncio.wait_for(word, 20), "sound": loud, "who": len(two.remote_participants)})
    finally:
        if singing:
            singing.cancel()
        await one.disconnect()
        await two.disconnect()


def tell(what: dict[str, Any]) -> None:
    """The answer."""
    print(json.dumps(what), flush=True)


async def main() -> None:
    """Do it, or say why not."""
    try:
        await call(json.load(sys.stdin)["people"])
    except rtc.ConnectError as error:
        tell({"refused": str(error)})


if __name__ == "__main__":
    asyncio.run(main())
