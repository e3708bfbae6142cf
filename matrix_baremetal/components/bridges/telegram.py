"""Telegram, by mautrix-telegram: one more of a person's devices there."""

from __future__ import annotations

from typing import Any

from matrix_baremetal.components.bridges.mautrix import MautrixBridge
from matrix_baremetal.config_beside import Telegram as Asked


class Telegram(MautrixBridge):
    """mautrix-telegram, which needs what Telegram gives to programs: an id, and a hash that goes with it."""

    name = "telegram"
    network = "Telegram"
    bot = "telegrambot"
    port = 29317
    people = "telegram_"
    keys = "enabled: true, api_id: NUMBER, api_hash_file: PATH"
    steps = (
        "Begin a chat with {bot} and say there: login qr",
        "On the phone, in Telegram: Settings, Devices, Link Desktop Device, and scan the picture that came",
        "Or say: login phone, then the phone's number as in +49123456789, then the code that comes in Telegram",
        "Where there is a second password, the bot asks for it; the chats come by themselves then",
    )

    @property
    def asked(self) -> Asked:
        """What the config says of it."""
        return self.config.bridges.telegram

    @property
    def borrowed(self) -> dict[str, str]:
        """The operator's own file with the hash."""
        return {"api_hash": self.asked.api_hash_file or ""}

    def network_settings(self) -> dict[str, Any]:
        """By what Telegram knows the program."""
        return {"api_id": self.asked.api_id, "api_hash": "{api_hash}"}
