"""What the package's scripts name by hand, as they run without our code: all that is ours, and nothing of others."""

from __future__ import annotations

import configparser
import fnmatch
import re
from pathlib import Path

from matrix_baremetal import uninstall
from matrix_baremetal.components import ddns, jitsi, metrics, turn
from matrix_baremetal.components.bridges import xmpp
from matrix_baremetal.resources.services import STAMPS
from tests.fake_programs import SYSUSERS

TREE = Path(__file__).resolve().parents[2]
UNITS = sorted((TREE / "units").glob("matrix-*.*"))
POSTRM = (TREE / "debian/matrix-baremetal.postrm").read_text()
PRESETS = [line.split()[1] for line in (TREE / "debian/preset").read_text().splitlines() if line[:1] not in {"", "#"}]


def declared(path: Path) -> configparser.ConfigParser:
    """A unit as systemd reads it, of a key the last value alone."""
    found = configparser.ConfigParser(strict=False, interpolation=None, comment_prefixes=("#", ";"))
    found.optionxform = str  # type: ignore[assignment, method-assign]
    found.read_string(path.read_text())
    return found


def words(script: str, begin: str, end: str) -> set[str]:
    """What a list in a shell script has."""
    found = re.search(f"{re.escape(begin)}(.*?){re.escape(end)}", script, re.DOTALL)
    assert found, begin
    return set(found[1].replace("\\", " ").split())


def users() -> set[str]:
    return {line.split()[1] for line in SYSUSERS.read_text().splitlines()}


def test_no_unit_of_ours_is_enabled_before_it_is_asked_for() -> None:
    for unit in UNITS:
        if declared(unit).has_section("Install"):
            assert any(fnmatch.fnmatch(unit.name, pattern) for pattern in PRESETS), unit.name


def test_each_user_of_a_unit_is_made_and_a_purge_takes_all_of_them_away() -> None:
    asked = {declared(unit).get("Service", "User", fallback="root") for unit in UNITS if unit.suffix == ".service"}
    assert asked - {"root", "postgres"} <= users()
    assert words(POSTRM, "for each in matrix-synapse", "; do") | {"matrix-synapse"} == users()


def test_a_purge_by_debian_takes_what_ours_does() -> None:
    assert words(POSTRM, "data='", "'") == set(uninstall.PURGED) - {STAMPS}


def test_what_units_keep_for_themselves_is_purged() -> None:
    for unit in UNITS:
        for key, above in (("StateDirectory", "/var/lib"), ("ConfigurationDirectory", "/etc")):
            for name in declared(unit).get("Service", key, fallback="").split():
                # certbot's own stay, as certificates may be others'.
                if name == "letsencrypt":
                    continue
                place = f"{above}/{name}"
                assert any(f"{place}/".startswith(f"{top}/") for top in uninstall.PURGED), (unit.name, place)


def test_a_purge_unmasks_what_was_masked() -> None:
    source = "".join(path.read_text() for path in (TREE / "matrix_baremetal/components").rglob("*.py"))
    assert source.count(" Mask(") == 5, "another part masks a unit: name it here and in postrm"
    masked = {
        turn.DEBIANS,
        xmpp.DEBIANS,
        ddns.DEBIANS,
        *jitsi.DEBIANS,
        *(f"{name}.service" for name in metrics.PACKAGES.values()),
    }
    assert {f"{name}.service" for name in words(POSTRM, "unmask() {\n    for each in", "; do")} == masked
