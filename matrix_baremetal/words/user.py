"""The words of `user`."""

from __future__ import annotations

import argparse

from matrix_baremetal.words.common import Commands, Words, actions, command, localpart

EXAMPLE = """\
  matrix-baremetal user list
  matrix-baremetal user add bob                          asks for the password
  matrix-baremetal user add bob --generate               invents one
  matrix-baremetal user add eve --admin --password-stdin < file
  matrix-baremetal user show bob
  matrix-baremetal user passwd bob --generate"""
PASSWD = """\
  matrix-baremetal user passwd bob                       asks for the new password
  matrix-baremetal user passwd bob --generate            invents one
  matrix-baremetal user passwd bob --keep-devices        who is logged in stays so"""
ADMIN = """\
  matrix-baremetal user admin bob
  matrix-baremetal user admin bob --revoke"""
DEACTIVATE = """\
  matrix-baremetal user deactivate bob                   asks whether you mean it
  matrix-baremetal user deactivate bob --erase --yes"""
EXPORT = """\
  matrix-baremetal user export bob
  matrix-baremetal user export bob --to /root/bob.tar.gz"""
IMPORT = """\
  matrix-baremetal user import people.csv

people.csv, of which the first column alone has to be there:
  name,displayname,email,admin,password
  alice,Alice Liddell,alice@example.net,yes,
  bob,Bob,,,

Without a password one is invented. Accounts that are there already stay as they are."""


def add(commands: Commands) -> None:
    """user list, add, show, passwd, admin, deactivate, export, import."""
    ways = actions(command(commands, "user", "accounts of the homeserver", EXAMPLE))
    command(ways, "list", "all accounts", "  matrix-baremetal user list --json")
    words = command(ways, "add", "make an account", EXAMPLE)
    words.add_argument("name", metavar="NAME", type=localpart, help="alice, for @alice:example.org")
    words.add_argument("--admin", action="store_true", help="make an administrator")
    password(words)
    words = command(ways, "show", "all that is known of an account", "  matrix-baremetal user show bob --json")
    somebody(words)
    words = command(ways, "passwd", "give an account another password", PASSWD)
    somebody(words)
    password(words)
    words.add_argument("--keep-devices", action="store_true", help="log nobody out; default: all devices are")
    words = command(ways, "admin", "make somebody an administrator, or not any more", ADMIN)
    somebody(words)
    words.add_argument("--revoke", action="store_true", help="not any more")
    words = command(ways, "deactivate", "close an account for good", DEACTIVATE)
    somebody(words)
    words.add_argument("--erase", action="store_true", help="hide its messages from who joins a room later")
    words.add_argument("--yes", action="store_true", help="do not ask")
    words = command(ways, "export", "write all that the server has of somebody into a file", EXPORT)
    somebody(words)
    words.add_argument("--to", metavar="FILE", help="a new file; default: NAME-DATE.tar.gz, here")
    words = command(ways, "import", "make the accounts that a CSV file lists", IMPORT)
    words.add_argument("file", metavar="FILE", help="a CSV file, its first line names the columns")


def somebody(words: Words) -> None:
    """An account that is there; whether it is of this server, only the config says."""
    words.add_argument("name", metavar="NAME", help="alice or @alice:example.org")


def password(words: argparse.ArgumentParser) -> None:
    """Where a password comes from: a prompt, unless one of these is said."""
    source = words.add_mutually_exclusive_group()
    source.add_argument("--password-stdin", action="store_true", help="read the password from stdin, one line")
    source.add_argument("--generate", action="store_true", help="invent a password and keep it for root to read")
