"""A Jitsi of our own: who opens a room, who is a guest, what of its repository counts, and what goes when it goes."""

from __future__ import annotations

import base64
import json
import re
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.fake_releases import Signer
from tests.lab import Lab
from tests.lab.places import REPOSITORY
from tests.matrix import Person
from tests.system import invariants
from tests.system.conftest import Snapshots
from tests.system.jitsi import VERSION, archive
from tests.system.site import NGINX, Site
from tests.system.test_package import exposure

pytestmark = [pytest.mark.lab, pytest.mark.sampled(13)]
UNITS = {f"matrix-jitsi-{part}.service": f"matrix-jitsi-{part}" for part in ("xmpp", "focus", "bridge")}
THEIRS = ("jitsi-meet-web", "jitsi-meet-prosody", "jicofo", "jitsi-videobridge2", "prosody")
MASKED = ("prosody.service", "jicofo.service", "jitsi-videobridge2.service")
URL = "https://mirror.test/jitsi"
SOURCE = "/etc/apt/sources.list.d/matrix-baremetal-jitsi.sources"


@pytest.fixture(scope="module")
def signer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Signer]:
    made = Signer(tmp_path_factory.mktemp("gpg") / "home")
    made.make()
    yield made
    made.end()


def offer(lab: Lab, signer: Signer, version: str = VERSION) -> None:
    """Jitsi's archive, where the mirror has it."""
    for path, data in archive(signer, version).items():
        lab.mirror.put(f"{URL}/{path}", data)


def calls(fingerprint: str) -> dict[str, Any]:
    """What the config says of it."""
    return {"jitsi": "self-hosted", "jitsi_repository": {"url": URL, "fingerprint": fingerprint}}


@pytest.fixture(scope="module")
def meeting(lab: Lab, snapshots: Snapshots, debian: int, signer: Signer) -> Iterator[Site]:
    """A site with a Jitsi, on a machine whose chosen `java` is of no use."""
    site = Site(lab, snapshots.boot("site", debian))
    site.guest.write("/usr/local/bin/java", "#!/bin/sh\necho wrong >&2\nexit 1\n", 0o755)
    began = time.monotonic()
    with lab.mirror.alone():
        offer(lab, signer)
        site.change(calls=calls("AB" * 20))
        said = site.mb("apply", status=1)
        assert f"has the key {signer.fingerprint}, not {'AB' * 20}" in said.stdout + said.stderr
        assert site.guest.run(f"ls {SOURCE}", check=False).stdout == ""
        site.change(calls=calls(signer.fingerprint))
        site.mb("apply")
    sys.stderr.write(f"\nrefused, and switched on, in {time.monotonic() - began:.1f} s\n")
    yield site
    lab.down(f"st-{debian}")


def host(site: Site) -> str:
    return f"meet.{site.server_name}"


def openid(person: Person) -> str:
    """What the homeserver gives somebody to show who they are."""
    found: dict[str, Any] = person.ask("POST", f"user/{person.user}/openid/request_token", {})
    return str(found["access_token"])


def jwt(token: str, **more: str) -> str:
    """What Element makes of it; nobody looks at what signs it."""
    claims = {"iss": "x", "room": "*", "context": {"matrix": {"token": token, **more}, "user": {"name": "Zoë"}}}
    parts = ({"alg": "HS256", "typ": "JWT"}, claims)
    words = [base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts]
    return ".".join((*words, "bm90dXNlZA"))


def came(
    site: Site, *, guest: bool = False, token: str | None = None, steps: tuple[tuple[str, str], ...] = ()
) -> Any:
    """Somebody comes, and does something; what came of each."""
    asked = {"host": host(site), "domain": f"guest.{host(site)}" if guest else host(site), "token": token}
    return met(site, **asked, steps=steps)


def met(site: Site, **task: Any) -> Any:
    words = [sys.executable, "-m", "tests.system.meeting"]
    environment = {"PYTHONPATH": str(REPOSITORY)}
    done = site.lab.client(words, input=json.dumps(task), env=environment, check=False, timeout=60)
    return json.loads(done.stdout) if done.returncode == 0 else done.stderr


def journal(site: Site) -> str:
    """What its parts said last."""
    return site.guest.run(f"journalctl --no-pager -n 60 {' '.join(f'-u {unit}' for unit in UNITS)}").stdout


def ready(site: Site) -> None:
    """jicofo answers whoever asks."""
    until = time.monotonic() + 30
    while came(site, guest=True, steps=(("ask", "nothing"),)) != ["in", "not-authorized"]:
        assert time.monotonic() < until, journal(site)
        time.sleep(0.5)


@pytest.fixture(scope="module")
def alice(meeting: Site) -> Person:
    return meeting.login("alice")


