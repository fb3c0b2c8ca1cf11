"""A folder of submissions -> a board: `python -m benchmark.leaderboard SUBMISSIONS --out DIR`.

The folder is a clone of the leaderboard's repo, or any folder with `leaderboard.json`. `--begin` writes that file,
`--check` says whether a board is what its folder gives, `--reproduce ID` runs a submission's weights, `--into FILE`
writes the board's table into a README or card. `--check-pr`, `--health` and `--workflow` look after it
(`benchmark.board.upkeep`), a repo on the Hub in place of the folder too.
"""

import hashlib
import re
import tempfile
from argparse import ArgumentTypeError, Namespace
from collections.abc import Iterator, Sequence
from pathlib import Path

from pydantic import ValidationError

from benchmark.board import rules as truth
from benchmark.board import site
from benchmark.board.fold import fold
from benchmark.board.intake import SECONDS
from benchmark.board.page import page_name, states
from benchmark.board.reuse import Reuse
from benchmark.board.rules import FILE_NAME, Rules, read_rules, truth_of
from benchmark.board.schema import Board, Entry
from benchmark.board.submission import FOLDER, PREDICTIONS
from benchmark.board.upkeep import comment, health
from benchmark.board.upkeep import hub as on_hub
from benchmark.board.upkeep.changes import between_folders
from benchmark.board.upkeep.pulls import MOST, check_pull
from benchmark.board.upkeep.workflow import workflow
from benchmark.board.workers import in_processes
from benchmark.metrics.bootstrap import draws_kept
from benchmark.metrics.compute import result_of
from benchmark.reports.inputs import Given
from benchmark.reports.page import page
from benchmark.reports.sections import Measured
from benchmark.reports.text import name_images
from benchmark.schemas import predictions as predictions_
from benchmark.schemas.result import first_wrong, make_folder
from d3s_dataset.errors import D3SError, ResultError
from d3s_dataset.hub.repo import Repo, connect, silence_client
from d3s_dataset.hub.retry import PATIENCE, Patience
from d3s_dataset.identity import file_digest
from d3s_dataset.manifest import to_json
from d3s_dataset.utils.atomic import write_atomic
from d3s_dataset.utils.cli import Parser, cores, natural, progress, record, run_command, say
from d3s_dataset.utils.extras import require

_FEW = 8  # reports that are written before other processes have started
_NAMED = 5  # files that disagree, named one by one


def build(root: Path, dataset: str, out: Path, rehearsal: bool = False) -> Board:
    """Fold a folder into a board and write all its files; what this machine has computed before is not recomputed.

    Args:
        root: the folder of submissions.
        dataset: where the board's images lie.
        out: folder for the board.
        rehearsal: whether the folder is a rehearsal's.

    Raises:
        ResultError: no leaderboard, no submissions; a rehearsal where none is asked for, or the other way round, or one
            that would be written over a board about D3S.
        ReleaseError, DatasetNotFound: the images are not there, or are others.
    """
    rules = read_rules(root)
    rules.check_rehearsal(rehearsal, root)
    _check_target(out, rules)
    reuse = Reuse(rules)
    board = fold(root, rules, truth_of(dataset, rules), reuse)
    make_folder(out)
    pages = {}
    for each, content in _reports(root, [each for each in board.entries if each.rank], rules, out, reuse):
        pages[page_name(each)] = content
        reuse.keep_page(each.content, hashlib.sha256(content).hexdigest())
    site.write_pages(board, pages, out)
    for name, content in site.files(board).items():
        write_atomic(out / name, content)
    return board


def _check_target(out: Path, rules: Rules) -> None:
    """Raise ResultError where a folder holds a board about D3S and a rehearsal is to be written, or the reverse."""
    path = out / site.BOARD
    if not path.is_file():
        return
    try:
        held = Board.model_validate_json(path.read_bytes()).rules.rehearsal
    except ValidationError as error:
        raise ResultError(f"{path} cannot be read: {first_wrong(error)}; remove it, or pass another --out") from None
    if held != rules.rehearsal:
        kinds = ("a board about D3S", "a rehearsal")
        raise ResultError(f"{out} holds {kinds[held]}, and this is {kinds[not held]}: pass another --out")


