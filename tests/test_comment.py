"""The comment on a pull request: the real gh against an HTTP server of our own that keeps comments as GitHub does."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.conftest import REPOSITORY

pytestmark = pytest.mark.skipif(not shutil.which("gh"), reason="gh is not installed")

BOT = "github-actions[bot]"
MARKER = "<!-- the review of this pull request, renewed by .github/comment -->"
LONGEST = 65_536  # characters of a comment that GitHub takes


class GitHub:
    """As much of GitHub's REST API for comments as gh asks for: https://docs.github.com/rest/issues/comments."""

    def __init__(self) -> None:
        self.comments: list[dict[str, Any]] = []
        self.user = BOT  # whose token it is
        self.may_write = True
        github = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                github.answer(self)

            def do_POST(self) -> None:
                github.answer(self)

            def do_PATCH(self) -> None:
                github.answer(self)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        Thread(target=self.server.serve_forever, daemon=True).start()

    def post(self, login: str, body: str) -> dict[str, Any]:
        comment = {"id": 1000 + len(self.comments), "user": {"login": login}, "body": body, "html_url": "https://x/1"}
        self.comments.append(comment)
        return comment

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        url = urlsplit(request.path)
        headers: dict[str, str] = {}
        if request.command == "GET":
            status, content, headers = self.read(url.path, parse_qs(url.query))
        else:
            sent = json.loads(request.rfile.read(int(request.headers["Content-Length"])))
            status, content = self.write(request.command, url.path, sent["body"])
        data = json.dumps(content).encode()
        request.send_response(status)
        for name, value in {"Content-Type": "application/json", "Content-Length": str(len(data)), **headers}.items():
            request.send_header(name, value)
        request.end_headers()
        request.wfile.write(data)

    def read(self, path: str, query: dict[str, list[str]]) -> tuple[int, Any, dict[str, str]]:
        if path == "/user":
            return 200, {"login": self.user}, {}
        if path != "/repos/owner/glyphs/issues/12/comments":
            return 404, {"message": f"Not Found: {path}"}, {}
        size, page = int(query["per_page"][0]), int(query.get("page", ["1"])[0])
        following = f'<http://api.github.localhost{path}?per_page={size}&page={page + 1}>; rel="next"'
        more = page * size < len(self.comments)
        return 200, self.comments[(page - 1) * size : page * size], {"Link": following} if more else {}

    def write(self, method: str, path: str, body: str) -> tuple[int, Any]:
        if not self.may_write:
            return 403, {"message": "Resource not accessible by integration"}
        if len(body) > LONGEST:
            return 422, {"message": f"Body is too long (maximum is {LONGEST} characters)"}
        if (method, path) == ("POST", "/repos/owner/glyphs/issues/12/comments"):
            return 201, self.post(self.user, body)
        for comment in self.comments:
            if (method, path) == ("PATCH", f"/repos/owner/glyphs/issues/comments/{comment['id']}"):
                comment["body"] = body
                return 200, comment
        return 404, {"message": f"Not Found: {method} {path}"}


@pytest.fixture
def github() -> Iterator[GitHub]:
    github = GitHub()
    yield github
    github.server.shutdown()
    github.server.server_close()


@pytest.fixture
def page(tmp_path: Path) -> Path:
    return tmp_path / "review.md"


