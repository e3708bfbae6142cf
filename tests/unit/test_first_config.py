"""The first config: what was asked is in it, what a new server has beside, and that its comments are true."""

from __future__ import annotations

import pytest

from matrix_baremetal import config, first_config


def read(text: str) -> config.Config:
    return config.decode(text, "config.yaml")


@pytest.mark.parametrize("email", [None, "admin@example.org", "a+b@1.org"])
@pytest.mark.parametrize("admin", [None, "alice", "no", "0x1", "1e3", "a=b.c"])
@pytest.mark.parametrize("tls", ["acme", "self-signed"])
def test_the_first_file_says_what_was_asked(email: str | None, admin: str | None, tls: str) -> None:
    text = first_config.text("1.xn--mnchen-3ya.de", email, admin, tls)  # type: ignore[arg-type]
    site = read(text)
    assert site.server_name == "1.xn--mnchen-3ya.de"
    assert site.acme.email == email
    assert site.tls.mode == tls
    assert (site.turn.enabled, site.web_client.kind, site.admin_ui.enabled) == (True, "element", True)
    assert [person.name for person in site.admins] == ([admin] if admin else [])
    assert "NEVER change" in text
    assert "matrix-baremetal.yaml(5)" in text
    assert max(len(line) for line in text.splitlines()) < 120
    assert "\n\n\n" not in text


COMMENTED = (
    "# hostname",
    "# federation",
    "#   ",
    "# registration",
    "# turn:",
    "# web_client",
    "# admin_ui",
    "# synapse",
)


def test_the_commented_lines_of_the_first_file_are_valid_too() -> None:
    without = dict.fromkeys(first_config.PARTS, "left out when this was written")
    text = first_config.text("example.org", "a@b.de", "alice", without=without)
    bare = read(text)
    assert (bare.turn.enabled, bare.web_client.kind, bare.admin_ui.enabled) == (False, "none", False)
    assert text.count("# Left out when this was written.\n# ") == 3
    for part in first_config.PARTS:
        one = read(first_config.text("example.org", without={part: "port 3478 is in use"}))
        wanted = {
            "web_client": one.web_client.kind != "none",
            "admin_ui": one.admin_ui.enabled,
            "turn": one.turn.enabled,
        }
        assert wanted == {name: name != part for name in first_config.PARTS}
    lines = [line[2:] if line.startswith(COMMENTED) else line for line in text.split("\n")]
    site = read("\n".join(lines))
    assert site.federation.allow == ("matrix.org",)
    assert site.registration == "token"
    assert site.turn.enabled
    assert site.web_client.kind == "element"
    assert site.admin_ui.enabled
    assert site.synapse.settings == {"max_upload_size": "100M"}


def test_the_first_file_is_refused_with_all_reasons() -> None:
    with pytest.raises(config.Unusable) as caught:
        first_config.text("Example.org", "root", "'\nx: y")
    assert [line.partition(":")[0] for line in caught.value.message.split("\n")] == ["server_name", "email", "admin"]
    assert caught.value.status == 2
