"""What all bridges to other networks have in common: a user, a unit, a registration at the homeserver, a check.

A bridge is one file beside this: what it is called, which names of accounts are its own, and its program.
"""

from __future__ import annotations

import json
import re
from abc import abstractmethod
from collections.abc import Iterator
from typing import Any, ClassVar

from matrix_baremetal.checks.bridges import Linked
from matrix_baremetal.checks.check import Check
from matrix_baremetal.components.component import ETC, SECRETS, Component, service_reads
from matrix_baremetal.data import Data
from matrix_baremetal.needs import Need, Needs, Port, Setting
from matrix_baremetal.resources.accounts import SystemUser
from matrix_baremetal.resources.files import Directory, File, Secret
from matrix_baremetal.resources.registrations import Registration
from matrix_baremetal.resources.resource import Resource
from matrix_baremetal.resources.services import Service

OPT = "/opt/matrix-baremetal/bridges"
SETTING = "app_service_config_files"


class Bridge(Component):
    """A bridge: a program that speaks for the people of another network.

    `name` is what the config calls it, `bot` the account to talk to, `port` where it listens to Synapse, on the
    loopback address, and `people` the beginning of the names of those that it speaks for.
    """

    name: ClassVar[str]
    bot: ClassVar[str]
    port: ClassVar[int]
    people: ClassVar[str]
    # What the config has to say of it.
    keys: ClassVar[str] = "enabled: true"
    # What to do first, a line each; {bot} and {server_name} are filled in.
    steps: ClassVar[tuple[str, ...]]

    @property
    def account(self) -> str:
        """Its own account, which people talk to."""
        return f"@{self.bot}:{self.config.server_name}"

    @property
    def unit(self) -> str:
        """Its unit."""
        return f"matrix-bridge-{self.name}.service"

    @property
    def units(self) -> tuple[str, ...]:
        """Its unit, and those of what it can't do without."""
        return (self.unit,)

    @property
    def user(self) -> str:
        """Its system user, who has nothing."""
        return f"matrix-bridge-{self.name}"

    @property
    def registration(self) -> Registration:
        """What it and Synapse know each other by; both are handed it, which root alone can read."""
        return self.made("", json.dumps(self.registered(), indent=1) + "\n")

    def made(self, ending: str, content: str) -> Registration:
        """A file of root's with those of its secrets that its content names."""
        paths = [s.path for s in self.tokens if f"{{{s.path.rpartition('-')[2]}}}" in content]
        return Registration(f"{ETC}/bridges/{self.name}{ending}.yaml", content, tuple(paths))

    @property
    def tokens(self) -> tuple[Secret, ...]:
        """What it says to Synapse, and Synapse to it. They stay when it goes: asked for again it is the same."""
        return (
            self.secret("as_token", f"shows Synapse who speaks for {self.name}"),
            self.secret("hs_token", f"shows the bridge who speaks for {self.name}"),
        )

    def secret(self, name: str, use: str, breaks: str | None = "nothing") -> Secret:
        """One of its secrets."""
        return Secret(f"{SECRETS}/bridge-{self.name}-{name}", use=use, breaks=breaks)

    def needs(self) -> Iterator[Need]:
        yield Port(self.port, self.unit)
        # Made before Synapse's config names it, and gone after: one that is missing would keep Synapse down.
        files = (*self.tokens, Directory(f"{ETC}/bridges", 0o700), self.registration)
        yield Setting(SETTING, files=files, many=True)

    def resources(self, needs: Needs) -> Iterator[Resource]:
        yield SystemUser(self.user)
        yield from self.program()
        reads = (self.registration.path, *self.reads(), *service_reads(self.unit))
        if options := " ".join(self.options()):
            drop_in = f"/etc/systemd/system/{self.unit}.d"
            yield Directory(drop_in, 0o755)
            yield File(f"{drop_in}/50-matrix-baremetal.conf", f"{HEAD}Environment='OPTIONS={options}'\n")
            reads = (*reads, f"{drop_in}/50-matrix-baremetal.conf")
        yield Service(self.unit, reads=reads, program=self.reads()[0])

    def help(self) -> list[str]:
        """What to do first, a line each."""
        words = {"bot": self.account, "server_name": self.config.server_name}
        return [step.format(**words, **self.words()) for step in self.steps]

    def words(self) -> dict[str, str]:
        """What else is filled into the first steps."""
        return {}

    @abstractmethod
    def program(self) -> Iterator[Resource]:
        """Its program and what that needs, in the order of making."""

    @abstractmethod
    def reads(self) -> tuple[str, ...]:
        """What of its program it has to be restarted for, the program itself first."""

    def options(self) -> Iterator[str]:
        """The words behind its program's name that come of the config."""
        yield from ()

    def checks(self, needs: Needs) -> Iterator[Check]:
        yield Linked(self.name, self.registration.path, self.unit)

    def data(self, needs: Needs) -> Data:
        """Nothing of its own, but what it has in mind is what was in Synapse's rooms when it started."""
        return Data(units=(self.unit,))

    @property
    def keeps(self) -> str:
        """Where it has what it knows, for people."""
        return "in Synapse's rooms"

    def registered(self) -> dict[str, Any]:
        """What the homeserver is told of it; JSON is YAML too, and has a writer that needs nothing."""
        ours = f"@{self.people}.*:{re.escape(self.config.server_name)}"
        return {
            "id": self.bot,
            "url": f"http://127.0.0.1:{self.port}",
            "as_token": "{as_token}",
            "hs_token": "{hs_token}",
            "sender_localpart": self.bot,
            # It answers many at once; who it speaks for has no account of one's own.
            "rate_limited": False,
            "namespaces": {"users": [{"regex": ours, "exclusive": True}], "aliases": [], "rooms": []},
        }


HEAD = """\
# Written by matrix-baremetal from the config's bridges.
[Service]
"""
