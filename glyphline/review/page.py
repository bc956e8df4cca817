"""A comparison and the gate's word on it as a page: sections of Markdown, the most important first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from glyphline.evaluation.metrics import METRICS
from glyphline.evaluation.numbers import plural
from glyphline.evaluation.significance import Verdict
from glyphline.review import tables
from glyphline.review.compare import Comparison
from glyphline.review.limits import Gate
from glyphline.review.markdown import bullets, escaped
from glyphline.review.revision import Lines

HOW_TO_READ = """\
The predictions before and after are compared image by image. *Lost*: right before, wrong after; *gained*: the other way
round. The interval is that of the difference (Bonett and Price 2012), of each variant by itself. The p-value is that of
McNemar's exact test; for balanced accuracy with classes of different sizes, that of a test by random swaps. Where a
variant was trained with three seeds or more the means have to differ too, by a t-test, and the larger of the two
p-values counts. Holm's method adjusts the p-values for the number of variants that moved. *Better* and *worse* mean
p < 0.05. More in docs/review.md."""


@dataclass(frozen=True)
class Section:
    """One part of the page. `key` names it for the HTML page; a folded one opens with a click."""

    key: str
    title: str
    body: str
    folded: bool = False


@dataclass(frozen=True)
class Page:
    """The whole review. failures: what misses the limits of the gate; problems: what is wrong in the repository."""

    repository: Path
    comparison: Comparison
    lines: Sequence[Lines]
    gate: Gate
    failures: Sequence[str]
    problems: Sequence[str]

    @property
    def passes(self) -> bool:
        """Whether the gate does."""
        return not self.failures and not self.problems

    @property
    def summary(self) -> str:
        """The verdict of the whole, in plain text."""
        return f"{_verdict_of_all(self.comparison)} {self._verdict_of_the_gate()}"

    @property
    def revisions(self) -> str:
        """What was compared, in plain text."""
        return f"Before: {self.comparison.before.name}. After: {self.comparison.after.name}."

    @property
    def sections(self) -> list[Section]:
        """The parts that have something to say, in order."""
        return [section for section in self._every_section() if section.body]

    def _verdict_of_the_gate(self) -> str:
        if self.passes:
            return "The gate passes." if self.gate != Gate() else "The gate sets no limits."
        reasons = [plural(len(self.failures), "limit")] if self.failures else []
        reasons += [f"{plural(len(self.problems), 'problem')} in the repository"] if self.problems else []
        return f"The gate fails: {' and '.join(reasons)}."

    def _every_section(self) -> Iterator[Section]:
        comparison = self.comparison
        leading = comparison.leading_metric
        yield Section("failures", "What fails the gate", bullets(self.failures))
        yield Section("problems", "Problems in the repository", bullets(self.problems))
        still = all(verdict is Verdict.UNCHANGED for verdict in _verdicts(comparison))
        yield Section("leading", f"Test {METRICS[leading].title}", tables.of_metric(comparison, leading), folded=still)
        for metric in METRICS.values():
            if metric.name != leading:
                body = tables.of_metric(comparison, metric.name)
                yield Section(metric.name, f"Test {metric.title}", body, folded=True)
        yield Section("levels", "Test metrics with their 95 % intervals", tables.of_levels(comparison), folded=True)
        yield Section("seeds", "Several seeds", tables.of_seeds(comparison))
        yield Section("classes", "Classes that moved", tables.of_classes(comparison.variants), folded=True)
        yield Section("come_and_gone", "Added and removed variants", tables.of_come_and_gone(comparison))
        yield Section("params", "Parameters that changed", tables.of_params(comparison))
        judged_otherwise = any(file.judges for file in self.lines)
        yield Section("code", *tables.of_lines(comparison, self.lines), folded=not judged_otherwise)
        yield Section(
            "packages", "Packages that changed", tables.of_changes(comparison.packages, "package"), folded=True
        )
        yield Section("costs", *tables.of_costs(comparison), folded=True)
        yield Section("reading", "How to read this", HOW_TO_READ, folded=True)


def to_markdown(page: Page) -> str:
    """The page as Markdown, ended by a line feed."""
    parts = [f"**{escaped(page.summary)}**", escaped(page.revisions)]
    for section in page.sections:
        if section.folded:
            parts.append(f"<details>\n<summary>{section.title}</summary>\n\n{section.body}\n\n</details>")
        else:
            parts.append(f"### {section.title}\n\n{section.body}")
    return "\n\n".join(parts) + "\n"


def _verdict_of_all(comparison: Comparison) -> str:
    variants = plural(len(comparison.variants), "variant")
    if not comparison.variants:
        return "No variant is in both revisions."
    if comparison.not_comparable:
        return f"The results are not comparable: {comparison.not_comparable}."
    verdicts = _verdicts(comparison)
    better, worse = verdicts.count(Verdict.BETTER), verdicts.count(Verdict.WORSE)
    parts = [f"{number} {word}" for number, word in ((better, "better"), (worse, "worse")) if number]
    if parts:
        return f"{better + worse} of {variants} changed beyond noise: {', '.join(parts)}."
    if all(verdict is Verdict.UNCHANGED for verdict in verdicts):
        return f"{variants}: no test result changed."
    if untested := verdicts.count(Verdict.NOT_TESTED):
        return f"{untested} of {variants} cannot be tested for want of predictions."
    return f"0 of {variants} changed beyond noise."


def _verdicts(comparison: Comparison) -> list[Verdict]:
    return [review.changes[comparison.leading_metric].verdict for review in comparison.variants]
