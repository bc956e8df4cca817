"""The workflows of GitHub Actions: looked at by tools that know them, and their steps run as GitHub runs them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from glyphline.review.integrity import problems
from tests.conftest import REPOSITORY
from tests.github import serving
from tests.pipeline.conftest import Clone, copy_tree, start_repository

pytestmark = pytest.mark.filterwarnings("ignore:_NoneStep:DeprecationWarning:dvc")

FOLDER = REPOSITORY / ".github"
WORKFLOWS = {path.stem: YAML(typ="safe").load(path) for path in sorted((FOLDER / "workflows").glob("*.yml"))}
JOBS = {f"{name}: {key}": job for name, workflow in WORKFLOWS.items() for key, job in workflow["jobs"].items()}
SET_UP = YAML(typ="safe").load(FOLDER / "actions/set-up/action.yml")
STEPS = [step for job in JOBS.values() for step in job["steps"]] + SET_UP["runs"]["steps"]
OWN_PULL_REQUEST = {
    "github.repository": "owner/glyphs",
    "github.event.pull_request.head.repo.full_name": "owner/glyphs",
    "github.event.pull_request.number": "12",
    "github.token": "secret",
}
FORK = OWN_PULL_REQUEST | {"github.event.pull_request.head.repo.full_name": "somebody/glyphs"}


def tool(name: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).parent / name), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def schema_check(*files: Path) -> subprocess.CompletedProcess[str]:
    return tool("check-jsonschema", "--builtin-schema", "vendor.github-workflows", *files)


def safety_check(*paths: Path) -> subprocess.CompletedProcess[str]:
    return tool("zizmor", "--offline", "--no-progress", "--no-config", "--min-severity", "medium", *paths)


def test_the_workflows_are_what_github_s_schema_allows() -> None:
    result = schema_check(*FOLDER.glob("workflows/*.yml"))
    assert result.returncode == 0, result.stdout
    result = tool("check-jsonschema", "--builtin-schema", "vendor.github-actions", *FOLDER.glob("actions/*/action.yml"))
    assert result.returncode == 0, result.stdout


def test_nothing_in_the_workflows_is_known_to_be_unsafe() -> None:
    result = safety_check(FOLDER)
    assert result.returncode == 0, result.stdout


def test_the_two_checks_see_what_they_are_for(tmp_path: Path) -> None:
    text = (FOLDER / "workflows/pull-request.yml").read_text(encoding="utf-8")
    broken = tmp_path / "broken.yml"
    broken.write_text(text.replace("runs-on:", "run-on:"), encoding="utf-8")
    assert schema_check(broken).returncode != 0
    broken.write_text(text.replace("make gate", "echo ${{ github.event.pull_request.title }}"), encoding="utf-8")
    assert "template-injection" in safety_check(broken).stdout


def test_only_actions_of_github_s_own_are_used_each_at_a_fixed_commit() -> None:
    used = {step["uses"] for step in STEPS if "uses" in step}
    own = {use for use in used if use.startswith("./")}
    assert own == {"./.github/actions/set-up"}
    for use in used - own:
        assert re.fullmatch(r"actions/(checkout|setup-python|cache)@[0-9a-f]{40}", use), use


@pytest.mark.parametrize("name", JOBS)
def test_a_job_ends_and_may_read_alone_unless_it_comments(name: str) -> None:
    job, workflow = JOBS[name], WORKFLOWS[name.partition(":")[0]]
    assert job["timeout-minutes"] <= 120
    assert workflow["concurrency"]["group"]
    permissions = job.get("permissions", workflow["permissions"])
    extra = {"pull-requests": "write"} if name == "pull-request: comment" else {}
    assert permissions == {"contents": "read"} | extra
    (checkout,) = [step for step in job["steps"] if "checkout" in step.get("uses", "")]
    assert checkout["with"]["persist-credentials"] is False, "no later step finds the token"


@pytest.mark.parametrize("script", [step["run"] for step in STEPS if "run" in step])
def test_a_step_runs_what_anybody_can_run(script: str) -> None:
    targets = set(re.findall(r"^([a-z]+):.*##", (REPOSITORY / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    made = re.findall(r"\bmake (?:--silent )?([a-z]+)", script)
    assert set(made) <= targets
    assert made or script == ".ci/run" or script.startswith("echo ")
    assert "${{" not in script, "what GitHub knows comes by the environment, where it is no code"


class Runner:
    """Runs the `run:` steps of a job one after another as GitHub's runner does, until one fails."""

    def __init__(self, root: Path, folder: Path, values: dict[str, str]) -> None:
        self.root, self.folder = root, folder
        self.values = values | {"runner.temp": str(folder)}
        self.output, self.summary = folder / "output", folder / "summary"
        self.log = ""

    def run(self, job: dict[str, Any], **variables: str) -> str | None:
        """The name of the step that failed, or None."""
        for file in (self.output, self.summary):
            file.write_text("")
        for step in job["steps"]:
            if "run" in step and self.holds(step.get("if", "")):
                settings = job.get("env", {}) | step.get("env", {})
                environment = {
                    **{name: value for name, value in os.environ.items() if not name.startswith(("GITHUB_", "GH_"))},
                    "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
                    "GITHUB_ACTIONS": "true",
                    "GITHUB_OUTPUT": str(self.output),
                    "GITHUB_STEP_SUMMARY": str(self.summary),
                    "RUNNER_TEMP": str(self.folder),
                    **{name: self.filled_in(str(value)) for name, value in settings.items()},
                }
                command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]]
                result = subprocess.run(
                    command, cwd=self.root, env=environment | variables, capture_output=True, text=True, check=False
                )
                self.log += result.stdout + result.stderr
                if result.returncode:
                    return str(step["name"])
        return None

    def filled_in(self, text: str) -> str:
        return re.sub(r"\$\{\{ (.+?) \}\}", lambda match: self.values[match[1]], text)

    def holds(self, condition: str) -> bool:
        if not condition:
            return True
        left, right = condition.split(" != ")
        return self.values[left] != self.values[right]

    @property
    def outputs(self) -> dict[str, str]:
        return dict(line.split("=", 1) for line in self.output.read_text().splitlines())


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    """This repository with its environment, a branch main, and nothing more yet."""
    root = tmp_path / "clone"
    root.mkdir()
    copy_tree(root)
    clone = start_repository(root)
    clone.git("branch", "--move", "main")
    (root / ".venv").mkdir()
    for path in Path(sys.prefix).iterdir():
        (root / ".venv" / path.name).symlink_to(path)
    (root / ".venv/ready").unlink(missing_ok=True)
    (root / ".venv/ready").touch()
    return clone


