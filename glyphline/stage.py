"""What every stage does around its main(): report errors in one sentence, and record when and where it ran."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import NoReturn

import psutil

from glyphline import paths
from glyphline.errors import GlyphlineError

_VERSIONS_OF = ("tensorflow", "keras", "numpy", "scikit-learn", "dvc")
# What TensorFlow's speed and rounding depend on; processors of one name differ in it.
_FLAGS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16")


def run(name: str, main: Callable[[], dict[str, float] | None]) -> NoReturn:
    """Run a stage's main() and exit: with 0, or with 1 and one sentence for a user's mistake or a fault of the system.

    What the run took and on what machine goes to runs/<name>.json, with what main() returns. That is neither a metric
    nor an output: where it cannot be written the stage says so and succeeds.
    """
    try:
        record = _timed(name, main)
    except GlyphlineError as error:
        sys.exit(f"{error}")
    except KeyboardInterrupt:
        sys.exit(f"{name}: interrupted; run dvc repro to go on")
    except MemoryError:
        sys.exit(f"{name}: out of memory; set limit in params.yaml to use fewer images")
    except OSError as error:
        if error.filename is None and error.errno is None:
            raise  # not the operating system's word about a file, so not a user's mishap
        sys.exit(f"{name}: {error.filename or 'a file'}: {error.strerror}")
    try:
        paths.RUNS.mkdir(exist_ok=True)
        (paths.RUNS / f"{name}.json").write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        print(f"{name}: {error.filename}: the run record is not written ({error.strerror})", file=sys.stderr)
    print(f"{name}: {record['seconds']:.1f} s")
    sys.exit(0)


def run_each(
    name: str, main: Callable[[str], dict[str, float] | None], description: str | None, section: str
) -> NoReturn:
    """Run the stage of one entry of a section of params.yaml: the argument, or else the one whose stage DVC runs.

    DVC says in the environment which stage it runs, so that no name out of params.yaml becomes part of a command.
    """
    parser = argparse.ArgumentParser(description=description)
    running = os.environ.get("DVC_STAGE", "").partition("@")[2] or None
    parser.add_argument(
        "name",
        nargs="?" if running else None,
        default=running,
        help=f"an entry under {section} in params.yaml; by default the one whose stage DVC runs",
    )
    entry = parser.parse_args().name
    run(f"{name}@{entry}", lambda: main(entry))


def _timed(name: str, main: Callable[[], dict[str, float] | None]) -> dict[str, object]:
    started = datetime.now(UTC)
    clock = time.perf_counter()
    further = main() or {}
    return {
        "stage": name,
        "started": started.isoformat(timespec="seconds"),
        "seconds": round(time.perf_counter() - clock, 3),
        **further,
        "peak_memory_bytes": _peak_memory_bytes(),
        "machine": machine(),
    }


def machine() -> dict[str, object]:
    """What this runs on: processor, cores this process may use, memory, system, versions."""
    cpu = _cpuinfo()
    return {
        "processor": cpu.get("model name") or platform.processor() or platform.machine(),
        "flags": " ".join(flag for flag in _FLAGS if flag in cpu.get("flags", "").split()) or "none",
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_bytes": psutil.virtual_memory().total,
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        **{package: version(package) for package in _VERSIONS_OF},
    }


def _cpuinfo() -> dict[str, str]:
    """What Linux says of the first core; nothing on another system."""
    try:
        first, _, _ = Path("/proc/cpuinfo").read_text(encoding="utf-8").partition("\n\n")
    except OSError:
        return {}
    fields = (line.partition(":") for line in first.splitlines())
    return {name.strip(): value.strip() for name, _, value in fields}


def _peak_memory_bytes() -> int | None:
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
