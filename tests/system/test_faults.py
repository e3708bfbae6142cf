"""What breaks under a homeserver that people use: each is said or heals, and no message that was taken is lost.

One after the other in one machine with neighbours, while people talk.
"""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.lab import Lab, client, network
from tests.system import invariants
from tests.system.conftest import Snapshots
from tests.system.people import UNLIMITED, Talk
from tests.system.site import HOMESERVER, SECRETS, SYNAPSE, Site
from tests.system.test_certificates import LETS_ENCRYPT
from tests.system.test_database import faults_of, wait_until_ready

pytestmark = [pytest.mark.lab, pytest.mark.sampled(13)]
SHARED_SECRET = f"{SECRETS}/registration_shared_secret"
# Takes Synapse's port just before it does, as somebody may after all checks have passed.
THIEF = """\
[Service]
ExecStartPre=-+systemd-run --quiet --unit=thief --service-type=exec python3 -m http.server --bind 127.0.0.1 8008
ExecStartPre=+sleep 0.5
"""


@pytest.fixture(scope="module")
def talking(lab: Lab, snapshots: Snapshots, debian: int) -> Iterator[tuple[Site, Talk]]:
    """A site with neighbours, and two people who stay logged in."""
    site = Site(lab, snapshots.boot("site", debian))
    yield site, inhabited(site)
    lab.down(f"st-{debian}")


def inhabited(site: Site) -> Talk:
    invariants.neighbours(site)
    site.change(settings=UNLIMITED)
    site.mb("apply")
    site.wait_until_it_answers()
    return Talk.of(site)


def test_postgres_is_killed_under_load(talking: tuple[Site, Talk]) -> None:
    """F16: the whole of it, its first process, and one that was at work for somebody."""
    site, talk = talking
    first = f"head -n 1 /var/lib/postgresql/{site.major}/main/postmaster.pid"
    at_work = "pgrep -f 'postgres: .*matrix-synapse matrix-synapse' | head -n 1"
    with talk.going_on():
        for victims in (f"systemctl kill --signal=KILL {site.cluster}", f"kill -KILL $({first})"):
            time.sleep(1.5)
            site.guest.run(victims)
            wait_until_ready(site)
        time.sleep(1.5)
        site.guest.run(f"kill -KILL $({at_work})")
        time.sleep(1.5)
    wait_until_ready(site)
    invariants.hold(site, talk)


def test_the_disk_of_the_database_is_full(talking: tuple[Site, Talk]) -> None:
    """Neither for another row nor for the log that makes rows last: it is said, and heals when there is room."""
    site, talk = talking
    data = f"/var/lib/postgresql/{site.major}/main"
    site.guest.run(small_disk(site, data))
    wait_until_ready(site)
    with talk.going_on():
        time.sleep(1)
        # What is left over goes to somebody's file; what Postgres has set aside for its log, it gives back.
        site.guest.run(
            f"dd if=/dev/zero of={data}/theirs bs=64k 2>/dev/null; test $(df --output=avail {data} | tail -1) = 0"
        )
        end = time.monotonic() + 40
        while not (said := faults_of(site)):
            site.guest.run(switch(), check=False)
            assert time.monotonic() < end, "it goes on without a disk"
            time.sleep(0.5)
        doctor = site.mb("doctor", status=3).stdout
        assert f"the disk is full: {data} has 0 MB free" in doctor, doctor
        site.guest.run(f"rm {data}/theirs")
        wait_until_ready(site)
        time.sleep(1)
    assert talk.failed, said
    site.guest.run(large_disk(site, data))
    wait_until_ready(site)
    invariants.hold(site, talk)


def switch() -> str:
    """Have Postgres begin another file of its log: first those that it has in store."""
    sql = "SELECT pg_logical_emit_message(true, 'a', 'b'); SELECT pg_switch_wal();"
    return f'cd /; for _ in 1 2 3 4; do runuser -u postgres -- psql -XAtqc "{sql}"; done'


