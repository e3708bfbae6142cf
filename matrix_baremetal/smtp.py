"""Talk to a mail server: as far as to log in, or until it has taken a mail. `Net.smtp` is how it is reached."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from email.message import EmailMessage
    from smtplib import SMTP

PATIENCE = 8.0


@dataclass(frozen=True)
class MailServer:
    """Where it is and how it is spoken to: `encryption` is tls, starttls or none; without `user` nobody logs in."""

    host: str
    port: int
    encryption: str
    user: str = ""
    password: str = field(default="", repr=False)


def fault(asked: MailServer, mail: EmailMessage | None = None) -> str:
    """Why it would not take our mail, in a sentence; nothing where it would, or has taken the one that is given."""
    import smtplib
    import ssl

    try:
        with connected(asked) as server:
            if asked.encryption == "starttls":
                server.starttls(context=ssl.create_default_context())
            if asked.user:
                login(server, asked)
            if mail is not None:
                server.send_message(mail)
            status, _ = server.noop()
    except smtplib.SMTPAuthenticationError as error:
        return f"it refuses the login of {asked.user}: {words(error.smtp_error)}"
    except smtplib.SMTPRecipientsRefused as error:
        [(_, said), *_] = error.recipients.values()
        return f"it refuses the address: {words(said)}"
    except smtplib.SMTPResponseException as error:
        return f"it refuses: {words(error.smtp_error)}"
    except smtplib.SMTPNotSupportedError as error:
        return f"it does not speak what is asked of it: {error}"
    except ssl.SSLError as error:
        return f"its TLS does not hold: {getattr(error, 'verify_message', '') or error.reason or error}"
    except (OSError, smtplib.SMTPException) as error:
        return f"it does not answer: {getattr(error, 'strerror', None) or error or type(error).__name__}"
    return "" if status == 250 else f"it answers {status} to a NOOP"


def connected(asked: MailServer) -> SMTP:
    """A connection, over TLS from its first byte where that is asked for."""
    import smtplib
    import ssl

    if asked.encryption == "tls":
        return smtplib.SMTP_SSL(asked.host, asked.port, timeout=PATIENCE, context=ssl.create_default_context())
    return smtplib.SMTP(asked.host, asked.port, timeout=PATIENCE)


def login(server: SMTP, asked: MailServer) -> None:
    """Log in. Raises `SMTPException`."""
    import base64
    import smtplib

    if (asked.user + asked.password).isascii():
        server.login(asked.user, asked.password)
        return
    # smtplib knows ASCII alone; Synapse logs in so too (RFC 4616 §2: UTF-8).
    words = f"\0{asked.user}\0{asked.password}".encode("utf-8", "surrogateescape")
    server.ehlo_or_helo_if_needed()
    if not server.has_extn("auth"):
        raise smtplib.SMTPNotSupportedError("it takes no login")
    status, said = server.docmd("AUTH", f"PLAIN {base64.b64encode(words).decode()}")
    if status not in (235, 503):
        raise smtplib.SMTPAuthenticationError(status, said)


def words(said: bytes | str) -> str:
    """The first line of what a server said, without what can't be shown."""
    text = said.decode("utf-8", "replace") if isinstance(said, bytes) else said
    return "".join(char for char in text.partition("\n")[0] if char.isprintable())[:120]
