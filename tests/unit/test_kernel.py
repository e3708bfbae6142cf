"""What the kernel says of this very machine."""

from __future__ import annotations

import os
import socket

from matrix_baremetal import kernel
from matrix_baremetal.kernel import Listener


def test_who_listens_is_known_by_its_process_and_address() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        [found] = [listener for listener in kernel.listeners() if listener.port == port]
    assert (found.process, found.address, found.local) == (os.getpid(), "127.0.0.1", True)
    assert found.program


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
