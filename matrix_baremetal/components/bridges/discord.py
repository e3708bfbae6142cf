"""Discord, by mautrix-discord, which is of the older make: its config has another form than those of the others.

That form is upstream's mautrix-discord, example-config.yaml; what is not said there is as upstream has it.
"""

from __future__ import annotations

from typing import Any

from matrix_baremetal.components.bridges.mautrix import MautrixBridge
from matrix_baremetal.config_beside import Mautrix
from matrix_baremetal.resources.files import Secret


class Discord(MautrixBridge):
    """mautrix-discord."""

    name = "discord"
    network = "Discord"
    bot = "discordbot"
    port = 29334
    people = "discord_"
    steps = (
        "Discord allows no programs in place of its own and has locked accounts: do not use one that you can't lose",
        "Begin a chat without encryption with {bot} and say there: login-qr",
        "On the phone, in Discord: Settings, Scan QR Code, and scan the picture that came",
        "Where the answer speaks of a CAPTCHA there is one other way: https://docs.mau.fi, Discord, Authentication",
        "Direct chats come by themselves; guilds status lists the servers, guilds bridge ID --entire brings one",
    )

    @property
    def asked(self) -> Mautrix:
        """What the config says of it."""
        return self.config.bridges.discord

    @property
    def tokens(self) -> tuple[Secret, ...]:
        """Those of the others but for the key of the keys in its database, which is in the program here."""
        return tuple(each for each in super().tokens if not each.path.endswith("pickle_key"))

    def written(self) -> dict[str, Any]:
        """What the others have at the top is in two places here, and what they have under `network` in a third."""
        found = super().written()
        encryption = {key: found["encryption"][key] for key in ("allow", "default", "msc4190")}
        doubles = found["double_puppet"]
        return {
            "homeserver": found["homeserver"],
            "appservice": {
                **{key: value for key, value in found["appservice"].items() if key != "username_template"},
                "database": found["database"],
            },
            "bridge": {
                **found["bridge"],
                "username_template": found["appservice"]["username_template"],
                "double_puppet_server_map": doubles["servers"],
                "double_puppet_allow_discovery": False,
                "login_shared_secret_map": doubles["secrets"],
                "provisioning": {"shared_secret": "disable"},
                "encryption": encryption,
            },
            "logging": found["logging"],
        }
