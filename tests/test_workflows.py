"""The workflows of GitHub Actions: looked at by tools that know them, and their steps run as GitHub runs them."""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from glyphline.review.integrity import problems
from tests.conftest import REPOSITORY, replace
from tests.github import HEAD, RUN, serving
from tests.pipeline.conftest import Clone, copy_tree, start_repository

pytestmark = pytest.mark.filterwarnings("ignore:_NoneStep:DeprecationWarning:dvc")

FOLDER = REPOSITORY / ".github"
WORKFLOWS = {path.stem: YAML(typ="safe").load(path) for path in sorted((FOLDER / "workflows").glob("*.yml"))}
JOBS = {f"{name}: {key}": job for name, workflow in WORKFLOWS.items() for key, job in workflow["jobs"].items()}
SET_UP = YAML(typ="safe").load(FOLDER / "actions/set-up/action.yml")
STEPS = [step for job in JOBS.values() for step in job["steps"]] + SET_UP["runs"]["steps"]
VALUES = {
    "github.repository": "owner/glyphs",
    "github.event.pull_request.number": "12",
    "github.event.workflow_run.id": str(RUN),
    "github.event.workflow_run.head_sha": HEAD,
    "github.token": "secret",
    "vars.BASELINE": "",
}


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
    broken.write_text(
        text.replace("make --silent -C base gate", "echo ${{ github.event.pull_request.title }}"), encoding="utf-8"
    )
    assert "template-injection" in safety_check(broken).stdout


def test_only_actions_of_github_s_own_are_used_each_at_a_fixed_commit() -> None:
    used = {step["uses"] for step in STEPS if "uses" in step}
    own = {use for use in used if use.startswith("./")}
    assert own == {"./.github/actions/set-up", "./base/.github/actions/set-up"}
    for use in used - own:
        assert re.fullmatch(r"actions/(checkout|setup-python|cache|upload-artifact)@[0-9a-f]{40}", use), use


@pytest.mark.parametrize("name", JOBS)
def test_a_job_ends_and_may_read_alone_unless_it_comments(name: str) -> None:
    job, workflow = JOBS[name], WORKFLOWS[name.partition(":")[0]]
    assert job["timeout-minutes"] <= 120
    permissions = job.get("permissions", workflow["permissions"])
    extra = {"actions": "read", "pull-requests": "write"} if name == "comment: comment" else {}
    assert permissions == {"contents": "read"} | extra
    for checkout in (step for step in job["steps"] if "checkout" in step.get("uses", "")):
        assert checkout["with"]["persist-credentials"] is False, "no later step finds the token"


def test_the_base_branch_judges_and_its_code_alone_may_write() -> None:
    for job in WORKFLOWS["pull-request"]["jobs"].values():
        base, change = (step["with"] for step in job["steps"] if "checkout" in step.get("uses", ""))
        assert (base["path"], base["ref"]) == ("base", "${{ github.event.pull_request.base.sha }}")
        assert (change["path"], change.get("ref")) == ("change", None), "what pull_request checks out is the merge"
        for step in job["steps"]:
            assert step.get("uses", "").startswith(("actions/", "./base/")) or "uses" not in step
            assert "make" not in step.get("run", "") or "make --silent -C base " in step["run"]
    (job,) = WORKFLOWS["comment"]["jobs"].values()
    (checkout,) = (step["with"] for step in job["steps"] if "checkout" in step.get("uses", ""))
    assert set(checkout) == {"persist-credentials"}, "a workflow_run checks out the default branch"


def test_no_path_of_the_makefile_is_split_at_a_space() -> None:
    lines = (REPOSITORY / "Makefile").read_text(encoding="utf-8").splitlines()
    for line in (line for line in lines if line.startswith("\t") and "$(CURDIR)" in line):
        assert line.count("$(CURDIR)") == len(re.findall(r'"\$\(CURDIR\)[^"]*"', line)), line


