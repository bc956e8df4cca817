"""Files in a folder, a zip or a tar archive, as one listing. Archives are read in place; only `copy` unpacks."""

from __future__ import annotations

import errno
import io
import os
import shutil
import stat
import tarfile
import zipfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO, BinaryIO

from glyphline.errors import FormatError, GlyphlineError, printable

HEAD_BYTES = 512  # of a file, enough to tell what it is
MOST_FILE_BYTES = 1 << 28  # of one picture inside an archive
MOST_FILES = 5_000_000
BOMB_BYTES, BOMB_TIMES = 1 << 30, 200  # an archive that unpacks to more than this, and to so many times its size
_JUNK = {"__macosx", "thumbs.db", "desktop.ini"}


def is_damage(error: Exception) -> bool:
    """Whether an error of a library's reader comes from wrong bytes, and not from this package or the system."""
    if isinstance(error, OSError):
        return error.errno in (None, errno.EINVAL)  # they seek where a damaged archive says
    return not isinstance(error, GlyphlineError)


@contextmanager
def damage_said(path: Path, what: str) -> Iterator[None]:
    """Turn what a reader raises for wrong bytes, a dozen kinds of error, into a FormatError that says `what`."""
    try:
        yield
    except MemoryError:
        raise FormatError(f"{path}: there is not enough memory to read it") from None
    except Exception as error:
        if not is_damage(error):
            raise
        raise FormatError(f"{path}: {what} ({' '.join(str(error).split())[:120]})") from None


@dataclass(frozen=True)
class Entry:
    """One file. name: its path in the tree, parts divided by slashes. head: its first HEAD_BYTES bytes."""

    name: str
    size: int
    head: bytes
    stream: BinaryIO  # at its start, and seekable; open until the next entry


@dataclass
class Tree:
    """A folder, zip or tar. `ignored` counts, after a pass, what was left out, by reason."""

    path: Path
    kind: str
    ignored: Counter[str] = field(default_factory=Counter)

    def __iter__(self) -> Iterator[Entry]:
        """Every file once, in the same order each time. Raises FormatError for links that lead out, and the like."""
        self.ignored.clear()
        seen: set[str] = set()
        reader = {"folder": self._folder, "zip": self._zip, "tar": self._tar}[self.kind]
        with damage_said(self.path, "the archive is damaged or cannot be read here"):
            for entry in reader():
                if entry.name in seen:
                    raise FormatError(f"{self.path}: two files in it are called {printable(entry.name)}; rename one")
                if len(seen) >= MOST_FILES:
                    raise FormatError(f"{self.path}: there are more than {MOST_FILES:,} files in it")
                seen.add(entry.name)
                yield entry

    def _folder(self) -> Iterator[Entry]:
        root = self.path.resolve()
        found: list[str] = []
        for folder, folders, files in os.walk(self.path):
            # os and open: a Path for each of a million files takes as long as reading it.
            linked = {name for name in folders + files if os.path.islink(f"{folder}/{name}")}  # noqa: PTH114
            for name in linked:
                if not Path(folder, name).resolve().is_relative_to(root):
                    raise FormatError(
                        f"{folder}/{name}: this link leads out of {self.path}; copy what it leads to, or remove it"
                    )
            self.ignored["links to folders"] += len(linked & set(folders))
            folders[:] = [name for name in folders if name not in linked and not self._is_junk(name)]
            found += [f"{folder}/{name}" for name in files if not self._is_junk(name)]
        for full in sorted(found):
            status = os.stat(full)  # noqa: PTH116
            if not stat.S_ISREG(status.st_mode):
                self.ignored["no ordinary files"] += 1
                continue
            with open(full, "rb") as stream:  # noqa: PTH123
                head = stream.read(HEAD_BYTES)
                stream.seek(0)
                yield Entry(full[len(str(self.path)) + 1 :], status.st_size, head, stream)

    def _zip(self) -> Iterator[Entry]:
        with zipfile.ZipFile(self.path) as archive:
            members = [member for member in archive.infolist() if not member.is_dir()]
            self._check_size(sum(member.file_size for member in members))
            for member in sorted(members, key=lambda member: member.filename):
                if self._is_left_out(member.filename):
                    continue
                if stat.S_ISLNK(member.external_attr >> 16):
                    raise FormatError(
                        f"{self.path}: {printable(member.filename)} in it is a link, which is not followed"
                    )
                if member.flag_bits & 0x1:
                    raise FormatError(f"{self.path}: {printable(member.filename)} in it is encrypted; unpack it first")
                try:
                    with archive.open(member) as stream:
                        entry = self._held(member.filename, member.file_size, stream)
                except Exception as error:  # of this file alone: it is no picture any more
                    if not is_damage(error):
                        raise
                    entry = Entry(member.filename, member.file_size, b"", io.BytesIO())
                yield entry

    def _tar(self) -> Iterator[Entry]:
        total = 0
        with tarfile.open(self.path, "r|*") as archive:  # one member after the other: no way back in what is packed
            for member in archive:
                if member.isdir() or self._is_left_out(member.name):
                    continue
                if not member.isreg():
                    raise FormatError(f"{self.path}: {printable(member.name)} in it is a link or a device, not a file")
                total += member.size
                self._check_size(total)
                content = archive.extractfile(member)
                assert content is not None
                yield self._held(member.name, member.size, content)

    def copy(self, names: set[str], folder: Path) -> dict[str, Path]:
        """Files of the tree by their names, those of an archive copied into `folder`, which is made."""
        if self.kind == "folder":
            return {name: self.path / name for name in names}
        folder.mkdir()
        places = {name: folder / f"{number}-{PurePosixPath(name).name}" for number, name in enumerate(sorted(names))}
        if self.kind == "zip":
            with zipfile.ZipFile(self.path) as archive:
                for name, place in places.items():
                    with archive.open(name) as stream, place.open("wb") as copy:
                        shutil.copyfileobj(stream, copy)
        else:
            with tarfile.open(self.path, "r|*") as archive:
                for member in archive:
                    name = str(PurePosixPath(member.name))
                    if name in places and (content := archive.extractfile(member)):
                        with places[name].open("wb") as copy:
                            shutil.copyfileobj(content, copy)
        return places

    def _held(self, name: str, size: int, stream: IO[bytes]) -> Entry:
        """An entry whose content lies in memory, if it is no larger than a picture may be; else only its head."""
        head = stream.read(HEAD_BYTES)
        rest = stream.read(MOST_FILE_BYTES) if size <= MOST_FILE_BYTES else b""
        return Entry(str(PurePosixPath(name)), size, head, io.BytesIO(head + rest))

    def _check_size(self, total: int) -> None:
        if total > max(BOMB_BYTES, BOMB_TIMES * self.path.stat().st_size):
            raise FormatError(
                f"{self.path}: it would unpack to {total:,} bytes, more than {BOMB_TIMES} times its own size; "
                "unpack it yourself if it is no trap"
            )

    def _is_left_out(self, name: str) -> bool:
        parts = PurePosixPath(name).parts
        if name.startswith("/") or ".." in parts or "\\" in name or "\0" in name or (parts and ":" in parts[0]):
            raise FormatError(f"{self.path}: {printable(name)} in it is a path that leads out of the archive")
        return any(self._is_junk(part) for part in parts)

    def _is_junk(self, name: str) -> bool:
        junk = name.startswith(".") or name.lower() in _JUNK
        if junk:
            self.ignored["hidden files and folders"] += 1
        return junk
