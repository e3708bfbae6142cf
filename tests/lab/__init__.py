"""A pretend internet with Debian guests in it: systemd-nspawn machines, DNS, Let's Encrypt played by pebble."""

from .errors import CommandFailed, CommandTimeout, LabError
from .guest import Guest
from .lab import Lab

__all__ = ["CommandFailed", "CommandTimeout", "Guest", "Lab", "LabError"]
