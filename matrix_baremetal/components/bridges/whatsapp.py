"""WhatsApp, by mautrix-whatsapp: linked to a person's phone like WhatsApp Web."""

from __future__ import annotations

from matrix_baremetal.components.bridges.mautrix import MautrixBridge
from matrix_baremetal.config_beside import Mautrix


class Whatsapp(MautrixBridge):
    """mautrix-whatsapp."""

    name = "whatsapp"
    network = "WhatsApp"
    bot = "whatsappbot"
    port = 29318
    people = "whatsapp_"
    steps = (
        "Begin a chat with {bot} and say there: login qr",
        "On the phone, in WhatsApp: Settings, Linked devices, Link a device, and scan the picture that came",
        "Or say: login phone, then the phone's number as in +49123456789, and enter the code on the phone",
        "A minute later the chats come by themselves; the phone has to be online once in two weeks",
    )

    @property
    def asked(self) -> Mautrix:
        """What the config says of it."""
        return self.config.bridges.whatsapp
