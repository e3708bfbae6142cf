"""Whether connections fit, as sums."""

from __future__ import annotations

import pytest

from matrix_baremetal.connections import Connections, missing


@pytest.mark.parametrize(
    ("there", "processes", "pool", "short"),
    [
        (Connections(100, 3, 0), 1, 10, 0),
        (Connections(100, 3, 86), 1, 10, 0),
        (Connections(100, 3, 87), 1, 10, 1),
        (Connections(100, 3, 0), 10, 10, 4),
        (Connections(100, 13, 0), 9, 10, 4),
        (Connections(20, 3, 40), 1, 10, 11),
        (Connections(20, 3, 17), 0, 10, 1),
    ],
)
def test_each_process_may_fill_its_pool_and_one_is_for_who_looks(
    there: Connections, processes: int, pool: int, short: int
) -> None:
    assert missing(there, processes=processes, pool=pool) == short


def test_what_is_left_is_never_less_than_nothing() -> None:
    assert Connections(100, 3, 7).left == 90
    assert Connections(20, 3, 40).left == 0