def small_disk(site: Site, data: str) -> str:
    """Put the cluster onto a disk of its own, with a little room."""
    return (
        f"systemctl stop {site.cluster} && mv {data} {data}.large && install -d -o postgres -g postgres -m 700 {data}"
        f" && mount -t tmpfs -o size=$(($(du -sm {data}.large | cut -f1) + 24))M,mode=700,uid=postgres,gid=postgres"
        f" tmpfs {data} && cp -a {data}.large/. {data}/ && systemctl start {site.cluster}"
    )


def large_disk(site: Site, data: str) -> str:
    """Take it back to where it was."""
    return (
        f"systemctl stop {site.cluster} && rm -r {data}.large && cp -a {data} {data}.large && umount {data}"
        f" && rmdir {data} && mv {data}.large {data} && systemctl start {site.cluster}"
    )


def test_synapse_is_killed_under_load(talking: tuple[Site, Talk]) -> None:
    """As the kernel does for want of memory, which the lab can't: it limits no guest's memory. systemd's word for
    what it would do then is asked for.
    """
    site, talk = talking
    asked = site.show(SYNAPSE, "OOMPolicy", "Restart", "StartLimitIntervalUSec")
    assert asked == {"OOMPolicy": "stop", "Restart": "always", "StartLimitIntervalUSec": "0"}
    with talk.going_on():
        for _ in range(3):
            time.sleep(1.5)
            site.guest.run(["systemctl", "kill", "--signal=KILL", SYNAPSE])
            wait_until_ready(site)
        time.sleep(1)
    invariants.hold(site, talk)


def test_a_secret_is_open_to_others_or_gone(talking: tuple[Site, Talk]) -> None:
    site, _ = talking
    site.guest.run(f"chmod 644 {SHARED_SECRET} && chmod 755 {SECRETS}")
    # And Synapse, as it read what others may have changed.
    assert site.planned() == {f"secret {SHARED_SECRET}", f"directory {SECRETS}", SYNAPSE}
    assert SHARED_SECRET in site.mb("doctor", status=3).stdout
    site.mb("apply")
    invariants.hold(site)

    site.guest.run(f"mv {SHARED_SECRET} /root/kept")
    for word in ("plan", "apply"):
        said = site.mb(word, status=1).stderr
        assert f"{SHARED_SECRET} should hold a secret and is gone" in said
        assert "put it back from a backup" in said
    assert site.answers(), "what runs has it still"
    site.guest.run(f"systemctl restart {SYNAPSE}", check=False)
    said = site.mb("doctor", status=3).stdout
    assert SHARED_SECRET in said, said
    site.guest.run(f"mv /root/kept {SHARED_SECRET}")
    wait_until_ready(site)
    invariants.hold(site)


def test_the_machine_is_renamed(talking: tuple[Site, Talk]) -> None:
    """What is ours goes by the server's name and never by the machine's."""
    site, _ = talking
    before = site.runs()
    site.guest.run("hostname another; echo another > /etc/hostname; echo 127.0.1.1 another >> /etc/hosts")
    invariants.hold(site)
    assert site.runs() == before
    site.guest.reboot()
    wait_until_ready(site)
    site.wait_until_it_answers()
    assert site.guest.run("hostname").stdout == "another\n"
    invariants.hold(site)


def test_time_jumps_back(talking: tuple[Site, Talk]) -> None:
    """A clock that was two days ahead is right again: what was made then is of tomorrow. One run, and all is well."""
    site, _ = talking
    site.guest.run("apt-get install -q -y --no-install-recommends faketime", timeout=300)
    ahead = ["faketime", "-f", "+2d"]
    site.change(settings=UNLIMITED, backup={"keep": 1})
    site.mb("apply")
    site.judged(site.guest.run([*ahead, "matrix-baremetal", "backup", "create"], check=False), ["backup"], 0)
    site.guest.run(f"touch -d '2 days' {HOMESERVER} /etc/matrix-synapse/log.yaml && systemctl restart {SYNAPSE}")
    wait_until_ready(site)
    # Whether it was started before or after that file was written, nobody can tell.
    assert site.planned() == {SYNAPSE}
    site.mb("apply")
    assert "the last backup is from the future" in site.mb("doctor", "--json", "backup").stdout
    made = re.search(r"(\S+\.zst) \(", site.mb("backup", "create").stdout)
    assert made
    site.mb("backup", "verify", made[1])
    assert "the last backup is 0 hours old" in site.mb("doctor", "--json", "backup").stdout
    invariants.hold(site)


