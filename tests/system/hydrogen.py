"""Two people talk with Hydrogen in two browsers: `python -m tests.system.hydrogen`, as the lab's client.

JSON is on stdin: `url`, `roots` (files), `people` (two, each with name and password), `room`, `message`, `place` (a
directory for pictures). What each saw last is in NAME.png there; the answer is JSON on stdout.
"""

from __future__ import annotations

import json
import struct
import sys
import zlib
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from tests.system.browser import Browser, until

# The file that a click on "Send picture" asks for is chosen in a window of the system's, which nobody sees here.
CATCH = "HTMLInputElement.prototype.click = function () { this.id = 'picked'; };"
SEEN = "return [...document.querySelectorAll('.Timeline img')].some(i => i.naturalWidth === 64 && i.complete)"


def picture() -> bytes:
    """A PNG of 64 × 48, red and blue."""
    rows = b"".join(
        b"\0" + b"".join(b"\xff\0\0" if x // 8 % 2 else b"\0\0\xff" for x in range(64)) for _ in range(48)
    )

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", 64, 48, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def log_in(browser: Browser, url: str, person: dict[str, str]) -> None:
    """From nothing but the address to the list of rooms."""
    browser.go(url)
    browser.type("//input[@id='username']", person["name"])
    browser.type("//input[@id='password']", person["password"])
    browser.click("//button[contains(., 'Log In')]")
    browser.find("//*[contains(@class, 'RoomList')]", 60)


def enter(browser: Browser, room: str) -> None:
    """Open a room."""
    browser.click(f"//*[contains(@class, 'RoomList')]//*[contains(text(), '{room}')]", 60)
    browser.find("//*[contains(@class, 'MessageComposer')]//textarea", 30)


def send_picture(browser: Browser, file: Path) -> None:
    """Attach a picture and send it."""
    browser.script(CATCH)
    browser.click("//*[contains(@class, 'MessageComposer')]//button[contains(@class, 'sendFile')]")
    browser.click("//*[contains(@class, 'menu')]//button[contains(., 'picture')]")
    browser.attach("//input[@id='picked']", file)


def main() -> None:
    """Do all of it."""
    asked: dict[str, Any] = json.load(sys.stdin)
    place, roots = Path(asked["place"]), [Path(root) for root in asked["roots"]]
    (place / "picture.png").write_bytes(picture())
    first, second = asked["people"]
    told: dict[str, Any] = {}
    with ExitStack() as stack:
        one, two = (
            stack.enter_context(Browser(place / person["name"], 9515 + number, roots))
            for number, person in enumerate((first, second))
        )
        try:
            log_in(one, asked["url"], first)
            log_in(two, asked["url"], second)
            for browser in (one, two):
                enter(browser, asked["room"])
            one.type("//*[contains(@class, 'MessageComposer')]//textarea", asked["message"])
            one.click("//*[contains(@class, 'MessageComposer')]//button[@class='send']")
            two.find(f"//*[contains(@class, 'Timeline')]//*[contains(text(), '{asked['message']}')]", 30)
            send_picture(one, place / "picture.png")
            until(lambda: two.script(SEEN), "the picture in the other browser", 60)
            told = {"complaints": one.complaints() + two.complaints(), "title": one.script("return document.title")}
        finally:
            for browser, person in ((one, first), (two, second)):
                browser.shot(place / f"{person['name']}.png")
    print(json.dumps(told))


if __name__ == "__main__":
    main()
