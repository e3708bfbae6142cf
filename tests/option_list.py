"""The list of all keys in matrix-baremetal.yaml(5), made from the config's own schema: `.venv/bin/python -m
tests.option_list` writes it anew.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from matrix_baremetal import config_schema

FILE = Path(__file__).parents[1] / "man/matrix-baremetal.yaml.5"
BEGIN = '.\\" Made from config_schema.py by tests/option_list.py, up to the mark below: edit that.\n'
END = '.\\" Up to here.\n'


def rows(table: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any], bool]]:
    """Every key by its dotted path, with its schema and whether it has to be there."""
    for name, schema in table["properties"].items():
        key = f"{path}.{name}".lstrip(".")
        yield key, schema, name in table.get("required", ())
        if key == "synapse.settings":
            continue  # all of Synapse's own
        either = (each for each in schema.get("anyOf", ()) if "properties" in each)
        inner = schema.get("items") or next(either, schema)
        if "properties" in inner:
            yield from rows(inner, key)


def values(schema: dict[str, Any]) -> str:
    """What may stand there, as mdoc."""
    if "enum" in schema:
        return "Cm " + " | ".join(map(str, schema["enum"]))
    kinds = [each.get("type") for each in (schema, *schema.get("anyOf", ()))]
    flat = (kind for each in kinds for kind in ([each] if isinstance(each, str) else each or ()))
    kind = next((each for each in flat if each != "null"), "")
    words = {"string": "Ar TEXT", "integer": "Ar NUMBER", "boolean": "Cm true | false", "array": "Bq ..."}
    return words.get(kind, "")


def text() -> str:
    """The list, between its marks."""
    items = []
    for key, schema, needed in rows(config_schema.schema()):
        items.append(f".It Cm {key} : {values(schema)}".rstrip() + "\n" + schema["description"] + "\n")
        default = schema.get("default")
        if needed:
            items.append("Has to be there.\n")
        elif default is not None:
            items.append(f"Default:\n.Cm {default if isinstance(default, str) else json.dumps(default)} .\n")
    return f"{BEGIN}.Bl -tag -width Ds -compact\n{''.join(items)}.El\n{END}"


def replaced(page: str) -> str:
    """The page with this list in the place of the one it has."""
    head, _, rest = page.partition(BEGIN)
    return head + text() + rest.partition(END)[2]


if __name__ == "__main__":
    FILE.write_text(replaced(FILE.read_text()))
