"""mail: send one, by the mail server that the config names, and say in words what came of it."""

from __future__ import annotations

from argparse import Namespace

from matrix_baremetal import alert, report, session
from matrix_baremetal.errors import Error
from matrix_baremetal.session import Session

BODY = """\
This mail was sent by hand, to see whether mail leaves the Matrix homeserver {name}:

  matrix-baremetal mail test {to}

If you read it, it does: people can prove their addresses and set new passwords. Where it came as spam, the domain of
{sender} should say in the DNS who sends for it (SPF, DKIM); whoever runs the mail server knows how.
"""


def run(args: Namespace) -> int:
    """Do what `mail test` says."""
    now = session.begin(args.root, args.config)
    host = test(now, args.address)
    if args.json:
        report.document({"to": args.address, "taken": True})
    elif not args.quiet:
        print(f"{host} took the mail to {args.address}. Look whether it comes, and not as spam.")
    return 0


def test(now: Session, to: str) -> str:
    """Send it, and say who took it. Raises `Error` where there is no mail server, or it does not take it."""
    config = now.site.config
    if config.mail is None:
        hint = "write mail: {smtp: {host: …, from: …}} into the config, then: matrix-baremetal apply"
        raise Error("the config names no mail server, so no mail leaves this server", hint=hint)
    smtp = config.mail.smtp
    body = BODY.format(name=config.server_name, to=to, sender=smtp.from_)
    if fault := alert.post(now.host, config, to, f"A test of the mail of {config.server_name}", body):
        message = f"the mail server {smtp.host}:{smtp.port} did not take the mail: {fault}"
        raise Error(
            message, hint="mend mail.smtp in the config, then: matrix-baremetal apply; matrix-baremetal doctor mail"
        )
    return smtp.host
