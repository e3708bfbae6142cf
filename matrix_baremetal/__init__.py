"""One's own Matrix homeserver on Debian, without Docker: declare, compare, converge, explain."""

__version__ = "0.1.0"

# Where the package puts its pages for operators.
HOW_TO = "/usr/share/doc/matrix-baremetal/how-to"
