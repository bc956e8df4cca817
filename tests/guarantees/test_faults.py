"""Full disks, read-only folders and damaged files: one sentence, nothing lost, and the next run is right."""

import functools
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.guarantees.conftest import STAGES, differing, results
from tests.pipeline.conftest import RUNNING, Clone

# Mounts that this process alone sees, and that go with it. Who is not root becomes so in a namespace of his own.
UNSHARE = ("unshare", "--mount", *(() if os.geteuid() == 0 else ("--user", "--map-root-user")))
ENDED = "--- ended with "

# $1: the repository; $2: an empty folder; $3: a stage; $4: bytes that are left free; $5: what is deleted before;
# $6: where to put what came of the next run
FULL_DISK = f"""
set -eu
mount -t tmpfs -o size=128m tmpfs "$2"
cp -a "$1/." "$2"
cd "$2"
rm -rf $5
free=$(df --output=avail -B1 . | tail -1)
head -c $((free - $4)) /dev/zero > .git/ballast
code=0
dvc repro --force --single-item "$3" || code=$?
echo "{ENDED}$code"
cp dvc.lock "$6.lock"
rm .git/ballast
# DVC may have been writing down who is at work, and then runs no more: that is to be deleted, as make verify says.
python -m glyphline.review.integrity | grep -q '^.dvc/tmp/rwlock: .*; delete it' && rm .dvc/tmp/rwlock
dvc repro
cp -a . "$6"
"""

# $1: the repository; $2: a folder in it, which becomes read-only; $3: a stage
READ_ONLY = f"""
set -eu
mount --bind "$1/$2" "$1/$2"
mount -o remount,bind,ro "$1/$2"
cd "$1"
code=0
dvc repro --force --single-item "$3" || code=$?
echo "{ENDED}$code"
"""


