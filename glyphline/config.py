"""params.yaml: its schema, put together from those of the rooms, and its only reader."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, Field, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from glyphline import paths
from glyphline.data.splits import Preprocess
from glyphline.errors import ParamsError, printable, quoted
from glyphline.model.variant import Augmentation, Variant
from glyphline.review.limits import Gate, Limits, VariantName
from glyphline.search.settings import Search
from glyphline.search.space import Choices, Entries, Range

PositiveInt = Annotated[int, Field(ge=1)]


def _not_tuned(name: str) -> str:
    if name == paths.TUNED:
        raise ValueError("this name is kept for the winner of the search; call the variant otherwise")
    return name


NewVariantName = Annotated[VariantName, AfterValidator(_not_tuned)]

# How pydantic's locations name the alternatives of a union, and the key of a mapping: no part of a parameter's name.
KINDS: dict[str, type[BaseModel]] = {"[range]": Range, "[choices]": Choices, "[entries]": Entries}
TAGS = {"[key]", "[list]", "[name]", *KINDS}


class Params(BaseModel, extra="forbid", strict=True, frozen=True):
    """Everything that params.yaml says."""

    seed: int = Field(ge=0, lt=2**32, description="of the splits, the initial weights, dropout and shuffling")
    dataset: str = Field(description="a name that glyphline/datasets.py knows")
    limit: PositiveInt | None = Field(
        default=None, description="how many training images to use, stratified; null for all"
    )
    preprocess: Preprocess
    variants: dict[NewVariantName, Variant] = Field(min_length=1)
    search: Search | None = Field(default=None, description="the search that finds the variant `tuned`")
    gate: Gate = Field(default=Gate(), description="what a change of the test metrics must not fall short of")

    def judged(self) -> list[str]:
        """The names of all variants that evaluate judges: those written down, and the one that the search finds."""
        return [*self.variants, *([paths.TUNED] if self.search else [])]


def load_params(path: Path) -> Params:
    """Read and check params.yaml.

    Raises ParamsError, one line for each thing that is wrong, with the key it is about.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise ParamsError(f"{path}: there is no such file; run from the repository's root") from None
    return parse_params(parse_yaml(content, source=str(path)), source=str(path))


def parse_params(values: Any, source: str) -> Params:
    """Check a mapping as read from params.yaml; `source` is what an error calls the file. Raises ParamsError."""
    try:
        return Params.model_validate(values)
    except ValidationError as error:
        lines = [f"{source}: {_explain(detail)}" for detail in error.errors()]
        raise ParamsError("\n".join(lines)) from None


def parse_yaml(content: bytes, source: str) -> Any:
    """The values in a YAML file, read as DVC reads them. Raises ParamsError, one line that begins with `source`."""
    # YAML 1.2: 1e-3 is a number here, and `no` a string.
    try:
        return YAML(typ="safe", pure=True).load(content.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise ParamsError(f"{source}: byte {error.start} is not UTF-8 text") from None
    except MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else "?"
        problem = " ".join(str(error.problem).split())
        raise ParamsError(f"{source}: line {line} is not YAML: {problem}") from None
    except YAMLError as error:
        raise ParamsError(f"{source}: this is not YAML: {' '.join(str(error).split())}") from None
    except (ArithmeticError, LookupError, RecursionError, ValueError) as error:
        # What ruamel.yaml lets through: a thirteenth month, 5,000 digits, thousands of brackets.
        raise ParamsError(f"{source}: a value in it cannot be read: {' '.join(str(error).split())}") from None


def _explain(detail: Any) -> str:
    """One error of pydantic's as a sentence that names the key."""
    location = [str(part) for part in detail["loc"] if part not in TAGS]
    key = ".".join(printable(part) for part in location) or "the file"
    if detail["type"] == "extra_forbidden":
        known = _known_keys([str(part) for part in detail["loc"][:-1]])
        close = difflib.get_close_matches(location[-1], known, n=1)
        advice = f"did you mean {close[0]}?" if close else f"known here: {', '.join(known)}"
        return f"{key}: unknown key; {advice}"
    if detail["type"] == "missing":
        return f"{key}: this key is missing"
    if detail["type"] == "union_tag_invalid":
        return f"{key}: this is a range, or choices; a list of entries has no lists in it"
    if detail["type"] == "string_pattern_mismatch":
        return f"{key}: a variant's name is a lower-case letter, then lower-case letters, digits and _"
    message = detail["msg"].removeprefix("Value error, ")
    if detail["type"] == "value_error":
        return f"{key}: {message}"
    return f"{key}: {message[0].lower()}{message[1:]}, but it is {quoted(detail['input'])}"


def _known_keys(location: list[str]) -> list[str]:
    """The keys of the section at a location of pydantic's, in which the names of variants do not count."""
    if location and location[-1] in KINDS:
        return list(KINDS[location[-1]].model_fields)
    names = [part for part in location if part not in TAGS]
    if names[:2] == ["search", "space"]:
        return list(Range.model_fields)  # of a count
    sections: dict[tuple[str, ...], type[BaseModel]] = {
        (): Params,
        ("preprocess",): Preprocess,
        ("variants",): Variant,
        ("variants", "augmentation"): Augmentation,
        ("search",): Search,
        ("search", "fixed"): Variant,
        ("search", "fixed", "augmentation"): Augmentation,
        ("gate",): Gate,
        ("gate", "variants"): Limits,
    }
    place = [part for before, part in zip(["", *names], names, strict=False) if before != "variants"]
    return list(sections[tuple(place)].model_fields)
