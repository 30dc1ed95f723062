"""The command line: a shell of about ten lines a verb around a plain function."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from whereas import __version__
from whereas.errors import WhereasError

if TYPE_CHECKING:  # rich, numpy and ONNX Runtime wait for the verb that needs them
    from whereas.evaluation import Result
    from whereas.model import Model
    from whereas.records import Document, Outcome, Unreadable
    from whereas.triage import Settings, Summary

app = typer.Typer(
    help="Triage of news and filings about restrictive measures: labels, evidence, briefs.",
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

labels = typer.Typer(help="Labelled data: check it before it teaches.", no_args_is_help=True)
app.add_typer(labels, name="label")
released = typer.Typer(help="Released models: list, show, verify, diff.", no_args_is_help=True)
app.add_typer(released, name="models")

DONE, BREACH, WRONG_INPUT, INTERRUPTED = 0, 1, 2, 130

ModelOption = Annotated[
    Path | None,
    typer.Option("--model", help="Folder of a released model.", show_default="the current one"),
]
DocumentsArgument = Annotated[
    list[str],
    typer.Argument(
        help="Documents, FILE#ROW of a table, or - for standard input.", metavar="DOC..."
    ),
]


def main() -> None:
    app()


def verb(
    function: Callable[..., None], group: typer.Typer = app, name: str | None = None
) -> Callable[..., None]:
    """Registers a verb; turns what the user can mend into two lines and exit code 2."""

    @functools.wraps(function)
    def shell(*args: Any, **kwargs: Any) -> None:
        try:
            function(*args, **kwargs)
        except WhereasError as error:
            _fail(error)
        except KeyboardInterrupt:
            print("interrupted; run the same command again to go on", file=sys.stderr)  # noqa: T201
            raise typer.Exit(INTERRUPTED) from None
        except BrokenPipeError:  # `whereas triage … | head`
            sys.stderr.close()
            raise typer.Exit(DONE) from None
        except SystemExit as stop:  # how rich takes a closed pipe
            if stop.code != 1:
                raise
            raise typer.Exit(DONE) from None

    return group.command(name)(shell)


def _fail(error: WhereasError) -> NoReturn:
    from whereas.display import clean

    print(f"error: {clean(error.what)}", file=sys.stderr)  # noqa: T201
    if error.fix:
        print(f"  fix: {clean(error.fix)}", file=sys.stderr)  # noqa: T201
    raise typer.Exit(WRONG_INPUT) from error


@app.callback(invoke_without_command=True)
def _version(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    if version:
        print(f"whereas {__version__}")  # noqa: T201
        raise typer.Exit


@verb
def triage(
    paths: Annotated[
        list[str], typer.Argument(help="Files, folders, globs, or - for standard input.")
    ],
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="Folder, or file ending in .jsonl, .csv or .parquet."),
    ] = None,
    focus: Annotated[
        list[str] | None,
        typer.Option(help="Rank by axis=label, e.g. rationales=forced_labor. Repeatable."),
    ] = None,
    min_relevance: Annotated[
        float, typer.Option(min=0, max=1, help="Leave out what is below.")
    ] = 0,
    top: Annotated[int | None, typer.Option(min=1, help="Keep the best N.")] = None,
    format: Annotated[
        str | None, typer.Option(help="On standard output: table, jsonl or none.")
    ] = None,
    model: ModelOption = None,
    no_briefs: Annotated[bool, typer.Option("--no-briefs", help="Labels only.")] = False,
    sets: Annotated[
        float | None,
        typer.Option(
            help="Add to JSON the sets of labels that hold the right action and status for this "
            "share of documents (0.8, 0.9 or 0.95): on average, not for each kind of document, and "
            "only of documents like those the model was calibrated on.",
        ),
    ] = None,
    max_mb: Annotated[int, typer.Option(min=1, help="Larger files are an error.")] = 50,
) -> None:
    """Read, label and rank a batch. The same command again goes on where it stopped."""
    from whereas.triage import Sets, Settings, parse_focus

    reader = load_model(model)
    settings = Settings(
        focus=tuple(parse_focus(f, reader.taxonomy) for f in focus or []),
        min_relevance=min_relevance,
        top=top,
        briefs=not no_briefs,
        sets=Sets(level=sets, least=reader.least(sets)) if sets is not None else None,
        max_bytes=max_mb * 1_000_000,
    )
    summary = triage_batch(paths, reader, settings, output=output, format=format or "table")
    if summary.ok + summary.review == 0:
        raise WhereasError(
            f"nothing could be read: {summary.error} errors" if summary.error else "no documents",
            "Mend what is said above" if summary.error else "Give files, folders or globs",
        )


def triage_batch(
    paths: list[str], reader: Model, settings: Settings, *, output: Path | None, format: str
) -> Summary:
    """Triages paths, writes `output`, prints `format`; progress and counts go to stderr."""
    from whereas import display, sinks, triage
    from whereas.brief import compose
    from whereas.journal import Store

    formats = ("table", "jsonl", "none")
    if format not in formats:
        raise WhereasError(f"no format {format!r}", "Formats: " + ", ".join(formats))
    if output is not None:
        spare(output)
    with Store(output) as store, display.progress() as advance:
        summary = triage.run(
            paths,
            reader,
            store,
            settings,
            compose=lambda d, e: compose(d, e, reader.taxonomy),
            progress=advance,
            stdin=sys.stdin.buffer,
        )
        advance(None)
        if summary.restarted:
            display.console(error=True).print(f"starting anew: {summary.restarted}")
        if output is not None:
            made = triage.manifest(summary, reader, settings)
            sinks.write(
                output, lambda: triage.ranked(store, settings), reader.taxonomy, manifest=made
            )
        if format == "jsonl":
            sinks.write_jsonl(sys.stdout.buffer, triage.ranked(store, settings), reader.taxonomy)
        elif format == "table":
            display.print_ranking(triage.ranked(store, settings), reader.taxonomy)
    display.print_summary(summary, reader.id, output)
    return summary


@verb
def explain(
    documents: DocumentsArgument,
    model: ModelOption = None,
    text: Annotated[
        bool, typer.Option("--text", help="Print the text as read: what offsets count in.")
    ] = False,
) -> None:
    """Show documents with their evidence marked, the scores, and what spoke against."""
    from whereas import display

    out = display.console()
    if text:
        for found in read_documents(documents):
            sys.stdout.write(display.clean_same_length(found.text) + "\n")
        return
    reader = load_model(model)
    for found in read_documents(documents):
        explained, outcome = judge(found, reader)
        out.print(
            display.explanation(found, explained, outcome, reader.taxonomy, reader.thresholds)
        )
        out.print("")


@verb
def brief(documents: DocumentsArgument, model: ModelOption = None) -> None:
    """Write a brief of 40-90 words in which every statement points at its source."""
    from whereas import display
    from whereas.brief import compose

    reader = load_model(model)
    out = display.console()
    for found in read_documents(documents):
        explained, _ = judge(found, reader)
        out.print(display.brief(found, compose(found, explained, reader.taxonomy)))
        out.print("")


@verb
def train(
    recipe: Annotated[Path, typer.Argument(help="Recipe TOML.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Run folder.")],
    start: Annotated[
        str | None,
        typer.Option("--from", help="Start from a released model: its folder, or CURRENT."),
    ] = None,
    add: Annotated[
        list[Path] | None,
        typer.Option(help="More labelled JSONL, beside the recipe's. Repeatable."),
    ] = None,
    fast: Annotated[
        bool, typer.Option("--fast", help="Refit the heads of --from only, on cached states.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Look through new labels, say what it costs, stop.")
    ] = False,
    curve: Annotated[
        bool,
        typer.Option(
            "--curve", help="Measure on 25 to 100 % of the labels what more are worth; export none."
        ),
    ] = False,
) -> None:
    """Train a model by a recipe, or retrain one on new labels; export and measure it. Resumes."""
    from whereas import display
    from whereas import report as reports

    with training():
        from whereas.training import curve as curves
        from whereas.training import fit, routine
    parent = _current() if start == "CURRENT" else Path(start) if start else None
    added = tuple(add or ())
    if fit.launched() > 1 and (fast or dry_run or curve):
        raise WhereasError(
            "--fast, --dry-run and --curve are work for one process", "Launch no others"
        )
    if curve and dry_run:
        raise WhereasError("--curve and --dry-run exclude each other", "Give one of them")
    if fit.follows():
        fit.follow(recipe, output, parent=parent, add=added)
        return
    with display.training() as say:
        if dry_run or (added and not fast and not curve):
            plan = routine.plan(
                recipe, output, say, parent=parent, add=added, fast=fast, timed=dry_run
            )
            display.console(error=not dry_run).print(display.tables(plan.tables))
            for warning in plan.warnings:
                say(f"warning: {display.one_line(warning)}")
            if plan.minutes is not None:
                say(f"about {plan.minutes:.0f} minutes of training on this machine")
        if dry_run:
            return
        if curve:
            found = curves.curve(recipe, output, say, parent=parent, add=added, fast=fast)
            display.console().print(display.tables([found.table]), "\n".join(found.lines))
            say(f"picture: {output / 'curve' / 'curve.svg'}")
            return
        results = routine.train(recipe, output, say, parent=parent, add=added, fast=fast)
        print(reports.markdown(results))  # noqa: T201
        say(f"model: {output / 'model'}; make it the current one with: whereas release {output}")


@verb
def evaluate(
    tasks: Annotated[
        list[str] | None,
        typer.Argument(help="Tasks by name or TOML; a recipe's TOML: its development data."),
    ] = None,
    model: ModelOption = None,
    data: Annotated[
        list[Path] | None, typer.Option(help="Labelled JSONL of your own. Repeatable.")
    ] = None,
    predictions: Annotated[
        Path | None, typer.Option(help="Measure another tool: JSONL of {id, labels}.")
    ] = None,
    baseline: Annotated[
        Path | None,
        typer.Option(help="Measure TF-IDF + logistic regression, trained by this recipe."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="Folder for results, a folder a task in it."),
    ] = None,
    gated: Annotated[
        bool, typer.Option("--gate", help="Exit 1 when a figure is below its pinned floor.")
    ] = False,
    repin: Annotated[
        bool, typer.Option("--repin", help="Pin the floors to what is measured.")
    ] = False,
    allow_regression: Annotated[
        bool, typer.Option("--allow-regression", help="Let --repin lower floors.")
    ] = False,
) -> None:
    """Measure a model on labelled documents: figures with 95 % intervals."""
    from whereas import display
    from whereas import report as reports

    names = list(tasks or [])
    if repin and gated:
        raise WhereasError("--gate and --repin exclude each other", "Give one of them")
    if (gated or repin) and (predictions or baseline or data):
        raise WhereasError("floors are those of a model on tasks", "Leave out the other options")
    if len(names) == 1 and names[0].endswith(".toml") and reports.is_recipe(Path(names[0])):
        if output or data or predictions or baseline or gated or repin:
            raise WhereasError("a recipe is measured on its development data", "Give it alone")
        with training():
            from whereas.training.routine import evaluate as evaluate_model
        found = evaluate_model(
            Path(names[0]), model or _current(), display.console(error=True).print
        )
    else:
        found = measure(names, data or [], model, predictions, baseline, output)
    print(reports.markdown(found))  # noqa: T201
    if gated or repin:
        hold(found, repin=repin, allow_regression=allow_regression)


def hold(results: list[Result], *, repin: bool, allow_regression: bool) -> None:
    """Holds results to the pinned floors, or pins them; exits 1 when a figure has fallen."""
    from whereas import display, gate, tasks

    path = tasks.tasks_folder().parent / "floors.json"
    if repin:
        for line in gate.repin(path, results, allow_regression=allow_regression):
            display.console(error=True).print(line)
        return
    fallen = gate.fallen(gate.load(path), results)
    for line in fallen:
        print(f"fell: {line}", file=sys.stderr)  # noqa: T201
    if fallen:
        raise typer.Exit(BREACH)
    print("every figure is above its floor", file=sys.stderr)  # noqa: T201


def measure(
    names: list[str],
    data: list[Path],
    model: Path | None,
    predictions: Path | None,
    baseline: Path | None,
    output: Path | None,
) -> list[Result]:
    """Runs tasks, and tasks made of labelled files, one after the other."""
    from whereas import display, tasks

    todo = [(tasks.load(path), path) for path in map(tasks.find, names)]
    todo += [(tasks.of_file(path), path) for path in data]
    if not todo:
        raise WhereasError("nothing to measure on", "Give tasks, or --data FILE")
    again = [t.name for t, _ in todo if sum(t.name == other.name for other, _ in todo) > 1]
    if again:
        raise WhereasError(f"two tasks are named {again[0]!r}", "Rename the file or the task")
    reader = load_model(model)
    results = []
    for task, path in todo:
        folder = output / task.name if output else None
        if task.kind == "direction":
            if predictions or baseline:
                tasks.labels_only(task)
            done = tasks.run_changes(task, path, reader, folder)
            display.console(error=True).print(done.record.signature, soft_wrap=True)
            results.append(done.record.result)
            continue
        found = tasks.examples(task, path, reader.taxonomy)
        if predictions:
            done = tasks.predictions(task, found, predictions, reader.taxonomy, folder)
        elif baseline:
            with training():
                from whereas.training.routine import BASELINE, baseline_rows
            tasks.labels_only(task)
            rows = baseline_rows(
                baseline,
                found,
                display.console(error=True).print,
                crossfit=task.calibration == "cross-fit",
            )
            done = tasks.finish(task, found, rows, reader.taxonomy, BASELINE, folder)
        else:
            done = tasks.run(task, found, reader, folder)
        display.console(error=True).print(done.record.signature, soft_wrap=True)
        results.append(done.record.result)
    return results


@verb
def compare(
    first: Annotated[
        Path,
        typer.Argument(help="Result folder of a task; or one of several tasks, taken together."),
    ],
    second: Annotated[Path, typer.Argument(help="The same of another system.")],
) -> None:
    """Compare two systems on the same tasks: paired differences, and which documents changed."""
    from whereas import display, tasks
    from whereas import report as reports

    one = tasks.pooled(first)
    names = reports.compared(list(one.record.result.figures))
    found = tasks.compare(one, tasks.pooled(second), names)
    display.console().print(display.tables(reports.comparison(found)))


@verb
def report(
    runs: Annotated[list[Path], typer.Argument(help="Result folders of `whereas evaluate -o`.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="HTML file to write.")],
    title: Annotated[str, typer.Option(help="Headline of the page.")] = "",
) -> None:
    """Write results as one HTML page: figures, curves, kinds of document, errors, comparison."""
    from whereas import files, page, tasks

    html = page.render([tasks.read(run) for run in runs], title)
    output.parent.mkdir(parents=True, exist_ok=True)
    files.write(output, html)
    print(output)  # noqa: T201


@verb
def release(
    run: Annotated[Path, typer.Argument(help="Run folder of `whereas train`.")],
    results: Annotated[
        list[Path] | None,
        typer.Option(help="Results of `whereas evaluate -o` for the model's card. Repeatable."),
    ] = None,
) -> None:
    """Make the model of a finished run the current one."""
    from whereas.release import release as release_run

    print(release_run(run, results=results or ()))  # noqa: T201


def lint(
    paths: Annotated[
        list[Path], typer.Argument(help="Labelled JSONL files, or a folder with a lint.toml.")
    ],
) -> None:
    """Check labelled data: labels, spans, duplicates, splits, quotas, diversity, agreement."""
    from whereas import display
    from whereas import lint as linting
    from whereas import taxonomy as taxonomies

    with training():
        import datasketch  # noqa: F401
    report = linting.inspect(paths, taxonomies.load())
    display.console().print(display.tables(report.tables))
    for breach in report.breaches:
        print(f"breach: {display.one_line(breach)}", file=sys.stderr)  # noqa: T201
    if report.breaches:
        print(f"{len(report.breaches)} breaches", file=sys.stderr)  # noqa: T201
        raise typer.Exit(BREACH)
    print(f"{report.documents:,} documents, no breach", file=sys.stderr)  # noqa: T201


verb(lint, labels)


ModelName = Annotated[
    str, typer.Argument(help="A released model's name or folder, or CURRENT.", metavar="MODEL")
]


def list_models() -> None:
    """List the released models."""
    from whereas import display, models

    display.console().print(display.tables([models.overview()]))


def show_model(name: ModelName = "CURRENT") -> None:
    """Print a model's card."""
    from whereas import display, models

    folder = models.find(name)
    models.verify(folder)
    try:
        print(display.clean((folder / "README.md").read_text("utf-8")))  # noqa: T201
    except OSError as error:
        raise WhereasError(f"{folder} has no card yet", "whereas release writes it") from error


