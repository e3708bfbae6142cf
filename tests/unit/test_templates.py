"""Templates: a name that was not given is a bug, and whitespace is as written."""

from __future__ import annotations

import pytest
from jinja2 import UndefinedError
from jinja2.exceptions import TemplateNotFound

from matrix_baremetal.templates import environment, render


def test_a_name_that_was_not_given_raises() -> None:
    with pytest.raises(UndefinedError, match="names"):
        render("nginx/matrix-baremetal.conf", vhosts=[], tls="/t", acme="/a", ipv6=False, http2_directive=True)


def test_a_template_that_is_not_there_raises() -> None:
    with pytest.raises(TemplateNotFound):
        render("no/such.conf")


def test_every_template_can_be_read_and_ends_with_a_line() -> None:
    names = environment().list_templates()
    assert names
    for name in names:
        environment().get_template(name)


def test_lines_of_commands_leave_no_empty_lines() -> None:
    text = environment().from_string("a\n{% if x %}\nb\n{% endif %}\nc\n").render(x=True)
    assert text == "a\nb\nc\n"