@pytest.mark.parametrize("script", [step["run"] for step in STEPS if "run" in step])
def test_a_step_runs_what_anybody_can_run(script: str) -> None:
    targets = set(re.findall(r"^([a-z]+):.*##", (REPOSITORY / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    made = re.findall(r"\bmake (?:--silent )?(?:-C base )?([a-z]+)", script)
    assert set(made) <= targets
    assert made or script == ".ci/run" or script.startswith("echo ")
    assert "${{" not in script, "what GitHub knows comes by the environment, where it is no code"


@dataclass
class Runner:
    """Runs the `run:` steps of a job one after another as GitHub's runner does, until one fails.

    workspace: where the job's checkouts lie.
    """

    workspace: Path
    log: str = ""

    def __post_init__(self) -> None:
        self.temp = self.workspace.parent / "temp"
        self.temp.mkdir()
        self.summary = self.temp / "summary"
        self.values = VALUES | {"github.workspace": str(self.workspace), "runner.temp": str(self.temp)}

    def run(self, job: dict[str, Any], **variables: str) -> str | None:
        """The name of the step that failed, or None."""
        for step in (step for step in job["steps"] if "run" in step):
            settings = job.get("env", {}) | step.get("env", {})
            environment = {
                **{name: value for name, value in os.environ.items() if not name.startswith(("GITHUB_", "GH_"))},
                "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
                "GITHUB_ACTIONS": "true",
                "GITHUB_STEP_SUMMARY": str(self.summary),
                "RUNNER_TEMP": str(self.temp),
                **{name: self.filled_in(str(value)) for name, value in settings.items()},
            }
            command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]]
            result = subprocess.run(
                command, cwd=self.workspace, env=environment | variables, capture_output=True, text=True, check=False
            )
            self.log += result.stdout + result.stderr
            if result.returncode:
                return str(step["name"])
        return None

    def filled_in(self, text: str) -> str:
        return re.sub(r"\$\{\{ (.+?) \}\}", lambda match: self.values[match[1]], text)


def workspace(folder: Path) -> Clone:
    """This repository in a workspace as change/, a commit and a branch main, on which base/ stands with .venv."""
    root = folder / "workspace/change"
    root.mkdir(parents=True)
    copy_tree(root)
    clone = start_repository(root)
    clone.git("branch", "--move", "main")
    clone.git("clone", "--quiet", str(root), "../base")
    environment = root.parent / "base/.venv"
    environment.mkdir()
    for path in Path(sys.prefix).iterdir():
        (environment / path.name).symlink_to(path)
    (environment / "ready").unlink(missing_ok=True)
    (environment / "ready").touch()
    return clone


def merge_request(clone: Clone) -> None:
    """Commit the changes on a branch, and check out its merge with main as actions/checkout does."""
    clone.git("checkout", "--quiet", "-b", "change")
    clone.commit("Change something")
    clone.git("checkout", "--quiet", "--detach", "main")
    clone.git("merge", "--quiet", "--no-ff", "--message", "Merge", "change")


@pytest.fixture(scope="module")
def reviewed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Clone, Runner, str | None]:
    """A workspace with one more line in README.md, its review, and the step that failed."""
    clone = workspace(tmp_path_factory.mktemp("reviewed"))
    with (clone.root / "README.md").open("a") as file:
        file.write("\nOne more line.\n")
    merge_request(clone)
    runner = Runner(clone.root.parent)
    return clone, runner, runner.run(JOBS["pull-request: review"])


@pytest.mark.long
def test_a_pull_request_is_reviewed_in_the_summary_and_judged_by_the_gate(
    reviewed: tuple[Clone, Runner, str | None],
) -> None:
    clone, runner, failed = reviewed
    assert failed == ("Gate" if problems(clone.root) else None), runner.log
    assert "no test result changed" in runner.summary.read_text()
    assert clone.git("status", "--porcelain") == "", "the steps leave nothing behind"


@pytest.mark.long
def test_a_metric_edited_by_hand_fails_the_gate_though_the_change_would_let_itself_pass(tmp_path: Path) -> None:
    change = workspace(tmp_path)
    replace(change.root / "metrics/test.json", '"accuracy": 0.9', '"accuracy": 0.8')
    makefile = change.root / "Makefile"
    makefile.write_text(re.sub(r"\n(gate|review): setup.*\n\t.*", r"\n\1:\n\ttrue", makefile.read_text()))
    (change.root / "glyphline/review/command.py").write_text("raise SystemExit(0)\n")
    (change.root / "glyphline/cli.py").write_text("raise SystemExit(0)\n")
    merge_request(change)
    runner = Runner(change.root.parent)
    assert runner.run(JOBS["pull-request: review"]) == "Gate"
    page = runner.summary.read_text()
    assert "metrics/test.json: " in page
    assert "metrics/test.json: " in runner.log
    assert "Makefile" in page


@pytest.mark.long
@pytest.mark.skipif(not shutil.which("gh"), reason="gh is not installed")
def test_the_page_is_posted_from_the_run_that_made_it(reviewed: tuple[Clone, Runner, str | None]) -> None:
    clone, runner, _ = reviewed
    page = runner.summary.read_text()
    (comment_step,) = (step for step in JOBS["comment: comment"]["steps"] if "run" in step)
    runner.workspace = clone.root.parent / "base"
    with serving(artifact=runner.temp / "review") as github:
        for _ in range(2):
            assert runner.run({"steps": [comment_step]}, **github.environment) is None, runner.log
        (comment,) = github.comments
        assert comment["body"].partition("\n")[2].rstrip() == page.rstrip()

        github.head = "a newer commit"
        (runner.temp / "review/page.md").write_text("of an older commit")
        assert runner.run({"steps": [comment_step]}, **github.environment) is None, runner.log
        assert github.comments == [comment]
        for number in ("13", "12; touch hacked", "", "$(touch hacked)", "../12"):
            (runner.temp / "review/number").write_text(number)
            runner.run({"steps": [comment_step]}, **github.environment)
            assert github.comments == [comment]
    assert not list(runner.workspace.parent.rglob("hacked"))


@pytest.mark.long
def test_a_review_that_cannot_be_made_fails_and_says_so(tmp_path: Path) -> None:
    change = workspace(tmp_path)
    (change.root / "metrics/test.json").unlink()
    merge_request(change)
    runner = Runner(change.root.parent)
    assert runner.run(JOBS["pull-request: review"]) == "Gate"
    assert "There is no review" in runner.summary.read_text()
    assert "metrics/test.json" in runner.log
    assert (runner.temp / "review/page.md").is_file()
