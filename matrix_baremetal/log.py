"""What a person may want to see while we work, on stderr; results go to stdout and are `report`'s."""

from __future__ import annotations

import sys

verbose = False


def debug(message: str) -> None:
    """Say a detail that only `-v` shows, such as which program ran and for how long; never its arguments."""
    if verbose:
        print(f"  · {message}", file=sys.stderr)


def warn(message: str) -> None:
    """Say something that the operator should know but that stops nothing."""
    print(f"warning: {message}", file=sys.stderr)
