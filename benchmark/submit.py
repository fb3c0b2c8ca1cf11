"""Send a result to a leaderboard: `python -m benchmark.submit RESULT --repo-id ORG/d3s-leaderboard`.

All that the board will check is checked here first (`benchmark.board.submission`). Then a pull request brings the
three files to the leaderboard's data set repo, and with `--model-repo` another one the score to the model's own. A
folder in place of the repo gets the files. Type it again as often as you like: what is there, or proposed, is not sent
twice.
"""

import re
import tempfile
from collections.abc import Collection, Sequence
from pathlib import Path

from benchmark.board.names import hub_repo
from benchmark.board.rules import FILE_NAME, Rules, parse_rules, read_rules, truth_of
from benchmark.board.site import task_id
from benchmark.board.submission import (
    DESCRIPTION,
    FILES,
    FOLDER,
    PREDICTIONS,
    RESULT,
    Description,
    description_of,
    id_of,
)
from benchmark.board.validation import check
from benchmark.schemas import predictions as predictions_
from benchmark.schemas import result as results
from benchmark.schemas.result import Result, beside
from d3s_dataset.errors import HubError, ResultError
from d3s_dataset.hub.repo import File, Remote, Repo, connect, file_of, silence_client
from d3s_dataset.hub.retry import PATIENCE, Patience
from d3s_dataset.manifest import to_json
from d3s_dataset.utils.atomic import write_atomic
from d3s_dataset.utils.cli import Parser, progress, run_command, say
from d3s_dataset.utils.extras import require

SCORES = ".eval_results/d3s.yaml"


def pack(path: Path, description: Description, rules: Rules, dataset: str) -> tuple[str, dict[str, bytes]]:
    """Return a submission's id and its files by name, after every check that the board makes.

    Args:
        path: the result; its predictions are next to it.
        description: facts that the result lacks.
        rules: of the board.
        dataset: where the board's images lie.

    Raises:
        ResultError: no predictions next to the result, or something that the board would refuse.
    """
    result = results.read(path)
    predictions = beside(path, result, "a submission")
    rules.check(result.dataset)
    truth = truth_of(dataset, rules)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / id_of(result)
        write_atomic(folder / DESCRIPTION, to_json(description))
        write_atomic(folder / RESULT, to_json(result))
        predictions_.write(folder / PREDICTIONS, predictions)
        check(folder, rules, truth)
        return folder.name, {name: (folder / name).read_bytes() for name in FILES}


def check_older(older: str, name: str, repo: str | None, there: Collection[str]) -> None:
    """Raise ResultError where what a submission is to replace is not on the board, or is of another model.

    Args:
        older: the id.
        name: the new submission's id.
        repo: the Hub repo that the new one's model is of.
        there: ids of all submissions.
    """
    if older not in there:
        raise ResultError(f"--supersedes {older}: expected the id of a submission on the board, the name of its folder")
    if older == name or older.rpartition("--")[0] != name.rpartition("--")[0]:
        raise ResultError(f"--supersedes {older}: expected an older submission of the same model as {name}")
    if repo is None:
        raise ResultError(
            f"--supersedes {older}: expected a model of a Hub repo without a revision, such as hf-hub:ORG/NAME: the "
            "owner of others cannot be verified; the older one's owner can withdraw it"
        )


def into_folder(board: Path, name: str, files: dict[str, bytes]) -> str:
    """Write a submission into a folder of submissions; return one line on what was done."""
    folder = board / FOLDER / name
    if all((folder / each).is_file() and (folder / each).read_bytes() == files[each] for each in files):
        return f"nothing to do: {folder} is there already"
    for each, content in files.items():
        write_atomic(folder / each, content)
    return f"submitted: {folder}"


def propose(repo: Repo, title: str, files: Sequence[File], why: str) -> str:
    """Open a pull request with some files, unless they are there or we have proposed them; return what was done.

    Raises:
        HubError: no such repo, or the Hub refuses.
    """
    here = repo.look()
    if here.head is None:
        raise HubError(f"{repo.repo_id} does not exist, or is hidden: expected {why}")
    if _holds(here, files):
        return f"nothing to do: {repo.url} has it already"
    onto, opens = here, True
    if proposed := repo.open_pull_request(title):
        onto, opens = repo.look(proposed), False
        if _holds(onto, files):
            return f"nothing to do: it is proposed already at {_link(repo, proposed)}"

    def send() -> None:
        with progress(total=sum(file.size for file in files), label="sending", unit="B", scale=True) as bar:
            repo.commit(repo.upload(files, onto.revision, opens, bar), title, onto, opens)

    repo.patience.call(send)
    return f"proposed: {_link(repo, repo.open_pull_request(title) or '')}"


def _holds(remote: Remote, files: Sequence[File]) -> bool:
    return all(file.path in remote.files and remote.files[file.path].holds(file) for file in files)


def _link(repo: Repo, revision: str) -> str:
    return f"{repo.url}/discussions/{revision.rpartition('/')[2]}"


def rules_on_hub(repo: Repo) -> Rules:
    """Return the rules of a leaderboard's repo; raises HubError where it is none."""
    here = repo.look()
    if here.head is None:
        raise HubError(f"{repo.repo_id} does not exist, or is hidden: expected the repo of a leaderboard")
    if FILE_NAME not in here.files:
        raise HubError(f"{repo.repo_id} is no leaderboard: it has no {FILE_NAME}")
    return parse_rules(repo.read(FILE_NAME, here.head), f"{FILE_NAME} of {repo.repo_id}")


