"""Where other servers and clients learn who answers for the server name: the three well-known files.

Synapse's docs/delegate.md; MSC1929 (support) is part of the specification since 1.10.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from matrix_baremetal.components.component import STATE, Component
from matrix_baremetal.needs import Document, Domain, Need, Needs, VHost
from matrix_baremetal.resources.files import Directory, File
from matrix_baremetal.resources.resource import Resource

ROOT = f"{STATE}/well-known"


class Delegation(Component):
    """/.well-known/matrix on the server name."""

    def needs(self) -> Iterator[Need]:
        yield Domain(self.config.server_name)
        yield VHost(
            self.config.server_name,
            tuple(Document(f"/.well-known/matrix/{name}", f"{ROOT}/{name}.json") for name in self.documents()),
        )

    def resources(self, needs: Needs) -> Iterator[Resource]:
        yield Directory(ROOT, 0o755)
        for name, document in self.documents().items():
            yield File(f"{ROOT}/{name}.json", json.dumps(document) + "\n")

    def documents(self) -> dict[str, dict[str, Any]]:
        """The documents by name."""
        config = self.config
        found: dict[str, dict[str, Any]] = {"client": {"m.homeserver": {"base_url": f"https://{config.hostname}"}}}
        if config.federation.enabled:
            # Without a port a server would try 8448.
            found["server"] = {"m.server": f"{config.hostname}:443"}
        contacts: list[dict[str, str]] = [
            {"matrix_id": f"@{admin.name}:{config.server_name}", "role": "m.role.admin"} for admin in config.admins
        ]
        if config.acme.email:
            contacts.append({"email_address": config.acme.email, "role": "m.role.admin"})
        if contacts:
            found["support"] = {"contacts": contacts}
        return found
