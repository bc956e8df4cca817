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


def review(folder: Path, base: str | None = None, baseline: str | None = None) -> Page:
    """Compare the repository that the folder is in with its revision `base`; without one, see revision.choose().

    baseline: a revision that the gate compares with too, so that falls within noise cannot add up unseen from change to
    change. Raises GlyphlineError, one sentence, for what cannot be compared.
    """
    repository = revision.find_repository(folder)
    before, after = revision.choose(repository, base)
    comparison = compare_results(read_results(before), read_results(after))
    limits = _gate(comparison.after)
    failures = gate.failures(comparison, limits)
    if baseline is not None:
        since, _ = revision.choose(repository, baseline)
        fallen = gate.failures(compare_results(read_results(since), comparison.after), limits)
        failures += [f"since {since.name}: {failure}" for failure in fallen if failure not in failures]
    return Page(
        repository=repository,
        comparison=comparison,
        lines=revision.changed_lines(before, after),
        gate=limits,
        failures=failures,
        problems=[*problems(repository), *contradictions(comparison.after)],
    )


def _gate(after: Results) -> Gate:
    try:
        return parse_params(after.params, source="params.yaml").gate
    except ParamsError:
        return Gate()  # what is wrong with params.yaml is one of the problems
