"""The parts of a Matrix host. ALL is the order of an install."""

from __future__ import annotations

from matrix_baremetal.checks import declared
from matrix_baremetal.checks.check import Check
from matrix_baremetal.components.admin_ui import AdminUi
from matrix_baremetal.components.alerts import Alerts
from matrix_baremetal.components.backup import Backup
from matrix_baremetal.components.base import Base
from matrix_baremetal.components.bridges import BRIDGES
from matrix_baremetal.components.call_page import CallPage
from matrix_baremetal.components.calls import Calls
from matrix_baremetal.components.certificates import Certificates
from matrix_baremetal.components.component import Component
from matrix_baremetal.components.ddns import Ddns
from matrix_baremetal.components.delegation import Delegation
from matrix_baremetal.components.doctor import Doctor
from matrix_baremetal.components.firewall import Firewall
from matrix_baremetal.components.former_hostnames import FormerHostnames
from matrix_baremetal.components.jitsi import Jitsi
from matrix_baremetal.components.ldap import Ldap
from matrix_baremetal.components.mail import Mail
from matrix_baremetal.components.metrics import Metrics
from matrix_baremetal.components.nginx import Nginx
from matrix_baremetal.components.oidc import Oidc
from matrix_baremetal.components.postgres import Postgres
from matrix_baremetal.components.registration import Registration
from matrix_baremetal.components.sqlite import Sqlite
from matrix_baremetal.components.synapse import Synapse
from matrix_baremetal.components.turn import Turn
from matrix_baremetal.components.users import Users
from matrix_baremetal.components.web_client import WebClient
from matrix_baremetal.components.welcome import Welcome
from matrix_baremetal.data import Data
from matrix_baremetal.needs import Needs
from matrix_baremetal.resources.files import Directory
from matrix_baremetal.resources.resource import Resource
from matrix_baremetal.site import Site

ALL: tuple[type[Component], ...] = (
    Base,
    # A certificate is ordered only for names that lead here.
    Ddns,
    Postgres,
    Sqlite,
    Registration,
    Mail,
    Oidc,
    Ldap,
    Synapse,
    FormerHostnames,
    Delegation,
    Welcome,
    WebClient,
    AdminUi,
    CallPage,
    Nginx,
    # The authority has to get in before a certificate is ordered.
    Firewall,
    Certificates,
    Users,
    Alerts,
    Metrics,
    Backup,
    Turn,
    Calls,
    Jitsi,
    *BRIDGES,
    Doctor,
)


def needs(site: Site) -> Needs:
    """What the components of a site need of each other."""
    return Needs(tuple(need for part in parts(site) for need in part.needs()))


def resources(site: Site) -> tuple[Resource, ...]:
    """All that should be on the host of a site, in the order of making."""
    wanted = needs(site)
    every = [resource for part in parts(site) for resource in part.resources(wanted)]
    # A directory that several of them have something in is made once.
    return tuple(each for n, each in enumerate(every) if not isinstance(each, Directory) or each not in every[:n])


def checks(site: Site) -> tuple[Check, ...]:
    """All that doctor asks of a site: the machine and its names first, then what stands on them."""
    wanted = needs(site)
    free = declared.checks(resources(site), wanted)
    return tuple(sorted((*free, *(c for part in parts(site) for c in part.checks(wanted))), key=lambda c: c.depth))


def data(site: Site) -> Data:
    """All that a backup of a site must hold."""
    wanted = needs(site)
    found = Data()
    for part in parts(site):
        found += part.data(wanted)
    return found


def parts(site: Site) -> tuple[Component, ...]:
    """The components that a site has."""
    return tuple(part for part in (kind(site) for kind in ALL) if part.wanted())