def test_a_port_is_stolen_between_plan_and_apply(talking: tuple[Site, Talk]) -> None:
    """F11: by somebody who comes after the plan, and by one who comes after all checks."""
    site, _ = talking
    site.guest.run(["systemctl", "stop", SYNAPSE])
    assert site.planned() == {SYNAPSE, f"until {site.server_name} answers"}
    steal = "systemd-run --quiet --unit=thief --service-type=exec python3 -m http.server --bind 127.0.0.1 8008"
    site.guest.run(f"{steal} && until curl -s 127.0.0.1:8008 >/dev/null; do sleep 0.1; done")
    said = site.mb("apply", status=1).stderr
    assert "port 8008 is in use by python3 (process " in said
    assert "systemctl disable --now thief.service" in said or "systemctl stop thief.service" in said
    site.guest.run("systemctl stop thief")

    place = f"/etc/systemd/system/{SYNAPSE}.d/thief.conf"
    site.guest.write(place, THIEF)
    said = site.mb("apply", status=1).stderr
    assert "Failed to listen on TCP port (8008)" in said, said
    assert "port 8008 is in use by python3 (process " in site.mb("apply", status=1).stderr
    site.guest.run(f"rm {place} && systemctl daemon-reload && systemctl stop thief")
    wait_until_ready(site)
    site.mb("apply")
    invariants.hold(site)


@pytest.mark.parametrize("seconds", [0.5, pytest.param(120.0, marks=pytest.mark.long)])
def test_the_authority_is_slow(talking: tuple[Site, Talk], seconds: float) -> None:
    """F9: it is waited for while the server goes on, and not for ever."""
    site, _ = talking
    site.guest.run(f"certbot delete --non-interactive --cert-name matrix-baremetal-{site.hostname}")
    here = f"curl -sk --resolve {site.hostname}:443:127.0.0.1 {site.url}/_matrix/client/versions"
    with slowly(site, seconds):
        running = site.guest.popen("matrix-baremetal apply", stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        began, answers = time.monotonic(), list[bool]()
        while running.poll() is None:
            assert time.monotonic() - began < 400, "it is waited for without an end"
            answers.append("versions" in site.guest.run(here, check=False).stdout)
            time.sleep(0.5)
        said, spent = running.communicate()[0], time.monotonic() - began
    assert all(answers[2:]), answers
    if seconds < 60:
        assert running.returncode == 0, said
        assert spent > 5, "nobody was slow"
    else:
        assert running.returncode == 3, said
        assert "pending" in said
        site.guest.run("""sed -i 's/"next": [0-9]*/"next": 0/' /var/lib/matrix-baremetal/pending/*""")
        site.guest.run("systemctl start matrix-baremetal-certificates.service")
    invariants.hold(site)


@contextmanager
def slowly(site: Site, seconds: float) -> Iterator[None]:
    """Whatever this machine asks of Let's Encrypt goes by way of somebody who takes his time."""
    program = [sys.executable, str(Path(__file__).parent / "slow.py"), str(seconds), LETS_ENCRYPT]
    pipe = subprocess.PIPE
    way = subprocess.Popen(
        site.lab.client_argv(program), env=client.environment(), stdin=pipe, stdout=pipe, text=True
    )
    assert way.stdout
    assert way.stdout.readline() == "listens\n"
    site.guest.run(f"echo {network.ip4(network.CLIENT)} {LETS_ENCRYPT} >> /etc/hosts")
    try:
        yield
    finally:
        site.guest.run(f"sed -i '/{LETS_ENCRYPT}/d' /etc/hosts")
        way.communicate(timeout=30)
