"""`glyphline review`: two revisions to one page."""

from __future__ import annotations

from pathlib import Path

from glyphline.config import parse_params
from glyphline.errors import ParamsError
from glyphline.review import gate, revision
from glyphline.review.compare import compare_results
from glyphline.review.integrity import problems
from glyphline.review.limits import Gate
from glyphline.review.page import Page
from glyphline.review.results import Results, contradictions, read_results


def review(folder: Path, base: str | None = None) -> Page:
    """Compare the repository that the folder is in with its revision `base`; without one, see revision.choose().

    Raises GlyphlineError, one sentence, for what cannot be compared.
    """
    repository = revision.find_repository(folder)
    before, after = revision.choose(repository, base)
    comparison = compare_results(read_results(before), read_results(after))
    limits = _gate(comparison.after)
    return Page(
        repository=repository,
        comparison=comparison,
        lines=revision.changed_lines(before, after),
        gate=limits,
        failures=gate.failures(comparison, limits),
        problems=[*problems(repository), *contradictions(comparison.after)],
    )


def _gate(after: Results) -> Gate:
    try:
        return parse_params(after.params, source="params.yaml").gate
    except ParamsError:
        return Gate()  # what is wrong with params.yaml is one of the problems