def _reports(
    root: Path, ranked: Sequence[Entry], rules: Rules, out: Path, reuse: Reuse
) -> Iterator[tuple[Entry, bytes]]:
    """Yield the reports that are not there yet; many are written in several processes."""
    paths = [out / page_name(each) for each in ranked]
    new = [
        each
        for each, path in zip(ranked, paths, strict=True)
        if not (path.is_file() and file_digest(path) == reuse.page(each.content))
    ]
    if len(new) <= _FEW:
        yield from ((each, _report(root, rules, each)) for each in new)
        return
    with progress(total=len(new), label="reports", unit="") as bar:
        for index, outcome in in_processes(_report, (root, rules), new, cores(), SECONDS):
            if not isinstance(outcome, bytes):
                why = outcome if isinstance(outcome, D3SError) else outcome.reason
                raise ResultError(f"the report on {new[index].id} failed: {why}")
            bar.update()
            yield new[index], outcome


def _report(root: Path, rules: Rules, entry: Entry) -> bytes:
    predictions = predictions_.read(root / FOLDER / entry.id / PREDICTIONS)
    with draws_kept():
        # What was measured elsewhere cannot be recomputed from predictions.
        result = result_of(predictions, entry.id).model_copy(update={"imagenet": None, "drop": None})
        return site.marked(page(Given([Measured(entry.model, result, predictions)]), None), rules)


def disagreements(root: Path, dataset: str, out: Path, into: Sequence[Path] = ()) -> list[str]:
    """Return the names of the files that are not what the folder gives; everything is computed anew.

    Reports (`models/`) are left out: their figures change with matplotlib's version.

    Args:
        root: the folder of submissions.
        dataset: where the board's images lie.
        out: the board's folder.
        into: READMEs and cards that hold its tables.
    """
    rules: Rules = read_rules(root)
    board = fold(root, rules, truth_of(dataset, rules))
    made = {out / name: content for name, content in site.files(board).items()}
    made |= {path: site.into(path, board) for path in into}
    return [path.name for path, content in made.items() if not path.is_file() or path.read_bytes() != content]


