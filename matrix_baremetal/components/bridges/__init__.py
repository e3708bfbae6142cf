"""Bridges to other networks, one file each. BRIDGES is the order of an install."""

from __future__ import annotations

from matrix_baremetal.components.bridges.bridge import Bridge
from matrix_baremetal.components.bridges.irc import Irc

BRIDGES: tuple[type[Bridge], ...] = (Irc,)
