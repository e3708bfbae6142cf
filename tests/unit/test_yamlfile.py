"""YAML to dataclasses: every mistake has its place, only `ConfigError` comes out, and what is dumped reads back."""

from __future__ import annotations

import random
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import pytest
import yaml

from matrix_baremetal import yamlfile
from matrix_baremetal.errors import ConfigError
from matrix_baremetal.nodes import FrozenDict
from matrix_baremetal.shape import Mistake, Mistakes


def even(number: int) -> int:
    if number % 2:
        raise ValueError("an odd number is of no use here")
    return number


def no_twins(names: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(names)) < len(names):
        raise Mistakes(
            [Mistake((len(names) - 1,), "the last one is a twin", "remove it"), Mistake((), "there are twins")]
        )
    return names


@dataclass(frozen=True)
class Inner:
    number: Annotated[int, even] = 2
    flag: bool = False

    def __post_init__(self) -> None:
        if self.flag and self.number == 4:
            raise Mistakes([Mistake(("flag",), "a flag and a four don't go together")])


@dataclass(frozen=True)
class Row:
    name: str


@dataclass(frozen=True)
class Outer:
    name: str
    inner: Inner = Inner()
    mode: Literal["fast", "slow"] = "fast"
    words: Annotated[tuple[str, ...], no_twins] = ()
    rows: tuple[Row, ...] = ()
    sizes: Mapping[str, int] = FrozenDict()
    workers: Literal["auto", "none"] | Mapping[str, int] = "auto"
    maybe: str | None = None
    part: Inner | Literal["none"] = "none"
    free: Mapping[str, Any] = FrozenDict()


def read(text: str | bytes) -> Outer:
    return yamlfile.decode(text, "f.yaml", Outer, {"later", "inner.later", "mode=warp", "workers=many"})


def problems(text: str | bytes) -> str:
    with pytest.raises(ConfigError) as caught:
        read(text)
    error = caught.value
    assert error.status == 2
    lines = str(error).split("\n")
    assert len(lines) == len(error.problems)
    for line, problem in zip(lines, error.problems, strict=True):
        assert line.startswith(f"f.yaml:{problem.line}:{problem.column}: ")
        assert problem.line >= 1
        assert problem.column >= 1
        assert line.isprintable()
        assert len(problem.message) > 10
        assert " " in problem.message
    return str(error)


