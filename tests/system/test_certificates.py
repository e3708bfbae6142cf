"""Certificates: renewed while people use them, and what happens where none can be had."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.lab import client
from tests.system import invariants
from tests.system.site import Site

pytestmark = pytest.mark.lab
RENEW = "certbot renew --force-renewal --no-random-sleep-on-renew"
RETRY = "matrix-baremetal-certificates"
REHEARSAL = "matrix-baremetal-rehearsal"
LETS_ENCRYPT = "acme-v02.api.letsencrypt.org"
STAGING = "acme-staging-v02.api.letsencrypt.org"
HOOK = "/etc/letsencrypt/renewal-hooks/deploy/matrix-baremetal"
# An address of the lab's network that nobody has.
NOBODY = "10.77.0.251"


@pytest.mark.sampled(12)
def test_renewed_under_traffic(site: Site, tmp_path: Path) -> None:
    """Somebody asks all the time, on new connections, and somebody waits for news on an old one: both go on."""
    names = (site.server_name, site.hostname)
    before, runs = [site.serial(name) for name in names], site.runs()
    alice, end, answers = site.login("alice"), tmp_path / "end", []
    since = alice.sync()["next_batch"]
    waiting = threading.Thread(target=lambda: answers.append(alice.sync(since, wait=15)))
    program = ["python3", str(Path(__file__).parent / "traffic.py"), f"{site.url}/_matrix/client/versions", str(end)]
    argv = site.lab.client_argv(program)
    asking = subprocess.Popen(argv, env=client.environment(), stdout=subprocess.PIPE, text=True)
    try:
        waiting.start()
        time.sleep(1)
        said = site.guest.run(RENEW).stdout
        deadline = time.monotonic() + 10
        # nginx says that it reloads before it has.
        while [site.serial(name) for name in names] == before and time.monotonic() < deadline:
            time.sleep(0.2)
        time.sleep(1)
    finally:
        end.touch()
        stdout, _ = asking.communicate(timeout=30)
        waiting.join(60)
    seen = json.loads(stdout)
    sys.stderr.write(f"\n{seen['ok']} requests while both certificates were renewed, {len(seen['failed'])} failed\n")
    assert seen["failed"] == []
    assert seen["ok"] > 50
    assert len(seen["serials"]) == 2
    assert answers, "the long poll was cut off"
    assert "Congratulations" in said
    after = [site.serial(name) for name in names]
    assert all(old != new for old, new in zip(before, after, strict=True))
    assert site.runs()["nginx.service"] == runs["nginx.service"], "restarted, not reloaded"
    invariants.hold(site)


@pytest.mark.sampled(13)
def test_a_renewal_that_fails_leaves_what_is_served(site: Site) -> None:
    before = site.serial(site.hostname)
    site.guest.run(f"echo {NOBODY} {LETS_ENCRYPT} >> /etc/hosts")
    assert site.guest.run(RENEW, check=False).returncode == 1
    assert site.serial(site.hostname) == before
    assert site.answers()
    invariants.hold(site)
    would_fail(site)
    site.guest.run(f"sed -i '/{LETS_ENCRYPT}/d' /etc/hosts && {RENEW}")
    assert site.serial(site.hostname) != before


def would_fail(site: Site) -> None:
    """A rehearsal by the timer's unit says so while there is time, and again once it is mended; nothing changes."""
    before, check = site.serial(site.hostname), f"certificates.rehearsal.{site.hostname}"
    site.guest.run(f"echo {NOBODY} {STAGING} >> /etc/hosts")
    site.guest.run(["systemctl", "start", REHEARSAL])
    said = " ".join(site.mb("doctor", check).stdout.split())
    assert "would fail, as a rehearsal did" in said and "cannot be reached" in said, said
    site.guest.run(f"sed -i '/{STAGING}/d' /etc/hosts")
    site.guest.run(["systemctl", "start", REHEARSAL])
    assert "went well in a rehearsal" in site.mb("doctor", "-v", check).stdout
    assert site.serial(site.hostname) == before


@pytest.mark.sampled(12)
def test_a_renewal_whose_hook_fails_is_seen_and_taken_up_by_the_next_run(site: Site) -> None:
    before = site.serial(site.hostname)
    good = site.guest.read(HOOK)
    site.guest.write(HOOK, "#!/bin/sh\nexit 1\n", 0o755)
    site.guest.run(RENEW, check=False)
    assert site.serial(site.hostname) == before
    assert [row["fault"] for row in site.status()["faults"]] == ["nginx.service has not taken up what it reads"]
    site.guest.write(HOOK, good, 0o755)
    site.mb("apply")
    assert site.serial(site.hostname) != before
    invariants.hold(site)


