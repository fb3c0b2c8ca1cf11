"""python -m generation.push DIR --repo-id ORG/d3s: upload a release to the Hub, or update the repo.

The same command resumes an interrupted upload; `generation.publish.upload` describes the protocol.
"""

import tempfile
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from d3s_dataset import manifest as manifests
from d3s_dataset.card.render import closed_sources
from d3s_dataset.errors import ReleaseError
from d3s_dataset.hub.repo import MAIN, Remote, Repo, connect, silence_client
from d3s_dataset.hub.retry import PATIENCE, Patience
from d3s_dataset.manifest import Manifest
from d3s_dataset.utils.cli import Parser, run_command, say, warn
from generation.publish.differences import as_differences
from generation.publish.staging import Staged, outgoing, stage
from generation.publish.upload import FILES_PER_COMMIT, Diff, Options, Pushed, commits_needed, compare, find, push

_NAMED = 5  # files of a kind that are named one by one


def describe(repo: Repo, staged: Staged, remote: Remote, options: Options) -> list[str]:
    """Return a summary of a push, one line per kind of change."""
    diff = compare(staged, remote)
    hidden = "" if repo.me else ", unless a private repo of this name exists: no Hub token on this machine"
    state = f"would be created{hidden}" if remote.head is None else f"holds {remote.head[:12]} of {remote.revision}"
    if remote.head is None and options.private:
        state += ", private"
    commits = commits_needed(diff, options.files_per_commit)
    return [
        f"{staged.manifest.name} -> {repo.url} ({state})",
        *_kinds(diff),
        *_left_out(staged.manifest),
        f"{commits} commit{'' if commits == 1 else 's'}",
    ]


def _kinds(diff: Diff) -> Iterable[str]:
    kinds = {
        "new": {file.path: file.size for file in diff.new},
        "changed": {file.path: file.size for file in diff.changed},
        "same": {file.path: file.size for file in diff.same},
        "to delete": diff.gone,
    }
    for kind, sizes in kinds.items():
        names = ", ".join(list(sizes)[:_NAMED]) + (", ..." if len(sizes) > _NAMED else "")
        yield f"  {kind}: {len(sizes):,} files, {sum(sizes.values()):,} bytes{': ' if names else ''}{names}"


def _left_out(manifest: Manifest) -> Iterable[str]:
    if manifest.withheld:
        names, sources = ", ".join(manifest.withheld), closed_sources(manifest)
        yield (
            f"left out: {names}: the licence of {sources} forbids passing photos on (--as-diffs sends what owners of "
            "the photos can make them from; --with-guides, if you may)"
        )
    if manifest.differences:
        names, size = ", ".join(manifest.unbuilt()), sum(each.bytes for each in manifest.differences)
        yield f"as differences from the photos of {closed_sources(manifest)}: {names} ({size:,} bytes)"


def main(
    argv: Sequence[str] | None = None, patience: Patience = PATIENCE, files_per_commit: int = FILES_PER_COMMIT
) -> None:
    """Parse the command line, upload the release and report the commit."""
    args = parser().parse_args(argv)
    options = Options(args.private, args.create_pr, args.gated, files_per_commit, patience)
    release = manifests.read(args.release)
    if release.differences:
        raise ReleaseError(manifests.how_to_rebuild(args.release, release))
    silence_client()
    repo = connect(args.repo_id, patience, writes=not args.dry_run)
    with ExitStack() as held:
        sent, folder = _outgoing(args, release, held)
        remote = find(repo, release, sent, options)
        staged = stage(args.release, sent, args.gated, folder)
        if args.dry_run:
            for line in [*describe(repo, staged, remote, options), "dry run: nothing was uploaded"]:
                say(line)
            return
        for line in _left_out(sent):
            warn(line)
        say(_summary(repo, push(repo, release, staged, remote, options)))
    if args.gated and args.create_pr:
        warn("--gated: a pull request only adds the form; enable gating in the repo's settings")


def _outgoing(args: Any, release: Manifest, held: ExitStack) -> tuple[Manifest, Path | None]:
    """Return the manifest to send and, with --as-diffs, the temporary folder of the differences."""
    if not args.as_diffs:
        return outgoing(release, args.with_guides), None
    folder = Path(held.enter_context(tempfile.TemporaryDirectory(prefix="d3s-push-")))
    roots = {"foregrounds": args.foregrounds, "backgrounds": args.backgrounds}
    return as_differences(args.release, release, roots, folder), folder


def _summary(repo: Repo, pushed: Pushed) -> str:
    done = "pushed" if pushed.changed else "nothing to send"
    where = f"{repo.url}/tree/{pushed.revision}"
    if pushed.revision != MAIN:
        where = f"{repo.url}/discussions/{pushed.revision.rpartition('/')[2]}"
    tag = f", tag {pushed.tag}" if pushed.tag else ""
    return f"{done}: {where} (commit {pushed.head[:12]}{tag}; every file's checksum is the release's)"


def parser() -> Parser:
    """Return the command's parser."""
    examples = ("d3s --repo-id org/d3s --dry-run", "d3s --repo-id org/d3s --create-pr")
    about = "Upload a release to the Hugging Face Hub."
    parser = Parser("python -m generation.push", description=about, examples=examples)
    parser.add_argument("release", type=Path, help="folder of the release (read-only)")
    parser.add_argument("--repo-id", required=True, help="dataset repo, ORG/NAME; created if it does not exist")
    parser.add_argument("--private", action="store_true", help="create a private repo; refuse a public one")
    parser.add_argument("--create-pr", action="store_true", help="open a pull request, without a tag")
    parser.add_argument("--with-guides", action="store_true", help="also upload photos without redistribution rights")
    parser.add_argument(
        "--as-diffs",
        action="store_true",
        help="send what shows photos without redistribution rights as differences from them, which owners of "
        "the photos turn back into files (d3s_dataset.rebuild); takes their size in the temporary folder (TMPDIR)",
    )
    parser.add_argument("--foregrounds", type=Path, metavar="DIR", help="--as-diffs: the photos of the objects")
    parser.add_argument("--backgrounds", type=Path, metavar="DIR", help="--as-diffs: the photos of the backgrounds")
    parser.add_argument("--gated", action="store_true", help="gate access: users must accept the research-use terms")
    parser.add_argument("--dry-run", action="store_true", help="list what would be uploaded, and upload nothing")
    parser.never_with("--as-diffs", "--with-guides")
    parser.only_with("--as-diffs", "--foregrounds", "--backgrounds")
    return parser


if __name__ == "__main__":
    run_command(main)
