"""Votes -> verdicts and a report; also labels from a CSV of votes."""

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from d3s_dataset.errors import VerifyError
from d3s_dataset.manifest import Agreement, Verification
from d3s_dataset.utils.atomic import write_atomic
from d3s_dataset.utils.cli import note, warn
from d3s_dataset.utils.tables import csv_bytes
from generation.verify.aggregate import verdicts as results
from generation.verify.aggregate.agreement import alpha, interval, table
from generation.verify.aggregate.consensus import Label, collect, dawid_skene, label
from generation.verify.aggregate.disagreements import disputes
from generation.verify.aggregate.report import Study, render
from generation.verify.aggregate.rules import RULES, decide, speaks_for
from generation.verify.aggregate.stopping import progress
from generation.verify.aggregate.verdicts import Rounds, Verdict, Verdicts
from generation.verify.aggregate.worker_quality import Limits, Quality, left_out, qualities
from generation.verify.crowds.colleagues import shown_name
from generation.verify.crowds.csv_votes import read_rows
from generation.verify.prepare import tasks as files
from generation.verify.prepare.questions import ANSWERS, NAMES
from generation.verify.prepare.rounds import Rule, told
from generation.verify.prepare.tasks import Tasks
from generation.verify.votes import annotators
from generation.verify.votes.secret import anonymous, secret
from generation.verify.votes.store import Store, Vote

REPORT = "report.html"


def aggregate(
    folder: Path, rule: Rule, limits: Limits, count_fast: Sequence[str] = (), database: str | None = None
) -> Verdicts:
    """Write verdicts and a report into a tasks folder; return the verdicts.

    Raises:
        VerifyError: no tasks, or no votes.
    """
    held = files.read(folder)
    store = Store(folder, database)
    votes, fast, excluded = store.last(), store.fast(), annotators.excluded(store)
    named = partial(shown_name, secret(folder), names=annotators.names(store))
    store.close()
    if not votes:
        raise VerifyError(f"{folder} holds no votes yet: serve the page, or import answers from another tool")
    key = secret(folder)
    apart = {worker: pace for worker, pace in fast.items() if named(worker) not in count_fast}
    if unknown := set(count_fast) - set(map(named, fast)):
        raise VerifyError(f"--count-fast: no annotator {min(unknown)} submitted a task too fast")
    found, people = judge(held, votes, rule, limits, key, apart, excluded)
    results.write(folder, found)
    shown = {anonymous(key, worker): named(worker) for worker in {vote.worker for vote in votes}}
    counted = [vote for vote in votes if anonymous(key, vote.worker) not in found.left_out]
    split = disputes(held, counted, named)
    write_atomic(folder / REPORT, render(Study(folder, held, found, people, shown, limits, split)).encode())
    return found


def judge(
    held: Tasks,
    votes: Sequence[Vote],
    rule: Rule,
    limits: Limits,
    key: bytes,
    fast: Mapping[str, float] | None = None,
    excluded: Mapping[str, str] | None = None,
) -> tuple[Verdicts, dict[str, Quality]]:
    """Return the verdicts, and the quality of each annotator by anonymous name.

    `fast`: worker -> seconds per image, for submissions that are held until reviewed; `excluded`: worker -> the
    owner's reason.
    """
    excluded = excluded or {}
    quality = qualities(held, votes, excluded=excluded)
    without = left_out(quality, limits, fast, excluded)
    counted = [vote for vote in votes if vote.worker not in without]
    posterior = posteriors(counted)
    rows = _verdicts(held, counted, posterior, rule)
    rounds = _rounds(held, counted, posterior, rule, rows) if held.stops else None
    verification = Verification(
        release=held.release,
        drawn=held.drawn,
        rule=rule.name,
        rule_text=f"{RULES[rule.name]}; at least {rule.least} votes per image",
        people=len(quality) - len(without),
        left_out=len(without),
        answers=len(votes),
        agreement={question: _agreement(held, counted, question) for question in NAMES},
    )
    names = {worker: anonymous(key, worker) for worker in quality}
    found = Verdicts(
        votes_digest=results.votes_digest(votes, excluded),
        drawn=held.drawn,
        left_out={names[worker]: why for worker, why in without.items()},
        verification=verification,
        rounds=rounds,
        rows=rows,
    )
    return found, {names[worker]: each for worker, each in quality.items()}


