"""Web clients: the real Hydrogen in a real browser, and Element's release as far as its shape goes."""

from __future__ import annotations

import json
import shutil
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from matrix_baremetal import versions
from tests.fake_releases import Signer, archive, odd, sha256
from tests.lab import Lab, infra
from tests.lab.places import CACHE, REPOSITORY
from tests.system import invariants, upstream
from tests.system.site import Site

pytestmark = pytest.mark.lab
PINS = versions.read().releases
OPT = "/opt/matrix-baremetal"
VERSIONS = "/usr/lib/python3/dist-packages/matrix_baremetal/versions.yaml"
MESSAGE = "Hello from a browser"


@pytest.fixture(autouse=True)
def emptied(lab: Lab) -> Iterator[None]:
    with lab.mirror.alone():
        yield


def offered(lab: Lab, data: bytes) -> dict[str, str]:
    """Hydrogen's release, where its makers publish theirs; and what the config says, as its hash is another."""
    url = PINS["hydrogen"].url
    # As that site does it: the file itself is elsewhere.
    lab.mirror.put("https://release-assets.githubusercontent.com/hydrogen.tar.gz", data)
    lab.mirror.rule(url, redirect="https://release-assets.githubusercontent.com/hydrogen.tar.gz")
    return {"url": url, "sha256": sha256(data)}


def pictures(debian: int) -> Path:
    """Where the browsers of a release leave what they saw."""
    place = CACHE / f"pictures-{debian}"
    place.mkdir(parents=True, exist_ok=True)
    return place


@pytest.mark.sampled(13)
def test_two_people_talk_with_hydrogen_in_their_browsers(site: Site, lab: Lab, tmp_path: Path) -> None:
    release = offered(lab, upstream.hydrogen())
    part = "https://release-assets.githubusercontent.com/hydrogen.tar.gz"
    lab.mirror.rule(part, most=3_000_000)
    site.change(web_client={"kind": "hydrogen", "release": release})
    assert any(title.startswith("hydrogen ") for title in site.planned())
    site.mb("apply")
    parts = [row.split()[1] for row in lab.mirror.asked(site.guest.ip, site.guest.ip6) if "/hydrogen.tar.gz" in row]
    assert parts[:2] == ["-", "bytes=3000000-"], "what was cut off was gone on with"
    invariants.nothing_to_do(site)

    chat = f"chat.{site.server_name}"
    page = site.get("/", chat)
    assert (page.status, page.headers["content-type"]) == (200, "text/html")
    assert page.headers["cache-control"] == site.get("/config.json", chat).headers["cache-control"] == "no-cache"
    assert page.headers["content-security-policy"].startswith("frame-ancestors 'self'")
    assert site.get("/config.json", chat).data["defaultHomeServer"] == site.url
    [script] = [word for word in page.text.split('"') if word.startswith("./assets/index.") and word.endswith(".js")]
    asset = site.get(script.removeprefix("."), chat, options=("--compressed",))
    assert asset.headers["content-encoding"] == "gzip"
    assert "immutable" in asset.headers["cache-control"]
    [wasm] = site.guest.run(f"cd {OPT}/hydrogen/current/files && ls assets/olm.*.wasm").stdout.split()
    assert site.get(f"/{wasm}", chat, options=("--output", "/dev/null")).headers["content-type"] == "application/wasm"
    for path in ("/_matrix/client/versions", "/_synapse/admin/v1/server_version", "/../complete.json", "/x"):
        assert site.get(path, chat).status in (400, 404)
    assert f"https://{chat}/" in site.get("/").text, "the page for people who are invited leads there"
    findings = {
        row["id"]: row["state"] for row in json.loads(site.mb("doctor", "--json", status=(0, 3)).stdout)["findings"]
    }
    assert findings[f"web.program.{chat}"] == "pass"

    people = [{"name": name, "password": site.password(name)} for name in ("alice", "bob")]
    asked = {
        "url": f"https://{chat}/",
        "people": people,
        "room": "Before",
        "message": MESSAGE,
        "place": str(tmp_path),
    }
    asked["roots"] = [str(path) for path in infra.roots()]
    words = [sys.executable, "-m", "tests.system.hydrogen"]
    try:
        done = lab.client(words, input=json.dumps(asked), env={"PYTHONPATH": str(REPOSITORY)}, timeout=300)
    finally:
        for picture in tmp_path.glob("*.png"):
            shutil.move(picture, pictures(site.guest.debian) / picture.name)
    # What it looks for and need not find: a well-known file on the homeserver's name, a device that slept, an icon.
    known = ("/.well-known/matrix/client", "status of 404")
    complaints = [line for line in json.loads(done.stdout)["complaints"] if not any(words in line for words in known)]
    assert complaints == []

    site.change()
    site.mb("apply")
    assert site.guest.run(f"ls {OPT}").stdout.split() == ["synapse"]
    assert "chat." not in site.guest.read("/etc/nginx/sites-enabled/zz-matrix-baremetal")
    invariants.hold(site)


