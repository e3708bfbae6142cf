"""A CSV of people: what it may look like, and where each mistake in it is."""

from __future__ import annotations

import random

import pytest

from matrix_baremetal import accounts_csv
from matrix_baremetal.accounts_csv import Person, decode
from matrix_baremetal.errors import ConfigError

PEOPLE = (
    Person("@alice:example.org", "Alice Liddell", "alice@example.net", True, 'geheim, "sehr"'),
    Person("@bob:example.org", "Bob"),
)


def read(text: str | bytes) -> tuple[Person, ...]:
    return decode(text.encode() if isinstance(text, str) else text, "people.csv", "example.org")


def problems(text: str | bytes) -> str:
    with pytest.raises(ConfigError) as caught:
        read(text)
    assert caught.value.status == 2
    assert caught.value.hint == accounts_csv.AGAIN
    assert all(line.isprintable() for line in str(caught.value).split("\n"))
    return str(caught.value)


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_a_file_as_spreadsheets_write_it(mark: str, delimiter: str, end: str) -> None:
    rows = (
        ("name", "Displayname ", "email", "admin", "password"),
        ("alice", "Alice Liddell", "alice@example.net", "Yes", '"geheim, ""sehr"""'),
        ("", "", "", "", ""),
        (" @bob:example.org ", '"Bob"', "", "no", ""),
    )
    text = mark + "".join(delimiter.join(row) + end for row in rows) + end
    assert read(text) == PEOPLE


def test_the_columns_stand_in_any_order_and_only_the_name_has_to_be_there() -> None:
    assert read("name\nbob") == (Person("@bob:example.org"),)
    assert read("admin,name\n1,bob\n") == (Person("@bob:example.org", admin=True),)
    assert read("name,displayname\nbob,Ünï 👍\n") == (Person("@bob:example.org", "Ünï 👍"),)


def test_a_password_is_taken_as_it_is_and_never_shown() -> None:
    [bob] = read('name,password\nbob," hun ter2 "\n')
    assert bob.password == " hun ter2 "
    assert "hun ter2" not in repr(bob)
    assert "hunter2" not in problems('name,password\nbob,"hunter2\n"\n')
    assert "hunter2" not in problems("name,password\nBob,hunter2\n")
    assert "hunter2" not in problems("bob,Bob,,,hunter2\n"), "a file without its first line"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", ":1:1: the file says nothing"),
        ("\n \n", ":1:1: the file says nothing"),
        ("displayname\nBob\n", ":1:1: the first line has no column name (it names columns: name, displayname,"),
        ("name,nmae,emial\nbob,,\n", ':1:6: there is no column "nmae" (did you mean name?)'),
        ("name,nmae,emial\nbob,,\n", ':1:11: there is no column "emial" (did you mean email?)'),
        ("name,colour\nbob,\n", "(known are name, displayname, email, admin, password)"),
        ("name,name\nbob,\n", ":1:6: the column name is there twice"),
        ("name,admin\nbob\n", ":2:1: this line has 1 fields, and the first line has 2"),
        ("name,admin\nbob,no,x\n", ":2:5: this line has 3 fields"),
        ("name\nBob\n", ':2:1: name: a user name is lower case; write "bob"'),
        ("name,admin\n,yes\n", ":2:1: name: a user name can't be empty"),
        ("name\n@bob:elsewhere.org\n", ":2:1: name: "),
        ("name\n123\n", ":2:1: name: "),
        ("name\nbob\n\neve\nbob\n", ":5:1: name: this is there already (see line 2)"),
        ("name\nbob\n@bob:example.org\n", ":3:1: name: this is there already (see line 2)"),
        ("name,email\na,x@b.org\nb,X@b.org\n", ":3:3: email: this is there already (see line 2)"),
        ("name,email\na,x\n", ":2:3: email: "),
        ("name,admin\na,perhaps\n", ':2:3: admin: expected yes or no, found "perhaps"'),
        (f"name,displayname\na,{'x' * 257}\n", ":2:3: displayname: it has at most 256 characters"),
        ("name,displayname\na,x\u202ey\n", ":2:3: displayname: "),
        (f"name,password\na,{'x' * 513}\n", ":2:3: password: it has at most 512 characters"),
        ('name,displayname\na,"x\ny"\nB,\n', ":2:3: displayname: "),
        ('name,displayname\na,"x\ny"\nB,\n', ":4:1: name: a user name is lower case"),
        ('name,displayname\na,"x, ""y""",z\n', ":2:3: this line has 3 fields"),
        ('name,displayname\na,"x\n', ":2:1: this is not valid CSV: "),
        ('name,displayname\na,"x"y\n', ":2:1: this is not valid CSV: "),
        ("name\na\x00b\n", ":2:1: "),
        (b"name\nj\xfcrgen\n", ":2:2: the byte 0xfc is not UTF-8 (save the file as UTF-8)"),
        (b"name\n" + b"a" * 11_000_000, ":1:1: the file is larger than 10,000,000 bytes"),
    ],
)
def test_mistakes(text: str | bytes, said: str) -> None:
    found = problems(text)
    assert any(line.startswith(f"people.csv{said}") or said in line for line in found.split("\n")), found


def test_all_mistakes_are_said_at_once_in_their_order() -> None:
    lines = [line.partition(": ")[0] for line in problems("name,admin\nA,x\nb,no\nB,y\nc,?\n").split("\n")]
    assert lines == [f"people.csv:{place}" for place in ("2:1", "2:3", "4:1", "5:3")]


def test_a_file_of_thousands_is_read_and_its_mistakes_are_not_all_said() -> None:
    assert len(read("name\n" + "".join(f"user{i}\n" for i in range(5000)))) == 5000
    assert problems("name\n" + "".join(f"User{i}\n" for i in range(5000))).count("\n") == 49


def test_mutated_files_raise_nothing_but_config_errors() -> None:
    chance = random.Random(19)
    good = 'name,displayname,email,admin,password\nalice,"Al, ""ice""",a@b.org,yes,x\nbob,Bob,,,\n'
    refused = 0
    for _ in range(2000):
        text = good
        for _ in range(chance.randrange(1, 4)):
            start = chance.randrange(len(text))
            end = min(len(text), start + chance.choice((0, 1, 1, 2, 9)))
            text = text[:start] + chance.choice((*'",;\t\n\r\x00\x0b\x85\u2028é👍 ', "")) + text[end:]
        try:
            assert all(person.user.endswith(":example.org") for person in read(text))
        except ConfigError as error:
            refused += 1
            assert all(line.isprintable() for line in str(error).split("\n"))
    assert 500 < refused < 2000
