"""One's own Matrix homeserver on Debian, without Docker: declare, compare, converge, explain."""

__version__ = "0.1.0"
