"""Imports go down only. The one place where the order is written: a module may import what stands below it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import matrix_baremetal

PACKAGE = Path(matrix_baremetal.__file__).parent
MODULES = {
    ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__"): path
    for path in PACKAGE.rglob("*.py")
    if path != PACKAGE / "__init__.py"
}
# From the top down. Those of one line may import each other; a folder stands for what is in it.
LAYERS = (
    ("cli",),
    ("words", "commands"),
    ("findings_page", "migrate_page"),
    ("drill", "to_postgres"),
    ("migrate",),
    ("upgrade",),
    ("rows_back",),
    ("restore", "uninstall", "postgres_major", "postgres_data", "maintain"),
    ("backup",),
    ("backup_reader",),
    (
        "report",
        "progress",
        "transfer",
        "status",
        "largest",
        "doctor",
        "alert",
        "preflight",
        "standing",
        "beforehand",
        "session",
        "image",
        "bundle",
        "upgrade_notes",
    ),
    ("dns_records", "well_known", "source", "dump"),
    ("components",),
    ("checks",),
    (
        "templates",
        "site",
        "needs",
        "ports",
        "facts",
        "data",
        "calls_start",
        "turn_start",
        "jitsi_start",
        "ddns_run",
        "outside",
        "closing",
    ),
    ("parts",),
    ("converge", "manifest", "release", "rehearsal"),
    ("resources",),
    ("probe_from", "lock", "patience", "encryption", "backup_log", "growth", "watch"),
    ("host",),
    ("net", "shell", "signals"),
    ("fetch", "relay", "router", "probe"),
    ("web", "nameservers", "smtp", "kernel", "sockets", "federation", "findings"),
    ("takeover",),
    ("connections", "first_config", "config_schema"),
    (
        "config",
        "config_ldap",
        "config_mail",
        "config_oidc",
        "config_web",
        "config_beside",
        "config_alerts",
        "config_ddns",
        "config_firewall",
        "config_registration",
        "config_tls",
        "versions",
    ),
    ("accounts_csv", "addresses", "settings", "yamlfile", "shape", "nodes", "names"),
    ("archive",),
    ("forward", "digests"),
    ("log", "errors"),
)
# Each library has one importer: to move to another is a change of one file.
IMPORTERS = {
    "sh": {"shell"},
    "psutil": {"kernel"},
    "dns": {"nameservers"},
    "cryptography": {"federation"},
    "jinja2": {"templates"},
    "yaml": {"yamlfile"},
    "rich": {"progress"},
    "segno": {"resources"},
    "argparse": {"cli", "words", "commands"},
    "subprocess": set[str](),
    "socket": {"net", "commands", "relay", "router", "probe", "web", "nameservers", "sockets"},
    "ssl": {"relay", "probe", "web", "smtp", "checks", "fetch"},
    "zipfile": {"resources"},
    "fcntl": {"lock", "shell"},
}


def level(module: str) -> int:
    """How far down a module stands."""
    return next(
        i for i, layer in enumerate(LAYERS) for name in layer if module == name or module.startswith(f"{name}.")
    )


def imported(path: Path) -> Iterator[str]:
    """The modules that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} has a relative import"
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                yield whole if whole.removeprefix("matrix_baremetal.") in MODULES else str(node.module)


@pytest.mark.parametrize("module", sorted(MODULES))
def test_a_module_imports_only_what_stands_below_it(module: str) -> None:
    for name in imported(MODULES[module]):
        inner = name.removeprefix("matrix_baremetal.")
        if inner != name and inner not in ("__version__",):
            assert level(module) <= level(inner), f"{module} imports {inner}, which stands above it"


@pytest.mark.parametrize("library", sorted(IMPORTERS))
def test_a_library_has_the_importers_it_is_said_to_have(library: str) -> None:
    found = {module for module, path in MODULES.items() if library in (n.partition(".")[0] for n in imported(path))}
    assert {module.partition(".")[0] for module in found} <= IMPORTERS[library]


def test_every_library_that_is_imported_is_known_here() -> None:
    import sys

    outer = {name.partition(".")[0] for path in MODULES.values() for name in imported(path)}
    assert outer - set(sys.stdlib_module_names) - set(IMPORTERS) == {"matrix_baremetal"}


def test_components_and_the_site_never_start_a_program_nor_touch_a_file() -> None:
    for module, path in MODULES.items():
        if module.partition(".")[0] in ("components", "site", "needs", "templates", "federation"):
            names = {name.partition(".")[0] for name in imported(path)}
            assert not names & {"os", "shutil", "subprocess", "socket", "pathlib", "tempfile"}, module
            assert "matrix_baremetal.host" not in set(imported(path)), module


def test_the_loop_knows_no_kind_of_resource_and_no_component() -> None:
    for module in ("converge", "manifest"):
        for name in imported(MODULES[module]):
            assert not re.match(r"matrix_baremetal\.(components|resources\.(?!resource$))", name), name


def test_the_doctor_knows_no_kind_of_check_and_no_component() -> None:
    for module in ("doctor", "findings", "findings_page"):
        for name in imported(MODULES[module]):
            assert not re.match(r"matrix_baremetal\.(components|resources|checks\.(?!check$))", name), name
