#!/usr/bin/python3
"""Asks without pause, each time on a new connection: `traffic.py URL FILE`, until FILE is there.

For the lab's client. Prints {"ok": N, "failed": [sentences], "serials": [of the certificates seen]}.
"""

from __future__ import annotations

import http.client
import json
import ssl
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit


def main(url: str, end: Path) -> None:
    where = urlsplit(url)
    assert where.hostname
    ok, failed, serials = 0, [], set()
    deadline = time.monotonic() + 120
    while not end.exists() and time.monotonic() < deadline:
        connection = http.client.HTTPSConnection(where.hostname, context=ssl.create_default_context(), timeout=10)
        try:
            connection.connect()
            assert isinstance(connection.sock, ssl.SSLSocket)
            serials.add(str((connection.sock.getpeercert() or {}).get("serialNumber")))
            connection.request("GET", where.path)
            answer = connection.getresponse()
            answer.read()
            if answer.status == 200:
                ok += 1
            else:
                failed.append(f"status {answer.status}")
        except (OSError, http.client.HTTPException) as error:
            failed.append(repr(error))
        finally:
            connection.close()
    print(json.dumps({"ok": ok, "failed": failed, "serials": sorted(serials)}))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
