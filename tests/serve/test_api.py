"""The API of `glyphline serve`: what it answers to what is right, and to what is not."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
from openapi_schema_validator import OAS31Validator
from openapi_spec_validator import validate

from glyphline.cli import main
from glyphline.serve import application
from tests.conftest import REPOSITORY, Capture
from tests.serve.conftest import Server

DOCUMENT: dict[str, Any] = json.loads((REPOSITORY / "glyphline/serve/openapi.json").read_text(encoding="utf-8"))
MULTIPART = {"Content-Type": "multipart/form-data; boundary=x"}


def check(schema: str, content: Any) -> None:
    """As the API's description has it."""
    OAS31Validator({"$ref": f"#/components/schemas/{schema}", **DOCUMENT}).validate(content)


def form(*pictures: Path) -> list[tuple[str, tuple[str, bytes]]]:
    return [("picture", (path.name, path.read_bytes())) for path in pictures]


def test_predict_answers_what_the_command_prints(
    server: Server, exports: Path, pictures: list[Path], capsys: Capture
) -> None:
    for name in ("fast", "mlp"):
        with contextlib.chdir(pictures[0].parent):
            assert main(["predict", "--json", "--model", str(exports / name), *(path.name for path in pictures)]) == 0
        printed = json.loads(capsys.readouterr().out)
        with server.client() as client:
            answer = client.post("/api/predict", params={"model": name}, files=form(*pictures)).json()
        assert answer == printed | {"model": name}
        check("Predicted", answer)


def test_a_picture_is_the_body_whatever_its_type_is_said_to_be(server: Server, pictures: list[Path]) -> None:
    with server.client() as client:
        for media_type in ("image/png", "application/x-www-form-urlencoded", "application/octet-stream", "", "x"):
            answer = client.post(
                "/api/predict", content=pictures[7].read_bytes(), headers={"Content-Type": media_type}
            ).json()
            assert answer["model"] == "fast"
            assert [(each["file"], each["class"]) for each in answer["pictures"]] == [("picture", "7")]


def test_compare_tells_what_each_network_says_and_saw(server: Server, pictures: list[Path]) -> None:
    with server.client() as client:
        answers = client.post("/api/compare", files=form(*pictures)).json()
        check("Compared", answers)
        assert [answer["model"] for answer in answers["answers"]] == ["fast", "mlp"]
        for answer in answers["answers"]:
            predicted = client.post("/api/predict", params={"model": answer["model"]}, files=form(*pictures)).json()
            for detailed, plain in zip(answer["pictures"], predicted["pictures"], strict=True):
                probabilities = detailed.pop("probabilities")
                assert detailed.pop("image").startswith("data:image/png;base64,")
                assert detailed == plain
                assert [each["class"] for each in probabilities[:2]] == [plain["class"], plain["runner_up"]]
                assert probabilities[0]["percent"] == plain["confidence_percent"]
                assert sum(each["percent"] for each in probabilities) == pytest.approx(100, abs=0.1)
        one = client.post("/api/compare", params={"model": "mlp"}, files=form(pictures[0])).json()
        assert [answer["model"] for answer in one["answers"]] == ["mlp"]


def test_models_are_described(server: Server) -> None:
    with server.client() as client:
        answer = client.get("/api/models").json()
        check("Models", answer)
        assert [(each["model"], each["side"], len(each["classes"])) for each in answer["models"]] == [
            ("fast", 28, 10),
            ("mlp", 28, 10),
        ]
        assert client.get("/healthz").json() == {"status": "ok"}


def test_the_description_is_openapi_and_names_every_address_and_limit(server: Server) -> None:
    validate(DOCUMENT)
    with server.client() as client:
        assert client.get("/openapi.json").json() == DOCUMENT
        for path, methods in DOCUMENT["paths"].items():
            for method in ("get", "post", "put", "delete"):
                answer = client.request(method, path)
                assert (answer.status_code == 405) == (method not in methods)
    text = json.dumps(DOCUMENT)
    for limit in (
        f"up to {application.MOST_PICTURES} of them",
        f"more than {application.MOST_BODY >> 20} MiB",
        f"longer than {application.BODY_SECONDS} s",
    ):
        assert limit in text


def test_a_picture_that_cannot_be_read_is_told_by_name_beside_the_others(server: Server, pictures: list[Path]) -> None:
    with server.client() as client:
        files = [*form(pictures[3]), ("picture", ("text.txt", b"no picture"))]
        answer = client.post("/api/predict", files=files)
        assert answer.status_code == 200
        check("Predicted", answer.json())
        read, unread = answer.json()["pictures"]
        assert read["class"] == "3"
        assert unread == {"file": "text.txt", "error": "this is not a PNG, JPEG, BMP, GIF, TIFF, WebP or PPM picture"}
        alone = client.post("/api/predict", files=files[1:])
        assert alone.status_code == 422
        assert alone.json()["pictures"] == [unread]
        check("Problem", alone.json())
        check("Predicted", alone.json())


@pytest.mark.parametrize(
    ("asked", "options", "status", "said"),
    [
        ("GET /nothing", {}, 404, "there is nothing at this address"),
        ("GET /api/predict", {}, 405, "does not answer this method"),
        ("POST /api/predict", {}, 400, "has no body"),
        ("POST /api/predict?model=none", {"content": b"x"}, 404, "there are: fast, mlp"),
        ("POST /api/predict?model=fast&model=mlp", {"content": b"x"}, 400, "ask /api/compare"),
        ("POST /api/predict", {"content": b"x"}, 422, "this is not a PNG"),
        ("POST /api/predict", {"content": b"x", "headers": MULTIPART}, 400, "the form cannot be read"),
        ("POST /api/predict", {"content": b"--x--\r\n", "headers": MULTIPART}, 400, "the form has no file"),
        ("POST /api/predict", {"content": b"x", "headers": {"Content-Type": "multipart/form-data"}}, 400, "boundary"),
        ("POST /api/predict", {"files": [("p", (f"{n}", b"x")) for n in range(33)]}, 400, "Too many files"),
        ("POST /api/predict", {"content": bytes(application.MOST_BODY + 1)}, 413, "more than 16 MiB"),
        ("POST /api/predict", {"content": iter([bytes(1 << 20)] * 17)}, 413, "more than 16 MiB"),
    ],
)
def test_what_is_wrong_gets_a_problem_of_one_sentence(
    server: Server, asked: str, options: dict[str, Any], status: int, said: str
) -> None:
    with server.client() as client:
        answer = client.request(*asked.split(), **options)
    assert answer.status_code == status
    assert answer.headers["Content-Type"] == "application/problem+json"
    check("Problem", answer.json())
    assert answer.json()["status"] == status
    assert said in answer.json()["detail"]
    assert "\n" not in answer.json()["detail"]
