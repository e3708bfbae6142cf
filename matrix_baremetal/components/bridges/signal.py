"""Signal, by mautrix-signal: linked to a person's phone like Signal's own desktop program."""

from __future__ import annotations

from matrix_baremetal.components.bridges.mautrix import MautrixBridge
from matrix_baremetal.config_beside import Mautrix


class Signal(MautrixBridge):
    """mautrix-signal."""

    name = "signal"
    network = "Signal"
    bot = "signalbot"
    port = 29328
    people = "signal_"
    steps = (
        "Begin a chat with {bot} and say there: login",
        "On the phone, in Signal: Settings, Linked devices, link a new one, and scan the picture that came",
        "The phone asks whether to hand over older messages; either is fine",
        "The chats come by themselves, those without older messages as somebody writes",
    )

    @property
    def asked(self) -> Mautrix:
        """What the config says of it."""
        return self.config.bridges.signal
