"""Before an order: whether the name leads here, whether the authority may be asked, and the rehearsal."""

from __future__ import annotations

import contextlib
import json
import time
from dataclasses import replace
from pathlib import Path

import pytest

from matrix_baremetal.errors import Pending
from matrix_baremetal.net import public
from matrix_baremetal.resources.certificates import misdirected
from matrix_baremetal.resources.pending import BACK_OFF, LONGEST, PENDING, note_of
from matrix_baremetal.shell import Result
from tests.fakes import FakeHost, Machine
from tests.unit.test_certificates import CERTIFICATE, FAILED


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


V4, V6, ELSEWHERE, NEAR = "9.9.9.9", "2620:fe::9", "8.8.8.8", "2001:4860:4860::8888"


@pytest.mark.parametrize(
    ("found", "ours", "words"),
    [
        ((), (), "does not resolve yet"),
        ((), (V4,), "does not resolve yet"),
        ((ELSEWHERE,), (V4,), "leads to 8.8.8.8, and this machine is 9.9.9.9"),
        ((ELSEWHERE, NEAR), (V4, V6), "leads to 8.8.8.8, 2001:4860:4860::8888, and this machine is 9.9.9.9, 2620"),
        ((V4,), (V4, V6), None),
        ((ELSEWHERE, V4), (V4,), None),
        ((ELSEWHERE, V6), (V4, V6), None),
        # Behind NAT nothing is known; nor of IPv4 where only IPv6 is public.
        ((ELSEWHERE,), (), None),
        ((ELSEWHERE,), (V6,), None),
        ((ELSEWHERE, NEAR), (V4,), None),
        # What /etc/hosts says, or a DNS server of the place.
        (("127.0.1.1",), (V4,), None),
        (("192.168.1.2",), (V4,), None),
    ],
)
def test_a_name_that_leads_elsewhere_for_certain_is_not_ordered(
    found: tuple[str, ...], ours: tuple[str, ...], words: str | None, machine: Machine
) -> None:
    assert (misdirected("example.org", found, ours) is None) == (words is None)
    machine.resolved["example.org"] = found
    order, host = replace(CERTIFICATE, addresses=ours), FakeHost(machine)
    if words is None:
        order.make(host, None)
        return
    for _ in range(4):
        with pytest.raises(Pending, match=words):
            order.make(host, None)
    assert not machine.ran("certbot")
    row = note_of(host, f"{PENDING}/example.org")
    assert (row["failures"], int(row["next"]) - int(row["last"])) == (0, BACK_OFF[0]), "it cost nothing to look"
    machine.unresolved.add("example.org")
    replace(order, dns_plugin="rfc2136").make(host, None)


LIMITED = """\
HTTP 429
Retry-After: 7200
{
  "type": "urn:ietf:params:acme:error:rateLimited",
  "detail": "too many certificates (5) already issued"
}
"""


class Logging(Machine):
    """A machine whose certbot says little and goes on in its log, as Debian's does."""

    logs = ""

    def certbot(self, words: tuple[str, ...]) -> Result:
        if not self.logs:
            return super().certbot(words)
        place = self.at("/var/log/letsencrypt/letsencrypt.log")
        place.parent.mkdir(exist_ok=True)
        with place.open("a") as log:
            log.write(self.logs)
        return Result(1, "", "An unexpected error occurred:")


def test_what_an_older_order_left_in_the_log_is_not_taken_for_the_reason(tmp_path: Path) -> None:
    machine = Logging(tmp_path)
    machine.put("/var/log/letsencrypt/letsencrypt.log", LIMITED)
    machine.logs = "urllib3.exceptions.NewConnectionError: [Errno 101] Network is unreachable\n"
    for _ in range(2):
        with pytest.raises(Pending, match="cannot be reached from this machine"):
            CERTIFICATE.make(FakeHost(machine), None)
        machine.at("/var/log/letsencrypt/letsencrypt.log").unlink()  # logrotate


