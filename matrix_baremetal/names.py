"""What names, addresses and paths may look like: allow-lists, each a function from a text to the text to use.

Pure and free of imports from the package, so a prompt, the config and a CSV of users share one set of rules. Every
check raises `ValueError` with one sentence that says what is wrong and what to write. They are stricter than the
standards where a value ends up in nginx, SQL, systemd or a command line: what no rule lets in needs no quoting there.
"""

from __future__ import annotations

import ipaddress
import re
import unicodedata

LONGEST_SERVER_NAME = 230  # Matrix spec, appendix "Server Name": longer names don't fit into a user id
LONGEST_HOSTNAME = 253  # RFC 1035
LONGEST_USER_ID = 255  # Matrix spec, appendix "User Identifiers"; Synapse's MAX_USERID_LENGTH
LONGEST_EMAIL = 254  # RFC 5321
LONGEST_PATH = 4095  # PATH_MAX less its end

_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")  # RFC 1123
_LOCALPART = re.compile(r"[a-z0-9][a-z0-9._=+-]*")
_HISTORICAL = re.compile(r"[!-9;-~]+")  # Matrix spec, "Historical User IDs": what accounts from long ago may have
_BCRYPT = re.compile(r"\$2[aby]\$(0[4-9]|[12][0-9]|3[01])\$[./A-Za-z0-9]{53}")
_GUEST = re.compile(r"[0-9]+")
_MAILBOX = re.compile(r"[A-Za-z0-9_+-]+(\.[A-Za-z0-9_+-]+)*")
_URL = re.compile(r"https://([A-Za-z0-9.-]+)(:[0-9]{1,5})?((/[A-Za-z0-9._~+=,:-]*)*)")
# certbot's DNS plugins that take no file with credentials, which is how all others are told who we are.
WITHOUT_CREDENTIALS = ("route53", "standalone")
_PLUGIN = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_AGE = re.compile(r"age1[a-z0-9]{58}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_LOGIN = re.compile(r"[A-Za-z0-9._@+:~-]{1,200}")
_PATH = re.compile(r"[A-Za-z0-9._/+@:-]+")


def shown(text: str, most: int = 40) -> str:
    """Quote somebody else's text for a message: one line, no control characters, not long.

    A config may hold terminal escapes or a right-to-left override; a message must not pass them on.
    """
    cut = text if len(text) <= most else text[: most - 1] + "…"
    return '"' + "".join(char if char.isprintable() else f"\\u{ord(char):04x}" for char in cut) + '"'


def server_name(text: str) -> str:
    """Check the part after the colon in @alice:example.org, in the form that never has to change.

    Rules: Matrix spec, appendix "Server Name", less ports and addresses (a certificate and delegation need a name),
    and lower case only, for servers compare names byte by byte.
    """
    return _domain(text, "a server name", LONGEST_SERVER_NAME)


def hostname(text: str) -> str:
    """Check a name in the DNS that nginx answers to and that gets a certificate (RFC 1123)."""
    return _domain(text, "a host name", LONGEST_HOSTNAME)


def remote_server(text: str) -> str:
    """Check another server's name, which may have a port or be an address: we don't choose it."""
    host, colon, port = text.rpartition(":") if re.search(r":[0-9]+\Z", text) else (text, "", "")
    if colon and not 1 <= int(port[:6]) <= 65535:
        raise ValueError(f"the port in {shown(text)} is not between 1 and 65535")
    if not _is_address(host.removeprefix("[").removesuffix("]")):
        server_name(host)
    return text


def email(text: str) -> str:
    """Check an e-mail address as certificate authorities take them: no quoted parts, no comments, no display name.

    A subset of RFC 5321. The domain is made lower case, the mailbox is left alone: its case may matter.
    """
    mailbox, at, domain = text.rpartition("@")
    if not at:
        raise ValueError(f"{shown(text)} is no e-mail address; write it like admin@example.org")
    if not _MAILBOX.fullmatch(mailbox) or len(mailbox) > 64 or len(text) > LONGEST_EMAIL:
        raise ValueError(
            f"{shown(text)} is no e-mail address that can be used here; before the @ write letters, digits, dots, "
            "+, - and _ only, at most 64"
        )
    return f"{mailbox}@{hostname(domain.lower())}"


def mail_host(text: str) -> str:
    """Check where a mail server is: a name, an address, or this machine."""
    return text if text == "localhost" or _is_address(text) else hostname(text)


def line(text: str) -> str:
    """Check a text that goes on one line of a file."""
    if not 0 < len(text) <= 255 or not text.isprintable():
        raise ValueError(f"{shown(text)} has to be one line of 1 to 255 characters")
    return text


def login(text: str) -> str:
    """Check with what name a program logs in elsewhere: characters that mean nothing in its config."""
    if not _LOGIN.fullmatch(text):
        raise ValueError(f"{shown(text)} is no usable user name; write letters, digits and . _ @ + : ~ - only")
    return text


def localpart(text: str) -> str:
    """Check the part before the colon in @alice:example.org for a new user.

    Rules: Matrix spec, appendix "User Identifiers" (historical ids aren't allowed); Synapse's own: a leading
    underscore is for bridges, digits alone are for guests; and ours: no slash, and a letter or digit first, for
    a name becomes an argument and part of a file's name.
    """
    if not text:
        raise ValueError("a user name can't be empty; write one like alice")
    if text.startswith("@") or ":" in text:
        raise ValueError(f"{shown(text)} is a whole Matrix id; write only what is between @ and the colon")
    if text != text.lower() and _LOCALPART.fullmatch(text.lower()):
        raise ValueError(f"a user name is lower case; write {shown(text.lower(), 255)}")
    if text.startswith("_"):
        raise ValueError("a user name can't begin with an underscore; those names are for bridges")
    if not _LOCALPART.fullmatch(text):
        raise ValueError(
            f"{shown(text)} is no user name; write lower case letters, digits and . _ = - + "
            "only, a letter or digit first"
        )
    if _GUEST.fullmatch(text):
        raise ValueError(f"{shown(text)} is a number, which Synapse keeps for guests; add a letter")
    if len(text) > LONGEST_USER_ID - len("@:a.b"):
        raise ValueError(f"a user name of {len(text)} characters is too long for a Matrix id")
    return text


def user_id(name: str, server: str) -> str:
    """Join a checked user name and server name into a Matrix id, which has a length of its own (255)."""
    joined = f"@{name}:{server}"
    if len(joined) > LONGEST_USER_ID:
        raise ValueError(f"{shown(joined)} has {len(joined)} characters, and a Matrix id at most {LONGEST_USER_ID}")
    return joined


def local_user(text: str, server: str) -> str:
    """Check the name of somebody who may be there already, alice or @alice:example.org, and give the whole Matrix id.

    Accounts from long ago have names that no new one can have, so all is let in that Matrix ever allowed.
    """
    name, colon, home = text.removeprefix("@").partition(":")
    if colon and home != server:
        raise ValueError(f"{shown(text)} is not of this server, which is {server}")
    if not _HISTORICAL.fullmatch(name):
        raise ValueError(f"{shown(text)} can't be a user; write a name like alice or @alice:{server}")
    return user_id(name, server)


def bcrypt(text: str) -> str:
    """Check the hash of a password as Synapse keeps it; what is no hash may be a password, so it is not shown."""
    if not _BCRYPT.fullmatch(text):
        raise ValueError(
            "this is no bcrypt hash, which is $2b$12$ and 53 characters; make one with: mkpasswd -m bcrypt -R 12"
        )
    return text


def url(text: str) -> str:
    """Check a web address that a program is given: https, a host, a path; no user, query, fragment or "..".

    Plain http is refused even to this machine: what we fetch so (an ACME directory) decides whom we trust.
    ".." is refused because certbot names a folder by host and path.
    """
    if text.lower().startswith("http://"):
        raise ValueError("http:// is not encrypted; write an address that begins with https://")
    found = _URL.fullmatch(text)
    if not found or len(text) > 2000 or {".", ".."} & set(text.split("/")):
        raise ValueError(f"{shown(text)} is no usable web address; write it like https://acme.example.org/directory")
    labels = found[1].lower().split(".")
    port = int((found[2] or ":443")[1:])
    if not all(_LABEL.fullmatch(label) for label in labels) or not 1 <= port <= 65535:
        raise ValueError(f"{shown(text)} has no valid host name and port; write it like https://acme.example.org/")
    return text


def sha256(text: str) -> str:
    """Check the hash of a file, as `sha256sum` prints it."""
    if not _SHA256.fullmatch(text):
        raise ValueError(f"{shown(text)} is no sha256, which has 64 digits of 0-9 and a-f; see: sha256sum FILE")
    return text


def network(text: str) -> str:
    """Check a network as nginx takes it, 192.0.2.0/24 or one address; never all of the internet."""
    try:
        found = ipaddress.ip_network(text)
    except ValueError:
        raise ValueError(f"{shown(text)} is no network; write one like 192.0.2.0/24, or an address") from None
    if not found.prefixlen:
        raise ValueError(f"{text} is all of the internet; write the networks that it is for")
    return str(found)


def dns_plugin(text: str) -> str:
    """Check the name of one of certbot's DNS plugins, which is part of a Debian package's name and of options."""
    if not _PLUGIN.fullmatch(text):
        raise ValueError(f"{shown(text)} is no name of a DNS plugin of certbot; write one like rfc2136 or cloudflare")
    if text.startswith("dns-"):
        raise ValueError(f"the name of the plugin is written without dns-; write {shown(text.removeprefix('dns-'))}")
    if text in WITHOUT_CREDENTIALS:
        raise ValueError(f"the plugin {text} takes no file with credentials, and is not supported")
    return text


def path(text: str) -> str:
    """Check an absolute path of characters that mean nothing to a shell, nginx, systemd or SQL; in one spelling."""
    if not text.startswith("/"):
        raise ValueError(f"{shown(text)} is no absolute path; begin it with /")
    if ".." in text.split("/"):
        raise ValueError(f"{shown(text)} goes up with ..; write the path that is meant")
    if not _PATH.fullmatch(text):
        raise ValueError(f"{shown(text)} is no usable path; write letters, digits and . _ / + @ : - only")
    if len(text) > LONGEST_PATH or any(len(part) > 255 for part in text.split("/")):
        raise ValueError(f"{shown(text)} is longer than a path can be")
    # One spelling for each place: /a/ and /a/./ are not another directory than /a.
    return "/" + "/".join(part for part in text.split("/") if part not in ("", "."))


def recipient(text: str) -> str:
    """Check whom a backup is encrypted to: a public key of age as it prints them, or the file of one of gpg."""
    if text.startswith("/"):
        return path(text)
    if text.startswith("AGE-SECRET-KEY-"):
        # Not shown again.
        raise ValueError("this is a private key of age; write the public one, which begins with age1")
    if not _AGE.fullmatch(text):
        raise ValueError(
            f"{shown(text)} is no recipient; write a public key of age (age1…) or the path of one of gpg"
        )
    return text


def _domain(text: str, what: str, longest: int) -> str:
    bare = text.lower().removesuffix(".")
    if not text:
        raise ValueError(f"{what} can't be empty; write one like example.org")
    if len(text) > longest:
        raise ValueError(f"{what} has at most {longest} characters, this one has {len(text)}")
    if "://" in text:
        raise ValueError(
            f"{what} is no web address; leave out {shown(text.partition('://')[0] + '://')} and any path"
        )
    if _is_address(text.removeprefix("[").partition("]")[0]) or _is_address(text.partition(":")[0]):
        raise ValueError(f"{what} can't be an IP address, for certificates and delegation need a name")
    if re.fullmatch(r"[^:]+:[0-9]+", text):
        raise ValueError(f"{what} has no port; write {shown(bare.partition(':')[0])}")
    if not text.isascii():
        raise ValueError(_international(text, what))
    if "_" in text and _plain_domain(bare.replace("_", "-")):
        raise ValueError(
            f"{what} has no underscore, for no certificate could name it; write a hyphen or leave it out"
        )
    if not _plain_domain(bare):
        raise ValueError(
            f"{shown(text)} can't be {what}; write parts of letters, digits and inner hyphens, at most 63 each, "
            "with dots between them"
        )
    if text.endswith("."):
        raise ValueError(f"{what} doesn't end with a dot; write {shown(bare, longest)}")
    if text != bare:
        raise ValueError(f"{what} is lower case; write {shown(bare, longest)}")
    if "." not in text:
        raise ValueError(
            f"{shown(text)} has no dot, and {what} is a name that other machines can find; write all of it"
        )
    if text.rpartition(".")[2].isdigit():
        raise ValueError(f"{shown(text)} ends with a number, which no name in the DNS does; write the whole name")
    return text


def _plain_domain(text: str) -> bool:
    return all(_LABEL.fullmatch(label) for label in text.split("."))


def _international(text: str, what: str) -> str:
    # Punycode by hand: Python's "idna" codec is that of 2003, which turns ß into ss, another domain.
    labels = unicodedata.normalize("NFC", text.lower()).removesuffix(".").split(".")
    if all(
        label and all(unicodedata.category(char)[0] in "LMN" or char == "-" for char in label) for label in labels
    ):
        wire = [label if label.isascii() else "xn--" + label.encode("punycode").decode() for label in labels]
        if _plain_domain(".".join(wire)):
            return f"{what} is written as the DNS has it; write {shown('.'.join(wire), LONGEST_HOSTNAME)}"
    return f"{shown(text)} can't be {what}; write letters a to z, digits, hyphens and dots only"


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