def test_who_opens_a_room_and_who_is_a_guest(meeting: Site, alice: Person) -> None:
    ready(meeting)
    found = meeting.get("/.well-known/element/jitsi", host(meeting))
    assert (found.data, found.headers["access-control-allow-origin"]) == ({"auth": "openidtoken-jwt"}, "*")
    good, late = openid(alice), openid(alice)
    meeting.sql(f"UPDATE open_id_tokens SET ts_valid_until_ms = 1 WHERE token = '{late}'")
    # A guest finds no room, and can make none.
    assert came(meeting, guest=True, steps=(("ask", "den"), ("join", "den"))) == [
        "in",
        "not-authorized",
        "not-allowed",
    ]
    assert came(meeting, token=jwt(good), steps=(("ask", "den"), ("join", "den"))) == ["in", "open", "in"]
    assert came(meeting, guest=True, steps=(("ask", "den"), ("join", "den"))) == ["in", "open", "in"]
    refused = {
        "expired": jwt(late),
        "invented": jwt("abcdefghijklmnopqrstuvwx"),
        "of another homeserver": jwt("strange", server_name="elsewhere.test"),
        "no token": jwt(""),
        "a path": jwt("../../admin?x=1&access_token=" + good),
        "no JWT": good,
        "no JSON": "a.YQ.b",
        "none": None,
    }
    said = {name: came(meeting, token=token) for name, token in refused.items()}
    assert said == {name: ["not-authorized"] for name in refused}
    way = {"host": host(meeting), "domain": host(meeting), "socket": True}
    assert met(meeting, **way, token=jwt(good)) == [" 101 ", "<success"]
    assert met(meeting, **way, token=jwt(late)) == met(meeting, **way) == [" 101 ", "<failure"]
    # Nobody gets in as one of Jitsi's own programs without a password.
    assert met(meeting, host=host(meeting), domain=f"auth.{host(meeting)}") == ["not offered"]
    tokens_are_in_no_log(meeting, good, jwt(good))


def tokens_are_in_no_log(site: Site, *tokens: str) -> None:
    """Not where nginx can't reach the XMPP server either, of which it writes an error."""
    site.guest.run("systemctl stop matrix-jitsi-xmpp")
    assert site.get(f"/http-bind?token={tokens[0]}", host(site)).status == 502
    site.get(f"/den?jwt={tokens[0]}", host(site))
    site.guest.run("systemctl start matrix-jitsi-xmpp")
    logs = site.guest.run("cat /var/log/nginx/*; journalctl -q --no-pager").stdout
    assert not any(token in logs for token in tokens)
    ready(site)


def test_its_pages_are_served(meeting: Site) -> None:
    for path in ("/", "/den"):
        page = meeting.get(path, host(meeting))
        assert page.status == 200
        assert "<title>a room</title>" in page.text
        assert f'"domain": "{host(meeting)}"' in page.text
    assert meeting.get("/external_api.js", host(meeting)).text == "// api\n"
    assert meeting.get("/css/all.css", host(meeting)).headers["access-control-allow-origin"] == "*"
    for path in (
        "/_synapse/admin/v1/server_version",
        "/_matrix/client/versions",
        "/prosody-plugins/mod_client_proxy.lua",
    ):
        assert meeting.get(path, host(meeting)).status == 404, path
    client = meeting.get("/.well-known/matrix/client", meeting.server_name).data
    assert client["io.element.jitsi"] == {"preferredDomain": host(meeting)}


def test_of_its_repository_nothing_else_comes(meeting: Site) -> None:
    guest = meeting.guest
    told = guest.run("apt-cache policy bash jitsi-meet-web-config jicofo").stdout
    rows = dict(re.findall(r"^(\S+):\n  Installed: .*\n  Candidate: (.*)$", told, re.MULTILINE))
    assert rows["bash"] != "999"
    assert rows["jitsi-meet-web-config"] == "(none)"
    assert rows["jicofo"] == VERSION
    assert "999" in told, "it is offered"
    assert "bash" not in guest.run("apt-get -s -q dist-upgrade").stdout.split("The following")[-1]
    # What its packages would start stands still, and nobody believes their certificate.
    for unit in MASKED:
        assert meeting.show(unit, "ActiveState", "LoadState") == {"ActiveState": "inactive", "LoadState": "masked"}
    assert guest.run("ls /run/jicofo-by-itself", check=False).stdout == ""
    assert guest.run("ls /usr/local/share/ca-certificates /etc/ssl/certs | grep auth.meet", check=False).stdout == ""
    asked = guest.run("debconf-show jitsi-videobridge2; debconf-show jitsi-meet-web-config").stdout
    assert f"jvb-hostname: {host(meeting)}" in asked


