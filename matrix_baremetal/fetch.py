"""A file from the web: over HTTPS alone, gone on with where it was cut off, and never longer than it may be.

Whether it is the right one is for whoever asked, before anything reads it. Light until something is fetched.
"""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import IO, TYPE_CHECKING
from urllib.error import HTTPError
from urllib.request import HTTPRedirectHandler, HTTPSHandler, OpenerDirector, Request, build_opener

from matrix_baremetal.errors import Error, Unreached
from matrix_baremetal.names import shown
from matrix_baremetal.web import context

if TYPE_CHECKING:
    import ssl
    from http.client import HTTPMessage

# How often in a row nothing comes before it is given up.
TRIES = 4
# Seconds that a server may be silent.
SILENCE = 30
PIECE = 1 << 18
# What a server says that is busy, or between two others of which one is (RFC 9110).
LATER = (408, 429, 500, 502, 503, 504)


class Redirects(HTTPRedirectHandler):
    """A redirect may lead to another host, and never out of TLS."""

    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> Request | None:
        """Hold that the next address is encrypted too."""
        if not newurl.startswith("https://"):
            raise Error(
                f"{req.full_url} leads to {shown(newurl, 120)}, which is not encrypted, so nothing was taken",
                hint="use another address: release.url in the config",
            )
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def fetch(url: str, place: Path, most: int, pause: float = 1.0, trust: ssl.SSLContext | None = None) -> None:
    """Get a file of at most `most` bytes; what is at `place` already is taken for its beginning.

    `pause` is in seconds, between two tries. Raises `Unreached` where trying again later may help.
    """
    from http.client import HTTPException

    browser = build_opener(HTTPSHandler(context=trust or context(("http/1.1",))), Redirects())
    left = TRIES
    while True:
        before = size(place)
        try:
            once(browser, url, place, most)
            return
        except (OSError, HTTPException) as error:
            why = final(url, error)
            # As long as something comes, it goes on: a slow line is none that is down.
            left = TRIES if size(place) > before else left - 1
            if not left:
                raise Unreached(f"{url} can't be had: {why}", hint=f"curl -I {url}", passes=True) from None
        time.sleep(pause)


def final(url: str, error: Exception) -> str:
    """Why it failed, in words. Raises `Error` where trying again would not help."""
    import ssl

    reason = getattr(error, "reason", None) or error
    if isinstance(error, HTTPError) and error.code not in LATER:
        raise Error(
            f"{url} can't be had: the server answers with status {error.code}", hint=f"curl -I {url}"
        ) from None
    if isinstance(reason, ssl.SSLCertVerificationError):
        raise Error(
            f"{url} can't be had: the certificate does not hold: {reason.verify_message}", hint=f"curl -I {url}"
        ) from None
    return f"status {error.code}" if isinstance(error, HTTPError) else str(reason) or type(reason).__name__


def once(browser: OpenerDirector, url: str, place: Path, most: int) -> None:
    """One try, which goes on where the file ends."""
    have = size(place)
    asked = Request(url, headers={"User-Agent": "matrix-baremetal", "Accept-Encoding": "identity"})
    if not url.startswith("https://"):
        raise Error(f"{shown(url, 120)} is not encrypted", hint="write an address that begins with https://")
    if have:
        asked.add_header("Range", f"bytes={have}-")
    try:
        answer = browser.open(asked, timeout=SILENCE)
    except HTTPError as error:
        with error:
            if error.code != 416 or not have:
                raise
            if error.headers.get("Content-Range") == f"bytes */{have}":
                return  # All of it was there.
        place.unlink()
        raise ConnectionError("the file there is another one by now") from None
    with answer:
        part = re.fullmatch(r"bytes (\d+)-.*", answer.headers.get("Content-Range") or "")
        goes_on = answer.status == 206 and part is not None and int(part[1]) == have
        if answer.status == 206 and not goes_on:
            place.unlink(missing_ok=True)
            raise ConnectionError("another part came than was asked for")
        length = answer.headers.get("Content-Length") or ""
        came = written(answer, url, place, have if goes_on else 0, most)
    if length.isdigit() and came < int(length):
        raise ConnectionError(f"it was cut off after {came} of {length} bytes")


def written(answer: IO[bytes], url: str, place: Path, begin: int, most: int) -> int:
    """Write what comes behind the first `begin` bytes; how many came."""
    came = 0
    with place.open("ab" if begin else "wb") as file:
        while piece := answer.read(PIECE):
            came += len(piece)
            if begin + came > most:
                place.unlink()
                raise Error(f"{url} is larger than {most >> 20} MB, so it was not taken", hint=f"curl -I {url}")
            try:
                file.write(piece)
                file.flush()
            except OSError as error:
                hint = "see: df -h; df -i; dmesg | tail"
                raise Error(f"cannot write {place}: {error.strerror}", hint=hint) from None
    return came


def size(place: Path) -> int:
    """How long a file is that may not be there."""
    return place.stat().st_size if place.exists() else 0
