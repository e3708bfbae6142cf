"""Somebody on IRC: runs in a guest by its Python, says to the server what it reads, and prints what comes."""

from __future__ import annotations

import socket
import sys
import threading

with socket.create_connection(("127.0.0.1", 6667), 20) as server:
    server.settimeout(None)

    def say(line: str) -> None:
        server.sendall(line.encode() + b"\r\n")

    def heard() -> None:
        with server.makefile(encoding="utf-8", errors="replace") as lines:
            for line in lines:
                if line.startswith("PING"):
                    say(line.strip().replace("PING", "PONG", 1))
                print(line.strip(), flush=True)

    threading.Thread(target=heard, daemon=True).start()
    for line in sys.stdin:
        say(line.strip())
