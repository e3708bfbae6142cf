#!/usr/bin/python3
"""A stand-in for lk-jwt-service, whose modules the lab can't build: the same settings, paths, answers and errors.

As its README and source (0.5.0) say. It asks the homeserver of an OpenID token who its bearer is, in the way of other
servers; has LiveKit make a room for people of some servers alone; and signs who may join.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import ssl
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote

SLOT = "m.call#ROOM"


def words(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def alias(*parts: str) -> str:
    """What LiveKit calls a room or a person."""
    text = json.dumps(parts, separators=(",", ":")).encode()
    return base64.b64encode(hashlib.sha256(text).digest()).decode().rstrip("=")


def signed(video: dict[str, Any], identity: str = "") -> str:
    """A token that LiveKit believes."""
    # Two words with one colon between them, as the real one wants it.
    key, secret = (word.strip() for word in Path(os.environ["LIVEKIT_KEY_FILE"]).read_text().split(":"))
    now = int(time.time())
    claims = {"iss": key, "sub": identity, "nbf": now - 5, "exp": now + 3600, "video": video}
    head = words(json.dumps({"alg": "HS256", "typ": "JWT"}).encode())
    text = f"{head}.{words(json.dumps(claims).encode())}"
    return f"{text}.{words(hmac.new(secret.encode(), text.encode(), hashlib.sha256).digest())}"


def fetched(url: str, **more: Any) -> Any:
    request = urllib.request.Request(url, **more)
    with urllib.request.urlopen(request, timeout=10, context=ssl.create_default_context()) as answer:
        return json.load(answer)


def bearer(token: dict[str, Any]) -> str:
    """Who has an OpenID token, as the homeserver says that it names."""
    name = token["matrix_server_name"]
    try:
        server = fetched(f"https://{name}/.well-known/matrix/server")["m.server"]
    except OSError:
        server = f"{name}:8448"
    path = f"/_matrix/federation/v1/openid/userinfo?access_token={quote(token['access_token'])}"
    found: str = fetched(f"https://{server}{path}")["sub"]
    assert found.endswith(f":{name}")
    return found


def make(room: str) -> None:
    """Have LiveKit make a room, under the name that clients use."""
    url = os.environ["LIVEKIT_URL"].replace("ws", "http", 1) + "/twirp/livekit.RoomService/CreateRoom"
    headers = {"Authorization": f"Bearer {signed({'roomCreate': True})}", "Content-Type": "application/json"}
    fetched(url, data=json.dumps({"name": room, "empty_timeout": 300}).encode(), headers=headers, method="POST")


class Service(BaseHTTPRequestHandler):
    """One request."""

    def do_GET(self) -> None:
        self.say(200 if self.path == "/healthz" else 404, {})

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path == "/sfu/get":
            room, device, person = alias(asked["room"], SLOT), asked["device_id"], ""
        elif self.path == "/get_token":
            member = asked["member"]
            room, device, person = alias(asked["room_id"], asked["slot_id"]), "", member["claimed_user_id"]
        else:
            self.say(404, {})
            return
        try:
            who = bearer(asked["openid_token"])
        except (OSError, KeyError, AssertionError):
            status, code = (500, "M_LOOKUP_FAILED") if self.path == "/sfu/get" else (401, "M_UNAUTHORIZED")
            self.say(status, {"errcode": code})
            return
        if person and person != who:
            self.say(401, {"errcode": "M_UNAUTHORIZED"})
            return
        identity = alias(who, member["claimed_device_id"], member["id"]) if person else f"{who}:{device}"
        if asked["openid_token"]["matrix_server_name"] in os.environ["LIVEKIT_FULL_ACCESS_HOMESERVERS"].split(","):
            try:
                make(room)
            except OSError as error:
                print(f"no room: {error}", flush=True)
                self.say(500, {"errcode": "M_UNKNOWN"})
                return
        video = {"roomJoin": True, "room": room, "canPublish": True, "canSubscribe": True}
        self.say(200, {"url": os.environ["LIVEKIT_URL"], "jwt": signed(video, identity)})

    def say(self, status: int, body: dict[str, Any]) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


if __name__ == "__main__":
    signed({})  # it does not start without a key that can be used
    host, _, port = os.environ["LIVEKIT_JWT_BIND"].partition(":")
    ThreadingHTTPServer((host, int(port)), Service).serve_forever()
