"""A real Chromium, by the WebDriver protocol (w3.org/TR/webdriver2): what a person does, and what they see.

Starts chromedriver and a browser with a home of its own, which trusts the roots that it is given. Whoever uses it
runs as the lab's client, with that one's DNS and addresses.
"""

from __future__ import annotations

import base64
import http.client
import json
import os
import subprocess
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Self, TypeVar

ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
T = TypeVar("T")


class Missing(AssertionError):
    """Something did not show up in time."""


class Browser:
    """One person's browser. With `home` gone, so is all that it remembered."""

    def __init__(self, home: Path, port: int, roots: Iterable[Path]) -> None:
        self.home, self.port = home, port
        home.mkdir(parents=True)
        trust(home / ".pki/nssdb", roots)
        words = ["chromedriver", f"--port={port}", "--log-level=SEVERE", f"--log-path={home}/driver.log"]
        self.driver = subprocess.Popen(words, env={**os.environ, "HOME": str(home)}, stdout=subprocess.DEVNULL)
        until(lambda: self.call("GET", "/status")["ready"], "chromedriver", 20)
        self.session = ""

    def __enter__(self) -> Self:
        # root has no user namespaces to give away; /dev/shm is small in a container.
        words = [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--window-size=1100,800",
        ]
        options = {"args": [*words, f"--user-data-dir={self.home}/profile"], "binary": "/usr/bin/chromium"}
        asked = {"browserName": "chrome", "goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}
        made = self.call("POST", "/session", {"capabilities": {"alwaysMatch": asked}})
        self.session = f"/session/{made['sessionId']}"
        return self

    def __exit__(self, *error: object) -> None:
        try:
            self.call("DELETE", self.session)
        finally:
            self.driver.terminate()
            self.driver.wait(20)

    def call(self, method: str, path: str, body: object = None) -> Any:
        """Ask the driver. Raises `Missing` with its words where it can't."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=90)
        try:
            connection.request(method, path, json.dumps(body) if body is not None else None)
            answer = connection.getresponse()
            value = json.loads(answer.read())["value"]
        except OSError as error:
            raise Missing(str(error)) from None
        finally:
            connection.close()
        if answer.status != 200:
            raise Missing(f"{method} {path}: {value.get('error')}: {value.get('message', '')[:300]}")
        return value

    def go(self, url: str) -> None:
        """Type an address."""
        self.call("POST", f"{self.session}/url", {"url": url})

    def find(self, path: str, seconds: float = 30) -> str:
        """The element at an XPath, once it is there."""
        query = {"using": "xpath", "value": path}
        found = until(lambda: self.call("POST", f"{self.session}/element", query), path, seconds)
        return f"{self.session}/element/{found[ELEMENT]}"

    def click(self, path: str, seconds: float = 30) -> None:
        """Click on it, once that can be done."""
        until(lambda: self.call("POST", f"{self.find(path, 1)}/click", {}) or True, f"to click {path}", seconds)

    def type(self, path: str, text: str) -> None:
        """Type into it, in place of what is there."""
        place = self.find(path)
        self.call("POST", f"{place}/clear", {})
        self.call("POST", f"{place}/value", {"text": text})

    def attach(self, path: str, file: Path) -> None:
        """Choose a file in it."""
        self.call("POST", f"{self.find(path)}/value", {"text": str(file)})

    def script(self, source: str) -> Any:
        """What a script returns."""
        return self.call("POST", f"{self.session}/execute/sync", {"script": source, "args": []})

    def shot(self, file: Path) -> None:
        """A picture of what is seen."""
        file.write_bytes(base64.b64decode(self.call("GET", f"{self.session}/screenshot")))

    def complaints(self) -> list[str]:
        """What the browser's console says of level SEVERE: what was refused, and what failed."""
        rows = self.call("POST", f"{self.session}/se/log", {"type": "browser"})
        return [row["message"] for row in rows if row["level"] == "SEVERE"]


def trust(database: Path, roots: Iterable[Path]) -> None:
    """Make Chromium's own store of roots, with these in it."""
    database.mkdir(parents=True)
    store = ("certutil", "-d", f"sql:{database}")
    subprocess.run((*store, "-N", "--empty-password"), check=True)
    for root in roots:
        subprocess.run((*store, "-A", "-n", root.name, "-t", "C,,", "-i", str(root)), check=True)


def until(ask: Callable[[], T], what: str, seconds: float) -> T:
    """Ask until something comes."""
    end = time.monotonic() + seconds
    while True:
        try:
            if found := ask():
                return found
            why = ""
        except Missing as error:
            why = f": {error}"
        if time.monotonic() > end:
            raise Missing(f"{what} did not come in {seconds:g} s{why}")
        time.sleep(0.2)
