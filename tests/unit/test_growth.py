"""Samples of how full the disks are, and what is made of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from matrix_baremetal import growth
from matrix_baremetal.checks.growth import Forecast
from matrix_baremetal.growth import DAY, Sample
from tests.fakes import FakeHost, Machine

GIB = 1 << 30


@pytest.fixture
def host(tmp_path: Path) -> FakeHost:
    host = FakeHost(Machine(tmp_path))
    host.mkdir("/var/lib/matrix-baremetal", 0o755)
    return host


def days(*sizes: float) -> list[tuple[int, int]]:
    return [(day * DAY, int(size)) for day, size in enumerate(sizes)]


@pytest.mark.parametrize(
    ("points", "rate"),
    [
        ([], None),
        (days(1, 2), None),
        (days(5, 5, 5, 5), 0),
        (days(0, 10, 20, 30), 10),
        (days(30, 20, 10, 0), -10),
        ([(0, 1), (60, 2), (120, 3)], None),
    ],
)
def test_a_rate_is_that_of_the_nearest_line_and_not_known_of_too_short_a_time(
    points: list[tuple[int, int]], rate: float | None
) -> None:
    found = growth.rate(points)
    assert found == rate if rate is None else found == pytest.approx(rate)


def test_one_leap_is_no_growth_for_ever() -> None:
    leap = growth.rate(days(*[10 * GIB] * 20, *[11 * GIB] * 10))
    assert leap is not None
    assert leap < GIB / 10


def test_a_day_is_kept_once_and_not_for_ever(host: FakeHost) -> None:
    for day in range(100):
        for hour in (0, 2):
            growth.remember(host, Sample(day * DAY + hour * 3600, {"/": day}, {}))
    seen = growth.read(host)
    assert len(seen) == growth.KEPT
    assert [each.used["/"] for each in seen] == list(range(40, 100))


def test_a_clock_that_went_back_leaves_no_samples_of_the_future(host: FakeHost) -> None:
    growth.remember(host, Sample(10 * DAY, {"/": 9}, {}))
    growth.remember(host, Sample(2 * DAY, {"/": 1}, {}))
    assert [each.at for each in growth.read(host)] == [2 * DAY]


@pytest.mark.parametrize("text", ["", "nonsense", "{}", "[1]", '[{"at": 1}]', '[{"at": 1, "used": [], "parts": {}}]'])
def test_a_broken_note_is_none(text: str, host: FakeHost) -> None:
    host.write(growth.PATH, text, 0o600)
    assert growth.read(host) == ()


def test_a_disk_that_fills_up_slowly_or_not_at_all_is_fine(host: FakeHost) -> None:
    check = Forecast("system", "/")
    assert "is known after 3 days" in check.look(host).message
    for day in range(10):
        growth.remember(host, Sample(day * DAY, {"/": GIB}, {"database": day * GIB, "media": 0}))
    assert check.look(host).message == "/ does not fill up"
    for day in range(10, 30):
        growth.remember(host, Sample(day * DAY, {"/": GIB * day}, {"database": day * GIB, "media": 0}))
    finding = check.look(host)
    assert finding.state == "pass"
    assert "and is full in" in finding.message
    assert finding.evidence[0].startswith("database: 1024 MB a day")


def test_one_disk_is_warned_of_once_and_another_for_itself(host: FakeHost) -> None:
    media = "/var/lib/matrix-synapse/media"
    host.machine.spares["/"] = host.machine.spare
    for day in range(10):
        growth.remember(host, Sample(day * DAY, {"/": day * 9 * GIB, media: day * 9 * GIB}, {}))
    host.machine.spares[media] = 20 * GIB
    assert [Forecast("x", path).look(host).state for path in ("/", media)] == ["warn", "warn"]
    del host.machine.spares[media], host.machine.spares["/"]
    assert [Forecast("x", path).look(host).state for path in ("/", media)] == ["warn", "pass"]