def test_it_is_locked_down_and_told(meeting: Site) -> None:
    guest = meeting.guest
    secrets = [guest.read(f"/etc/matrix-baremetal/secrets/jitsi_{part}").strip() for part in ("focus", "bridge")]
    for unit, user in UNITS.items():
        assert exposure(guest, unit) <= 2.0
        pid = meeting.show(unit, "MainPID")["MainPID"]
        assert guest.run(f"ps -o user:30= -p {pid}").stdout.strip() == user
        shown = guest.run(f"tr '\\0' '\\n' < /proc/{pid}/environ; tr '\\0' ' ' < /proc/{pid}/cmdline").stdout
        assert not any(secret in shown for secret in secrets)
    for part in ("focus", "bridge"):
        folder = f"/run/matrix-baremetal/jitsi-{part}"
        assert guest.run(f"stat -c '%a %G' {folder}/{part}.conf").stdout.split() == ["640", f"matrix-jitsi-{part}"]
    assert not any(secret in guest.run("journalctl -q --no-pager").stdout for secret in secrets)
    outside = guest.run("ss -Hlntu").stdout
    assert not re.search(r"(0\.0\.0\.0|\*|\[::\]|10\.\S+):(8084|8085|8086|5222|5269|5280)\b", outside), outside
    shown = meeting.mb("show", "ports").stdout
    assert "10000/udp" in shown
    assert not re.search(r"\b808[456]/", shown)
    doctor = json.loads(meeting.mb("--json", "doctor", "jitsi", "units", "ports", "well-known", status=(0, 3)).stdout)
    assert [f for f in doctor["findings"] if f["state"] == "fail"] == []
    assert [f["state"] for f in doctor["findings"] if f["id"] == "jitsi.closed"] == ["pass"]
    # Debian's own, and not the one that was chosen on this machine.
    major = {12: 17, 13: 21}[guest.debian]
    said = guest.run("journalctl -q --no-pager -u matrix-jitsi-focus -u matrix-jitsi-bridge").stdout
    assert set(re.findall(r'openjdk version "(\d+)', said)) == {str(major)}
    assert not re.search(
        r"prosody\[\d+\]: .*\serror\s", guest.run("journalctl -q --no-pager -u matrix-jitsi-xmpp").stdout
    )
    invariants.hold(meeting)


def test_a_newer_package_is_taken_up_by_what_runs(meeting: Site, signer: Signer) -> None:
    before = {unit: meeting.show(unit, "MainPID")["MainPID"] for unit in UNITS}
    with meeting.lab.mirror.alone():
        offer(meeting.lab, signer, f"{VERSION}1")
        meeting.guest.run("apt-get update -q && apt-get install -q -y --only-upgrade jicofo jitsi-videobridge2")
    after = {unit: meeting.show(unit, "MainPID")["MainPID"] for unit in UNITS}
    assert not [unit for unit in UNITS if before[unit] == after[unit]]
    ready(meeting)
    assert not meeting.plan()


@pytest.mark.long
def test_it_comes_back_by_itself(meeting: Site, alice: Person) -> None:
    """After a crash of all of it, and after a reboot."""
    meeting.guest.run(f"systemctl kill -s KILL {' '.join(UNITS)}")
    ready(meeting)
    meeting.guest.reboot()
    meeting.wait_until_it_answers()
    ready(meeting)
    assert came(meeting, token=jwt(openid(alice)), steps=(("ask", "back"), ("join", "back"))) == ["in", "open", "in"]


def test_switched_off_it_is_gone(meeting: Site) -> None:
    """Last, as it takes away what the others look at."""
    meeting.change()
    meeting.mb("apply")
    guest = meeting.guest
    assert not re.search(r":(8084|8085|8086|10000)\b", guest.run("ss -Hlntu").stdout)
    there = guest.run("dpkg --get-selections").stdout
    assert not re.search(rf"^({'|'.join(THEIRS)})\s", there, re.MULTILINE), there
    assert re.search(r"^openjdk-\d+-jre-headless(:\w+)?\s+install", there, re.MULTILINE), "Java stays"
    places = "/etc/matrix-jitsi /etc/jitsi/* /run/matrix-baremetal/jitsi-* /etc/apt/*/matrix-baremetal-*"
    assert guest.run(f"ls -d {places} /etc/systemd/system/prosody.service", check=False).stdout == ""
    assert "meet." not in guest.read(NGINX)
    assert "jitsi" not in meeting.get("/.well-known/matrix/client", meeting.server_name).text
    assert {meeting.show(unit, "ActiveState")["ActiveState"] for unit in UNITS} == {"inactive"}
    invariants.hold(meeting)


@pytest.mark.long
def test_a_purge_leaves_nothing_of_it(meeting: Site, signer: Signer) -> None:
    with meeting.lab.mirror.alone():
        offer(meeting.lab, signer)
        meeting.change(calls=calls(signer.fingerprint))
        meeting.mb("apply")
    meeting.mb("uninstall", "--purge", "--yes")
    guest = meeting.guest
    assert not re.search(
        rf"^({'|'.join(THEIRS)}|openjdk-\S+)\s", guest.run("dpkg --get-selections").stdout, re.MULTILINE
    )
    # Their packages leave empty directories behind.
    places = "/etc /usr /var/lib /run -path '*jitsi*' -o -path '*jicofo*' -o -path '*prosody*'"
    found = guest.run(f'find {places} | while read -r each; do [ -d "$each" ] || echo "$each"; done').stdout
    # Our package's own files, and what apt and dpkg keep of everything.
    ours = r"/usr/(lib/systemd/system|share/(matrix-baremetal|doc)|libexec|lib/python3)/"
    ours += r"|/var/lib/(dpkg|apt|systemd)/|/run/systemd"
    assert [path for path in found.splitlines() if not re.match(ours, path)] == []
