"""Releases that components install: those that are pinned, or those that the config names in their place."""

from __future__ import annotations

import hashlib
from dataclasses import replace

from matrix_baremetal.config_web import Release
from matrix_baremetal.resources.downloads import Download
from matrix_baremetal.resources.python import Virtualenv
from matrix_baremetal.versions import Pin, Program, lock

OPT = "/opt/matrix-baremetal"


def download(name: str, pin: Pin, release: Release | None, shelf: str | None) -> Download:
    """The release of a program; `shelf` is a directory that may have its archive.

    A mirror of the pinned archive is the same version; another archive is named by its hash. Either is believed by
    that hash alone, as a mirror need not have upstream's signature.
    """
    path = f"{OPT}/{name}"
    if release is None:
        return Download(path, pin.version, pin.sha256, url=pin.url, signed=pin.signature, shelf=shelf)
    version = pin.version if release.sha256 == pin.sha256 else release.sha256[:12]
    return Download(path, version, release.sha256, url=release.url, shelf=shelf)


def program(name: str, version: Program, architecture: str, release: Release | None, shelf: str | None) -> Download:
    """A program that is one file, below a directory of its name."""
    return replace(download(name, version.pin(architecture), release, shelf), program=name.rpartition("/")[2])


def virtualenv(path: str, pins: str, python: str, wheelhouse: str | None) -> Virtualenv:
    """A program of Python's, from a lock: the same for every site that has it."""
    digest = hashlib.sha256(pins.encode()).hexdigest()[:16]
    return Virtualenv(path, pins=digest, python=python, requirements=pins, uv=lock("uv"), wheelhouse=wheelhouse)
