"""How pebble, Let's Encrypt's own test server, is run: in the lab's pretend internet, and on a machine of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

PORT, MANAGEMENT = 14000, 15000
# Certificates that pebble issues live this long unless a test wants others.
VALIDITY = 90 * 86400
# No pause before a validation, no refused nonces at random, and no authorization used twice: else a renewal succeeds
# though port 80 is closed.
ENVIRONMENT = {"PEBBLE_VA_NOSLEEP": "1", "PEBBLE_WFE_NONCEREJECT": "0", "PEBBLE_AUTHZREUSE": "0"}


def config(address: str, certificate: Path, key: Path, validity: int = VALIDITY) -> dict[str, Any]:
    """Its config file for listening at an address. validity: seconds that what it issues lives."""
    return {
        "pebble": {
            "listenAddress": f"{address}:{PORT}",
            "managementListenAddress": f"{address}:{MANAGEMENT}",
            "certificate": str(certificate),
            "privateKey": str(key),
            "httpPort": 80,
            "tlsPort": 443,
            "certificateValidityPeriod": validity,
        }
    }


def argv(config: Path, address: str) -> list[str]:
    """The command that runs it; it asks the DNS server at `address`."""
    return ["/usr/bin/pebble", "-config", str(config), "-dnsserver", f"{address}:53"]