@functools.cache
def cannot_mount() -> str | None:
    """Why this machine lets nobody mount, or None."""
    probe = [*UNSHARE, "sh", "-c", "mount -t tmpfs tmpfs /mnt"]
    try:
        result = subprocess.run(probe, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return "this system has no unshare"
    return result.stderr.strip() or None if result.returncode else None


needs_mounts = pytest.mark.skipif(cannot_mount() is not None, reason=f"no mount namespace: {cannot_mount()}")


def outs(clone: Clone, stage: str) -> list[dict[str, str | int]]:
    found: list[dict[str, str | int]] = clone.stages()[stage]["outs"]
    return found


def in_store(store: Path, digest: str) -> Path:
    return store / "files/md5" / digest[:2] / digest[2:]


def cached(clone: Clone, stage: str) -> list[str]:
    """The paths of what DVC's cache holds of a stage's outputs."""
    found = [in_store(Path(".dvc/cache"), str(out["md5"])) for out in outs(clone, stage)]
    for listing in [path for path in found if path.suffix == ".dir"]:
        found += [in_store(Path(".dvc/cache"), file["md5"]) for file in json.loads(clone.read(str(listing)))]
    return [str(path) for path in found if (clone.root / path).is_file()]


def said_when_failing(output: str) -> str:
    """What was said up to the end of the command that was to fail."""
    said, _, rest = output.partition(ENDED)
    # DVC leaves with 0 where it could not put outputs away: it says so, and runs the stage again the next time.
    assert rest.splitlines()[0] != "0" or "ERROR: failed to transfer" in said, output
    assert "Traceback" not in said, said
    return said


@needs_mounts
@pytest.mark.long
@pytest.mark.parametrize("stage", STAGES)
def test_a_disk_full_before_a_stage_has_written_all_is_one_sentence(lean: Clone, tmp_path: Path, stage: str) -> None:
    disk_fills_up(lean, tmp_path, stage, share=0.5)


@needs_mounts
@pytest.mark.long
@pytest.mark.parametrize("stage", ["download", "train@mlp", "plot"])
def test_a_disk_full_before_dvc_has_cached_all_is_one_sentence(lean: Clone, tmp_path: Path, stage: str) -> None:
    disk_fills_up(lean, tmp_path, stage, share=1.5)


def disk_fills_up(lean: Clone, tmp_path: Path, stage: str, share: float) -> None:
    """Run a stage with room for a share of what it writes, and once more with room."""
    written = outs(lean, stage)
    own = sum(int(out["size"]) for out in written)
    if stage == "tune@tuned":  # its study is most of what it writes
        own = max(path.stat().st_size for path in (lean.root / "runs/search").iterdir())
    room = int(share * own)
    disk, after = tmp_path / "disk", tmp_path / "after"
    disk.mkdir()
    deleted = " ".join(["runs/search", *(str(out["path"]) for out in written), *cached(lean, stage)])
    arguments = (str(lean.root), str(disk), stage, str(room), deleted, str(after))
    result = lean.run(*UNSHARE, "sh", "-c", FULL_DISK, "sh", *arguments)
    assert re.search("No space left on device|disk is full", said_when_failing(result.stdout)), result.stdout
    assert (tmp_path / "after.lock").read_bytes() == (lean.root / "dvc.lock").read_bytes()
    assert differing(lean, Clone(after)) == []


@needs_mounts
@pytest.mark.parametrize(
    ("folder", "stage"),
    [
        ("data", "check"),
        pytest.param("data", "preprocess", marks=pytest.mark.long),
        pytest.param("models", "train@mlp", marks=pytest.mark.long),
        pytest.param("metrics", "evaluate", marks=pytest.mark.long),
        pytest.param(".dvc/cache", "preprocess", marks=pytest.mark.long),
        pytest.param(".", "check", marks=pytest.mark.long),
    ],
)
def test_a_read_only_folder_is_one_sentence(clone: Clone, finished: Clone, folder: str, stage: str) -> None:
    for path in cached(finished, stage):
        (clone.root / path).unlink()
    result = clone.run(*UNSHARE, "sh", "-c", READ_ONLY, "sh", str(clone.root), folder, stage)
    assert "Read-only file system" in said_when_failing(result.stdout)
    own = {str(out["path"]) for out in outs(finished, stage)}
    lost = [path for path in differing(finished, clone) if not any(path.startswith(out) for out in own)]
    assert lost == [], "something else than the outputs of the stage that failed"
    clone.dvc("repro")
    assert differing(finished, clone) == []


def flip_a_bit(path: Path) -> None:
    """Damage a file, as a disk does: its time and its mode stay."""
    mode, times = path.stat().st_mode, (path.stat().st_atime_ns, path.stat().st_mtime_ns)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.chmod(0o644)
    path.write_bytes(content)
    path.chmod(mode)
    os.utime(path, ns=times)


def verify(clone: Clone) -> subprocess.CompletedProcess[str]:
    return clone.run(sys.executable, "-m", "glyphline.review.integrity", check=False)


def test_a_file_of_dvc_s_in_the_way_is_named(clone: Clone, finished: Clone) -> None:
    notes = clone.root / ".dvc/tmp/rwlock"
    notes.write_text("", encoding="utf-8")  # as a kill or a full disk leaves it
    (clone.root / "data/params.schema.json").unlink()
    result = clone.dvc("repro", check=False)
    assert result.returncode != 0
    assert "Unable to read RWLock-file" in result.stdout
    said = ".dvc/tmp/rwlock: DVC was killed while it wrote this, and cannot read it; delete it, then run: dvc repro\n"
    assert verify(clone).stdout.endswith(said)
    notes.unlink()
    clone.dvc("repro")
    assert differing(finished, clone) == []
    assert verify(clone).returncode == 0


@pytest.mark.long  # the quick run has tests/review/test_integrity.py
@pytest.mark.parametrize("path", ["models/mlp.keras", "data/prepared"])
def test_damage_in_the_cache_is_found_and_mended(lean: Clone, tmp_path: Path, path: str) -> None:
    clone = lean.copy(tmp_path / "clone")
    (stage,) = [name for name in STAGES if path in [out["path"] for out in outs(lean, name)]]
    if (clone.root / path).is_dir():
        listing = in_store(clone.root / ".dvc/cache", next(str(o["md5"]) for o in outs(clone, stage)))
        entry = json.loads(listing.read_text(encoding="utf-8"))[0]
        file, digest = f"{path}/{entry['relpath']}", entry["md5"]
    else:
        file, digest = path, next(str(out["md5"]) for out in outs(clone, stage) if out["path"] == path)
    copy = in_store(clone.root / ".dvc/cache", digest)
    flip_a_bit(copy)
    (clone.root / file).unlink()
    assert RUNNING.findall(clone.dvc("repro").stdout) == [], "DVC takes it from the cache as it is"
    assert differing(lean, clone) == [file]

    result = verify(clone)
    assert result.returncode == 1
    assert result.stdout.splitlines() == [
        f"{file}: it is not what {stage} wrote; delete it, then run: dvc repro",
        f"{copy.relative_to(clone.root)}: damaged: its bytes are not those of {file}, which {stage} wrote; "
        "delete it, then run: dvc repro",
    ]
    (clone.root / file).unlink()
    copy.unlink()
    assert RUNNING.findall(clone.dvc("repro").stdout) == [stage]
    assert differing(lean, clone) == []
    assert verify(clone).returncode == 0


@pytest.mark.long
def test_damage_in_a_remote_is_refused_where_the_remote_is_verified(lean: Clone, tmp_path: Path) -> None:
    store = tmp_path / "store"
    pushing = lean.copy(tmp_path / "pushing")
    pushing.dvc("remote", "add", "--default", "store", str(store))
    pushing.dvc("remote", "modify", "store", "verify", "true")
    pushing.commit("Name a remote")
    pushing.dvc("push")
    digest = next(str(out["md5"]) for out in outs(lean, "train@mlp") if out["path"] == "models/mlp.keras")
    flip_a_bit(in_store(store, digest))
    clone = pushing.cloned(tmp_path / "clone")
    result = clone.dvc("pull", check=False)
    assert result.returncode != 0
    assert "models/mlp.keras" in result.stdout.partition("Checkout failed for following targets:")[2]
    assert "Traceback" not in result.stdout
    assert "models/mlp.keras" not in results(clone)
    assert RUNNING.findall(clone.dvc("repro").stdout) == ["train@mlp"]
    assert differing(lean, clone) == []
