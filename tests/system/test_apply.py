"""An installed site meets its config again: nothing to do, hands that went astray, and edits of the config."""

from __future__ import annotations

import sys
import time

import pytest

from tests.system import invariants
from tests.system.site import CONFIG, DISPLACED, HOMESERVER, NGINX, SECRETS, SYNAPSE, Site

pytestmark = pytest.mark.lab
BROKEN = "server { listen 80; nonsense on; }\n"


def kept(site: Site, path: str) -> list[str]:
    """What was kept aside of a file, the latest last."""
    found = site.guest.run(f"find {DISPLACED} -path '*{path}' | sort", check=False).stdout.split()
    return [site.guest.read(place) for place in found]


def test_a_second_run_changes_and_starts_nothing(site: Site) -> None:
    before, files = (
        site.runs(),
        site.guest.run(f"find /etc /opt /var/lib/matrix-* -newer {CONFIG} -type f | sort").stdout,
    )
    site.guest.run("touch /root/mark")
    for word in ("plan", "apply", "install"):
        began = time.monotonic()
        done = site.mb(word, *(["--unattended", "--admin", "alice"] if word == "install" else []))
        sys.stderr.write(
            f"\nDebian {site.guest.debian}: {word} with nothing to do took {time.monotonic() - began:.2f} s\n"
        )
        assert "✓" not in done.stdout
    assert site.runs() == before
    assert site.guest.run(f"find /etc /opt /var/lib/matrix-* -newer {CONFIG} -type f | sort").stdout == files
    touched = site.guest.run("find /etc /opt /usr /var/lib/matrix-* -newer /root/mark ! -path '*/displaced*'").stdout
    assert touched == ""


@pytest.mark.sampled(12)
def test_it_comes_back_by_itself_after_a_reboot(site: Site) -> None:
    site.guest.reboot()
    site.wait_until_it_answers()
    invariants.hold(site)


@pytest.mark.sampled(12)
def test_what_was_changed_by_hand_is_seen_kept_and_put_right(site: Site) -> None:
    guest = site.guest
    edits = {HOMESERVER: "enable_registration: true\n", NGINX: "# my own words\n"}
    for path, text in edits.items():
        guest.write(path, guest.read(path) + text, 0o644)
    key = f"{SECRETS}/macaroon_secret_key"
    guest.run(f"chmod 644 {key}; rm /var/lib/matrix-baremetal/well-known/server.json; systemctl disable --now nginx")
    guest.run("rm /opt/matrix-baremetal/synapse/current; chown nobody /etc/matrix-synapse")
    guest.run("systemctl stop matrix-synapse")

    planned = site.mb("plan", status=3).stdout
    for part in (
        f"file {HOMESERVER}",
        "-enable_registration: true",
        f"file {NGINX}",
        "-# my own words",
        f"secret {key}",
        "mode: 0644 → 0600",
        "create   file /var/lib/matrix-baremetal/well-known/server.json",
        "start    nginx.service",
        "start    matrix-synapse.service",
        "link /opt/matrix-baremetal/synapse/current",
        "owner: nobody → root",
    ):
        assert part in planned, planned
    assert planned.count("changed by hand") == 2
    before = site.runs()

    site.mb("apply")
    for path, text in edits.items():
        assert kept(site, path)[-1].endswith(text)
    assert site.show("nginx.service", "UnitFileState")["UnitFileState"] == "enabled"
    assert site.runs()[site.cluster] == before[site.cluster]
    invariants.hold(site)


@pytest.mark.sampled(12)
def test_a_change_restarts_what_reads_it_and_nothing_else(site: Site) -> None:
    before = site.runs()
    site.change({"max_upload_size": "20M"})
    assert site.planned() - {f"until {site.server_name} answers"} == {
        f"file {HOMESERVER}",
        f"file {NGINX}",
        SYNAPSE,
        "nginx.service",
    }
    site.mb("apply")
    after = site.runs()
    assert after[SYNAPSE] != before[SYNAPSE]
    assert after["nginx workers"] != before["nginx workers"]
    unchanged = set(before) - {SYNAPSE, "nginx workers"}
    assert {unit: after[unit] for unit in unchanged} == {unit: before[unit] for unit in unchanged}
    alice = site.login("alice")
    limits = site.web.ask("GET", f"{site.url}/_matrix/client/v1/media/config", token=alice.token)
    assert limits.data == {"m.upload.size": 20 * 1024 * 1024}
    invariants.hold(site)


@pytest.mark.sampled(13)
def test_a_drop_in_of_the_administrators_is_read_and_stays(site: Site) -> None:
    unit = "/etc/systemd/system/matrix-synapse.service.d/mine.conf"
    site.guest.write(unit, "[Service]\nNice=5\n")
    site.guest.write("/etc/matrix-synapse/conf.d/mine.yaml", "max_avatar_size: 3M\n")
    site.guest.run("chmod 644 /etc/matrix-synapse/conf.d/mine.yaml")
    assert site.planned() >= {SYNAPSE}
    before = site.runs()
    site.mb("apply")
    after = site.runs()
    assert {unit for unit in before if before[unit] != after[unit]} == {SYNAPSE}
    assert site.show(SYNAPSE, "Nice")["Nice"] == "5"
    assert site.guest.read(unit) == "[Service]\nNice=5\n"
    invariants.hold(site)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"max_upload_size": ["a", "list"]}, "max_upload_size"),
        pytest.param({"listeners": [{"port": "eight"}]}, "listeners", marks=pytest.mark.sampled(12)),
        pytest.param({"email": {"smtp_port": "many"}}, "email", marks=pytest.mark.sampled(13)),
    ],
    ids=["upload", "listener", "email"],
)
def test_what_synapse_refuses_does_not_reach_the_running_server(
    site: Site, settings: dict[str, object], says: str
) -> None:
    before, good, text = site.runs(), site.guest.read(CONFIG), site.guest.read(HOMESERVER)
    site.change(settings)
    done = site.mb("apply", status=(1, 2))
    assert says in done.stderr, done.stderr
    assert site.guest.read(HOMESERVER) == text
    assert site.runs() == before
    assert site.answers()
    site.guest.write(CONFIG, good)
    invariants.hold(site)


@pytest.mark.sampled(12)
def test_somebody_elses_broken_web_server_config_stops_us_and_not_the_site(site: Site) -> None:
    before, theirs = site.runs(), "/etc/nginx/sites-enabled/theirs"
    site.guest.write(theirs, BROKEN)
    old = site.guest.read(NGINX)
    site.change({"max_upload_size": "20M"})
    done = site.mb("apply", status=1)
    assert 'unknown directive "nonsense"' in done.stderr
    assert f"{theirs}:1" in done.stderr
    assert site.guest.read(NGINX) == old
    assert site.guest.read(theirs) == BROKEN
    assert site.answers()
    after = site.runs()
    assert (after["nginx.service"], after["nginx workers"]) == (before["nginx.service"], before["nginx workers"])
    site.guest.run(["rm", theirs])
    site.mb("apply")
    invariants.hold(site)


@pytest.mark.sampled(12)
def test_what_is_no_longer_asked_for_goes(site: Site) -> None:
    site.change(federation={"enabled": False})
    gone = "/var/lib/matrix-baremetal/well-known/server.json"
    assert f"file {gone}" in site.planned()
    site.mb("apply")
    assert site.get("/.well-known/matrix/server", site.server_name).status == 404
    assert site.get("/_matrix/federation/v1/version").status == 404
    assert site.guest.run(["test", "-e", gone], check=False).returncode == 1
    invariants.hold(site)
