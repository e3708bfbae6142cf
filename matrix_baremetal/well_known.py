"""What another web server has to answer under the server name, ready to be put there. Pure."""

from __future__ import annotations

import json
from typing import Any

from matrix_baremetal.components.delegation import PATH, Delegation
from matrix_baremetal.site import Site
from matrix_baremetal.templates import render

SERVERS = ("nginx", "apache", "caddy", "static")
# Clients in browsers need the first; some apps take nothing without the second.
HEADERS = {"Access-Control-Allow-Origin": "*", "Content-Type": "application/json"}


def documents(site: Site) -> dict[str, dict[str, Any]]:
    """The documents by path."""
    return {f"{PATH}/{name}": document for name, document in Delegation(site).documents().items()}


def absent(site: Site) -> tuple[str, ...]:
    """Paths that must be answered by nobody: other servers would believe the document and look no further."""
    return (f"{PATH}/server",) if site.config.federation.found_by in ("srv", "none") else ()


def snippet(site: Site, server: str) -> str:
    """What to put there, in the words of one of SERVERS."""
    texts = {path: json.dumps(document) for path, document in documents(site).items()}
    name = site.config.server_name
    return render(f"well-known/{server}", server_name=name, documents=texts, absent=absent(site), headers=HEADERS)
