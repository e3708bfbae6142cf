"""Numbers for Prometheus: a real one finds them all, nobody outside reaches them, and switched off they are gone."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from tests.system import invariants
from tests.system.people import UNLIMITED
from tests.system.site import Site

pytestmark = [pytest.mark.lab, pytest.mark.sampled(13)]
DOCS = "/usr/share/doc/matrix-baremetal/metrics"
UNITS = tuple(f"matrix-metrics-{name}.service" for name in ("machine", "nginx", "postgres"))
PORTS = (9008, 9100, 9113, 9114, 9187)


def test_prometheus_finds_what_it_asks_for_and_nobody_else_does(site: Site) -> None:
    before = site.guest.run("systemctl list-unit-files --state=enabled --no-legend | sort").stdout
    site.change(settings=UNLIMITED, metrics={"enabled": True})
    site.mb("apply")
    invariants.nothing_to_do(site)
    said = site.mb("doctor", "metrics", "ports").stdout
    assert "no faults" in said, said
    for port in PORTS:
        at = f"http://{site.hostname}:{port}/metrics"
        assert not site.web.works(at), at
    for unit in UNITS:
        assert "exposure level" in site.guest.run(["systemd-analyze", "security", "--no-pager", unit]).stdout
    prometheus(site)
    invariants.hold(site)
    off(site, before)


def prometheus(site: Site) -> None:
    """Debian's, with what docs/metrics says; the program that a person runs it by would be its unit."""
    site.guest.run("apt-get install -q -y --no-install-recommends prometheus", timeout=300)
    site.guest.run("systemctl stop prometheus prometheus-node-exporter", check=False)
    site.guest.run(
        f"install -d /srv/prometheus && cp {DOCS}/*.yml /srv/prometheus && gunzip -f /srv/prometheus/*.gz || true"
    )
    site.guest.run("sed -i 's/scrape_interval: 30s/scrape_interval: 1s/' /srv/prometheus/prometheus.yml")
    words = "--config.file=/srv/prometheus/prometheus.yml --storage.tsdb.path=/srv/prometheus/data"
    site.guest.run(f"systemd-run -q --unit prometheus-test prometheus {words} --web.listen-address=127.0.0.1:9090")
    end = time.monotonic() + 40
    while {row["metric"]["job"] for row in asked(site, "up == 1")} != {"synapse", "machine", "nginx", "postgres"}:
        assert time.monotonic() < end, asked(site, "up")
        time.sleep(1)
    assert asked(site, "pg_up")[0]["value"][1] == "1"
    assert asked(site, "nginx_up")[0]["value"][1] == "1"
    every_panel_has_numbers(site)
    site.guest.run("systemctl stop prometheus-test && apt-get purge -q -y prometheus")


def every_panel_has_numbers(site: Site) -> None:
    """Once something was said; a rate is known only after the next scrape."""
    page = json.loads((Path(__file__).parents[2] / "docs/metrics/dashboard.json").read_text())
    asking = {panel["title"]: panel["targets"][0]["expr"] for panel in page["panels"]}
    assert len(asking) > 10
    if not Path("/proc/pressure/memory").exists():
        del asking["Machine: stands still for memory"]
    alice = site.login("alice")
    room = alice.create_room("Heard by Prometheus")
    end = time.monotonic() + 60
    while asking:
        assert time.monotonic() < end, f"no numbers for {[*asking]}"
        alice.send(room, "one more")
        alice.sync()
        time.sleep(1)
        asking = {title: query for title, query in asking.items() if not asked(site, query)}


def asked(site: Site, query: str) -> list[dict[str, Any]]:
    """What Prometheus answers now."""
    words = ["curl", "-sSf", "--retry", "9", "--retry-connrefused", "--data-urlencode", f"query={query}"]
    done = site.guest.run([*words, "http://127.0.0.1:9090/api/v1/query"])
    found: list[dict[str, Any]] = json.loads(done.stdout)["data"]["result"]
    return found


def off(site: Site, before: str) -> None:
    site.change(metrics={"enabled": False})
    site.mb("apply")
    invariants.nothing_to_do(site)
    listening = site.guest.run("ss -Hltn").stdout
    assert not [port for port in PORTS if f":{port} " in listening]
    roles = site.guest.run(
        ["runuser", "-u", "postgres", "--", "psql", "-XAtc", "SELECT rolname FROM pg_roles"]
    ).stdout
    assert "matrix-metrics" not in roles
    # Not even at the next boot does Debian's listen to everybody.
    assert site.guest.run("systemctl list-unit-files --state=enabled --no-legend | sort").stdout == before
    invariants.hold(site)
