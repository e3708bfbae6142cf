"""Bridges to other networks, one file each. BRIDGES is the order of an install."""

from __future__ import annotations

from matrix_baremetal.components.bridges.bridge import Bridge
from matrix_baremetal.components.bridges.discord import Discord
from matrix_baremetal.components.bridges.irc import Irc
from matrix_baremetal.components.bridges.signal import Signal
from matrix_baremetal.components.bridges.telegram import Telegram
from matrix_baremetal.components.bridges.whatsapp import Whatsapp
from matrix_baremetal.components.bridges.xmpp import Xmpp

BRIDGES: tuple[type[Bridge], ...] = (Irc, Whatsapp, Telegram, Signal, Discord, Xmpp)
