"""What most commands begin with: the config read, the machine looked at, and the declarations made of both."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from matrix_baremetal import components, config, facts, release, versions
from matrix_baremetal.components.homeserver_yaml import USER
from matrix_baremetal.errors import Error
from matrix_baremetal.host import Host
from matrix_baremetal.manifest import Manifest
from matrix_baremetal.needs import Needs
from matrix_baremetal.resources import schema
from matrix_baremetal.resources.resource import Resource
from matrix_baremetal.site import Site

CONFIG = config.DEFAULT


@dataclass(frozen=True)
class Session:
    """A host, the site that it should be, the resources that this means, and what was made before."""

    host: Host
    site: Site
    needs: Needs
    resources: tuple[Resource, ...]
    manifest: Manifest


def begin(root: str, file: str | None, wheelhouse: str | None = None) -> Session:
    """Read all that a command needs. Raises `ConfigError` with every mistake of the config."""
    host = Host(Path(root))
    path = Path(file) if file else host.path(CONFIG)
    return of(host, config.load(path), wheelhouse)


def of(host: Host, wanted: config.Config, wheelhouse: str | None = None, in_files: tuple[str, ...] = ()) -> Session:
    """A session for a config that was read already, with the Synapse that this machine is to run; `in_files` are
    bridges that will have their rows in a file.
    """
    shipped = versions.read()
    chosen = release.chosen(host, shipped)
    seen = facts.read(host)
    seen = replace(seen, in_files=(*seen.in_files, *in_files))
    site = Site(wanted, seen, chosen, wheelhouse, release.kept(host, chosen.synapse.version))
    trial = release.read(host).trial
    if trial and outgrown(host, site, trial):
        site = replace(site, versions=release.at(host, shipped, trial), before=chosen.synapse.version)
    return Session(host, site, components.needs(site), components.resources(site), Manifest.read(host))


def outgrown(host: Host, site: Site, trial: str) -> bool:
    """Whether a version on trial has changed the database beyond what the old one can use: no way back then."""
    try:
        least = schema.oldest(host, site.store(USER))
        return least > schema.understood(host, f"{release.OPT}/{site.versions.synapse.version}/bin/python")
    except Error:
        return False


def at(now: Session, version: str) -> Session:
    """The same machine and config with another Synapse; the present one is kept for a way back."""
    other = release.at(now.host, versions.read(), version)
    site = replace(now.site, versions=other, before=now.site.versions.synapse.version)
    return Session(now.host, site, components.needs(site), components.resources(site), now.manifest)