def comment(github: GitHub, page: Path, text: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run .github/comment as the workflow does, with its gh asking our server."""
    page.write_text(text, encoding="utf-8")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("GITHUB_", "GH_"))}
    environment |= {
        "GITHUB_ACTIONS": "true",
        "GH_HOST": "github.localhost",  # the host that gh itself is tested with: asked by plain HTTP
        "GH_REPO": "github.localhost/owner/glyphs",
        "GH_TOKEN": "secret",
        "GH_CONFIG_DIR": str(page.parent / "gh"),
        "HTTP_PROXY": "http://{}:{}".format(*github.server.server_address[:2]),
        "NO_PROXY": "",
        "no_proxy": "",
        "PR": "12",
        "PAGE": str(page),
    }
    script = str(REPOSITORY / ".github/comment")
    return subprocess.run(
        [script], env=environment | variables, cwd=page.parent, capture_output=True, text=True, check=False
    )


def test_the_first_time_a_comment_is_posted(github: GitHub, page: Path) -> None:
    result = comment(github, page, '**Better**\n\n|a|\n|-|\n|かな & <b> "q"|\n')
    assert result.returncode == 0, result.stderr
    assert [each["body"] for each in github.comments] == [f'{MARKER}\n**Better**\n\n|a|\n|-|\n|かな & <b> "q"|\n']
    assert result.stdout == "https://x/1\n"


def test_the_next_time_the_comment_is_renewed_wherever_it_stands(github: GitHub, page: Path) -> None:
    for number in range(150):
        github.post("somebody", f"Comment {number}")
    comment(github, page, "the first page")
    for number in range(70):
        github.post(BOT, f"Report {number} of another workflow")
    result = comment(github, page, "the second page")
    assert result.returncode == 0, result.stderr
    assert len(github.comments) == 150 + 1 + 70
    assert github.comments[150]["body"] == f"{MARKER}\nthe second page\n"


def test_somebody_else_s_comment_is_left_alone_even_with_the_marker_in_it(github: GitHub, page: Path) -> None:
    github.post("somebody", f"{MARKER}\nmine")
    github.post(BOT, f"I quote:\n{MARKER}")
    comment(github, page, "the page")
    assert [each["body"] for each in github.comments[:2]] == [f"{MARKER}\nmine", f"I quote:\n{MARKER}"]
    assert github.comments[2]["body"] == f"{MARKER}\nthe page\n"


def test_a_person_renews_a_comment_of_their_own(github: GitHub, page: Path) -> None:
    github.post(BOT, f"{MARKER}\nthe workflow's")
    github.user = "person"
    for text in ("the first page", "the second page"):
        assert comment(github, page, text, GITHUB_ACTIONS="").returncode == 0
    assert [each["body"] for each in github.comments] == [f"{MARKER}\nthe workflow's", f"{MARKER}\nthe second page\n"]


def test_a_page_that_is_too_long_begins_with_where_the_whole_is(github: GitHub, page: Path) -> None:
    run = {"GITHUB_RUN_ID": "7", "GITHUB_SERVER_URL": "https://github.com", "GITHUB_REPOSITORY": "owner/glyphs"}
    result = comment(github, page, "か" * LONGEST, **run)
    assert result.returncode == 0, result.stderr
    (posted,) = github.comments
    assert "https://github.com/owner/glyphs/actions/runs/7" in posted["body"].splitlines()[1]
    assert posted["body"].rstrip().endswith("か" * 60_000)


@pytest.mark.parametrize("text", ["@file", "$(touch hacked) `touch hacked` ${HOME}", "'; touch hacked; '", "true"])
def test_the_page_is_text_and_nothing_else(github: GitHub, page: Path, text: str) -> None:
    assert comment(github, page, text).returncode == 0
    assert github.comments[0]["body"] == f"{MARKER}\n{text}\n"
    assert not (page.parent / "hacked").exists()


def test_a_token_that_may_only_read_fails_with_github_s_words(github: GitHub, page: Path) -> None:
    github.may_write = False
    result = comment(github, page, "the page")
    assert result.returncode == 1
    assert "Resource not accessible by integration" in result.stderr


@pytest.mark.parametrize("missing", ["PR", "PAGE"])
def test_what_is_missing_is_named(github: GitHub, page: Path, missing: str) -> None:
    result = comment(github, page, "the page", **{missing: ""})
    assert result.returncode == 1
    assert f"{missing}: name the p" in result.stderr
    assert not github.comments
