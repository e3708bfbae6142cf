"""Allow-lists: what is let in, what is not, and that every refusal is one printable sentence."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from matrix_baremetal import names

Check = Callable[[str], str]


def refusal(check: Check, text: str) -> str:
    with pytest.raises(ValueError, match=r".") as caught:
        check(text)
    assert type(caught.value) is ValueError
    return str(caught.value)


def assert_sentence(text: str) -> None:
    assert text.isprintable()
    assert 10 < len(text) < 500
    assert " " in text


@pytest.mark.parametrize(
    "text",
    [
        "example.org",
        "a.b",
        "matrix.example.org",
        "xn--mnchen-3ya.de",
        "1.example.org",
        "a-b.example",
        "x" * 63 + ".org",
    ],
)
def test_server_name_is_kept(text: str) -> None:
    assert names.server_name(text) == names.hostname(text) == names.remote_server(text) == text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("example.org:8448", 'has no port; write "example.org"'),
        ("Example.ORG:8448", 'write "example.org"'),
        ("https://example.org", 'leave out "https://"'),
        ("https://example.org/", "no web address"),
        ("Example.org", 'lower case; write "example.org"'),
        ("example.org.", 'doesn\'t end with a dot; write "example.org"'),
        ("192.0.2.1", "can't be an IP address"),
        ("192.0.2.1:8448", "can't be an IP address"),
        ("2001:db8::1", "can't be an IP address"),
        ("[2001:db8::1]:8448", "can't be an IP address"),
        ("my_server.example.org", "no underscore"),
        ("münchen.de", 'write "xn--mnchen-3ya.de"'),
        ("MÜNCHEN.de", 'write "xn--mnchen-3ya.de"'),
        ("straße.de", 'write "xn--strae-oqa.de"'),
        ("例え.jp", 'write "xn--r8jz45g.jp"'),
        ("a\u202eb.de", "can't be a server name"),
        ("localhost", "has no dot"),
        ("example", "has no dot"),
        ("-a.org", "can't be a server name"),
        ("a-.org", "can't be a server name"),
        ("a..org", "can't be a server name"),
        (".org", "can't be a server name"),
        ("@alice:example.org", "can't be a server name"),
        ("example.org/x", "can't be a server name"),
        ("x" * 64 + ".org", "at most 63"),
        (".".join(["x" * 60] * 4), "at most 230 characters"),
        ("example.123", "ends with a number"),
        ("", "can't be empty"),
    ],
)
def test_server_name_says_what_to_write(text: str, said: str) -> None:
    message = refusal(names.server_name, text)
    assert said in message
    assert_sentence(message)


def test_hostname_may_be_longer_than_a_server_name() -> None:
    long = ".".join(["x" * 60] * 4)
    assert names.hostname(long) == long
    assert "a host name" in refusal(names.hostname, "x y")


@pytest.mark.parametrize(
    "text", ["matrix.org", "matrix.org:8448", "192.0.2.1", "192.0.2.1:443", "[2001:db8::1]:8448"]
)
def test_remote_server_may_have_what_ours_may_not(text: str) -> None:
    assert names.remote_server(text) == text


@pytest.mark.parametrize(
    "text", ["matrix.org:0", "matrix.org:65536", "matrix.org:99999999999", "x:y", "Matrix.org:1"]
)
def test_remote_server_refuses(text: str) -> None:
    refusal(names.remote_server, text)


@pytest.mark.parametrize(
    ("text", "kept"),
    [("a@b.de", "a@b.de"), ("A.b+c_d@Example.ORG", "A.b+c_d@example.org"), ("0@x.y.z", "0@x.y.z")],
)
def test_email_is_kept(text: str, kept: str) -> None:
    assert names.email(text) == kept


@pytest.mark.parametrize(
    "text",
    [
        "root",
        "@b.de",
        "a@",
        "a@b",
        "a@b@c.de",
        ".a@b.de",
        "a.@b.de",
        "a..b@c.de",
        "A <a@b.de>",
        "a'b@c.de",
        "a@[192.0.2.1]",
    ],
)
def test_email_refuses(text: str) -> None:
    assert_sentence(refusal(names.email, text))


@pytest.mark.parametrize("text", ["alice", "a", "a.b-c=d+f", "0a", "a_b", "x" * 250])
def test_localpart_is_kept(text: str) -> None:
    assert names.localpart(text) == text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Alice", 'lower case; write "alice"'),
        ("@alice:example.org", "whole Matrix id"),
        ("alice:example.org", "whole Matrix id"),
        ("_bot", "for bridges"),
        ("a/b", "no user name"),
        ("..", "no user name"),
        ("-x", "a letter or digit first"),
        ("123", "keeps for guests"),
        ("alice smith", "no user name"),
        ("älice", "no user name"),
        ("x" * 251, "too long"),
        ("", "can't be empty"),
    ],
)
def test_localpart_says_why(text: str, said: str) -> None:
    assert said in refusal(names.localpart, text)


def test_user_id_has_a_length_of_its_own() -> None:
    server = "x" * 50 + ".org"
    fits = "a" * (255 - len(server) - 2)
    assert names.user_id(fits, server) == f"@{fits}:{server}"
    with pytest.raises(ValueError, match="256 characters"):
        names.user_id(fits + "a", server)


@pytest.mark.parametrize(
    "text",
    ["https://acme.example.org/directory", "https://localhost:14000/dir", "https://10.0.0.1/acme/x", "https://a.b"],
)
def test_url_is_kept(text: str) -> None:
    assert names.url(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "http://localhost/dir",
        "HTTP://a.b/",
        "ftp://a.b/",
        "https://",
        "https:///x",
        "https://-a/",
        "https://a..b/",
        "https://a.b/../x",
        "https://a.b/./x",
        "https://u:p@a.b/",
        "https://a.b/?q",
        "https://a.b/#f",
        "https://a.b/%41",
        "https://a.b:0/",
        "https://a.b:99999/",
        "a.b",
    ],
)
def test_url_refuses(text: str) -> None:
    assert_sentence(refusal(names.url, text))


@pytest.mark.parametrize("text", ["/a", "/etc/x-y_z.d/a@b:c+1", "/a..b", "/"])
def test_path_is_kept(text: str) -> None:
    assert names.path(text) == text


@pytest.mark.parametrize(
    "text", ["a", "./a", "~/a", "/a/../b", "/..", "/a b", "/a%i", "/a;b", "/a'b", "/ä", "/" + "a" * 256]
)
def test_path_refuses(text: str) -> None:
    assert_sentence(refusal(names.path, text))


@pytest.mark.parametrize(
    ("text", "quoted"),
    [("a", '"a"'), ("\x1b[0m", '"\\u001b[0m"'), ("a\u202eb", '"a\\u202eb"'), ("x" * 41, '"' + "x" * 39 + '…"')],
)
def test_shown_is_safe_to_print(text: str, quoted: str) -> None:
    assert names.shown(text) == quoted


@pytest.mark.parametrize("text", ["rfc2136", "cloudflare", "two-words"])
def test_dns_plugin_is_kept(text: str) -> None:
    assert names.dns_plugin(text) == text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is no name"),
        ("Cloudflare", "is no name"),
        ("a b", "is no name"),
        ("--server", "is no name"),
        ("a/../b", "is no name"),
        ("a=b", "is no name"),
        ("dns-rfc2136", 'write "rfc2136"'),
        ("route53", "takes no file"),
    ],
)
def test_dns_plugin_is_refused(text: str, said: str) -> None:
    assert said in refusal(names.dns_plugin, text)
    assert_sentence(refusal(names.dns_plugin, text))


@pytest.mark.parametrize(
    ("text", "user"),
    [
        ("alice", "@alice:example.org"),
        ("@alice:example.org", "@alice:example.org"),
        ("alice:example.org", "@alice:example.org"),
        ("Old/Name!", "@Old/Name!:example.org"),
        ("--help", "@--help:example.org"),
    ],
)
def test_somebody_who_may_be_there_is_named_short_or_whole(text: str, user: str) -> None:
    assert names.local_user(text, "example.org") == user


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("@alice:elsewhere.org", "is not of this server, which is example.org"),
        ("@alice:example.org:8448", "is not of this server"),
        ("@alice:", "is not of this server"),
        ("", "can't be a user"),
        ("@", "can't be a user"),
        ("a b", "can't be a user"),
        ("ä", "can't be a user"),
        ("a\nb", "can't be a user"),
        ("a" * 300, "at most 255"),
    ],
)
def test_who_can_not_be_here_is_refused(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said) as caught:
        names.local_user(text, "example.org")
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("head", ["$2a$12$", "$2b$04$", "$2y$31$"])
def test_a_hash_is_bcrypt(head: str) -> None:
    assert names.bcrypt(head + "a./Z0" * 10 + "abc") == head + "a./Z0" * 10 + "abc"


@pytest.mark.parametrize(
    "text",
    ["", "hunter2 is my password", "$2b$12$short", "$2x$12$" + "a" * 53, "$2b$99$" + "a" * 53, "$6$a$" + "a" * 86],
)
def test_what_is_no_hash_is_refused_and_never_shown_as_it_may_be_a_password(text: str) -> None:
    with pytest.raises(ValueError, match="no bcrypt hash") as caught:
        names.bcrypt(text)
    assert not text or text not in str(caught.value)


@pytest.mark.parametrize("text", ["/srv/a/", "/srv//a", "//srv/./a", "/srv/a/./"])
def test_a_path_has_one_spelling(text: str) -> None:
    """With another one backup.directory was not told from the directory of all that we keep, and closed that."""
    assert names.path(text) == "/srv/a"
    assert names.path("//") == "/"