@pytest.mark.parametrize(
    ("text", "field", "value"),
    [
        ("name: a", "name", "a"),
        ("name: 1.10", "name", "1.10"),
        ("name: no", "name", "no"),
        ("name: 0600", "name", "0600"),
        ("name: 2024-01-01", "name", "2024-01-01"),
        ("name: ''", "name", ""),
        ("name: 'null'", "name", "null"),
        ("---\nname: a\n...\n", "name", "a"),
        ("%YAML 1.2\n---\nname: a\n", "name", "a"),
        ("\ufeffname: a\r\nmode: slow\r\n", "mode", "slow"),
        ("{name: a, mode: slow}", "mode", "slow"),
        ("name: a\ninner:\n", "inner", Inner()),
        ("name: a\ninner: {number: -4, flag: TRUE}", "inner", Inner(-4, True)),
        ("name: a\nwords:", "words", ()),
        ("name: a\nwords: [b, 1, no]", "words", ("b", "1", "no")),
        ("name: a\nrows:\n- name: b\n- {name: c}", "rows", (Row("b"), Row("c"))),
        ("name: a\nsizes: {x: 1}", "sizes", {"x": 1}),
        ("name: a\nsizes: ~", "sizes", {}),
        ("name: a\nworkers: none", "workers", "none"),
        ("name: a\nworkers: {x: 1}", "workers", {"x": 1}),
        ("name: a\nmaybe: null", "maybe", None),
        ("name: a\nmaybe: b", "maybe", "b"),
        ("name: a\npart: {flag: true}", "part", Inner(flag=True)),
        ("name: a\nlater: null", "name", "a"),
        ("name: a 👩‍🚒\u200c", "name", "a 👩‍🚒\u200c"),
    ],
)
def test_values(text: str, field: str, value: object) -> None:
    assert getattr(read(text), field) == value
    assert getattr(read(text.encode()), field) == value


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a:\n\t- x", ":2:1: a tab can't indent in YAML (use spaces)"),
        ("a: b\n\tc: d", ":2:1: a tab can't indent"),
        ("a: |\n x\n\ty", ":3:1: a tab can't indent"),
        ("a: 'x\nb: 2", ":1:4: a quote is opened here and never closed"),
        ('name: a\nb: "x', ":2:4: a quote is opened here and never closed"),
        ("a: [1, 2\nb: 3", ":1:4: a bracket is opened here"),
        ("a: {b: 1\n", ":1:4: a bracket is opened here"),
        ("a: 1\n  b: 2", ":2:4: a colon where no key can be"),
        ("a: x: y", ":1:5: a colon where no key can be"),
        ("a: http://x: y", ": a colon where no key can be"),
        ("a:\n  b: 1\n c: 2", ":3:2: this line is not indented like those around it"),
        ("a: 1\n- b", ":2:1: this line is not indented"),
        ("name: a\nb\nc: 1", ": a key without a colon"),
        ("a: @x", ":1:4: this character can't begin a value"),
        ("a: `x`", ":1:4: this character can't begin a value"),
        ('a: "\\q"', ":1:5: an unknown escape"),
        ("a: }", ":1:4: this is not valid YAML"),
        ("name: a\nname: b", ':2:1: the key "name" is given twice (see line 1)'),
        ("name: a\ninner:\n  flag: true\n  'flag': false", ':4:3: the key "flag" is given twice (see line 3)'),
        ("name: a\nfree: {x: {y: 1, y: 2}}", ":2:18: "),
        ("name: &x a\nmaybe: *x", ":2:8: the alias *x is not followed"),
        ("name: &x a", ":1:7: the anchor &x"),
        ("name: !!python/object/apply:os.system [id]", ":1:7: the tag"),
        ("name: !secret a", ':1:7: the tag "!secret"'),
        ("name: a\nfree:\n  <<: {x: 1}", ":3:3: free: the key"),
        ("name: a\n---\nname: b", ":2:1: a second document"),
        ("? [a]\n: b", ":1:3: a key must be one word"),
        ("{a: b}: c", ": a key must be one word"),
        ("", ":1:1: the file says nothing (write at least name: VALUE)"),
        ("# only\n", ":1:1: the file says nothing"),
        ("---\n", "the key name is missing"),
        ("[a]", ":1:1: expected a mapping (name, inner, "),
        (
            "just text",
            ":1:1: expected a mapping (name, inner, mode, words, rows, sizes, workers, maybe, part, free), found",
        ),
        ("inner: {}", ":1:1: the key name is missing (write name: VALUE)"),
        ("name:", ":1:6: name: there is no value, expected a text"),
        ("name: ~", ":1:7: name: there is no value"),
        ("name: [a]", ":1:7: name: expected a text, found a list"),
        ("name: {a: b}", ":1:7: name: expected a text, found a mapping"),
        ("nam: a", ':1:1: unknown key "nam" (did you mean name?)'),
        ("name: a\nNAME: b", ':2:1: unknown key "NAME" (did you mean name?)'),
        ("name: a\nzzzzz: b", ":2:1: unknown key"),
        ("name: a\nflag: true", ':2:1: unknown key "flag" (did you mean inner.flag?)'),
        ("name: a\ninner: {flags: true}", ':2:9: inner: unknown key "flags" (did you mean flag?)'),
        ("name: a\ninner: {flag: maybe}", ':2:15: inner.flag: expected true or false, found the text "maybe"'),
        ("name: a\ninner: {flag: yes}", "(write true)"),
        ("name: a\ninner: {flag: Off}", "(write false)"),
        ("name: a\ninner: {flag: 'true'}", "(remove the quotes)"),
        ("name: a\ninner: {flag: 1}", 'expected true or false, found the number "1"'),
        ("name: a\ninner: {flag: }", "inner.flag: there is no value, expected true or false"),
        ("name: a\ninner: {number: x}", ':2:17: inner.number: expected a whole number, found the text "x"'),
        ("name: a\ninner: {number: 1.5}", "expected a whole number"),
        ("name: a\ninner: {number: 010}", "expected a whole number"),
        ("name: a\ninner: {number: '4'}", "(remove the quotes)"),
        ("name: a\ninner: {number: 99999999999999999999999999}", "expected a whole number"),
        ("name: a\ninner: {number: 3}", ":2:17: inner.number: an odd number is of no use here"),
        ("name: a\ninner: {number: 4, flag: true}", ":2:20: inner.flag: a flag and a four don't go together"),
        ("name: a\ninner: 5", ":2:8: inner: expected a mapping (number, flag)"),
        ("name: a\nmode: fats", ':2:7: mode: expected fast or slow, found the text "fats" (did you mean fast?)'),
        ("name: a\nmode: 3", 'expected fast or slow, found the number "3"'),
        ("name: a\nmode:", "mode: there is no value, expected fast or slow"),
        ("name: a\nmode: warp", ":2:7: mode: warp is not part of this release yet (use fast or slow)"),
        ("name: a\nlater: 1", ":2:1: later is not part of this release yet (remove it)"),
        ("name: a\ninner: {later: {}}", ":2:9: inner.later is not part of this release yet"),
        ("name: a\nwords: b", ':2:8: words: expected a list, found the text "b" (write [b])'),
        ("name: a\nwords: [b, [c]]", ":2:12: words[1]: expected a text, found a list"),
        ("name: a\nwords:\n- b\n- b", ":4:3: words[1]: the last one is a twin (remove it)"),
        ("name: a\nwords:\n- b\n- b", ":3:1: words: there are twins"),
        ("name: a\nrows: [b]", ':2:8: rows[0]: expected a mapping (name), found the text "b" (write name: b)'),
        ("name: a\nrows:\n- nome: b", ":3:3: rows[0]: "),
        ("name: a\nsizes: {x: y}", ":2:12: sizes.x: expected a whole number"),
        ("name: a\nsizes: []", ":2:8: sizes: expected a mapping, found a list"),
        ("name: a\nsizes: {1: 1}", ":2:9: sizes: the key"),
        ("name: a\nworkers: sometimes", ":2:10: workers: expected auto or none"),
        ("name: a\nworkers: many", ":2:10: workers: many is not part of this release yet"),
        ("name: a\nworkers: []", ":2:10: workers: expected auto or none or a mapping, found a list"),
        ("name: a\nmaybe: []", ":2:8: maybe: expected a text, found a list"),
        ("name: a\nfree: {'\x1b': 1}", ":2:9: the invisible character U+001B"),
        ('name: "a\\u202eb"', ":1:7: the escape for U+202E"),
        ('name: "a\\0"', ":1:7: the escape for U+0000"),
        ("name: a\n'b\\nc': 1", ":2:1: unknown key"),
        ('name: a\n"b\\nc": 1', ':2:1: unknown key "b\\u000ac"'),
        ("name: a # \u202e gro", ":1:11: the invisible character U+202E"),
        ("name: a\rmode: slow", ":1:8: the invisible character U+000D"),
        ("name: \x00", ":1:7: the invisible character U+0000"),
        ("name: a\x85b", ":1:8: the invisible character U+0085"),
        ("name: \ud800", ":1:7: the invisible character U+D800"),
    ],
)
def test_mistakes(text: str, said: str) -> None:
    assert said in problems(text)


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"name: a\nmode: \xff", ":2:7: the byte 0xff is not UTF-8 (save the file as UTF-8)"),
        (b"name: \xc3\xa4\xe4", ":1:8: the byte 0xe4 is not UTF-8"),
        ("name: a".encode("utf-16"), ":1:1: the byte 0xff is not UTF-8"),
        (b"\x7fELF" + bytes(range(256)), "the byte 0x80 is not UTF-8"),
        (b"name: a\n" + b"#" * 10_000_000, ":1:1: the file is larger than 1,000,000 bytes"),
    ],
)
def test_bytes(raw: bytes, said: str) -> None:
    assert said in problems(raw)


