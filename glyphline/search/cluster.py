"""The Dask cluster that the trials run on: workers of this machine, or whatever a running scheduler has."""

from __future__ import annotations

import logging
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import distributed

from glyphline import paths
from glyphline.errors import GlyphlineError
from glyphline.search.settings import Search
from glyphline.search.trial import Splits
from glyphline.search.versions import versions

LOOPBACK = "127.0.0.1"
ANSWER_SECONDS = 15  # that a scheduler may take to answer
WORKER_SECONDS = 300  # that a search waits while there is no worker


class ClusterError(GlyphlineError):
    """The scheduler or its workers cannot be reached."""


@contextmanager
def connected(search: Search) -> Iterator[distributed.Client]:
    """A client of the scheduler that params.yaml names, or of one with workers of its own, gone with this process.

    Raises ClusterError where nobody answers, VersionsDifferError where the scheduler is of another version.
    """
    if search.scheduler is None:
        with _workers_here(search.workers) as cluster, distributed.Client(cluster) as client:
            yield client
        return
    for name in ("asyncio", "distributed", "distributed.client"):  # the last one does not follow distributed's level
        # They tell of a lost connection by a traceback, and we by a sentence.
        logging.getLogger(name).setLevel(logging.CRITICAL)
    where = f"{paths.PARAMS}: search.scheduler: {search.scheduler}"
    try:
        client = distributed.Client(search.scheduler, timeout=ANSWER_SECONDS, security=_security(search), name="tune")
    except (OSError, ValueError, RuntimeError) as error:
        reason = " ".join(str(error.__cause__ or error).split())
        raise ClusterError(
            f"{where} does not answer within {ANSWER_SECONDS} s ({reason}); start one there with dask scheduler, "
            "or leave search.scheduler empty to search on this machine"
        ) from None
    with client:
        yield client


def _workers_here(count: int) -> distributed.LocalCluster:
    # What listens, listens to this machine alone: there is no password.
    return distributed.LocalCluster(
        n_workers=count,
        threads_per_worker=1,
        processes=True,
        host=LOOPBACK,
        dashboard_address=f"{LOOPBACK}:0",
        worker_dashboard_address=f"{LOOPBACK}:0",
        silence_logs=logging.ERROR,  # it would warn of each trial that is stopped
    )


def _security(search: Search) -> distributed.Security | None:
    files = {
        "tls_ca_file": search.tls_ca_file,
        "tls_certificate": search.tls_certificate,
        "tls_key": search.tls_key,
    }
    if not any(files.values()):
        return None
    for key, name in files.items():
        if name is None or not Path(name).is_file():
            raise ClusterError(f"{paths.PARAMS}: search.{key}: {name}: there is no such file")
    security = distributed.Security(
        require_encryption=True,
        tls_ca_file=search.tls_ca_file,
        tls_client_cert=search.tls_certificate,
        tls_client_key=search.tls_key,
    )
    try:
        security.get_connection_args("client")
    except (ssl.SSLError, OSError) as error:
        raise ClusterError(
            f"{paths.PARAMS}: search.tls_certificate, tls_key, tls_ca_file: these are no certificates and key in PEM "
            f"format that go together: {error}"
        ) from None
    return security


def check_scheduler(client: distributed.Client) -> None:
    """Raise ClusterError, in one sentence, where the scheduler runs another version of Dask or of Python."""
    theirs: dict[str, Any] = client.get_versions()["scheduler"]["packages"]
    ours = versions()
    found = {"python": ".".join(theirs["python"].split(".")[:2]), "distributed": theirs["distributed"]}
    differing = [f"{name} {found[name]} instead of {ours[name]}" for name in found if found[name] != ours[name]]
    if differing:
        raise ClusterError(
            f"the scheduler at {client.scheduler.address} has {', '.join(differing)}; set up the same commit there "
            "with make setup, and start it again"
        )


def share(client: distributed.Client, splits: Splits) -> distributed.Future:
    """Send the data to every worker, once; a worker that comes later has them from another. Raises ClusterError."""
    try:
        client.wait_for_workers(1, timeout=WORKER_SECONDS)
        return client.scatter(splits, broadcast=True, hash=False)
    except TimeoutError:
        raise ClusterError(
            f"the scheduler at {client.scheduler.address} has had no worker for {WORKER_SECONDS} s; start some with "
            f"dask worker {client.scheduler.address} --nworkers 2 --nthreads 1 and run dvc repro again: what is done "
            "is kept"
        ) from None
