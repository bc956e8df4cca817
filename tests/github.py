"""An HTTP server that keeps comments and an artifact as GitHub does, for the real gh to talk to."""

import io
import json
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

BOT = "github-actions[bot]"
REPOSITORY = "/repos/owner/glyphs"
LONGEST = 65_536  # characters of a comment that GitHub takes
RUN, HEAD = 7, "a" * 40  # the workflow's run that left the artifact, and the last commit of pull request 12


class GitHub:
    """As much of GitHub's REST API as gh asks for: https://docs.github.com/rest.

    artifact: a folder, the one artifact of run RUN, named review.
    """

    def __init__(self, artifact: Path | None) -> None:
        self.artifact = artifact
        self.head = HEAD
        self.comments: list[dict[str, Any]] = []
        self.user = BOT  # whose token it is
        self.may_write = True
        github = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                github.answer(self)

            do_GET = do_POST = do_PATCH = answer  # noqa: N815 - http.server's names

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def environment(self) -> dict[str, str]:
        """What makes gh ask this server: github.localhost is the host that gh itself is tested with, by plain HTTP."""
        return {
            "GH_HOST": "github.localhost",
            "HTTP_PROXY": f"http://127.0.0.1:{self.server.server_address[1]}",
            "NO_PROXY": "",
            "no_proxy": "",
        }

    def post(self, login: str, body: str) -> dict[str, Any]:
        comment = {"id": 1000 + len(self.comments), "user": {"login": login}, "body": body, "html_url": "https://x/1"}
        self.comments.append(comment)
        return comment

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        url = urlsplit(request.path)
        headers: dict[str, str] = {}
        if request.command == "GET":
            if url.path == f"{REPOSITORY}/actions/artifacts/1/zip":
                self.send_artifact(request)
                return
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
        if path == f"{REPOSITORY}/pulls/12":
            return 200, {"number": 12, "head": {"sha": self.head}}, {}
        if path == f"{REPOSITORY}/actions/runs/{RUN}/artifacts":
            return 200, {"total_count": 1, "artifacts": [self.listed]}, {}
        if path != f"{REPOSITORY}/issues/12/comments":
            return 404, {"message": f"Not Found: {path}"}, {}
        size, page = int(query["per_page"][0]), int(query.get("page", ["1"])[0])
        following = f'<http://api.github.localhost{path}?per_page={size}&page={page + 1}>; rel="next"'
        more = page * size < len(self.comments)
        return 200, self.comments[(page - 1) * size : page * size], {"Link": following} if more else {}

    @property
    def listed(self) -> dict[str, Any]:
        """The artifact as GitHub lists it."""
        url = f"http://api.github.localhost{REPOSITORY}/actions/artifacts/1/zip"
        return {"id": 1, "name": "review", "size_in_bytes": 1, "archive_download_url": url, "expired": False}

    def send_artifact(self, request: BaseHTTPRequestHandler) -> None:
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            for path in self.artifact.iterdir() if self.artifact else ():
                archive.write(path, path.name)
        request.send_response(200)
        request.send_header("Content-Length", str(len(packed.getvalue())))
        request.end_headers()
        request.wfile.write(packed.getvalue())

    def write(self, method: str, path: str, body: str) -> tuple[int, Any]:
        if not self.may_write:
            return 403, {"message": "Resource not accessible by integration"}
        if len(body) > LONGEST:
            return 422, {"message": f"Body is too long (maximum is {LONGEST} characters)"}
        if (method, path) == ("POST", f"{REPOSITORY}/issues/12/comments"):
            return 201, self.post(self.user, body)
        for comment in self.comments:
            if (method, path) == ("PATCH", f"{REPOSITORY}/issues/comments/{comment['id']}"):
                comment["body"] = body
                return 200, comment
        return 404, {"message": f"Not Found: {method} {path}"}


@contextmanager
def serving(artifact: Path | None = None) -> Iterator[GitHub]:
    github = GitHub(artifact)
    yield github
    github.server.shutdown()
    github.server.server_close()
