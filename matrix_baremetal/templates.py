"""Text for languages that have no writer in Python, from the templates beside this. The only importer of jinja2."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jinja2 import Environment


def render(template: str, **values: object) -> str:
    """The template with these values; a name that was not given is a bug and raises.

    Nothing is escaped here: what comes from the config has passed an allow-list (`names`) that holds no character
    special to the language of any template.
    """
    return environment().get_template(template).render(values)


@functools.cache
def environment() -> Environment:
    """Jinja as we use it: strict, whitespace as written."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    from matrix_baremetal.versions import HERE

    loader = FileSystemLoader(HERE / "templates")
    return Environment(
        loader=loader, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
