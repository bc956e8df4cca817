"""The `glyphline` command: make data sets, run the pipeline, use what it made.

One function a sub-command, with its arguments beside it. Nothing is imported at the top that takes seconds.
"""

from __future__ import annotations

import argparse
import io
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from glyphline.errors import GlyphlineError

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]


def main(arguments: list[str] | None = None) -> int:
    """Run a sub-command and return the exit status: 0, or 1 after a sentence on stderr; 2 for wrong usage."""
    parser = argparse.ArgumentParser(prog="glyphline", description="Make data sets, run the pipeline, use networks.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for add in (_add_data, _add_repro, _add_predict, _add_export, _add_serve, _add_review, _add_sweep, _add_runs):
        add(commands)
    parsed = parser.parse_args(arguments)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # for a kana on a terminal that has none
    try:
        status: int = parsed.run(parsed)
        sys.stdout.flush()
    except GlyphlineError as error:
        print(f"glyphline: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:  # the reader, `head` perhaps, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return status


def _add_data(commands: Commands) -> None:
    parser = commands.add_parser("data", help="make a data set of pictures of your own")
    parser = parser.add_subparsers(required=True, metavar="COMMAND").add_parser(
        "add",
        help="look at pictures, check them, and write a record and one packed file",
        description="Read labelled pictures, say what was found, and write datasets/NAME.yaml and datasets/NAME.npz, "
        "which DVC tracks. Then: dvc exp run -S dataset=NAME. docs/own-data.md says what is read.",
    )
    parser.add_argument(
        "sources",
        nargs="+",
        metavar="SOURCE",
        help="a folder, zip, tar, CSV, npz, IDX, Parquet or MATLAB file; train=PATH test=PATH where they are apart; "
        "PATH,LABELS where labels lie in a file of their own",
    )
    parser.add_argument("--name", required=True, help="of the data set, as `dataset` in params.yaml will have it")
    parser.add_argument("--title", help="for figures and the report; default: the name")
    parser.add_argument("--licence", help="of the pictures")
    parser.add_argument("--citation", help="whose pictures these are")
    parser.add_argument(
        "--side", type=int, metavar="PIXELS", help="of the images, 8 to 128; default: from their median"
    )
    parser.add_argument("--channels", type=int, choices=(1, 3), help="default: 1 where all pictures are grey")
    parser.add_argument(
        "--invert",
        dest="inverted",
        action=argparse.BooleanOptionalAction,
        help="let light and dark change places, or not",
    )
    parser.add_argument(
        "--transpose", dest="transposed", action="store_true", help="let rows and columns change places"
    )
    parser.add_argument(
        "--label-from", metavar="REGEX", help="what finds the class in a picture's path: its first group"
    )
    parser.add_argument("--label-column", metavar="COLUMN", help="of a table: first, last, or a column's name")
    parser.add_argument(
        "--group-by", metavar="REGEX", help="what finds, say, the writer in a path; keeps each on one side"
    )
    parser.add_argument("--skip-unreadable", action="store_true", help="leave out files that cannot be read")
    parser.add_argument(
        "--drop-conflicts", action="store_true", help="leave out images that occur under several labels"
    )
    parser.add_argument("--drop-rare", action="store_true", help="leave out classes with too few images")
    parser.add_argument("--dry-run", action="store_true", help="say everything, and write no data set")
    parser.set_defaults(run=_data_add)


def _data_add(arguments: argparse.Namespace) -> int:
    from dataclasses import fields

    from glyphline import paths
    from glyphline.data.add import Request, examine, write, write_files_table
    from glyphline.errors import printable
    from glyphline.figures.data import examples
    from glyphline.figures.style import cover, save, shown

    request = Request(**{field.name: getattr(arguments, field.name) for field in fields(Request)})
    imported = examine(request)
    for line in imported.said:
        print(printable(line))
    if len(imported.images):
        sheet = paths.contact_sheet(request.name)
        names = shown(imported.class_names)
        if unwritable := cover(names):
            print(unwritable)
        save(examples(imported.images, imported.labels, names, request.title or request.name), sheet)
        print(f"look at it: {sheet}", flush=True)
    for problem in imported.problems:
        print(f"glyphline: {printable(problem)}", file=sys.stderr)
    if imported.problems:
        return 1
    if not arguments.dry_run:
        write(imported)
        if None not in imported.keys:
            write_files_table(imported, paths.files_table(request.name))
        record, pack = paths.dataset(request.name), paths.pack(request.name)
        print(
            f"{record} and {pack} are written; next: dvc exp run -S dataset={request.name}\n"
            "For the queue, commit first what git status lists under datasets/."
        )
    return 0


def _add_repro(commands: Commands) -> None:
    parser = commands.add_parser(
        "repro",
        help="bring everything up to date, several trainings at once",
        description="Run what dvc repro would run, several trainings at once, with the same results. What this machine "
        "has made before is taken from DVC's cache.",
    )
    parser.add_argument(
        "--jobs", type=int, metavar="N", help="trainings at once; default: one a core, as far as memory allows"
    )
    parser.set_defaults(run=_repro)


def _repro(arguments: argparse.Namespace) -> int:
    from glyphline.evaluation.numbers import plural
    from glyphline.repro import repro

    changed = repro(arguments.jobs)
    if changed:
        names = ", ".join(changed[:3]) + (", ..." if len(changed) > 3 else "")
        print(
            f"Different from the last commit: {names} ({plural(len(changed), 'file')})\n"
            "A change of code or parameters does that, and so does a processor other than the commit's: it rounds sums "
            "differently, and training amplifies that.\n"
            "To see whether any result differs by more than noise: glyphline review\n"
            "To take the commit's files back: git checkout dvc.lock metrics"
        )
    return 0


def _add_predict(commands: Commands) -> None:
    parser = commands.add_parser(
        "predict",
        help="classify pictures of your own",
        description="Classify pictures of one glyph each: of any size, dark on light or light on dark. Exit status 0 "
        "when all were classified, 1 when any could not be.",
    )
    parser.add_argument("images", nargs="+", metavar="IMAGE", help="a PNG, JPEG, BMP, GIF, TIFF, WebP or PPM file")
    parser.add_argument(
        "--model",
        type=Path,
        metavar="FILE",
        help="a .keras file or exported folder; default: the best of models/ on the validation images",
    )
    parser.add_argument("--json", action="store_true", help="print JSON, for programs")
    parser.add_argument("--show", type=Path, metavar="FILE", help="draw what the network saw, as a PNG too")
    parser.set_defaults(run=_predict)


def _predict(arguments: argparse.Namespace) -> int:
    from glyphline.predict.command import predict

    everything = predict(arguments.images, arguments.model, as_json=arguments.json, show=arguments.show)
    return 0 if everything else 1


def _add_export(commands: Commands) -> None:
    parser = commands.add_parser(
        "export",
        help="write a trained network for other programs",
        description="Write a network as ONNX or LiteRT into a folder, with its classes, how pictures are prepared, and "
        "a model card, once it agrees with Keras on every validation and test image (int8: once it is not worse).",
    )
    parser.add_argument("model", type=Path, metavar="MODEL", help="a .keras file that evaluate has judged")
    parser.add_argument("--format", choices=("onnx", "litert"), default="onnx", help="default: onnx")
    parser.add_argument("--int8", action="store_true", help="compute in 8-bit integers: a quarter of the size")
    parser.add_argument("--accept", action="store_true", help="take int8 though it is worse on the validation images")
    parser.add_argument("--output", type=Path, metavar="FOLDER", help="default: exports/ and the variant's name")
    parser.set_defaults(run=_export)


def _export(arguments: argparse.Namespace) -> int:
    from glyphline.export.command import export

    export(arguments.model, arguments.format, arguments.output, int8=arguments.int8, accept=arguments.accept)
    return 0


def _add_serve(commands: Commands) -> None:
    parser = commands.add_parser(
        "serve",
        help="a page to draw on, and a JSON API",
        description="Answer from exported networks (glyphline export) to a page in your browser, and to programs on "
        "this machine, until Ctrl-C. docs/use.md tells of both.",
    )
    parser.add_argument(
        "--model", type=Path, nargs="+", default=[], metavar="FOLDER", help="default: all ONNX in exports/"
    )
    parser.add_argument("--host", default="127.0.0.1", help="listen elsewhere than to this machine; needs a token")
    parser.add_argument("--port", type=int, default=8000, help="default: 8000; 0: any that is free")
    parser.add_argument("--token", help="what callers have to bring; better in the environment, as GLYPHLINE_TOKEN")
    parser.set_defaults(run=_serve)


def _serve(arguments: argparse.Namespace) -> int:
    from glyphline.serve.command import serve

    serve(arguments.model, arguments.host, arguments.port, arguments.token or os.environ.get("GLYPHLINE_TOKEN"))
    return 0


def _add_review(commands: Commands) -> None:
    parser = commands.add_parser(
        "review",
        help="what a change did to every variant, and whether noise explains it",
        description="Compare the test results of this work with those of a revision before it, from the files that git "
        "holds, and print a page of Markdown: verdicts, changed parameters and code, cost. Nothing is trained.",
    )
    parser.add_argument(
        "base",
        nargs="?",
        metavar="BASE",
        help="a commit, branch or tag; default: HEAD for uncommitted work, else where this branch left the main branch",
    )
    parser.add_argument("--html", type=Path, metavar="FILE", help="write the page as HTML too, with pictures in it")
    parser.add_argument(
        "--gate",
        action="store_true",
        help="exit with 1 when a metric misses what the gate section of params.yaml asks, or when dvc.lock is stale",
    )
    parser.add_argument(
        "--baseline",
        metavar="REVISION",
        help="let the gate compare with this one too, a tag perhaps: small falls may add up over many changes",
    )
    parser.set_defaults(run=_review)


def _review(arguments: argparse.Namespace) -> int:
    from glyphline.review.command import review
    from glyphline.review.page import to_markdown

    page = review(Path.cwd(), arguments.base, arguments.baseline)
    print(to_markdown(page), end="")
    if arguments.html:
        from glyphline.review.web import write

        write(page, arguments.html)
    if not arguments.gate or page.passes:
        return 0
    for failure in (*page.failures, *page.problems):
        print(f"glyphline review: {failure}", file=sys.stderr)
    return 1


def _add_sweep(commands: Commands) -> None:
    parser = commands.add_parser(
        "sweep",
        help="collect the experiments of this commit into a table and a picture",
        description="Print what the finished experiments of the current commit scored, as a Markdown table: one row "
        "for each, with the parameters that vary. Queue them with: dvc exp run --queue -S variants.mlp.epochs=2,5,10",
    )
    parser.add_argument("variants", nargs="+", metavar="VARIANT", help="the variants to show, one table each")
    parser.add_argument("--figure", type=Path, metavar="FILE", help="draw them as a PNG too")
    parser.set_defaults(run=_sweep)


def _sweep(arguments: argparse.Namespace) -> int:
    from glyphline.review import experiments

    listing = experiments.read_experiments()
    tables = {variant: experiments.collect(listing, variant) for variant in arguments.variants}
    for variant, table in tables.items():
        print(f"{variant}:\n\n{experiments.to_markdown(table)}\n")
    if arguments.figure:
        from glyphline.figures.style import save
        from glyphline.figures.sweep import sweep

        save(
            sweep(tables, {variant: experiments.swept_parameters(table) for variant, table in tables.items()}),
            arguments.figure,
        )
    return 0


def _add_runs(commands: Commands) -> None:
    parser = commands.add_parser(
        "runs",
        help="set the run records of several machines side by side",
        description="Print machine, seconds and peak memory of each stage as each folder's run records have it. A run "
        "leaves them in runs/; copy that folder from another machine to compare.",
    )
    parser.add_argument("folders", nargs="+", type=Path, metavar="FOLDER", help="runs/, or a copy from another machine")
    parser.set_defaults(run=_runs)


def _runs(arguments: argparse.Namespace) -> int:
    from glyphline.report import runs

    print(runs.compare(arguments.folders).to_string())
    return 0
