"""Numbers for Prometheus: who has them, that nobody outside does, and what docs/metrics says of them."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from matrix_baremetal.checks import metrics
from matrix_baremetal.components.metrics import COUNTED, Metrics
from matrix_baremetal.needs import Needs, Port, StubStatus
from matrix_baremetal.resources.masks import Mask
from matrix_baremetal.resources.services import Service
from matrix_baremetal.web import Response
from tests.fakes import MINIMAL, a_site

TREE = Path(__file__).parents[2]
DOCS = TREE / "docs/metrics"
ON = f"{MINIMAL}metrics: {{enabled: true}}\n"


def parts(text: str = ON) -> tuple[set[str], set[int]]:
    """The units that it has, and the ports."""
    part = Metrics(a_site(text))
    needs = list(part.needs())
    units = {each.unit for each in part.resources(Needs(tuple(needs))) if isinstance(each, Service)}
    ports = {need.number for need in needs if isinstance(need, Port)}
    assert all(not need.purpose for need in needs if isinstance(need, Port)), "nobody else needs to reach them"
    return units, ports


def test_each_kind_of_site_has_the_numbers_that_there_are() -> None:
    machine, nginx, postgres = (f"matrix-metrics-{name}.service" for name in ("machine", "nginx", "postgres"))
    assert parts() == ({machine, nginx, postgres}, {9008, 9100, 9113, 9114, 9187})
    assert parts(ON + "database: sqlite\n") == ({machine, nginx}, {9008, 9100, 9113, 9114})
    mine = ON.replace("true}", "true, machine: false}")
    assert parts(mine) == ({nginx, postgres}, {9008, 9113, 9114, 9187})
    assert not Metrics(a_site()).wanted()


def test_who_is_down_is_one_fault_and_not_his_numbers_too() -> None:
    after = {
        check.name: check.after
        for check in Metrics(a_site(ON)).checks(Needs(()))
        if isinstance(check, metrics.Answers)
    }
    assert after["nginx"] == ("ports.9113", "units.nginx")
    assert after["postgres"] == ("ports.9187", "units.postgresql@15-main")


def test_what_debian_would_start_is_masked_before_it_comes() -> None:
    kinds = [type(each).__name__ for each in Metrics(a_site(ON)).resources(Needs(()))]
    assert kinds.index("Packages") > max(index for index, kind in enumerate(kinds) if kind == Mask.__name__)


def test_nginx_tells_its_exporter_where_that_asks() -> None:
    unit = (TREE / "units/matrix-metrics-nginx.service").read_text()
    assert f"--nginx.scrape-uri=http://127.0.0.1:{COUNTED}/stub_status\n" in unit
    assert StubStatus(COUNTED) in Metrics(a_site(ON)).needs()


@pytest.mark.parametrize(
    ("response", "state"),
    [
        (Response(200, body=b"pg_up 1\n"), "pass"),
        (Response(200, body=b"pg_up 0\n"), "fail"),
        (Response(404), "fail"),
        (Response(fault="nobody listens"), "fail"),
    ],
)
def test_a_source_without_its_numbers_is_a_fault(response: Response, state: str) -> None:
    class Net:
        def request(self, asked: object) -> Response:
            return response

    class Host:
        net = Net()

    finding = metrics.Answers("postgres", 9187, "/metrics", "pg_up 1").look(Host())  # type: ignore[arg-type]
    assert finding.state == state
    assert bool(finding.next) == (state == "fail")


@pytest.mark.skipif(not DOCS.exists(), reason="the installed package runs its tests without docs/")
class TestDocs:
    """What a person copies."""

    def test_it_asks_where_the_numbers_are(self) -> None:
        jobs = yaml.safe_load((DOCS / "prometheus.yml").read_text())["scrape_configs"]
        asked = {target for job in jobs for each in job["static_configs"] for target in each["targets"]}
        assert asked == {f"127.0.0.1:{port}" for port in parts()[1] - {COUNTED}}
        [synapse] = [job for job in jobs if job["job_name"] == "synapse"]
        assert synapse["metrics_path"] == "/_synapse/metrics"

    def test_each_alert_has_a_next_command_and_a_test(self) -> None:
        tested = set(re.findall(r"alertname: (\w+)", (DOCS / "alerts.test.yml").read_text()))
        groups = yaml.safe_load((DOCS / "alerts.yml").read_text())["groups"]
        rules = [rule for group in groups for rule in group["rules"]]
        assert all(rule["annotations"]["next"] for rule in rules)
        # A source that is silent, and one pressure for another, are the same rules with other names.
        assert {rule["alert"] for rule in rules} - tested == {"MachineUnseen", "StandsStillForMemory"}

    @pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
    @pytest.mark.parametrize(
        "words", ["check config prometheus.yml", "check rules alerts.yml", "test rules alerts.test.yml"]
    )
    def test_prometheus_takes_it(self, words: str) -> None:
        done = subprocess.run(["promtool", *words.split()], cwd=DOCS, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr

    @pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
    def test_the_dashboard_asks_what_prometheus_understands(self, tmp_path: Path) -> None:
        panels = json.loads((DOCS / "dashboard.json").read_text())["panels"]
        asked = [target["expr"] for panel in panels for target in panel["targets"]]
        rules = [{"record": f"panel:{number}", "expr": expr} for number, expr in enumerate(asked)]
        file = tmp_path / "rules.yml"
        file.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))
        done = subprocess.run(["promtool", "check", "rules", file], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert len({(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in panels}) == len(panels)
