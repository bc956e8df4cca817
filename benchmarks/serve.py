"""How many pictures a second `glyphline serve` classifies, how long each waits, and what becomes of its memory.

python -m benchmarks.serve exports/fast        # 8 minutes; needs wrk (apt install wrk)

wrk sends, from so many connections at once, one picture a request, as large as the page's drawings: first a round at 32
clients, then ten times as many, then 32 again, and last as many requests as --requests says, with the memory of all
processes of the server before and after.
"""

from __future__ import annotations

import argparse
import io
import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil
from PIL import Image

from benchmarks.processes import machine_line
from glyphline import paths
from glyphline.data.records import load_dataset
from glyphline.data.source import read_dataset

CLIENTS = 32
SIDE = 84  # pixels, as the page sends them
SECONDS = 20
WARM_UP = 2000  # requests, before memory is looked at
SCRIPT = """
local file = io.open("{picture}", "rb")
wrk.method, wrk.body, wrk.headers["Content-Type"] = "POST", file:read("*a"), "image/png"
file:close()
local threads = {{}}
function setup(thread) table.insert(threads, thread) end
function init() right, busy, other, slowest = 0, 0, 0, 0 end
function response(status)
  if status == 200 then right = right + 1 elseif status == 503 then busy = busy + 1 else other = other + 1 end
end
function done(summary, latency)
  local sums = {{right = 0, busy = 0, other = 0}}
  for _, thread in ipairs(threads) do
    for name in pairs(sums) do sums[name] = sums[name] + thread:get(name) end
  end
  local e = summary.errors
  print(string.format('JSON {{"seconds": %f, "right": %d, "busy": %d, "failed": %d, "p50": %f, "p99": %f}}',
    summary.duration / 1e6, sums.right, sums.busy, sums.other + e.connect + e.read + e.write + e.timeout,
    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3))
end
"""


@dataclass(frozen=True)
class Round:
    """seconds: how long. right, busy, failed: answers with 200, with 503, and all else. p50, p99: milliseconds."""

    seconds: float
    right: int
    busy: int
    failed: int
    p50: float
    p99: float

    def __str__(self) -> str:
        return (
            f"{self.right / self.seconds:7.1f} pictures/s  p50 {self.p50:6.1f} ms  p99 {self.p99:6.1f} ms  "
            f"{self.busy:,} told to come again (503)  {self.failed:,} errors"
        )


def drawing() -> bytes:
    """A digit of the bundled ones, dark on light."""
    (images, _), _ = read_dataset("mnist-5k", load_dataset("mnist-5k"), None, paths.DOWNLOADS)
    file = io.BytesIO()
    large = Image.fromarray(np.pad(255 - images[0], 7, constant_values=255)).resize(
        (SIDE, SIDE), Image.Resampling.BICUBIC
    )
    large.save(file, "PNG")
    return file.getvalue()


def load(address: str, script: Path, clients: int, seconds: float) -> Round:
    """One round of wrk."""
    command = ["wrk", "-t1", f"-c{clients}", f"-d{seconds:.0f}s", "--timeout", "10s", "-s", str(script), address]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found = re.search(r"^JSON (.*)$", printed, flags=re.MULTILINE)
    if not found:
        sys.exit(f"wrk did not say how it went: {printed}")
    return Round(**json.loads(found[1]))


def memory(process: psutil.Process) -> float:
    """MiB of the server's processes together, each with what it shares."""
    return sum(each.memory_info().rss for each in (process, *process.children(recursive=True))) / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serve", description=__doc__.partition("\n")[0])
    parser.add_argument("model", type=Path, help="a folder that glyphline export wrote")
    parser.add_argument("--requests", type=int, default=100_000, help="for the last round, about")
    arguments = parser.parse_args()
    if shutil.which("wrk") is None:
        sys.exit("wrk is not on the path; install it (apt install wrk)")
    print(machine_line())
    with tempfile.TemporaryDirectory() as folder:
        picture, script = Path(folder, "picture.png"), Path(folder, "load.lua")
        picture.write_bytes(drawing())
        script.write_text(SCRIPT.format(picture=picture), encoding="utf-8")
        code = "import sys; from glyphline.cli import main; sys.exit(main())"
        server = subprocess.Popen(
            [sys.executable, "-c", code, "serve", "--port", "0", "--model", str(arguments.model)],
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            assert server.stdout is not None
            found = re.search(r"http://\S+:\d+", server.stdout.readline())
            if not found:
                sys.exit("the server did not start")
            address, process = f"{found[0]}/api/predict", psutil.Process(server.pid)
            load(address, script, CLIENTS, 3)
            for clients in (CLIENTS, 10 * CLIENTS, CLIENTS):
                measured = load(address, script, clients, SECONDS)
                print(f"{clients:4} clients: {measured}", flush=True)
                time.sleep(2)  # what wrk left behind is finished
            before, left = memory(process), arguments.requests
            while left > 0:
                measured = load(address, script, CLIENTS, min(60, max(1, left / (measured.right / measured.seconds))))
                left -= measured.right
            print(
                f"memory: {before:.0f} MiB, and {memory(process):.0f} MiB {arguments.requests - left:,} pictures later"
            )
        finally:
            server.terminate()
            server.wait()


if __name__ == "__main__":
    main()
