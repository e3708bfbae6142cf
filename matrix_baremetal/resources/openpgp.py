"""Which keys are in a file, by their fingerprints: read and not imported, so it takes no program and no keyring."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Iterator

# Packet tags (RFC 9580 §5): a public key; a secret one.
PUBLIC, SECRET = 6, 5


def fingerprints(data: bytes) -> tuple[str, ...]:
    """The fingerprints of the primary keys in a file, armored or not; nothing where it is no file of public keys.

    Of version 4 (RFC 9580 §5.5.4.2): SHA-1 over the packet, with a head of its own. A subkey is none that counts, as
    what makes it one is a signature of its primary key.
    """
    try:
        found = [(tag, body) for block in blocks(data) for tag, body in packets(block)]
    except (ValueError, IndexError, binascii.Error):
        return ()
    if any(tag == SECRET or (tag == PUBLIC and body[:1] != b"\x04") for tag, body in found):
        return ()
    heads = (body for tag, body in found if tag == PUBLIC)
    return tuple(hashlib.sha1(b"\x99" + len(b).to_bytes(2) + b).hexdigest().upper() for b in heads)


def armored(data: bytes) -> bytes:
    """The same keys as text: apt goes by a file's ending, and takes .asc for that."""
    if b"-----BEGIN" in data:
        return data
    head, end = (f"-----{word} PGP PUBLIC KEY BLOCK-----\n".encode() for word in ("BEGIN", "END"))
    # gpg takes none without its checksum (RFC 9580 §6.1), which nothing depends on any more.
    total = 0xB704CE
    for byte in data:
        total ^= byte << 16
        for _ in range(8):
            total = (total << 1) ^ (0x1864CFB if total & 0x800000 else 0)
    return head + b"\n" + base64.encodebytes(data) + b"=" + base64.b64encode(total.to_bytes(3, "big")) + b"\n" + end


def blocks(data: bytes) -> Iterator[bytes]:
    """The packets of each armored block (RFC 9580 §6.2), or the data as it is where it is none."""
    armored = rb"-----BEGIN PGP PUBLIC KEY BLOCK-----\r?\n(?:.+\r?\n)*?\r?\n(.*?)(?:^=\S{4}\s*)?^-----END PGP"
    found = re.findall(armored, data, re.MULTILINE | re.DOTALL)
    if not found and b"-----BEGIN" not in data:
        yield data
    for text in found:
        yield base64.b64decode(b"".join(text.split()), validate=True)


def packets(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Each packet's tag and body (RFC 9580 §4.2), of known lengths alone, as keys have them. Raises `ValueError`."""
    at = 0
    while at < len(data):
        head, at = data[at], at + 1
        if not head & 0x80:
            raise ValueError("no packet begins so")
        if head & 0x40:
            tag, first = head & 0x3F, data[at]
            if first < 192:
                size, at = first, at + 1
            elif first < 224:
                size, at = ((first - 192) << 8) + data[at + 1] + 192, at + 2
            elif first == 255:
                size, at = int.from_bytes(data[at + 1 : at + 5]), at + 5
            else:
                raise ValueError("a packet in parts")
        else:
            tag, width = (head >> 2) & 0xF, 1 << (head & 3)
            if width == 8:
                raise ValueError("a packet without a length")
            size, at = int.from_bytes(data[at : at + width]), at + width
        if at + size > len(data):
            raise ValueError("a packet that is cut off")
        yield tag, data[at : at + size]
        at += size