def test_an_authority_that_wants_to_be_left_alone_is_left_alone(tmp_path: Path) -> None:
    machine = Logging(tmp_path)
    machine.logs = LIMITED
    host = FakeHost(machine)
    with pytest.raises(Pending, match="rate limit is reached: too many certificates"):
        CERTIFICATE.make(host, None)
    row = note_of(host, f"{PENDING}/example.org")
    assert 7200 <= int(row["next"]) - int(row["last"]) <= 7201
    machine.started.clear()
    with pytest.raises(Pending, match=r"rate limit .* \(it is not to be asked before 2"):
        CERTIFICATE.make(host, None)
    assert not machine.ran("certbot")
    assert note_of(host, f"{PENDING}/example.org") == row, "nothing was tried, so nothing is counted"
    # Another authority has said nothing yet; and this one may be asked in time.
    machine.logs = ""
    replace(CERTIFICATE, directory="https://other.example/dir").make(host, None)
    assert host.names(PENDING) == ()
    machine.put(f"{PENDING}/example.org", json.dumps({**row, "held": time.time() - 1}))
    CERTIFICATE.make(host, CERTIFICATE.find(host))
    assert host.names(PENDING) == ()


def test_no_authority_makes_us_wait_for_ever(tmp_path: Path) -> None:
    machine = Logging(tmp_path)
    machine.logs = LIMITED.replace("7200", "99999999999999")
    host = FakeHost(machine)
    with pytest.raises(Pending):
        CERTIFICATE.make(host, None)
    row = note_of(host, f"{PENDING}/example.org")
    assert int(row["next"]) - int(row["last"]) <= LONGEST + 1


class Rehearsing(Machine):
    """A machine whose certbot gets these answers in turn; in `asked` are the directories that it asked."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.answers: list[str] = []
        self.orders: list[str] = []

    def certbot(self, words: tuple[str, ...]) -> Result:
        self.orders.append(words[words.index("--server") + 1] + (" dry" if "--dry-run" in words else ""))
        said = self.answers.pop(0)
        return Result(1, "", said) if said else super().certbot(words)


@pytest.mark.parametrize(
    ("answers", "orders"),
    [
        (["no", ""], ["real"]),
        (["no", "no"], ["real", "staging dry"]),
        (["no", "no", "no"], ["real", "staging dry", "staging dry"]),
        (["no", "no", "", ""], ["real", "staging dry", "staging dry", "real"]),
        (["no", "away", ""], ["real", "staging dry", "real"]),
        (["away", ""], ["real", "real"]),
        (["away", "no", "", ""], ["real", "real", "staging dry", "real"]),
    ],
)
def test_once_refused_it_is_rehearsed_until_that_goes_well(
    answers: list[str], orders: list[str], tmp_path: Path
) -> None:
    machine = Rehearsing(tmp_path)
    texts = {"no": FAILED.format(kind="connection", detail="refused"), "away": "Max retries exceeded", "": ""}
    machine.answers = [texts[answer] for answer in answers]
    order, host = replace(CERTIFICATE, directory="real", staging="staging"), FakeHost(machine)
    while len(machine.orders) < len(orders):
        with contextlib.suppress(Pending):
            order.make(host, None)
    assert machine.orders == orders
    if machine.answers == [] and answers[-1] == "":
        assert order.find(host) == order


def test_it_is_rehearsed_only_where_there_is_a_directory_for_it(tmp_path: Path) -> None:
    machine = Rehearsing(tmp_path)
    machine.answers = [FAILED.format(kind="connection", detail="refused"), ""]
    host = FakeHost(machine)
    with pytest.raises(Pending):
        CERTIFICATE.make(host, None)
    CERTIFICATE.make(host, None)
    assert machine.orders == [CERTIFICATE.directory] * 2


@pytest.mark.parametrize(
    ("addresses", "reached"),
    [
        (["127.0.0.1", "10.0.0.1", "172.16.9.9", "192.168.1.1", "100.64.0.1", "169.254.1.1", "192.0.2.1"], ()),
        (["::1", "fe80::1%eth0", "fd77::1", "2001:db8::1", "02:42:ac:11:00:02", "", "ff0e::1"], ()),
        (["2620:fe::9", "10.0.0.1", "9.9.9.10", "9.9.9.9", "9.9.9.9"], ("9.9.9.9", "9.9.9.10", "2620:fe::9")),
        (["2620:fe::9%eth0"], ("2620:fe::9",)),
    ],
)
def test_the_addresses_that_the_internet_can_reach(addresses: list[str], reached: tuple[str, ...]) -> None:
    assert public(addresses) == reached