def merge_request(clone: Clone) -> None:
    """Commit the changes on a branch, and check out its merge with main as actions/checkout does."""
    clone.git("checkout", "--quiet", "-b", "change")
    clone.commit("Change something")
    clone.git("checkout", "--quiet", "--detach", "main")
    clone.git("merge", "--quiet", "--no-ff", "--message", "Merge", "change")


def test_a_pull_request_is_reviewed_in_the_summary_and_judged_by_the_gate(clone: Clone, tmp_path: Path) -> None:
    with (clone.root / "README.md").open("a") as file:
        file.write("\nOne more line.\n")
    merge_request(clone)
    runner = Runner(clone.root, tmp_path, FORK)
    failed = runner.run(JOBS["pull-request: review"])
    assert failed == ("Gate" if problems(clone.root, "HEAD") else None), runner.log
    assert "no test result changed" in runner.summary.read_text()
    assert "From a fork a workflow may not comment" in runner.summary.read_text()
    assert clone.git("status", "--porcelain") == "", "the steps leave nothing behind"


def test_a_metric_edited_by_hand_fails_the_gate_and_the_comment_says_so(clone: Clone, tmp_path: Path) -> None:
    path = clone.root / "metrics/test.json"
    path.write_text(path.read_text().replace('"accuracy": 0.9', '"accuracy": 0.8'))
    merge_request(clone)
    runner = Runner(clone.root, tmp_path, OWN_PULL_REQUEST)
    assert runner.run(JOBS["pull-request: review"]) == "Gate"
    page = runner.summary.read_text()
    assert "metrics/test.json: it is not what evaluate wrote" in page
    assert "metrics/test.json: it is not what evaluate wrote" in runner.log
    assert "From a fork" not in page
    if not shutil.which("gh"):
        pytest.skip("gh is not installed")
    runner.values |= {f"needs.review.outputs.{name}": value for name, value in runner.outputs.items()}
    with serving() as github:
        for _ in range(2):
            assert runner.run(JOBS["pull-request: comment"], **github.environment) is None, runner.log
        (comment,) = github.comments
    assert comment["body"].partition("\n")[2].rstrip() == page.rstrip()


def test_a_workflow_that_may_not_comment_does_not_try() -> None:
    condition = JOBS["pull-request: comment"]["if"]
    assert "github.event.pull_request.head.repo.full_name == github.repository" in condition
    assert "github.actor != 'dependabot[bot]'" in condition


def test_a_review_that_cannot_be_made_fails_and_renews_the_comment(clone: Clone, tmp_path: Path) -> None:
    (clone.root / "metrics/test.json").unlink()
    merge_request(clone)
    runner = Runner(clone.root, tmp_path, OWN_PULL_REQUEST)
    assert runner.run(JOBS["pull-request: review"]) == "Gate"
    assert "There is no review" in runner.summary.read_text()
    assert "metrics/test.json" in runner.log
    assert runner.outputs["page"]
