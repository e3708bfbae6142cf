"""Synapse: its virtualenv, its config, its secrets and its service."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Iterator

from matrix_baremetal.checks import database, homeserver
from matrix_baremetal.checks.check import Check
from matrix_baremetal.checks.growth import Forecast
from matrix_baremetal.checks.machine import Disk, Inodes
from matrix_baremetal.checks.pressure import Pressure
from matrix_baremetal.checks.registration import Registration
from matrix_baremetal.components.component import DATA, SECRETS, Component, service_reads
from matrix_baremetal.components.homeserver_yaml import (
    CREDENTIALS,
    SECRET_USES,
    USER,
    homeserver_yaml,
    log_yaml,
    secret_yaml,
    upload_size,
)
from matrix_baremetal.components.programs import virtualenv
from matrix_baremetal.config import Config
from matrix_baremetal.data import Data, Tree
from matrix_baremetal.needs import Database, Domain, Module, Need, Needs, Port, Proxy, Setting, VHost
from matrix_baremetal.release import OPT
from matrix_baremetal.resources.admin_api import PORT
from matrix_baremetal.resources.files import Directory, File, Link, Secret, random_text
from matrix_baremetal.resources.filled import Filled
from matrix_baremetal.resources.matrix import Homeserver, HomeserverConfig
from matrix_baremetal.resources.opening import OPENED, written
from matrix_baremetal.resources.python import Virtualenv
from matrix_baremetal.resources.resource import Resource
from matrix_baremetal.resources.schema import Schema
from matrix_baremetal.resources.services import Service
from matrix_baremetal.versions import Versions

UNIT = "matrix-synapse.service"
ETC = "/etc/matrix-synapse"
DROP_IN = f"/etc/systemd/system/{UNIT}.d/50-matrix-baremetal.conf"
HANDED = """\
# Written by matrix-baremetal: what other parts need of Synapse's unit.
[Service]
"""
COUNTED = """\
# For its metrics: the memory and the start of a process are told by way of /proc/stat.
ProcSubset=all
"""
SHARED_SECRET = f"{SECRETS}/registration_shared_secret"

# What people uploaded here. Other servers' media and pictures of web pages are copies: Synapse gets them again.
MEDIA = ("local_content", "local_thumbnails")


class Synapse(Component):
    """The homeserver."""

    def needs(self) -> Iterator[Need]:
        yield Database(USER)
        yield Domain(self.config.hostname)
        yield Port(PORT, UNIT)
        # Synapse's docs/reverse_proxy.md: these two and nothing else.
        yield VHost(self.config.hostname, (passed_on(self.config, "/_matrix", "/_synapse/client"),))

    def resources(self, needs: Needs) -> Iterator[Resource]:
        yield from self._directories()
        yield from self._secrets()
        yield from self._program(needs)
        config = f"{ETC}/homeserver.yaml"
        for each in (setting for setting in needs.of(Setting) if setting.secrets):
            path = f"{ETC}/conf.d/{each.key}.yaml"
            yield Filled(path, secret_yaml(each), 0o640, group=USER, secrets=each.secrets)
        yield from self._handed(needs)
        handed = CREDENTIALS | others(needs)
        yield HomeserverConfig(
            config,
            homeserver_yaml(self.site, needs.of(Setting)),
            0o640,
            group=USER,
            unit=UNIT,
            python=f"{OPT}/current/bin/python",
            credentials=tuple(f"{name}:{path}" for name, path in handed.items()),
            more=(f"{ETC}/conf.d",),
        )
        yield Schema(USER, store=self.site.store(USER), unit=UNIT)
        read = (
            config,
            f"{ETC}/log.yaml",
            f"{ETC}/conf.d",
            f"{OPT}/current",
            *handed.values(),
            *service_reads(UNIT),
            DROP_IN,
            # Opened again, it has to be told so.
            *((OPENED,) if self.config.opening.unattended_days else ()),
        )
        yield Service(UNIT, reads=(*read, f"{OPT}/{self.site.versions.synapse.version}/complete.json"))
        yield Homeserver(self.config.server_name, unit=UNIT)

    def data(self, needs: Needs) -> Data:
        stores = {"database": self.site.store(USER)}
        return Data(
            (CREDENTIALS["signing_key"], f"{ETC}/conf.d"),
            (),
            stores,
            {"media": Tree(f"{DATA}/media", USER, MEDIA)},
            (UNIT,),
        )

    def checks(self, needs: Needs) -> Iterator[Check]:
        versions, media = self.site.versions.synapse, f"{DATA}/media"
        yield database.Usable(USER, self.site.store(USER))
        yield homeserver.Ready(Homeserver(self.config.server_name, unit=UNIT))
        yield homeserver.Version(versions.version, versions.minimum, versions.newer)
        yield homeserver.Advisory(f"{OPT}/current", versions.minimum)
        yield homeserver.Program(self._ahead(needs)[1])
        yield Pressure(UNIT)
        yield Disk("media", media)
        yield Inodes("media", media)
        yield Forecast("media", media)
        yield homeserver.Media(media, USER)
        yield homeserver.SigningKey(CREDENTIALS["signing_key"])
        yield homeserver.Secrets(tuple(path for name, path in CREDENTIALS.items() if name != "signing_key"))
        yield self._registration()
        yield homeserver.Clients()
        if self.config.database == "postgres":
            yield database.Updates(self.site.cluster.port, USER)
            if self.config.federation.enabled:
                yield database.Destinations(self.site.cluster.port, USER)

    def _registration(self) -> Registration:
        closes, days = self.site.closes, self.config.opening.unattended_days
        end = (written(closes), self.site.here(closes)) if closes else ("", "")
        return Registration(*end, days or 0, self.site.store(USER) if days else None, self.site.facts.zone)

    def _directories(self) -> Iterator[Resource]:
        yield Directory(ETC, 0o755)
        yield Directory(f"{ETC}/conf.d", 0o750, group=USER)
        yield Directory(f"{DATA}/media", 0o750, owner=USER, group=USER)

    def _secrets(self) -> Iterator[Resource]:
        for name, path in CREDENTIALS.items():
            invent = signing_key if name == "signing_key" else random_text
            use, breaks = SECRET_USES[name]
            yield Secret(path, witness=f"{ETC}/homeserver.yaml", invent=invent, use=use, breaks=breaks)

    def _handed(self, needs: Needs) -> Iterator[Resource]:
        """The secrets of other parts that Synapse has to know. The drop-in is there without any, too: one that went
        with the last of them would go after Synapse's restart, and make it stale once more.
        """
        for setting in needs.of(Setting):
            yield from setting.files
        yield Directory(DROP_IN.rpartition("/")[0], 0o755)
        rows = [f"LoadCredential={name}:{path}\n" for name, path in others(needs).items()]
        if any(setting.key == "enable_metrics" for setting in needs.of(Setting)):
            rows.append(COUNTED)
        yield File(DROP_IN, f"{HANDED}{''.join(rows)}")

    def _ahead(self, needs: Needs) -> tuple[Directory, Virtualenv]:
        beside = tuple(dict.fromkeys(module.lock for module in needs.of(Module)))
        return ahead(self.site.versions, self.site.facts.python, self.site.wheelhouse, beside)

    def _program(self, needs: Needs) -> Iterator[Resource]:
        yield from self._ahead(needs)
        if self.site.before:
            yield Virtualenv(f"{OPT}/{self.site.before}", kept=True)
        yield Link(f"{OPT}/current", self.site.versions.synapse.version)
        yield File(f"{ETC}/log.yaml", log_yaml())


def others(needs: Needs) -> dict[str, str]:
    """The files of root's that Synapse is handed for other parts, by the names under which it is."""
    return dict(setting.handed for setting in needs.of(Setting) if setting.handed)


def ahead(
    versions: Versions, python: str, wheelhouse: str | None, beside: tuple[str, ...] = ()
) -> tuple[Directory, Virtualenv]:
    """Synapse's program, which is the same for every site but for what is `beside` it, locks of modules by name: an
    image may have it before there is a config.
    """
    synapse = versions.synapse
    return Directory(OPT, 0o755), virtualenv(f"{OPT}/{synapse.version}", synapse.beside(beside), python, wheelhouse)


def passed_on(config: Config, *paths: str) -> Proxy:
    """Pass requests below these paths on to Synapse; a client's sync is held open for minutes."""
    return Proxy(paths, PORT, upload_size(config), timeout=600)


def signing_key() -> str:
    """A new ed25519 signing key in the form of Synapse's signing_key_path: algorithm, a random id, the seed.

    Made of the kernel's randomness on this host, never shipped or derived (CVE-2026-24044 was a shipped key).
    """
    seed = base64.b64encode(secrets.token_bytes(32)).decode().rstrip("=")
    name = "".join(secrets.choice("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz") for _ in range(4))
    return f"ed25519 a_{name} {seed}\n"
