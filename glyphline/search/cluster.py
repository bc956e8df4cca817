"""The Dask cluster that trials run on: processes of this machine, or the workers of a running scheduler.

Who names the scheduler chooses whose code runs here, so its address and certificates come from the environment and
never from a file in git.
"""

from __future__ import annotations

import hashlib
import logging
import os
import platform
import re
import signal
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from multiprocessing import resource_tracker
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import dask
import distributed
import numpy as np

from glyphline.errors import GlyphlineError, quoted
from glyphline.search.settings import CLUSTER_VARIABLES
from glyphline.search.trial import Splits

SCHEDULER, *TLS_FILES = CLUSTER_VARIABLES.values()
LOOPBACK = "127.0.0.1"
ANSWER_SECONDS = 15  # that a scheduler may take to answer
WORKER_SECONDS = 300  # that a search waits while there is no worker
PACKAGES = ("distributed", "keras", "numpy", "optuna", "tensorflow")
_PACKAGE = Path(__file__).parents[1]
_CODE = ("model", "search")  # what decides the course of a trial


class ClusterError(GlyphlineError):
    """The scheduler or its workers cannot be reached."""


class VersionsDifferError(GlyphlineError):
    """A worker or the scheduler has other versions than the process that searches."""


def versions() -> dict[str, str]:
    """The versions here, by package. `glyphline` is a digest of the modules that a trial runs."""
    code = hashlib.sha256()
    for name in _CODE:
        for path in sorted((_PACKAGE / name).rglob("*.py")):
            code.update(path.relative_to(_PACKAGE).as_posix().encode() + path.read_bytes())
    python = ".".join(platform.python_version_tuple()[:2])
    return {"python": python, **{name: version(name) for name in PACKAGES}, "glyphline": code.hexdigest()[:12]}


def check_versions(found: dict[str, str], expected: dict[str, str], who: str) -> None:
    """Raise VersionsDifferError, in one sentence about `who`, unless what was found is what was expected."""
    differing = [
        f"{name} {value} instead of {expected.get(name, 'none')}"
        for name, value in found.items()
        if value != expected.get(name)
    ]
    if differing:
        raise VersionsDifferError(
            f"{who} has {', '.join(differing)}; set up the same commit there with make setup, and start it again"
        )


@contextmanager
def connected(workers: int) -> Iterator[distributed.Client]:
    """A client of the scheduler that GLYPHLINE_SCHEDULER names, or of so many worker processes that end with it.

    Raises ClusterError where nobody answers, VersionsDifferError where the scheduler is of another version.
    """
    address = os.environ.get(SCHEDULER)
    if address:
        with _client_of(address) as client:
            yield client
    else:
        with _workers_here(workers) as cluster, distributed.Client(cluster) as client:
            yield client


def _client_of(address: str) -> distributed.Client:
    security = _security(address)
    for name in ("asyncio", "distributed", "distributed.client"):  # the last one does not follow distributed's level
        # They report a lost connection by a traceback, and we by a sentence.
        logging.getLogger(name).setLevel(logging.CRITICAL)
    try:
        client = distributed.Client(address, timeout=ANSWER_SECONDS, security=security, name="tune")
    except (OSError, ValueError, RuntimeError) as error:
        reason = " ".join(str(error.__cause__ or error).split())
        raise ClusterError(
            f"{SCHEDULER}: {address} does not answer within {ANSWER_SECONDS} s ({reason}); start one there with "
            f"dask scheduler, or unset {SCHEDULER} to search on this machine"
        ) from None
    theirs: dict[str, Any] = client.get_versions()["scheduler"]["packages"]
    found = {"python": ".".join(theirs["python"].split(".")[:2]), "distributed": theirs["distributed"]}
    check_versions(found, versions(), f"the scheduler at {address}")
    return client


def _security(address: str) -> distributed.Security | None:
    if not re.fullmatch(r"(tcp|tls)://\S+:\d+", address):
        raise ClusterError(
            f"{SCHEDULER}: a scheduler is tls://host:port or tcp://host:port, but it is {quoted(address)}"
        )
    files = {name: os.environ.get(name, "") for name in TLS_FILES}
    encrypted = address.startswith("tls://")
    if not encrypted and not any(files.values()):
        return None
    if not encrypted or not all(files.values()):
        raise ClusterError(f"{SCHEDULER}: tls:// and {', '.join(files)} go together: set all four, or tcp:// alone")
    for name, file in files.items():
        if not Path(file).is_file():
            raise ClusterError(f"{name}: {file}: there is no such file")
    authority, certificate, key = files.values()
    security = distributed.Security(
        require_encryption=True, tls_ca_file=authority, tls_client_cert=certificate, tls_client_key=key
    )
    try:
        security.get_connection_args("client")
    except (ssl.SSLError, OSError) as error:
        raise ClusterError(
            f"{', '.join(files)}: these are no certificates and key in PEM format that go together: {error}"
        ) from None
    return security


@contextmanager
def _workers_here(count: int) -> Iterator[distributed.LocalCluster]:
    """Workers that nobody but this process can give work to, not even another user of this machine.

    Dask puts its temporary folder on sys.path, and its default is one that any user can make.
    """
    with TemporaryDirectory(prefix="glyphline-") as private, dask.config.set({"temporary-directory": private}):
        # What is started with SIGINT blocked keeps it so: Ctrl-C is for this process, which ends the others.
        resource_tracker.ensure_running()  # now, because its start unblocks SIGINT
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            cluster = distributed.LocalCluster(
                n_workers=count,
                threads_per_worker=1,
                processes=True,
                host=LOOPBACK,
                security=True,  # certificates made for this cluster
                dashboard_address=f"{LOOPBACK}:0",
                worker_dashboard_address=f"{LOOPBACK}:0",
                silence_logs=logging.CRITICAL,  # workers log stopped trials and ends at lower levels
            )
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        with cluster:
            yield cluster


def scatter(client: distributed.Client, splits: Splits) -> distributed.Future:
    """Send the data to every worker, once; a worker that comes later has them from another. Raises ClusterError."""
    try:
        client.wait_for_workers(1, timeout=WORKER_SECONDS)
        here = client.cluster is not None  # then its workers see the files of this machine
        return client.scatter(splits if here else splits.map(np.array), broadcast=True, hash=False)
    except TimeoutError:
        raise ClusterError(
            f"the scheduler at {client.scheduler.address} has had no worker for {WORKER_SECONDS} s; start some with "
            f"dask worker {client.scheduler.address} --nworkers 2 --nthreads 1 and run dvc repro again: what is done "
            "is kept"
        ) from None
