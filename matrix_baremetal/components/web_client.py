"""A web client on a name of its own, set up for this homeserver: Element, or the small Hydrogen.

Never on the homeserver's name: a script in what somebody uploaded there could do what the client can (Synapse's
README, "Security note").
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from matrix_baremetal.checks import pages
from matrix_baremetal.checks.check import Check
from matrix_baremetal.components.component import STATE, Component
from matrix_baremetal.components.programs import OPT, download
from matrix_baremetal.needs import Domain, Files, Need, Needs, VHost
from matrix_baremetal.resources.downloads import FILES
from matrix_baremetal.resources.files import Directory, File
from matrix_baremetal.resources.resource import Resource

ROOT = f"{STATE}/web-client"
SETTINGS = "/config.json"


@dataclass(frozen=True)
class Kind:
    """How a client names files with a hash in them, and what it may be framed by and load, as upstream advises."""

    hashed: str
    policy: str


KINDS = {
    # Element's README, "Important security notes"; the page itself has the rest of its policy in a meta element.
    "element": Kind(r"^/bundles/[0-9a-f]{16,}/|[.-][0-9a-f]{7,}\.[a-z0-9]+$", "frame-ancestors 'self'"),
    # Its downloads go through a page of its own in a frame (its assets/download-sandbox.html).
    "hydrogen": Kind(
        r"^/assets/.*[.-][0-9a-f]{8}\.[a-z0-9]+$", "frame-ancestors 'self'; object-src 'none'; base-uri 'self'"
    ),
}


class WebClient(Component):
    """The client's files, its settings, and the name that it answers to."""

    @property
    def kind(self) -> str:
        """Which client it is; where there is none, which it would be."""
        kind = self.config.web_client.kind
        return "element" if kind == "none" else kind

    @property
    def hostname(self) -> str:
        """Where it is."""
        return self.config.client_hostname or ""

    def wanted(self) -> bool:
        return self.config.client_hostname is not None

    def needs(self) -> Iterator[Need]:
        kind, settings = KINDS[self.kind], (SETTINGS, f"{ROOT}/config.json")
        yield Domain(self.hostname)
        files = Files(f"{OPT}/{self.kind}/current/{FILES}", (settings,), kind.hashed, kind.policy)
        yield VHost(self.hostname, (files,))

    def resources(self, needs: Needs) -> Iterator[Resource]:
        pin = self.site.versions.releases[self.kind]
        yield download(self.kind, pin, self.config.web_client.release, self.site.wheelhouse)
        yield Directory(ROOT, 0o755)
        yield File(f"{ROOT}/config.json", self._settings())

    def checks(self, needs: Needs) -> Iterator[Check]:
        yield pages.Program(self.hostname, path=SETTINGS, settings=self._settings())

    def _settings(self) -> str:
        made = {"element": self._element, "hydrogen": self._hydrogen}[self.kind]()
        return json.dumps(made, indent=1) + "\n"

    def _element(self) -> dict[str, Any]:
        """Element's docs/config.md. No guests, no other server, nobody's integrations, identity or statistics."""
        config = self.config
        homeserver = {"base_url": f"https://{config.hostname}", "server_name": config.server_name}
        jitsi = config.calls.jitsi_for(config.server_name)
        return {
            "default_server_config": {"m.homeserver": homeserver},
            **({"jitsi": {"preferred_domain": jitsi}} if jitsi else {}),
            "disable_custom_urls": True,
            "disable_guests": True,
            "brand": "Element",
            "integrations_ui_url": None,
            "integrations_rest_url": None,
            "room_directory": {"servers": [config.server_name]},
            "setting_defaults": {
                "UIFeature.registration": config.opening.mode != "closed",
                "UIFeature.identityServer": False,
                "UIFeature.feedback": False,
            },
        }

    def _hydrogen(self) -> dict[str, Any]:
        """The settings that come with a release, less push by way of somebody else's server and bug reports."""
        return {
            "defaultHomeServer": f"https://{self.config.hostname}",
            "themeManifests": ["assets/theme-element.json"],
            "defaultTheme": {"light": "element-light", "dark": "element-dark"},
        }