def _rounds(
    held: Tasks, votes: Sequence[Vote], posterior: Mapping[str, float], rule: Rule, rows: Mapping[str, Verdict]
) -> Rounds:
    """Return the votes saved; raises VerifyError where the rounds stopped before this rule had its verdicts."""
    now = progress(held, votes, rule, posterior)
    stopped = held.rule or Rule()
    if rule != stopped:
        early = now.open.keys() - progress(held, votes, stopped, posterior).open.keys()
        if early:
            raise VerifyError(
                f"the rounds stopped for {told(stopped)}: expected that rule, as further votes could change the "
                f"verdict of {len(early):,} finished images under {told(rule)}"
            )
        note(f"the rounds stopped for {told(stopped)}; no finished image can differ under {told(rule)}")
    sure = [max(p, 1 - p) for row in rows.values() if row.verified is not None and (p := row.posterior) is not None]
    by_posterior = rule.name == "dawid-skene" and sure
    return Rounds(
        plan=held.rounds,
        wanted=now.wanted,
        saved=now.saved,
        decided=now.decided,
        open=len(now.open),
        errors=round(sum(1 - p for p in sure), 2) if by_posterior else None,
        least_sure=min(sure) if by_posterior else None,
    )


def posteriors(votes: Sequence[Vote]) -> dict[str, float]:
    """Return the probability that all three questions support an item; gold questions inform worker confusion too."""
    found: dict[str, float] = defaultdict(lambda: 1.0)
    for question in NAMES:
        answers = {(vote.worker, vote.item): vote.answer for vote in votes if vote.question == question}
        for item, shares in dawid_skene(answers).items():
            found[item] *= sum(p for answer, p in shares.items() if speaks_for(question, answer))
    return dict(found)


def _verdicts(held: Tasks, votes: Sequence[Vote], posterior: dict[str, float], rule: Rule) -> dict[str, Verdict]:
    counts: dict[str, dict[str, Counter[str]]] = defaultdict(lambda: defaultdict(Counter))
    people: dict[str, set[str]] = defaultdict(set)
    for vote in votes:
        counts[vote.item][vote.question][vote.answer] += 1
        people[vote.item].add(vote.worker)
    return {
        item.key: Verdict(
            verified=decide(counts[item.id], posterior.get(item.id), rule),
            votes=len(people[item.id]),
            **{question: counts[item.id][question]["yes"] for question in NAMES},
            posterior=None if item.id not in posterior else round(posterior[item.id], 6),
        )
        for item in held.images
        if item.key is not None and item.id in people
    }


def _agreement(held: Tasks, votes: Sequence[Vote], question: str) -> Agreement:
    own = [(v.item, v.answer) for v in votes if v.question == question and held.by_id[v.item].key is not None]
    counts = table(own, tuple(ANSWERS))
    values = [None if math.isnan(value) else round(value, 4) for value in (alpha(counts), *interval(counts))]
    return Agreement(alpha=values[0], low=values[1], high=values[2])


def labels(votes: Path, method: str, ties: str | None, out: Path) -> dict[str, Label]:
    """Aggregate a CSV of votes (columns worker, task, label) into labels; write and return them.

    The output has columns task, label, probability; an undecided tie has an empty label.

    Raises:
        VerifyError: invalid file, or no votes in it.
    """
    rows = read_rows(votes, ("worker", "task", "label"))
    whole = [row for row in rows if row["worker"] and row["task"]]
    answers, repeated, empty = collect((row["worker"], row["task"], row["label"]) for row in whole)
    if not answers:
        raise VerifyError(f"{votes} holds no votes")
    for count, what in (
        (len(rows) - len(whole), "rows without a worker or a task were skipped"),
        (repeated, "votes were replaced by a later one"),
        (empty, "votes without a label were skipped"),
    ):
        if count:
            warn(f"{votes}: {count} {what}")
    found = label(answers, method, ties)
    cells = ((task, each.label, f"{each.probability:.6f}") for task, each in found.items())
    write_atomic(out, csv_bytes([("task", "label", "probability"), *cells]))
    return found