def parser() -> Parser:
    """Return the command's parser."""
    examples = (
        "board --begin --dataset demo/d3s",
        "board --dataset demo/d3s --out site",
        "board --dataset demo/d3s --out site --check",
        "board --dataset demo/d3s --reproduce ID --rows 500",
        "board --dataset demo/d3s --check-pr proposed",
        "org/d3s-leaderboard --dataset org/d3s --check-pr 12 --comment",
        "board --dataset demo/d3s --out site --health",
        "board --dataset org/d3s --workflow",
        "rehearsal --begin --rehearsal --dataset demo/d3s",
        "rehearsal --rehearsal --dataset demo/d3s --out site",
    )
    about = "Validate submissions and rank them on a board."
    answer = Parser("python -m benchmark.leaderboard", description=about, examples=examples, tables=True)
    add = answer.add_argument
    add("submissions", type=Path, metavar="SUBMISSIONS", help="folder with leaderboard.json and submissions/; with "
        "--check-pr and --health also a dataset repo, ORG/NAME")  # fmt: skip
    add("--out", type=Path, default=Path("board"), metavar="DIR", help="folder for the board and its page")
    add("--dataset", default="d3s", metavar="DIR_OR_REPO", help="the release that the board is about")
    add("--check", action="store_true", help="compute the board anew, write nothing, exit 1 where it differs")
    add("--begin", action="store_true", help="write leaderboard.json for the release in --dataset")
    add("--config", default="default", metavar="NAME", help="with --begin: which images of the release")
    add("--split", default="validation", metavar="NAME", help="with --begin: train, validation, ...")
    add("--rehearsal", action="store_true", help="a board that is marked as a rehearsal: not about D3S, but the sample")
    add("--into", type=Path, nargs="+", default=[], metavar="FILE", help="also write the tables into READMEs or cards")
    add("--eval-yaml", action="store_true", help="also write eval.yaml, which registers the benchmark on the Hub")
    add("--reproduce", metavar="ID", help="run a submission's weights, and note whether every image agrees")
    add("--rows", type=natural, default=500, metavar="N", help="with --reproduce: on how many images, drawn at random")
    add("--checkpoint", type=Path, metavar="FILE", help="with --reproduce: weights, if the result was made with a file")
    add("--model", metavar="NAME", help="with --reproduce: where the weights are here, such as local-dir:FOLDER")
    add("--devices", nargs="+", metavar="D", help="with --reproduce: such as cuda:0; default: all GPUs, else the CPU")
    add("--check-pr", metavar="N_OR_FOLDER", help="print what a pull request would do, as a comment; exit 1 where it "
        "may not be merged: its number in the repo, or the folder as it proposes it")  # fmt: skip
    add("--comment", action="store_true", help="with --check-pr N: also post the comment on the Hub")
    add("--health", action="store_true", help="read all entries, links and revisions anew, exit 1 where one is wrong")
    add("--workflow", action="store_true", help="print a GitHub workflow that checks, builds and looks after the board")
    answer.only_with("--check-pr", "--comment")
    for mode in ("--check-pr", "--workflow"):
        answer.never_with(mode, "--out")
    for mode in ("--check-pr", "--health", "--workflow"):
        answer.never_with(mode, "--into", "--eval-yaml", "--begin", "--check", "--reproduce")
    answer.never_with("--check-pr", "--health", "--workflow")
    answer.never_with("--health", "--workflow")
    answer.only_with("--begin", "--config", "--split")
    answer.only_with("--reproduce", "--rows", "--checkpoint", "--devices", "--model")
    answer.never_with("--begin", "--check", "--reproduce", "--out", "--into", "--eval-yaml")
    answer.never_with("--check", "--reproduce", "--eval-yaml")
    answer.never_with("--rehearsal", "--into", "--eval-yaml")
    return answer


def main(argv: Sequence[str] | None = None, patience: Patience = PATIENCE) -> None:
    """Begin, build, check or look after a board, or run a submission again."""
    args = parser().parse_args(argv)
    require("score", "scipy", "jinja2", "matplotlib")
    if args.reproduce:
        require("benchmark", "torch", "timm", "torchvision")
    if args.begin:
        return _begin(args.submissions, truth.rules_of(args.dataset, args.config, args.split, args.rehearsal))
    if args.check_pr:
        return _check_pull(args, patience)
    if args.health:
        return _health(args, patience)
    rules = read_rules(args.submissions)
    rules.check_rehearsal(args.rehearsal, args.submissions)
    if args.workflow:
        return say(workflow(str(args.submissions), rules.repo or args.dataset, rules.rehearsal).rstrip())
    if args.check:
        return _check(args.submissions, args.dataset, args.out, args.into)
    say(_images(rules))
    if args.reproduce:
        from benchmark.board.reproduce import reproduce

        given = args.rows, args.checkpoint, args.devices, args.model
        say(reproduce(args.submissions, args.reproduce, rules, args.dataset, *given))
    board = build(args.submissions, args.dataset, args.out, args.rehearsal)
    for path in args.into:
        write_atomic(path, site.into(path, board))
    if args.eval_yaml:
        write_atomic(args.out / "eval.yaml", site.eval_yaml(board.rules))
    say(summary(board))
    record(board=board, path=args.out / site.BOARD)
    say(f"board {args.out / site.BOARD}; page {args.out / 'index.html'}")


