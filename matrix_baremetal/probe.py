"""Knocks at ports from wherever it runs: `probe_from` sends this file to another machine, which has Python.

So it uses the standard library of Python 3.7 alone, and nothing of ours.
"""

from __future__ import annotations

import hashlib
import json
import os
import socket
import ssl
import struct
import sys
import threading
from typing import Any

# RFC 8489 §5 and §6.2.1: a Binding request without attributes, and how an answer begins.
COOKIE, BINDING, SUCCESS = 0x2112A442, 0x0001, 0x0101


def knock(question: dict[str, Any], family: int, address: str) -> dict[str, Any]:
    """One address: `open`, `refused`, `silent`, or `away` where this machine has no way there; what is served."""
    asked = served if question["protocol"] == "tcp" else bound
    answer = {"address": address, "state": "open", "certificate": ""}
    try:
        answer["certificate"] = asked(question, family, (address, question["port"]))
    except ConnectionRefusedError:
        answer["state"] = "refused"
    except TimeoutError:
        answer["state"] = "silent"
    except OSError:
        answer["state"] = "away"
    return answer


def served(question: dict[str, Any], family: int, place: tuple[str, int]) -> str:
    """Connect; the SHA-256 of the certificate that is shown, where there is to be one."""
    with socket.socket(family, socket.SOCK_STREAM) as plain:
        plain.settimeout(question["patience"])
        plain.connect(place)
        if not question["tls"]:
            return ""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        # Which certificate it is, is what is asked here, and not whether this machine trusts it.
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        try:
            with context.wrap_socket(plain, server_hostname=question["name"]) as secret:
                return hashlib.sha256(secret.getpeercert(True) or b"").hexdigest()
        except (OSError, ValueError):
            return "none"


def bound(question: dict[str, Any], family: int, place: tuple[str, int]) -> str:
    """Ask a STUN server, which answers everybody: no other port of UDP says whether it is open."""
    mark = os.urandom(12)
    with socket.socket(family, socket.SOCK_DGRAM) as plain:
        plain.connect(place)
        # UDP loses some.
        for _ in range(3):
            plain.settimeout(question["patience"] / 3)
            plain.send(struct.pack("!HHI", BINDING, 0, COOKIE) + mark)
            try:
                answer = plain.recv(2048)
            except TimeoutError:
                continue
            if answer[:2] == struct.pack("!H", SUCCESS) and answer[8:20] == mark:
                return ""
    raise TimeoutError


def asked(question: dict[str, Any]) -> list[dict[str, Any]]:
    """Each address of the name, as it is seen from here."""
    try:
        found = socket.getaddrinfo(question["name"], question["port"], type=socket.SOCK_STREAM)
    except OSError:
        return []
    places = sorted({(int(row[0]), str(row[4][0])) for row in found})
    return [knock(question, *place) for place in places]


def main(questions: str) -> None:
    """Ask all at once, and print what came as JSON, in the same order."""
    rows = json.loads(questions)
    answers: list[list[dict[str, Any]]] = [[] for _ in rows]

    def ask(number: int) -> None:
        answers[number] = asked(rows[number])

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(len(rows))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sys.stdout.write(json.dumps(answers) + "\n")
