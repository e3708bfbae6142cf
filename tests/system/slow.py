#!/usr/bin/python3
"""Passes on what comes to a port, and what is answered only after so many seconds: `slow.py SECONDS HOST`, port 443.

For the lab's client: whoever takes its address for HOST's has a slow way to HOST. It ends when its stdin does.
"""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import threading
import time


def pass_on(source: socket.socket, target: socket.socket, seconds: float) -> None:
    """Until one of them leaves."""
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            time.sleep(seconds)
            target.sendall(data)
    for each in (source, target):
        with contextlib.suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)


def listening() -> socket.socket | None:
    """A socket that listens; None where somebody else has the port."""
    try:
        return socket.create_server(("", 443))
    except OSError:
        return None


def main(seconds: float, host: str) -> None:
    # Another worker's test may have the port just now.
    until = time.monotonic() + 600
    while (server := listening()) is None and time.monotonic() < until:
        time.sleep(0.5)
    assert server
    print("listens", flush=True)
    while True:
        near, _ = server.accept()
        far = socket.create_connection((host, 443))
        for ends in ((near, far, 0.0), (far, near, seconds)):
            threading.Thread(target=pass_on, args=ends, daemon=True).start()


if __name__ == "__main__":
    threading.Thread(target=main, args=(float(sys.argv[1]), sys.argv[2]), daemon=True).start()
    sys.stdin.read()
    os._exit(0)
