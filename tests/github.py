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
                sent = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                url = urlsplit(self.path)
                headers = {"Content-Type": "application/json"}
                if self.command == "GET":
                    status, content = github.read(url.path, parse_qs(url.query), headers)
                else:
                    status, content = github.write(self.command, url.path, json.loads(sent)["body"])
                data = content if isinstance(content, bytes) else json.dumps(content).encode()
                self.send_response(status)
                for name, value in (headers | {"Content-Length": str(len(data))}).items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_POST = do_PATCH = answer  # noqa: N815 - http.server's names

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def environment(self) -> dict[str, str]:
        """What makes gh ask this server: github.localhost is the host that gh itself is tested with, by plain HTTP."""
        proxy = f"http://127.0.0.1:{self.server.server_address[1]}"
        return {"GH_HOST": "github.localhost", "HTTP_PROXY": proxy, "NO_PROXY": "", "no_proxy": ""}

    def post(self, login: str, body: str) -> dict[str, Any]:
        comment = {"id": 1000 + len(self.comments), "user": {"login": login}, "body": body, "html_url": "https://x/1"}
        self.comments.append(comment)
        return comment

    def read(self, path: str, query: dict[str, list[str]], headers: dict[str, str]) -> tuple[int, Any]:
        """The status, and what is sent: bytes, or values to send as JSON. A link to the next page goes to `headers`."""
        packed = f"{REPOSITORY}/actions/artifacts/1/zip"
        if path == f"{REPOSITORY}/issues/12/comments":
            size, page = int(query["per_page"][0]), int(query.get("page", ["1"])[0])
            if page * size < len(self.comments):
                headers["Link"] = f'<http://api.github.localhost{path}?per_page={size}&page={page + 1}>; rel="next"'
            return 200, self.comments[(page - 1) * size : page * size]
        if path == packed:
            return 200, self.packed()
        url = f"http://api.github.localhost{packed}"
        listed = {"id": 1, "name": "review", "size_in_bytes": 1, "archive_download_url": url, "expired": False}
        content = {
            "/user": {"login": self.user},
            f"{REPOSITORY}/pulls/12": {"number": 12, "head": {"sha": self.head}},
            f"{REPOSITORY}/actions/runs/{RUN}/artifacts": {"total_count": 1, "artifacts": [listed]},
        }
        return (200, content[path]) if path in content else (404, {"message": f"Not Found: {path}"})

    def packed(self) -> bytes:
        """The artifact as a zip file."""
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            for path in self.artifact.iterdir() if self.artifact else ():
                archive.write(path, path.name)
        return packed.getvalue()

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
