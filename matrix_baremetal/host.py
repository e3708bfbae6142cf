"""The machine that we work on: its files below a root, and its programs. The only seam between us and the world.

A test puts a folder where the root is and a recorder where the shell is; `--root DIR` does the first for real.
"""

from __future__ import annotations

import contextlib
import grp
import os
import pwd
import shutil
import stat
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from matrix_baremetal import kernel
from matrix_baremetal.errors import Error
from matrix_baremetal.net import Net
from matrix_baremetal.shell import Shell

DISPLACED = "/var/lib/matrix-baremetal/displaced"


@dataclass(frozen=True)
class Node:
    """What is at a path: `kind` is file, directory, link or other; owner and group go by name."""

    kind: str
    mode: int
    owner: str
    group: str
    changed: float


@dataclass(frozen=True)
class Space:
    """What is free on a file system, told by its `device`: bytes, and files that may still be made; and what there
    is of both in all.
    """

    device: int
    size: int
    files: int
    all_size: int = 0
    all_files: int = 0


class Host:
    """Files below `root`, programs by `run`, and what answers on the network by `net`."""

    def __init__(self, root: Path = Path("/"), run: Shell | None = None) -> None:
        self.root = root
        self.run = run or Shell()
        self.net = Net()

    @property
    def live(self) -> bool:
        """Whether this is the running system, not a folder that will be one: only there can services run."""
        return self.root == Path("/")

    @property
    def superuser(self) -> bool:
        """Whether we may do everything."""
        return os.geteuid() == 0

    @property
    def processor(self) -> str:
        """The architecture, as in x86_64."""
        return os.uname().machine

    def space(self, path: str) -> Space:
        """The room where `path` is or will be. A file system that keeps no count of files has room for any number."""
        place = self.path(path)
        while not place.exists() and place != place.parent:
            place = place.parent
        found = os.statvfs(place)
        files = found.f_favail if found.f_files else sys.maxsize
        block = found.f_frsize
        return Space(
            place.stat().st_dev, found.f_bavail * block, files, found.f_blocks * block, found.f_files or sys.maxsize
        )

    def holders(self, path: str) -> tuple[str, ...]:
        """Which programs have a file open, in a container too."""
        return kernel.holders(self.path(path))

    def path(self, path: str) -> Path:
        """Where `path` of this host is for us."""
        return self.root / path.lstrip("/")

    def node(self, path: str) -> Node | None:
        """What is at `path`, links not followed; None where there is nothing."""
        try:
            found = self.path(path).lstat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise unread(path, error) from None
        kinds = {stat.S_IFREG: "file", stat.S_IFDIR: "directory", stat.S_IFLNK: "link"}
        owner, group = self._owner(path, found)
        kind = kinds.get(stat.S_IFMT(found.st_mode), "other")
        return Node(kind, stat.S_IMODE(found.st_mode), owner, group, max(found.st_ctime, found.st_mtime))

    def read(self, path: str) -> bytes | None:
        """The bytes of a file; None where there is none."""
        try:
            return self.path(path).read_bytes()
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return None
        except OSError as error:
            raise unread(path, error) from None

    def text(self, path: str) -> str | None:
        """The text of a file; None where there is none. Bytes that are no UTF-8 survive as surrogates."""
        data = self.read(path)
        return None if data is None else data.decode("utf-8", "surrogateescape")

    def target(self, path: str) -> str | None:
        """Where a symbolic link points, as written; None where there is no link."""
        try:
            return os.readlink(self.path(path))
        except OSError:
            return None

    def names(self, path: str) -> tuple[str, ...]:
        """The sorted names in a directory; none where there is no directory."""
        try:
            return tuple(sorted(os.listdir(self.path(path))))
        except (FileNotFoundError, NotADirectoryError):
            return ()
        except OSError as error:
            raise unread(path, error) from None

    def write(self, path: str, data: str | bytes, mode: int, owner: str = "root", group: str = "root") -> None:
        """Put a whole file in place: written beside, fsynced, renamed, and the rename fsynced.

        Whoever reads the path sees the old file or the new one, also after a power cut.
        """
        raw = data.encode("utf-8", "surrogateescape") if isinstance(data, str) else data
        fresh = beside(path)
        with said_of(path):
            with contextlib.suppress(FileNotFoundError):
                self.path(fresh).unlink()
            handle = os.open(self.path(fresh), os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(raw)
                    file.flush()
                    os.fsync(file.fileno())
                self.own(fresh, owner, group)
                self.path(fresh).chmod(mode)
                self.rename(fresh, path)
            except BaseException:
                with contextlib.suppress(OSError):
                    self.path(fresh).unlink()
                raise

    def link(self, path: str, target: str) -> None:
        """Point a symbolic link at `target` in one step: it never dangles in between."""
        fresh = beside(path)
        with said_of(path):
            with contextlib.suppress(FileNotFoundError):
                self.path(fresh).unlink()
            self.path(fresh).symlink_to(target)
            self.rename(fresh, path)

    def rename(self, source: str, path: str) -> None:
        """Rename, and fsync the directory, so that the new name survives a power cut."""
        self.path(source).rename(self.path(path))
        self.sync(os.path.dirname(path))

    def sync(self, directory: str) -> None:
        """Make the names in a directory survive a power cut."""
        handle = os.open(self.path(directory), os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)

    def mkdir(self, path: str, mode: int, owner: str = "root", group: str = "root") -> None:
        """Make a directory, with parents of 0755, or set the mode and owner of the one that is there."""
        above = self.path(path).parent
        with said_of(path):
            missing = [each for each in (above, *above.parents) if not each.exists()]
            above.mkdir(parents=True, exist_ok=True)
            for each in missing:
                # In a unit the umask is 0077.
                each.chmod(0o755)
            self.path(path).mkdir(mode=0o700, exist_ok=True)
            self.own(path, owner, group)
            self.path(path).chmod(mode)

    def remove(self, path: str) -> None:
        """Remove a file, a link or an empty directory; nothing where there is nothing or it isn't empty."""
        place = self.path(path)
        with said_of(path):
            if place.is_dir() and not place.is_symlink():
                with contextlib.suppress(OSError):
                    place.rmdir()
            else:
                place.unlink(missing_ok=True)

    def remove_tree(self, path: str) -> None:
        """Remove a directory with all that is in it; for what can be made again, never for data."""
        with said_of(path), contextlib.suppress(FileNotFoundError):
            shutil.rmtree(self.path(path))

    def displace(self, path: str) -> str | None:
        """Keep a copy of a file or link that isn't as we left it, before ours takes its place; says where."""
        node = self.node(path)
        if node is None or node.kind not in ("file", "link"):
            return None
        kept = f"{DISPLACED}/{time.strftime('%Y%m%dT%H%M%S')}{path}"
        with said_of(kept):
            self.mkdir(DISPLACED, 0o700)
            self.path(kept).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            shutil.copy2(self.path(path), self.path(kept), follow_symlinks=False)
            if node.kind == "file":
                with self.path(kept).open("rb") as file:
                    os.fsync(file.fileno())
            self.sync(os.path.dirname(kept))
        return kept

    def own(self, path: str, owner: str, group: str) -> None:
        """Give a path to a user and a group, by name."""
        os.chown(self.path(path), self.uid(owner), self.gid(group), follow_symlinks=False)

    def _owner(self, path: str, found: os.stat_result) -> tuple[str, str]:
        return self._name("passwd", found.st_uid), self._name("group", found.st_gid)

    def uid(self, user: str) -> int:
        """The number of a user. Raises `Error` where there is none."""
        return self._number("passwd", user)

    def gid(self, group: str) -> int:
        """The number of a group. Raises `Error` where there is none."""
        return self._number("group", group)

    def _number(self, table: str, name: str) -> int:
        if name == "root":
            return 0
        with contextlib.suppress(KeyError):
            if self.live:
                return pwd.getpwnam(name).pw_uid if table == "passwd" else grp.getgrnam(name).gr_gid
            return self._accounts(table)[name]
        word = "user" if table == "passwd" else "group"
        raise Error(f"there is no {word} {name} on this machine", hint="apt install --reinstall matrix-baremetal")

    def _name(self, table: str, number: int) -> str:
        if number == 0:
            return "root"
        with contextlib.suppress(KeyError):
            if self.live:
                return pwd.getpwuid(number).pw_name if table == "passwd" else grp.getgrgid(number).gr_name
            return {n: name for name, n in self._accounts(table).items()}[number]
        return str(number)

    def _accounts(self, table: str) -> dict[str, int]:
        """Names and numbers of a root's own users or groups (passwd(5), group(5): the third field)."""
        rows = [line.split(":") for line in (self.text(f"/etc/{table}") or "").splitlines()]
        return {row[0]: int(row[2]) for row in rows if len(row) > 2 and row[2].isdigit()}


def beside(path: str) -> str:
    """A name for what is about to be renamed to `path`: hidden, as some programs read all that is in a directory."""
    directory, _, name = path.rpartition("/")
    return f"{directory}/.{name}.matrix-baremetal-new"


def unread(path: str, error: OSError) -> Error:
    """The kernel's refusal to read, as a sentence about `path`."""
    if isinstance(error, PermissionError):
        return Error(f"may not read {path}", hint="run it as root: sudo matrix-baremetal …")
    return Error(f"cannot read {path}: {error.strerror}", hint="see: dmesg | tail")


@contextlib.contextmanager
def said_of(path: str) -> Iterator[None]:
    """Turn the kernel's refusal to write into a sentence about `path`."""
    try:
        yield
    except PermissionError as error:
        raise Error(
            f"may not write {path}: {error.strerror}", hint="run it as root: sudo matrix-baremetal …"
        ) from None
    except FileNotFoundError:
        hint = "install the Debian package that it belongs to; apt install --fix-broken"
        raise Error(f"cannot write {path}: its directory is missing", hint=hint) from None
    except OSError as error:
        raise Error(f"cannot write {path}: {error.strerror}", hint="see: df -h; df -i; dmesg | tail") from None
