"""People are told of a fault that is real: in a room, by mail where the homeserver is down, and not twice."""

from __future__ import annotations

import json
import time
from email import message_from_bytes, policy
from typing import Any

import pytest

from tests.matrix import Person
from tests.system import invariants
from tests.system.site import SYNAPSE, Site
from tests.system.test_mail import FILE, KEPT, PASSWORD, a_mail_server, write

pytestmark = [pytest.mark.lab, pytest.mark.sampled(12)]
LOOK = "matrix-baremetal-doctor.service"
TOKEN = "/etc/matrix-baremetal/secrets/alerts_token"
NOTE = "/var/lib/matrix-baremetal/alerts.json"
ALERTS = {"invite": ["alice"], "mail": "ops@example.org"}


def test_a_fault_is_read_in_the_room_and_by_mail_where_the_homeserver_is_down(site: Site) -> None:
    site.wait_until_it_answers()
    # What else this guest has to say is no news afterwards.
    look(site)
    a_mail_server(site)
    write(site, PASSWORD)
    smtp = {"host": site.hostname, "user": "matrix", "password_file": FILE, "from": f"matrix@{site.server_name}"}
    site.change(mail={"smtp": smtp}, alerts=ALERTS)
    assert f"room of the alerts, by @matrix-baremetal-alerts:{site.server_name}" in site.planned()
    site.mb("apply")
    invariants.nothing_to_do(site)
    assert site.guest.run(f"stat -c %a:%U {TOKEN} {NOTE}").stdout.split() == ["600:root", "600:root"]
    assert "1 fine" in site.mb("doctor", "alerts").stdout
    alice = site.login("alice")
    room = json.loads(site.guest.read(NOTE))["room"]
    alice.join(room)

    site.guest.run("systemctl stop certbot.timer")
    look(site)
    [first] = told(site, alice, room)
    assert first["content"]["body"].startswith(f"{site.server_name}: 1 new fault (")
    assert "✗ units.certbot.timer: certbot.timer is inactive" in first["content"]["body"]
    assert "next: <code>matrix-baremetal apply</code>" in first["content"]["formatted_body"]

    site.guest.run(["systemctl", "stop", SYNAPSE])
    look(site)
    mail = the_mail(site)
    assert "✗ units.matrix-synapse" in mail
    assert "certbot.timer" not in mail, "nothing is told twice"
    site.mb("apply")
    site.wait_until_it_answers()
    look(site)
    _, second = told(site, alice, room)
    last = second["content"]["body"]
    assert "✓ units.certbot.timer: no longer at fault" in last
    assert "✓ units.matrix-synapse: no longer at fault" in last

    token = site.guest.read(TOKEN).strip()
    said = site.guest.run(
        "journalctl --no-pager -o cat -u matrix-baremetal-doctor; ps axww; cat /proc/*/environ"
    ).stdout
    assert token not in said
    site.change(mail={"smtp": smtp})
    site.mb("apply")
    who = site.web.ask("GET", f"{site.url}/_matrix/client/v3/account/whoami", token=token)
    assert who.status == 401, who.text
    assert site.guest.run(f"test -e {TOKEN} -o -e {NOTE}", check=False).returncode == 1
    invariants.hold(site)


def look(site: Site) -> None:
    """What the timer starts each morning."""
    site.guest.run(["systemctl", "start", LOOK], timeout=300)


def told(site: Site, alice: Person, room: str) -> list[dict[str, Any]]:
    """What the user of ours wrote, the oldest first."""
    path = f"{site.url}/_matrix/client/v3/rooms/{room}/messages?dir=b&limit=50"
    answer = site.web.ask("GET", path, token=alice.token)
    assert answer.status == 200, answer.text
    by = f"@matrix-baremetal-alerts:{site.server_name}"
    return [e for e in reversed(answer.data["chunk"]) if (e["type"], e["sender"]) == ("m.room.message", by)]


def the_mail(site: Site) -> str:
    """The one mail that has come."""
    end = time.monotonic() + 20
    while not (found := site.guest.run(f"grep -lri '^To: .*ops@example.org' {KEPT} || true").stdout.split()):
        assert time.monotonic() < end, site.guest.run("tail -n 20 /var/log/exim4/mainlog").stdout
        time.sleep(0.3)
    [path] = found
    mail = message_from_bytes(site.guest.read(path).encode(), policy=policy.default)
    assert mail["Auto-Submitted"] == "auto-generated"
    body = mail.get_body(("plain",))
    assert body
    return str(body.get_content())
