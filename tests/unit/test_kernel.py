"""What the kernel says of this very machine."""

from __future__ import annotations

import os
import socket
import struct

import pytest

from matrix_baremetal import kernel, sockets
from matrix_baremetal.kernel import Listener


def test_who_listens_is_known_by_its_process_and_address() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        [found] = [listener for listener in kernel.listeners() if listener.port == port]
    assert (found.process, found.address, found.local) == (os.getpid(), "127.0.0.1", True)
    assert found.program


def test_who_takes_what_comes_by_udp_is_known_too_and_who_only_sends_is_not() -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as bound, socket.socket(type=socket.SOCK_DGRAM) as sends:
        bound.bind(("127.0.0.1", 0))
        sends.connect(bound.getsockname())
        ports = {"bound": bound.getsockname()[1], "sends": sends.getsockname()[1]}
        found = [each for each in kernel.listeners() if each.protocol == "udp"]
        there = {name for name, port in ports.items() if any(each.port == port for each in found)}
    assert there == {"bound"}


def test_where_others_can_reach_it_is_told_apart() -> None:
    for address, local in (
        ("::1", True),
        ("127.0.0.53", True),
        ("::", False),
        ("0.0.0.0", False),
        ("192.0.2.1", False),
    ):
        assert Listener(80, None, "x", None, address).local == local


def test_a_process_that_has_ended_has_a_name_too() -> None:
    assert kernel.program_of(None) == kernel.program_of(1 << 30) == "another program"
    assert kernel.unit_of(1 << 30) is None


def test_there_is_memory_and_a_processor() -> None:
    assert kernel.memory() > 1 << 20
    assert kernel.processors() >= 1


def test_the_unit_is_that_at_the_end_of_a_control_group() -> None:
    assert kernel.unit_in("0::/system.slice/nginx.service\n") == "nginx.service"
    assert kernel.unit_in("system.slice/system-postgresql.slice/postgresql@15-main.service") == (
        "postgresql@15-main.service"
    )
    assert kernel.unit_in("") is None


def test_the_kernel_lists_listening_sockets_with_the_numbers_of_their_groups() -> None:
    for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
        try:
            server = socket.create_server((address, 0), family=family)
        except OSError:
            continue  # no IPv6 here
        with server:
            port = server.getsockname()[1]
            try:
                found = dict(sockets.told(family))
            except OSError:
                pytest.skip("this kernel, or what this test is in, has no sock_diag")
            assert found[address, port] > 0
            with socket.socket(family, socket.SOCK_DGRAM) as bound:
                bound.bind((address, 0))
                assert dict(sockets.told(family, "udp"))[address, bound.getsockname()[1]] > 0


def test_a_message_of_the_kernel_is_understood_and_one_that_is_cut_off_does_no_harm() -> None:
    head = sockets.MESSAGE.pack(2, 10, 0, 0, (443).to_bytes(2, "big"), b"", bytes([127, 0, 0, 1]) + bytes(12), b"")
    mark, group = struct.pack("=HHI", 8, 15, 7), struct.pack("=HHQ", 12, 21, 4711)
    assert dict(sockets.entry(socket.AF_INET, head + mark + group)) == {("127.0.0.1", 443): 4711}
    assert dict(sockets.entry(socket.AF_INET, head + mark)) == {}
    assert dict(sockets.entry(socket.AF_INET, head + bytes(40))) == {}


def test_groups_that_nobody_asked_for_are_not_named() -> None:
    assert sockets.named({0}) == {}
