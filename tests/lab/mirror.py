"""The web servers that releases come from, in one: `python -m tests.lab.mirror CERT KEY HOME ADDRESS…`.

HOME has a folder for each host name; what is in it is answered, whole or in part (Range). HOME/rules.json says of an
address where it leads, with which status it is refused, or after how many bytes the connection breaks.
"""

from __future__ import annotations

import json
import re
import ssl
import sys
import threading
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

from .acme_proxy import Server, Server6


class Shelf(BaseHTTPRequestHandler):
    """One request, answered from the folder of its host."""

    protocol_version = "HTTP/1.1"
    timeout = 30
    home = Path()

    def do_GET(self) -> None:
        host = (self.headers.get("Host") or "").partition(":")[0]
        rule = self.rules().get(f"https://{host}{self.path}", {})
        # A path of ours has nothing that would have to be decoded, or lead elsewhere.
        place = self.home / host / self.path.lstrip("/")
        known = re.fullmatch(r"[a-z0-9.-]+", host) and ".." not in self.path.split("/") and place.is_file()
        if "redirect" in rule:
            self.say(302, Location=rule["redirect"])
        elif "status" in rule or not known:
            self.say(int(rule.get("status", 404)))
        else:
            self.file(place.read_bytes(), int(rule.get("most", 1 << 40)))

    def rules(self) -> dict[str, Any]:
        """What is special."""
        try:
            return dict(json.loads((self.home / "rules.json").read_text()))
        except FileNotFoundError:
            return {}

    def file(self, whole: bytes, most: int) -> None:
        """A file, from where it was asked for."""
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range") or "")
        begin = int(asked[1]) if asked else 0
        if begin and begin >= len(whole):
            self.say(416, Content_Range=f"bytes */{len(whole)}")
            return
        headers = {"Content_Range": f"bytes {begin}-{len(whole) - 1}/{len(whole)}"} if asked else {}
        self.say(206 if asked else 200, whole[begin:], most, **headers)

    def say(self, status: int, body: bytes = b"", most: int = 1 << 40, **headers: str) -> None:
        """An answer, of which so many bytes are sent."""
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body[:most])
        self.close_connection = self.close_connection or most < len(body)

    def log_message(self, format: str, *args: object) -> None:
        """By whom what was asked for, which `Mirror.asked` reads."""
        words = (self.headers.get("Host", "-"), self.headers.get("Range") or "-") if hasattr(self, "headers") else ()
        sys.stderr.write(f"{self.client_address[0]} {' '.join(words)} {format % args}\n")


def main(argv: Sequence[str]) -> None:
    certificate, key, home = argv[:3]
    Shelf.home = Path(home)
    for address in argv[3:]:
        server = (Server6 if ":" in address else Server)((address, 443), Shelf)
        server.context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        server.context.load_cert_chain(certificate, key)
        threading.Thread(target=server.serve_forever).start()


if __name__ == "__main__":
    main(sys.argv[1:])