@pytest.mark.parametrize(
    "text",
    [
        "[" * 900_000,
        "{a: " * 200_000,
        "- " * 400_000,
        "? " * 400_000,
        "a:\n" + "".join(" " * depth + "a:\n" for depth in range(1000)),
        "[" + "1," * 400_000 + "]",
        "".join(f"k{number}: 1\n" for number in range(90_000)),
        "".join(f"{number:x}{'enam' * 10}: 1\n" for number in range(9_000)),
        "name: 'a\n" * 100_000,
        "\u202e" * 300_000,
        "a: &a [x]\n" + "".join(f"b{number}: &b{number} [*a, *a, *a]\n" for number in range(1000)),
    ],
    ids=lambda text: ascii(text[:12]),
)
def test_a_hostile_file_is_refused_quickly(text: str) -> None:
    begun = time.perf_counter()
    assert problems(text).count("\n") < 50
    assert time.perf_counter() - begun < 5  # far above what it takes, far below what a person would notice as a hang


def test_all_mistakes_come_at_once_in_order() -> None:
    text = "mode: fats\ninner: {flag: yes, number: 3}\nwords: b\nmode: slow\nname:\n"
    assert [line.split(":")[1] for line in problems(text).split("\n")] == ["1", "2", "2", "3", "4", "5"]


def test_dump_keeps_order_and_what_a_text_is() -> None:
    shared = {"a": 1}
    data = {
        "z": "no",
        "b": "1.10",
        "c": "0600",
        "d": 384,
        "e": (1, 2),
        "f": [shared, shared],
        "g": "ä 👍 " * 60,
        "h": {},
    }
    text = yamlfile.dump(data)
    assert [line[0] for line in text.splitlines() if line[0].isalpha()] == list("zbcdefgh")
    assert "&" not in text
    assert "ä" in text
    assert "g: " + "ä 👍 ".encode().decode() in text or "\\U" in text  # an old libyaml escapes emoji
    assert yaml.safe_load(text) == {**data, "e": [1, 2]}


def test_dump_reads_back_for_any_data() -> None:
    chance = random.Random(20)
    for _ in range(500):
        data = {f"k{number}": anything(chance, 3) for number in range(4)}
        assert yaml.safe_load(yamlfile.dump(data)) == data
        assert yaml.safe_load(yamlfile.dump(FrozenDict(data))) == data


def anything(chance: random.Random, depth: int) -> Any:
    kind = chance.randrange(8 if depth else 6)
    if kind < 3:
        return "".join(
            chance.choice("ab 01:#-'\"\n\t{}[]&*!|>%@`,?~=.ä👍\x85\u2028\x07") for _ in range(chance.randrange(12))
        )
    if kind < 6:
        return chance.choice(
            [None, True, False, 0, -7, 2**40, 1.5, "no", "0600", "1e3", "~", "", "12:30", "2024-01-01"]
        )
    if kind == 6:
        return [anything(chance, depth - 1) for _ in range(chance.randrange(4))]
    return {anything(chance, 0).__str__(): anything(chance, depth - 1) for _ in range(chance.randrange(4))}
