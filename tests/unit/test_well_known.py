"""What another web server has to answer, in its own words; whether it takes them is for tests/system."""

from __future__ import annotations

import json
import re

import pytest

from matrix_baremetal import well_known, words
from tests.fakes import MINIMAL, a_site

SITE = a_site(f"{MINIMAL}admins: [{{name: alice}}]\n")


@pytest.mark.parametrize("server", well_known.SERVERS)
@pytest.mark.parametrize("delegation", ["well-known", "srv", "none"])
def test_every_document_is_in_the_words_of_each_server(server: str, delegation: str) -> None:
    site = a_site(f"{MINIMAL}federation: {{delegation: {delegation}}}\n")
    text = well_known.snippet(site, server)
    for path, document in well_known.documents(site).items():
        assert json.dumps(document) in text
        assert path[1:] in text
    assert ("matrix/server must not be there" in text) == (delegation != "well-known")
    assert ("m.server" in text) == (delegation == "well-known")
    assert "application/json" in text
    assert re.search(r"Access-Control-Allow-Origin:? \"?\*", text)
    assert text.endswith("\n")
    assert "\n\n\n" not in text


def test_where_nobody_federates_only_clients_and_people_are_told() -> None:
    site = a_site(f"{MINIMAL}federation: {{enabled: false}}\n")
    assert list(well_known.documents(site)) == ["/.well-known/matrix/client", "/.well-known/matrix/support"]
    assert well_known.absent(site) == ()


def test_nothing_in_a_document_ends_the_quotes_around_it() -> None:
    for server, quote in (("nginx", "'"), ("apache", "'"), ("caddy", "`")):
        text = well_known.snippet(SITE, server)
        for document in well_known.documents(SITE).values():
            assert f"{quote}{json.dumps(document)}{quote}" in text
            assert quote not in json.dumps(document)


def test_the_command_line_offers_each_server() -> None:
    for server in well_known.SERVERS:
        assert words.parser().parse_args(["show", "well-known", "--for", server]).server == server
    with pytest.raises(SystemExit):
        words.parser().parse_args(["show", "well-known", "--for", "iis"])