def _submissions(repo: Repo | None, board: Path) -> set[str]:
    """Return the ids of a board's submissions, in its repo or folder."""
    if repo is None:
        return {path.parent.name for path in board.glob(f"{FOLDER}/*/{RESULT}")}
    return {parts[1] for path in repo.look().files if (parts := path.split("/"))[0] == FOLDER and len(parts) == 3}


def scores(result: Result, rules: Rules, board: str) -> bytes:
    """Return `.eval_results/d3s.yaml`: the top-1 in percent, as the Hub shows it on a model's page.

    Raises:
        ResultError: the board does not name the release's repo on the Hub, which such a score must.
    """
    import yaml
    from huggingface_hub import EvalResultEntry, eval_result_entries_to_yaml

    if rules.repo is None:
        raise ResultError("--model-repo: the board's leaderboard.json names no repo of the release")
    entry = EvalResultEntry(
        dataset_id=rules.repo,
        task_id=task_id(rules),
        value=round(100 * (result.metrics.top1 or 0), 4),
        dataset_revision=rules.revision,
        source_url=board,
        source_name="D3S leaderboard",
        notes=f"top-1, {result.metrics.n} images, fp32",
    )
    return yaml.safe_dump(eval_result_entries_to_yaml([entry]), sort_keys=False).encode()


def parser() -> Parser:
    """Return the command's parser."""
    examples = (
        "results/RESULT.json --repo-id org/d3s-leaderboard --training-data imagenet --dry-run",
        "results/RESULT.json --repo-id board --training-data web --dataset demo/d3s",
    )
    about = "Send a result to a leaderboard."
    answer = Parser("python -m benchmark.submit", description=about, examples=examples)
    add = answer.add_argument
    add("result", type=Path, metavar="RESULT", help="JSON that benchmark.run wrote, with its predictions next to it")
    add("--repo-id", required=True, metavar="ORG/NAME|FOLDER", help="the leaderboard: a dataset repo, or a folder")
    choices = ("imagenet", "web", "d3s")
    add("--training-data", choices=choices, required=True, help="what the model saw: ImageNet only, the web, D3S")
    add("--notes", default="", help="one line on the model")
    add("--paper", metavar="ID", help="the model's paper, which the board links: arXiv:2211.10370 or doi:10.1000/182")
    add("--license", metavar="NAME", help="licence of the weights, as the Hub names it: apache-2.0, cc-by-nc-4.0")
    add("--supersedes", metavar="ID", help="an older submission of the same model that this one replaces")
    add("--model-repo", metavar="ORG/NAME", help="also propose the score to the model's repo on the Hub")
    add("--dataset", default="d3s", metavar="DIR_OR_REPO", help="the release that the board is about")
    add("--dry-run", action="store_true", help="check, list what would be sent, and send nothing")
    return answer


def main(argv: Sequence[str] | None = None, patience: Patience = PATIENCE) -> None:
    """Check a result, send it, print its address."""
    args = parser().parse_args(argv)
    require("score", "scipy")
    said = description_of(args.training_data, args.notes, args.supersedes, args.paper, args.license)
    board = Path(args.repo_id) if Path(args.repo_id).is_dir() else None
    if board is None and re.fullmatch(r"[\w.-]+/[\w.-]+", args.repo_id) is None:
        raise ResultError(
            f"--repo-id: expected ORG/NAME or the folder of a board, got {args.repo_id!r}, which is neither; "
            "`python -m benchmark.leaderboard FOLDER --begin --dataset d3s` begins a board"
        )
    if board is None or args.model_repo:
        silence_client()
    repo = connect(args.repo_id, patience) if board is None else None
    rules = rules_on_hub(repo) if repo else read_rules(Path(args.repo_id))
    if rules.rehearsal and args.model_repo:
        raise ResultError(f"--model-repo: {args.repo_id} is a rehearsal on {rules.warning}: it gives no score on D3S")
    name, files = pack(args.result, said, rules, args.dataset)
    if args.supersedes:
        check_older(
            args.supersedes, name, hub_repo(results.read(args.result).model), _submissions(repo, Path(args.repo_id))
        )
    if rules.mark:
        say(rules.mark)
    sizes = ", ".join(f"{each} ({len(content):,} bytes)" for each, content in files.items())
    say(f"{name}: every number recomputed from its predictions is the one that was sent\n  {sizes}")
    url = args.repo_id if repo is None else f"{repo.url}/tree/main/{FOLDER}/{name}"
    score = scores(results.read(args.result), rules, url) if args.model_repo else b""
    if args.dry_run:
        say(score.decode() + "dry run: nothing was sent" if score else "dry run: nothing was sent")
        return
    if repo is None:
        say(into_folder(Path(args.repo_id), name, files))
    else:
        sent = [file_of(f"{FOLDER}/{name}/{each}", content) for each, content in files.items()]
        say(propose(repo, f"Submission {name}", sent, "the repo of a leaderboard"))
    if args.model_repo:
        model = connect(args.model_repo, patience, "model", "--model-repo")
        say(propose(model, f"Score on {rules.name}", [file_of(SCORES, score)], "the repo of a model"))


if __name__ == "__main__":
    run_command(main)
