"""How other servers and clients find who answers for the server name: the well-known files, an SRV record, or 8448.

Matrix spec, server-server API, "Server discovery"; Synapse's docs/delegate.md; MSC1929 (support) is part of the
specification since 1.10.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from matrix_baremetal.checks import federation
from matrix_baremetal.checks.check import Check
from matrix_baremetal.components.component import STATE, Component
from matrix_baremetal.components.homeserver_yaml import CREDENTIALS
from matrix_baremetal.components.nginx import UNIT as NGINX
from matrix_baremetal.components.synapse import passed_on
from matrix_baremetal.config import Config
from matrix_baremetal.needs import Document, Domain, Need, Needs, Port, VHost
from matrix_baremetal.resources.files import Directory, File
from matrix_baremetal.resources.resource import Resource

ROOT = f"{STATE}/well-known"
PATH = "/.well-known/matrix"
# What servers ask of each other; media is for those that are older than Matrix 1.11.
FEDERATION = ("/_matrix/federation", "/_matrix/key", "/_matrix/media")
# Below which path the service is that lets people into group calls.
JWT = "/livekit/jwt"
UNDELEGATED = 8448  # where a server is asked that neither a file nor a record speaks for


def rtc(config: Config) -> dict[str, Any]:
    """Where clients find what carries calls of more than two."""
    found: dict[str, Any] = {}
    if name := config.calls_hostname:
        # Element Call's docs/self_hosting.md and lk-jwt-service's README.
        focus = {"type": "livekit", "livekit_service_url": f"https://{name}{JWT}"}
        found["org.matrix.msc4143.rtc_foci"] = [focus]
    if jitsi := config.calls.jitsi_for(config.server_name):
        # Element's docs; older ones know the second word alone.
        found |= {key: {"preferredDomain": jitsi} for key in ("io.element.jitsi", "im.vector.riot.jitsi")}
    return found


class Delegation(Component):
    """/.well-known/matrix on the server name, and what servers are answered there that come without it."""

    def needs(self) -> Iterator[Need]:
        name, way = self.config.server_name, self.config.federation.found_by
        yield Domain(name, None if way in ("srv", "none") else self._elsewhere())
        paths = {f"{PATH}/{kind}": f"{ROOT}/{kind}.json" for kind in self.documents()}
        yield VHost(name, tuple(Document(path, file) for path, file in paths.items()))
        if way is not None:
            port = UNDELEGATED if way == "none" else 443
            yield Port(port, NGINX, "other servers")
            if way == "none" or (way == "srv" and name != self.config.hostname):
                yield VHost(name, (passed_on(self.config, *FEDERATION),), port)

    def resources(self, needs: Needs) -> Iterator[Resource]:
        yield Directory(ROOT, 0o755)
        for name, document in self.documents().items():
            yield File(f"{ROOT}/{name}.json", json.dumps(document) + "\n")

    def checks(self, needs: Needs) -> Iterator[Check]:
        name, source = self.config.server_name, self.config.tls.mode
        if self.config.federation.found_by is not None:
            # Who has an SRV record, or is asked on 8448, goes by the server name itself.
            expected = self.documents().get("server", {}).get("m.server", name)
            yield federation.Discovery(name, source, expected)
            yield federation.Trusted(name, source)
            yield federation.Speaks(name, source)
            yield federation.Keys(name, source, CREDENTIALS["signing_key"])

    def documents(self) -> dict[str, dict[str, Any]]:
        """The documents by name."""
        config = self.config
        client: dict[str, Any] = {"m.homeserver": {"base_url": f"https://{config.hostname}"}} | rtc(config)
        found: dict[str, dict[str, Any]] = {"client": client}
        if config.federation.found_by == "well-known":
            # Without a port a server would try 8448. Where there is such a file, no SRV record is looked for.
            found["server"] = {"m.server": f"{config.hostname}:443"}
        contacts: list[dict[str, str]] = [
            {"matrix_id": f"@{admin.name}:{config.server_name}", "role": "m.role.admin"} for admin in config.admins
        ]
        if config.acme.email:
            contacts.append({"email_address": config.acme.email, "role": "m.role.admin"})
        if contacts:
            found["support"] = {"contacts": contacts}
        return found

    def _elsewhere(self) -> tuple[tuple[str, str], ...]:
        """What has to be answered on the server name; where nobody federates, people can do without."""
        found = self.documents()
        kinds = ("server", "client") if "server" in found else ()
        return tuple((f"{PATH}/{kind}", json.dumps(found[kind])) for kind in kinds)
