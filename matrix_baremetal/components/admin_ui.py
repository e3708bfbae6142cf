"""A page for administrators, Ketesa or the original synapse-admin, and Synapse's admin API: for some networks alone.

The page is only files, and the API is what counts: both are closed to everybody who does not come from one of those
networks, whatever token they have. And the page speaks to this homeserver alone, whatever address it is opened with.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace

from matrix_baremetal.checks import pages
from matrix_baremetal.checks.check import Check
from matrix_baremetal.components.component import STATE, Component
from matrix_baremetal.components.programs import OPT, download
from matrix_baremetal.components.synapse import passed_on
from matrix_baremetal.needs import Domain, Files, Need, Needs, Setting, VHost
from matrix_baremetal.resources.downloads import FILES
from matrix_baremetal.resources.files import Directory, File
from matrix_baremetal.resources.registrations import Registration
from matrix_baremetal.resources.resource import Resource

ROOT = f"{STATE}/admin-ui"
SETTINGS = "/config.json"
API = "/_synapse/admin"
# Both are built by Vite, which puts a hash into all that it puts there.
HASHED = "^/assets/"
POLICY = "frame-ancestors 'none'; object-src 'none'; base-uri 'self'; form-action 'self'; connect-src 'self'"


class AdminUi(Component):
    """The page's files, its settings, the name that it answers to, and the API that it asks."""

    @property
    def hostname(self) -> str:
        """Where it is."""
        return self.config.admin_hostname or ""

    def wanted(self) -> bool:
        return self.config.admin_ui.enabled

    def needs(self) -> Iterator[Need]:
        ui = self.config.admin_ui
        settings = (SETTINGS, f"{ROOT}/config.json")
        yield Domain(self.hostname)
        # Ketesa takes another homeserver from its own address (`?server=…`), also where its settings name one, and
        # would send an administrator's password there. A browser asks nobody but whom this names.
        policy = f"{POLICY} https://{self.config.hostname}"
        files = Files(f"{OPT}/{ui.kind}/current/{FILES}", (settings,), HASHED, policy, ui.networks)
        yield VHost(self.hostname, (files,))
        # On the homeserver's own name, where the page's script looks for it.
        yield VHost(self.config.hostname, (replace(passed_on(self.config, API), allow=ui.networks),))

    def resources(self, needs: Needs) -> Iterator[Resource]:
        ui = self.config.admin_ui
        pin = self.site.versions.releases[ui.kind.replace("-", "_")]
        yield download(ui.kind, pin, ui.release, self.site.wheelhouse)
        yield Directory(ROOT, 0o755)
        yield File(f"{ROOT}/config.json", self._settings(needs))

    def checks(self, needs: Needs) -> Iterator[Check]:
        yield pages.Program(self.hostname, path=SETTINGS, settings=self._settings(needs))

    def _settings(self, needs: Needs) -> str:
        """For this homeserver alone, at the address itself: nothing that somebody else serves is asked first."""
        found: dict[str, object] = {"restrictBaseUrl": f"https://{self.config.hostname}"}
        if self.config.admin_ui.kind == "ketesa":
            found["wellKnownDiscovery"] = False
            # Whom bridges speak for: it lets nobody close those accounts or change their passwords by mistake.
            found["asManagedUsers"] = [f"^{pattern}$" for pattern in self._managed(needs)]
        return json.dumps(found, indent=1) + "\n"

    def _managed(self, needs: Needs) -> Iterator[str]:
        """Patterns of the accounts that are not people's."""
        for file in (file for setting in needs.of(Setting) for file in setting.files):
            if isinstance(file, Registration):
                yield from file.accounts(self.config.server_name)
