"""A verified file from the first mirror that has it."""

from __future__ import annotations

import gzip
import hashlib
import io
import logging
import shutil
import sys
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pooch
import requests

from glyphline.data.formats import decompressed
from glyphline.data.records import Dataset, PublishedFile
from glyphline.errors import FetchError

MIRROR_VARIABLE = "GLYPHLINE_MIRROR"
TIMEOUT_SECONDS = 30.0  # without a byte from the server
RETRIES = 2  # of each mirror, after 1 and 2 seconds
_CHUNK_BYTES = 1 << 20
_TOO_LARGE = "the {} is larger than {:,} bytes, the most that the recorded number of images or labels takes"


def mirrors_of(name: str, dataset: Dataset, own_mirror: str | None) -> list[str]:
    """Where to look for a data set's files, in order: the user's own mirror, `<name>/<file>`, goes first."""
    own = [f"{own_mirror.rstrip('/')}/{name}"] if own_mirror else []
    return [f"{mirror.rstrip('/')}/" for mirror in (*own, *dataset.mirrors)]


def fetch(
    file: PublishedFile,
    mirrors: Sequence[str],
    folder: Path,
    most_bytes: int,
    *,
    timeout_seconds: float = TIMEOUT_SECONDS,
    retries: int = RETRIES,
) -> Path:
    """Bring a file into `folder` and return its path; a verified copy already there is used as it is.

    The file is downloaded or copied beside its place, verified, and only then moved there. most_bytes: of the file, and
    of its content; what is larger is left as soon as that shows.
    Raises FetchError when no mirror has it as published, with each mirror's reason.
    """
    path = folder / file.name
    if path.is_file() and mismatch(path, file, most_bytes) is None:
        return path
    path.unlink(missing_ok=True)
    folder.mkdir(parents=True, exist_ok=True)
    reasons = []
    for mirror in mirrors:
        try:
            if mirror.startswith(("http://", "https://")):
                _download(file, mirror, folder, most_bytes, timeout_seconds=timeout_seconds, retries=retries)
            else:
                _copy(file, Path(mirror), folder, most_bytes)
        except _MirrorError as error:
            reasons.append(f"  {mirror}{file.name}: {error}")
            print(f"{file.name}: not from {mirror}: {error}", file=sys.stderr)
        else:
            print(f"{file.name}: {path.stat().st_size:,} bytes from {mirror}, verified", flush=True)
            return path
    raise FetchError(
        f"{file.name}: no mirror has this file as published:\n"
        + "\n".join(reasons)
        + f"\nTo work offline, set {MIRROR_VARIABLE} to a folder (or URL) that holds it as "
        f"{folder.name}/{file.name}, or choose the bundled data: dvc exp run -S dataset=mnist-5k"
    )


def mismatch(path: Path, file: PublishedFile, most_bytes: int) -> str | None:
    """Why the bytes at `path` are not the published file, or None when they are. Reads no more than `most_bytes`."""
    left = most_bytes
    algorithm, expected = file.digest.split(":")
    digest = hashlib.new(algorithm)
    try:
        with decompressed(path) if file.digest_of == "content" else path.open("rb") as stream:
            while chunk := stream.read(_CHUNK_BYTES):
                digest.update(chunk)
                left -= len(chunk)
                if left < 0:
                    return _TOO_LARGE.format(file.digest_of, most_bytes)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        return f"the compressed data is damaged or cut short ({error})"
    if digest.hexdigest() == expected:
        return None
    with path.open("rb") as stream:
        is_page = stream.read(512).lstrip().lower().startswith((b"<!doctype", b"<html", b"<?xml"))
    return f"{algorithm} of the {file.digest_of} is {digest.hexdigest()}, expected {expected}" + (
        " (it is a web page)" if is_page else ""
    )


class _MirrorError(Exception):
    """Why one mirror did not give the file."""


class _UnverifiedError(ValueError):
    """The bytes that came are not the published ones; pooch tries again on ValueError."""


class _LimitedFile(io.BufferedWriter):
    """A new file that takes no more than `most_bytes`."""

    def __init__(self, path: str | Path, most_bytes: int) -> None:
        super().__init__(io.FileIO(path, "w"))
        self.most_bytes = most_bytes

    def write(self, chunk: Any) -> int:
        if self.tell() + len(chunk) > self.most_bytes:
            raise _MirrorError(_TOO_LARGE.format("file", self.most_bytes))
        return super().write(chunk)


def _copy(file: PublishedFile, mirror: Path, folder: Path, most_bytes: int) -> None:
    source = mirror / file.name
    if not source.is_file():
        raise _MirrorError("there is no such file")
    partial = folder / f"{file.name}.partial"
    try:
        with source.open("rb") as published, _LimitedFile(partial, most_bytes) as copy:
            shutil.copyfileobj(published, copy)
        problem = mismatch(partial, file, most_bytes)
        if problem:
            raise _MirrorError(problem)
        partial.replace(folder / file.name)
    except PermissionError as error:
        raise _MirrorError(f"{error.filename} may not be read or written") from None
    finally:
        partial.unlink(missing_ok=True)


def _download(
    file: PublishedFile, mirror: str, folder: Path, most_bytes: int, *, timeout_seconds: float, retries: int
) -> None:
    http = pooch.HTTPDownloader(
        progressbar=sys.stderr.isatty(),
        chunk_size=_CHUNK_BYTES,
        timeout=timeout_seconds,
        headers={"Accept-Encoding": "identity"},  # the file as it is, not gzipped once more on the way
    )

    def download_and_verify(url: str, output: str, keeper: pooch.Pooch) -> None:
        try:
            with _LimitedFile(output, most_bytes) as arriving:
                http(url, arriving, keeper)
        except requests.HTTPError as error:
            if error.response.status_code < 500:  # the mirror's last word: asking again changes nothing
                raise _MirrorError(_reason(error, timeout_seconds)) from None
            raise
        problem = mismatch(Path(output), file, most_bytes)
        if problem:
            raise _UnverifiedError(problem)

    pooch.get_logger().setLevel(logging.WARNING)  # fetch() says it in its own words
    keeper = pooch.create(path=folder, base_url=mirror, registry={file.name: None}, retry_if_failed=retries)
    try:
        keeper.fetch(file.name, downloader=download_and_verify)
    except _UnverifiedError as error:
        raise _MirrorError(str(error)) from None
    except requests.RequestException as error:
        raise _MirrorError(_reason(error, timeout_seconds)) from None
    except ValueError as error:  # urllib3's, which requests lets through
        raise _MirrorError(f"this is not an address: {error}") from None


def _reason(error: requests.RequestException, timeout_seconds: float) -> str:
    if isinstance(error, requests.HTTPError):
        return f"the server answered {error.response.status_code} {error.response.reason}"
    if isinstance(error, requests.Timeout) or "timed out" in str(error):
        return f"the server sent nothing for {timeout_seconds:g} s"
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return "the connection broke off before the end of the file"
    if isinstance(error, requests.ConnectionError):
        return "no connection to the server"
    return f"{type(error).__name__}: {error}"
