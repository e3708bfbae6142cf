"""Taken away is what was made, and nothing else; data only where that was asked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from matrix_baremetal import uninstall
from matrix_baremetal.converge import converge
from matrix_baremetal.resources.packages import ADDED, added
from tests.backups import CONFIG, KEY, MEDIA, SQLITE, a_server
from tests.fake_postgres import Base
from tests.fakes import MINIMAL, FakeHost, Killed, Machine, a_session

PAIR = "/etc/letsencrypt/live/matrix-baremetal-matrix.example.org/fullchain.pem"


def take_away(
    machine: Machine, text: str = MINIMAL, *, purge: bool = False, killed_at: int | None = None
) -> list[str]:
    """What the command does; the titles of what went."""
    now = a_session(machine, text, host=FakeHost(machine, killed_at))
    return [change.title for change in uninstall.steps(now, purge=purge) if change.ended]


@pytest.mark.parametrize("text", [MINIMAL, SQLITE], ids=["postgres", "sqlite"])
def test_data_secrets_config_and_certificates_stay_and_an_install_finds_them(tmp_path: Path, text: str) -> None:
    now = a_server(tmp_path, text)
    machine: Machine = now.host.machine  # type: ignore[attr-defined]
    stay = (CONFIG, KEY, PAIR, f"{MEDIA}/local_content/aa/bb/cc", "/etc/matrix-baremetal/secrets/form_secret")
    before = {path: now.host.read(path) for path in stay}
    assert all(before.values())
    take_away(machine, text)
    assert {path: now.host.read(path) for path in stay} == before
    assert not now.host.node("/etc/matrix-synapse/homeserver.yaml")
    assert not now.host.node("/etc/nginx/sites-enabled/zz-matrix-baremetal")
    assert now.host.names("/run/matrix-baremetal") == (), "an install after it has nginx take up the same files again"
    assert not any(unit.active or unit.enabled for name, unit in machine.units.items() if name.startswith("matrix-"))
    again = a_session(machine, text)
    assert again.manifest.server_name == "example.org"
    list(converge(again.resources, again.host, again.manifest))
    assert now.host.read(KEY) == before[KEY]


def test_purged_nothing_of_ours_is_left_and_all_of_theirs(tmp_path: Path) -> None:
    now = a_server(tmp_path)
    machine: Machine = now.host.machine  # type: ignore[attr-defined]
    machine.put("/etc/nginx/sites-enabled/blog", "server { listen 80; }")
    machine.postgres.bases["shop"] = Base("shop", tables=3)
    machine.postgres.bases["matrix-synapse-theirs"] = Base("matrix-synapse", tables=3)
    machine.postgres.roles["shop"] = ""
    machine.put("/var/log/nginx/matrix-baremetal.log", "")
    take_away(machine, purge=True)
    left = [path for path in machine.tree() if "matrix" in path and "renewal-hooks" not in path]
    assert [path for path in left if not path.startswith(("/etc/letsencrypt/", "/usr/"))] == []
    assert now.host.text("/etc/nginx/sites-enabled/blog")
    assert set(machine.postgres.bases) == {"shop", "matrix-synapse-theirs"}
    assert "shop" in machine.postgres.roles


def test_killed_at_any_operation_it_goes_on_from_there(tmp_path: Path) -> None:
    now = a_server(tmp_path)
    machine: Machine = now.host.machine  # type: ignore[attr-defined]
    for number in range(3, 300, 4):
        try:
            take_away(machine, purge=True, killed_at=number)
        except Killed:
            continue
        break
    assert set(machine.postgres.bases) == set()
    assert not now.host.node("/var/lib/matrix-baremetal")


def test_with_the_manifest_lost_what_the_config_asks_for_goes(tmp_path: Path) -> None:
    now = a_server(tmp_path)
    machine: Machine = now.host.machine  # type: ignore[attr-defined]
    machine.at("/var/lib/matrix-baremetal/manifest.json").unlink()
    take_away(machine)
    assert not now.host.node("/etc/nginx/sites-enabled/zz-matrix-baremetal")
    assert now.host.node(KEY)


def test_only_packages_that_came_with_us_go(tmp_path: Path) -> None:
    machine = Machine(tmp_path, packages=("nginx", "postgresql"))
    now = a_session(machine)
    list(converge(now.resources, now.host, now.manifest))
    assert added(now.host) == ("certbot",)
    assert uninstall.unneeded(now.host, added(now.host)) == ("certbot",)
    assert uninstall.unneeded(now.host, ("gone",)) == ()
    assert now.host.node(ADDED)


def test_purged_what_a_kill_left_of_a_backup_goes_too(tmp_path: Path) -> None:
    text = MINIMAL + "backup: {directory: /srv/backups}\n"
    machine: Machine = a_server(tmp_path, text).host.machine  # type: ignore[attr-defined]
    for place in ("/srv/backups", "/srv/backups/before-upgrade"):
        machine.put(f"{place}/.example.org-20260101T030000Z.tar.zst.part", "keys and rows")
    machine.put("/srv/backups/theirs.txt", "")
    take_away(machine, text, purge=True)
    assert [path for path in machine.tree() if path.startswith("/srv/backups/")] == ["/srv/backups/theirs.txt"]
