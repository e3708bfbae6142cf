"""What an ACME authority said by way of certbot, in words: why it refused, and how long it wants to be left alone."""

from __future__ import annotations

import email.utils
import re
import textwrap
import time
from dataclasses import dataclass


@dataclass(frozen=True)
class Refusal:
    """Why there is no certificate. `asked` says that it is the authority's own word, `wait` that it named seconds."""

    reason: str
    asked: bool = False
    wait: float = 0


# The error types of RFC 8555 §6.7, in words.
WORDS = {
    "dns": "the certificate authority cannot find the name in DNS",
    "connection": "the certificate authority cannot reach port 80 of this machine under that name",
    "unauthorized": "another web server answered under that name",
    "caa": "the domain's CAA record forbids this certificate authority",
    "rateLimited": "the certificate authority's rate limit is reached",
    "rejectedIdentifier": "the certificate authority gives no certificates for this name",
    "badNonce": "the certificate authority was busy",
}
# With dns-01 the authority looks for a record, and no web server is asked.
BY_DNS = {
    "dns": "the certificate authority cannot find the record that proves the name",
    "unauthorized": "the certificate authority found another record than the one that proves the name",
    "connection": "the certificate authority cannot reach the name's DNS servers",
}


def refusal(output: str, log: str, *, dns: bool = False) -> Refusal:
    """Why certbot failed, in words: from what it printed, else from what it logged meanwhile.

    certbot 2.1 can hide an ACME failure behind an AttributeError; the log has the authority's own answer then.
    With dns-01 (`dns`) it may be the plugin that failed, before any authority was asked to look.
    """
    if failed := re.findall(r"^certbot\.errors\.PluginError: (.+)$", log, re.MULTILINE) if dns else ():
        return Refusal(f"the DNS plugin failed: {textwrap.shorten(failed[-1], 200, placeholder=' …')}")
    for text in (output, log):
        kinds = re.findall(r"^\s*Type:\s+(\w+)", text, re.M) or re.findall(r"urn:ietf:params:acme:error:(\w+)", text)
        details = re.findall(r"^\s*Detail:\s+(.+)$", text, re.M) or re.findall(
            r'"detail":\s*"((?:[^"\\]|\\.)+)"', text
        )
        if kinds:
            # The last: certbot gets over a badNonce, and says it all the same.
            said = ": " + details[-1].strip().replace('\\"', '"') if details else ""
            words = {**WORDS, **(BY_DNS if dns else {})}
            why = words.get(kinds[-1], f"the certificate authority said {kinds[-1]}") + said
            return Refusal(why, asked=True, wait=retry_after(log) if kinds[-1] == "rateLimited" else 0)
    return Refusal(without_authority(output, log))


def without_authority(output: str, log: str) -> str:
    """Why certbot failed where no authority had a word in it."""
    if "Another instance of Certbot" in output:
        return "another certbot is at work on this machine"
    if re.search(
        r"ConnectionError|NewConnectionError|Max retries|timed out|Network is unreachable", output + log[-5000:]
    ):
        return "the certificate authority cannot be reached from this machine"
    lines = [line.strip() for line in output.splitlines() if line.strip() and not line.startswith(("Saving", "Ask"))]
    return f"certbot failed: {lines[-1] if lines else 'see /var/log/letsencrypt/letsencrypt.log'}"


def retry_after(log: str) -> float:
    """The seconds of the last Retry-After in certbot's log, which is a number or a date (RFC 9110 §10.2.3)."""
    found = re.findall(r"^Retry-After:\s*(.+?)\s*$", log, re.MULTILINE | re.IGNORECASE)
    if not found:
        return 0
    if found[-1].isdigit():
        return float(found[-1][:9])
    try:
        return max(email.utils.parsedate_to_datetime(found[-1]).timestamp() - time.time(), 0)
    except ValueError:
        return 0
