"""The page at https://HOSTNAME/ for the people who are invited: how they get in. It loads nothing from elsewhere."""

from __future__ import annotations

from collections.abc import Iterator

from matrix_baremetal.checks import pages
from matrix_baremetal.checks.check import Check
from matrix_baremetal.components.component import STATE, Component
from matrix_baremetal.needs import Need, Needs, Page, VHost
from matrix_baremetal.resources.files import Directory, File
from matrix_baremetal.resources.qr_code import QrCode
from matrix_baremetal.resources.resource import Resource
from matrix_baremetal.templates import render

ROOT = f"{STATE}/welcome"
CLIENT = "https://app.element.io"
# Element's documentation for administrators, "Provisioning links": the apps fill in the server from such a link.
PROVISION = "https://mobile.element.io/element?account_provider={}"


class Welcome(Component):
    """A page, its style, and a picture for phones."""

    def needs(self) -> Iterator[Need]:
        page = Page("/", f"{ROOT}/index.html", "text/html")
        style = Page("/style.css", f"{ROOT}/style.css", "text/css")
        picture = Page("/connect.svg", f"{ROOT}/connect.svg", "image/svg+xml")
        yield VHost(self.config.hostname, (page, style, picture))

    def resources(self, needs: Needs) -> Iterator[Resource]:
        yield Directory(ROOT, 0o755)
        yield File(f"{ROOT}/index.html", self._page())
        yield File(f"{ROOT}/style.css", render("welcome/style.css"))
        yield QrCode(f"{ROOT}/connect.svg", PROVISION.format(self.config.server_name))

    def checks(self, needs: Needs) -> Iterator[Check]:
        yield pages.Welcome(self.config.hostname, server_name=self.config.server_name)

    def _page(self) -> str:
        config = self.config
        return render(
            "welcome/index.html",
            server_name=config.server_name,
            hostname=config.hostname,
            registration=config.opening.mode,
            until=self.site.here(self.site.closes) if self.site.closes else "",
            federated=config.federation.enabled,
            some=bool(config.federation.allow),
            client=CLIENT,
            ours=self.config.client_hostname,
            registers=self.config.registration_client,
            provision=PROVISION.format(config.server_name),
        )