def authority_away(site: Site) -> Callable[[], object]:
    site.guest.run(f"echo {NOBODY} {LETS_ENCRYPT} >> /etc/hosts")
    return lambda: site.guest.run(f"sed -i '/{LETS_ENCRYPT}/d' /etc/hosts")


def name_unknown(site: Site) -> Callable[[], object]:
    names = (site.server_name, f"*.{site.server_name}", site.hostname)
    for name in names:
        site.lab.dns.delete(name)
    return lambda: known(site, *names)


def elsewhere(site: Site) -> Callable[[], object]:
    names = (site.server_name, site.hostname)
    for name in names:
        site.lab.dns.set(name, a=[NOBODY])
    return lambda: known(site, *names)


def known(site: Site, *names: str) -> None:
    for name in names:
        site.lab.dns.reset(name)


# How it begins, the words for it, and what the authority was asked for each name at first, in a retry, and at last.
FAULTS = {
    "authority": (
        authority_away,
        "the certificate authority cannot be reached from this machine",
        ([], [], [LETS_ENCRYPT]),
    ),
    "name": (name_unknown, "does not resolve", ([], [], [LETS_ENCRYPT])),
    "port": (
        elsewhere,
        "the certificate authority cannot reach port 80 of this machine under that name",
        # A rehearsal costs nothing.
        ([LETS_ENCRYPT], [STAGING], [STAGING, LETS_ENCRYPT]),
    ),
}


Fault = tuple[Callable[[], object], str, tuple[list[str], ...]]


@pytest.fixture(
    params=[
        pytest.param("authority", marks=pytest.mark.long),
        pytest.param("name", marks=pytest.mark.sampled(13)),
        pytest.param("port", marks=pytest.mark.sampled(12)),
    ]
)
def fault(request: pytest.FixtureRequest, fresh: Site) -> Iterator[Fault]:
    """A reason why there is no certificate: how it ends, and the words for it."""
    begin, words, orders = FAULTS[request.param]
    end = begin(fresh)
    yield end, words, orders
    end()


def notes(site: Site) -> list[dict[str, Any]]:
    """What is noted of each pending certificate."""
    found = site.guest.run("cat /var/lib/matrix-baremetal/pending/* 2>/dev/null", check=False).stdout
    return [json.loads(line) for line in found.splitlines()]


def time_has_passed(site: Site) -> None:
    """The next try is due."""
    site.guest.run("""sed -i 's/"next": [0-9]*/"next": 0/' /var/lib/matrix-baremetal/pending/*""")


def retry(site: Site) -> None:
    """What the timer does."""
    site.guest.run(["systemctl", "start", f"{RETRY}.service"])


def test_where_there_is_none_the_server_comes_up(fresh: Site, fault: Fault) -> None:
    mend, words, orders = fault
    asked = len(fresh.lab.acme_orders(fresh.guest))

    def new_orders() -> list[str]:
        """Those for one name; the other's are the same."""
        nonlocal asked
        new, asked = fresh.lab.acme_orders(fresh.guest)[asked:], len(fresh.lab.acme_orders(fresh.guest))
        assert [*new[: len(new) // 2]] == [*new[len(new) // 2 :]]
        return [*new[: len(new) // 2]]

    done = fresh.install(status=3)
    assert words in done.stdout, done.stdout
    assert "pending" in done.stdout
    page = fresh.status()
    assert page["ready"]
    assert {row["state"] for row in page["certificates"]} == {"pending"}
    assert sum(words in row["fault"] for row in page["faults"]) == 2
    here = fresh.guest.run(
        ["curl", "-sSk", "--resolve", f"{fresh.hostname}:443:127.0.0.1", f"{fresh.url}/_matrix/client/versions"]
    )
    assert "versions" in here.stdout
    assert fresh.show(f"{RETRY}.timer", "ActiveState")["ActiveState"] == "active"
    assert new_orders() == orders[0]

    # Not yet due: no knocking at the authority's door.
    first = notes(fresh)
    assert len(first) == 2
    assert all(note["next"] - note["last"] >= 900 for note in first)
    retry(fresh)
    assert notes(fresh) == first
    # Due, and the cause is still there.
    time_has_passed(fresh)
    retry(fresh)
    assert all(note["last"] > first[0]["last"] and words in note["reason"] for note in notes(fresh))
    assert new_orders() == orders[1]

    mend()
    time.sleep(2.5)  # DNS answers of the lab live for two seconds
    time_has_passed(fresh)
    retry(fresh)
    assert notes(fresh) == []
    assert new_orders() == orders[2]
    assert fresh.answers()
    invariants.hold(fresh)