def _check_pull(args: Namespace, patience: Patience) -> None:
    """Print the comment on a pull request, post it where asked; raises ResultError where it may not be merged."""
    with tempfile.TemporaryDirectory() as scratch:
        repo, pull, large = _repo(args.submissions, patience, args.comment), None, None
        if repo:
            pull = on_hub.pull_request(repo, _number(args.check_pr))
        elif args.comment:
            raise ResultError(f"--comment: expected a repo of the Hub, got the folder {args.submissions}")
        base = on_hub.mirror(repo) if repo else args.submissions
        rules = read_rules(base)
        rules.check_rehearsal(args.rehearsal, args.submissions)
        if repo and pull:
            proposed, made = Path(scratch), pull.changes
            large = on_hub.fetch(repo, pull, made.ids[:MOST], rules.n, proposed)
        else:
            proposed = Path(args.check_pr)
            if not proposed.is_dir():
                raise ResultError(f"--check-pr: expected the folder that it proposes, got {args.check_pr}")
            made = between_folders(base, proposed)
        verdict = check_pull(base, proposed, made, rules, truth_of(args.dataset, rules), Reuse(rules), large)
    text = comment.markdown(verdict, rules)
    say(text.rstrip())
    record(verdict=verdict, comment=text)
    if repo and pull and args.comment:
        on_hub.comment(repo, pull.number, text)
    if not verdict.mergeable:
        raise ResultError(f"{args.check_pr} may not be merged; faults that the comment lists: {len(verdict.faults)}")


def _number(text: str) -> int:
    try:
        return natural(text)
    except ArgumentTypeError as error:
        raise ResultError(f"--check-pr of a repo: expected the number of a pull request: {error}") from None


def _repo(place: Path, patience: Patience, writes: bool = False) -> Repo | None:
    """Return the repo that is named in place of a folder, or None for a folder."""
    if place.is_dir():
        return None
    if re.fullmatch(r"[\w.-]+/[\w.-]+", str(place)) is None:
        raise ResultError(f"expected the folder of a board or its repo, ORG/NAME, got {place}")
    silence_client()
    return connect(str(place), patience, flag="SUBMISSIONS", writes=writes)


def _health(args: Namespace, patience: Patience) -> None:
    """Print what was checked of a board; raises ResultError where something is wrong."""
    repo = _repo(args.submissions, patience)
    root = on_hub.mirror(repo) if repo else args.submissions
    rules = read_rules(root)
    rules.check_rehearsal(args.rehearsal, args.submissions)
    checks = health.health(root, rules, truth_of(args.dataset, rules), args.out)
    say(health.table(checks))
    record(checks=[each.model_dump() for each in checks])
    wrong = sum(each.verdict == "wrong" for each in checks)
    if wrong:
        raise ResultError(f"{wrong} of {len(checks)} checks of {args.submissions} found something wrong")


def _begin(root: Path, rules: Rules) -> None:
    path = root / FILE_NAME
    if path.exists():
        raise ResultError(f"{path} is there already: a board stays about the images it began with")
    write_atomic(path, to_json(rules))
    mark = f"{rules.mark}\n" if rules.mark else ""
    say(f"{_images(rules)}\n{mark}{'rehearsal' if rules.rehearsal else 'board'} {path}")


def _images(rules: Rules) -> str:
    return name_images(rules.name, rules.kind, rules.config, rules.split, rules.n)


def _check(root: Path, dataset: str, out: Path, into: Sequence[Path]) -> None:
    say(_images(read_rules(root)))
    found = disagreements(root, dataset, out, into)
    if found:
        raise ResultError(f"the board in {out} is not what {root} gives: {', '.join(found[:_NAMED])} differ")
    say(f"the board in {out} is what {root} gives, byte for byte")


def summary(board: Board) -> str:
    """Return how many submissions are in which state, and why some are refused."""
    lines = [board.rules.mark] if board.rules.mark else []
    lines.append(states(board))
    lines += [f"  refused {each.id[:80]}: {each.reason}" for each in board.entries if each.state == "refused"]
    return "\n".join(lines)


if __name__ == "__main__":
    run_command(main)
