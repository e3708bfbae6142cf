"""What nginx serves to people's browsers: pages of ours, and programs of others with the settings of this site."""

from __future__ import annotations

from dataclasses import dataclass, field

from matrix_baremetal.checks import parts
from matrix_baremetal.checks.check import APPLY
from matrix_baremetal.checks.web import LOOK, Web
from matrix_baremetal.findings import Finding
from matrix_baremetal.host import Host


@dataclass(frozen=True)
class Welcome(Web):
    """The page for people who are invited."""

    form = "web.welcome"
    asks = "the page that tells people how to get in is there"

    server_name: str = ""

    def look(self, host: Host) -> Finding:
        answer = self.ask(host, "/")
        if answer.status == 200 and f"@name:{self.server_name}".encode() in answer.body:
            return self.fine(f"https://{self.name}/ tells people how to get in")
        seen = answer.fault or f"status {answer.status}"
        return self.warned(f"https://{self.name}/ does not tell people how to get in", seen, next=LOOK)


@dataclass(frozen=True)
class Program(Web):
    """A program for browsers, such as a web client: it is there, and its settings are those of this homeserver."""

    form = "web.program.{0.domain}"
    asks = "a web client, an admin page or a page for calls is served, with the settings of this homeserver"

    path: str = ""
    settings: str = field(default="", repr=False)

    @property
    def after(self) -> tuple[str, ...]:
        return (*super().after, parts.ID)

    def look(self, host: Host) -> Finding:
        page, answer = self.ask(host, "/"), self.ask(host, self.path)
        if page.status == answer.status == 403:
            return self.fine(f"https://{self.name} lets this machine itself not in, as it is not in admin_ui.allow")
        if page.status != 200 or page.kind != "text/html":
            seen = page.fault or f"status {page.status}"
            return self.failed(f"https://{self.name}/ has no program to serve", seen, fix=APPLY)
        if answer.status != 200 or answer.body.decode("utf-8", "replace") != self.settings:
            seen = answer.fault or f"status {answer.status}"
            return self.failed(f"https://{self.name}{self.path} is not as it should be", seen, next=LOOK)
        return self.fine(f"https://{self.name} is served, with the settings of this homeserver")
