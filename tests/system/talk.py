#!/usr/bin/python3
"""Says one thing after the other in a room: `talk.py URL ROOM FILE`, until FILE is there; the token comes by stdin.

For the lab's client. Prints {"acknowledged": {event id: text}, "failed": N}: what the server said that it has. A
message without an answer is not sent again, so that each acknowledgement stands for itself.
"""

from __future__ import annotations

import http.client
import json
import ssl
import sys
import time
from pathlib import Path
from urllib.parse import quote, urlsplit


def main(url: str, room: str, end: Path, token: str) -> None:
    host = urlsplit(url).hostname
    assert host
    acknowledged, failed, count = {}, 0, 0
    head = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    connection: http.client.HTTPSConnection | None = None
    deadline = time.monotonic() + 300
    while not end.exists() and time.monotonic() < deadline:
        count += 1
        text = f"{time.time_ns()} message {count}"
        path = f"/_matrix/client/v3/rooms/{quote(room)}/send/m.room.message/{time.time_ns()}"
        try:
            if connection is None:
                connection = http.client.HTTPSConnection(host, context=ssl.create_default_context(), timeout=10)
            connection.request("PUT", path, json.dumps({"msgtype": "m.text", "body": text}), head)
            answer = connection.getresponse()
            said = answer.read()
            if answer.status == 200:
                acknowledged[json.loads(said)["event_id"]] = text
                continue
        except (OSError, ValueError, http.client.HTTPException):
            if connection is not None:
                connection.close()
            connection = None
        failed += 1
        time.sleep(0.1)
    print(json.dumps({"acknowledged": acknowledged, "failed": failed}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]), sys.stdin.readline().strip())