def pinned(site: Site, data: bytes, signer: Signer, version: str = "1.12.25") -> None:
    """Our package pins this archive, signed by this key, as Element's release."""
    pin = PINS["element"]
    text = (REPOSITORY / "matrix_baremetal/versions.yaml").read_text().replace(pin.sha256, sha256(data))
    assert pin.signature
    text = text.replace(pin.signature.fingerprint, signer.fingerprint).replace(pin.version, version)
    site.guest.write(VERSIONS, text)


@pytest.mark.sampled(12)
def test_elements_release_is_installed_only_as_its_makers_made_it(site: Site, lab: Lab, tmp_path: Path) -> None:
    pin = PINS["element"]
    assert pin.signature
    files = {"index.html": b"<!DOCTYPE html><title>A stand-in</title>", "bundles/0123456789abcdef0123/a.js": b"1"}
    whole = archive({f"element-v1/{name}": data for name, data in files.items()})
    upstream_, other = Signer(tmp_path / "upstream"), Signer(tmp_path / "other")
    for signer in (upstream_, other):
        signer.make()
    good = upstream_.sign(whole)
    lab.mirror.put(pin.signature.key, upstream_.key)
    pinned(site, whole, upstream_)
    site.change(web_client={"kind": "element"})

    def refused(said: str, data: bytes = whole, signature: bytes | None = good) -> None:
        lab.mirror.put(pin.url, data)
        lab.mirror.remove(f"{pin.url}.asc")
        if signature is not None:
            lab.mirror.put(f"{pin.url}.asc", signature)
        done = site.mb("apply", status=3)
        assert said in " ".join((done.stdout + done.stderr).split())
        left = site.guest.run(f"ls -A {OPT}/element 2>/dev/null || true").stdout.split()
        assert not [name for name in left if not name.endswith(".part")]
        site.guest.run(f"rm -rf {OPT}/element")

    refused("is not the file that is pinned", data=whole + b"x")
    refused("was made with another key", signature=other.sign(whole))
    refused("is of another file", signature=upstream_.sign(b"another"))
    refused("has expired", signature=upstream_.sign(whole, "--default-sig-expire", "1d"))
    refused("is none", signature=b"<html>Not found")
    refused("can't be had: the server answers with status 404", signature=None)
    for name, member, said in (
        ("../../../etc/cron.d/evil", b"* * * * * root true\n", "which leads out of it"),
        ("evil", odd("evil", tarfile.SYMTYPE, "/etc/shadow"), "a link that leads out of it"),
        ("evil", odd("evil", tarfile.CHRTYPE), "which is neither a file nor a folder"),
    ):
        evil = archive({name: member})
        pinned(site, evil, upstream_)
        refused(said, data=evil, signature=upstream_.sign(evil))
        assert site.guest.run("find / -xdev -name evil").stdout == ""
    pinned(site, whole, upstream_)
    lab.mirror.put("https://mirror.test/element.tar.gz", whole)
    lab.mirror.rule(pin.url, redirect="http://mirror.test/element.tar.gz")
    refused("which is not encrypted")
    lab.mirror.rule(pin.url)
    lab.mirror.rule(pin.url, status=503)
    refused("is pending: ")
    lab.mirror.rule(pin.url)

    site.mb("apply")
    chat = f"chat.{site.server_name}"
    assert "A stand-in" in site.get("/", chat).text
    settings = site.get("/config.json", chat).data
    assert settings["default_server_config"]["m.homeserver"] == {
        "base_url": site.url,
        "server_name": site.server_name,
    }
    assert "immutable" in site.get("/bundles/0123456789abcdef0123/a.js", chat).headers["cache-control"]
    assert site.get("/config.chat.json", chat).status == 404

    newer = archive({"element-v2/index.html": b"<!DOCTYPE html><title>A newer one</title>"})
    newer_url = pin.url.replace(pin.version, "1.12.99")
    pinned(site, newer, upstream_, "1.12.99")
    # An older one of upstream's, with upstream's own signature, where the newer one should be.
    lab.mirror.put(newer_url, whole)
    lab.mirror.put(f"{newer_url}.asc", good)
    assert "is not the file that is pinned" in site.mb("apply", status=3).stdout
    assert "A stand-in" in site.get("/", chat).text
    lab.mirror.put(newer_url, newer)
    lab.mirror.put(f"{newer_url}.asc", upstream_.sign(newer))
    assert "element 1.12.99  1.12.25 runs here" in site.mb("upgrade", "--check", status=3).stdout
    assert "element 1.12.99 (1.12.25 runs here) is there" in site.mb("status").stdout
    assert "fetch element 1.12.99" in site.mb("upgrade").stdout
    assert "A newer one" in site.get("/", chat).text
    site.mb("upgrade", "--check")
    lab.mirror.forget()
    pinned(site, whole, upstream_)
    site.mb("apply")
    assert "A stand-in" in site.get("/", chat).text, "the one before was still there"
    for signer in (upstream_, other):
        signer.end()
    invariants.findings(site)
