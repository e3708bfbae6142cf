"""What most commands begin with: the config read, the machine looked at, and the declarations made of both."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from matrix_baremetal import components, config, facts, versions
from matrix_baremetal.host import Host
from matrix_baremetal.manifest import Manifest
from matrix_baremetal.needs import Needs
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


def of(host: Host, wanted: config.Config, wheelhouse: str | None = None) -> Session:
    """A session for a config that was read already."""
    site = Site(wanted, facts.read(host), versions.read(), wheelhouse)
    return Session(host, site, components.needs(site), components.resources(site), Manifest.read(host))