def verify_model(name: ModelName = "CURRENT") -> None:
    """Check every file of a model against its digest."""
    from whereas import models

    print(models.verify(models.find(name)))  # noqa: T201


def diff_models(first: ModelName, second: ModelName = "CURRENT") -> None:
    """Say how two models differ: data, settings, figures on the same data."""
    from whereas import display, models

    found = models.difference(models.find(first), models.find(second))
    display.console().print(display.tables(found))


for name, function in (
    ("list", list_models),
    ("show", show_model),
    ("verify", verify_model),
    ("diff", diff_models),
):
    verb(function, released, name)


# ------------------------------------------------------------------ what verbs share


def load_model(folder: Path | None) -> Model:
    from whereas.model import Model

    return Model(folder or _current())


def _current() -> Path:
    from whereas.model import current

    return current()


def judge(document: Document, reader: Model) -> tuple[Any, Outcome]:
    """The explanation and the outcome of one document."""
    from whereas.triage import outcome

    explained = reader.read([document])[0]
    return explained, outcome(document, explained, reader.id)


def read_documents(paths: list[str]) -> Iterator[Document]:
    """The documents behind paths, or rows of them (`feed.jsonl#3`, as the table gives it); raises
    `WhereasError` at the first that cannot be read."""
    from whereas import readers
    from whereas.records import Unreadable

    def check(found: Document | Unreadable | readers.Source) -> None:
        if isinstance(found, Unreadable):
            raise WhereasError(f"{found.origin}: {found.reason}", "Give a readable document")

    for path in paths:
        name, mark, row = path.rpartition("#")
        whole = not (mark and row.isdigit()) or Path(path).exists()
        count = 0
        for source in readers.find([path if whole else name]):
            check(source)
            assert isinstance(source, readers.Source)
            for found in readers.read(source, stdin=sys.stdin.buffer):
                if whole or found.origin.endswith(f"#{row}"):
                    check(found)
                    assert not isinstance(found, Unreadable)
                    count += 1
                    yield found
        if not count:
            raise WhereasError(f"{path}: there is no such row", "Rows count from 1")


def spare(output: Path) -> None:
    """Raises `WhereasError` when an output would replace files that no run of ours has left."""
    from whereas import sinks
    from whereas.journal import journal_path

    found = [path for path in sinks.files(output) if path.exists()]
    if found and not journal_path(output).exists():
        raise WhereasError(
            f"{found[0]} is there, and no run of whereas has left it (no journal beside it)",
            "Move it away, or give another place with -o",
        )


@contextmanager
def training() -> Iterator[None]:
    """Around imports of the train extra: says how to install it when it is missing."""
    try:
        yield
    except ImportError as error:
        raise WhereasError(
            f"training needs {error.name}, which is not installed", "pip install 'whereas[train]'"
        ) from error


if __name__ == "__main__":
    main()
