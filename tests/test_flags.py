"""Every flag of every command, in every mode of it: obeyed, as listed here, or refused in one line that names it."""

import argparse
import importlib
import shlex

import pytest

from benchmark.training.objectives.registry import OBJECTIVES
from d3s_dataset.errors import D3SError
from d3s_dataset.utils.cli import Parser
from tests.test_docs import MODULES

NUMBERS = """--rows --limit --resample --batch-size --shard-rows --workers --cell --repeats --annotators --seed --epochs
    --image-size --lambdas --checkpoint-every --foreground-features --critic-steps --critic-lr --lambda --lr --images
    --per-task --gold --pay --fee --seconds --port --days --least --min-gold --min-agreement --min-seconds
    --connections-per-address --minimum-age --attribution --null --price
    --open-per-address --floor --n --foreground-photos --background-photos --freeze --readers --images-per-photo
    --width --parts"""
# Values for flags whose type does not accept a plain word.
VALUES = {
    "--rounds": "3+2", "--posterior": "0.95",
    "--part": "1/8", "--model-kwargs": "a=1", "--erase-kwargs": "strength=1", "--alias": "a=b", "--rho": "0.5",
    "--warm-up": "0.5", "--background-gradient": "0.5",
    **dict.fromkeys(("--discordance", "--foreground-correlation", "--background-correlation"), "0.1"),
    **dict.fromkeys(NUMBERS.split(), "3"),
}  # fmt: skip

# Which models: one of these, as test_run says.
INSTEAD_OF_EACH_OTHER = {"benchmark.run": {"--model", "--models-file", "--from"}}

# One value where a command reads one model, several where it compares them; --finish takes folders of parts, if any.
ONE_OR_SEVERAL = {"--model", "--erase", "--config", "--finish"}

MODEL = "--dataset --config --checkpoint --model-kwargs --devices --out"
RUN = f"{MODEL} --features --part --finish --engine --launch"
BLOCKS = "--dataset --config --split --limit --checkpoint --model-kwargs --no-compile"
ERASING = "--erase-label --cut --erase-kwargs"
TRAIN = "--dataset --config --imagenet --aligned-only --checkpoint --out --epochs --image-size --batch-size --seed "
TRAIN += "--checkpoint-every --lr --objective --precision --no-tensorboard --wandb --model-kwargs --freeze "
TRAIN += "--freeze-statistics"
PENALTY = "--lambda --background-gradient --foreground-features --warm-up"
RECIPE = "--recipe --foregrounds --backgrounds --rows --model --limit"
MAKE = "--out --shard-rows --batch-size --workers --engine"
REDRAW = "--devices --resample --compile --clip"
INSTEAD = "--dry-run --only --finish"  # --plan-only goes without --out
PREPARE = "--images --per-task --gold --annotators --least --seed --examples --pay --fee --seconds"
BOARD = "--out --dataset --into"

# (module, a command line in one of its modes) -> all flags that do something there, beside those of the line.
OBEYED = {
    ("d3s_dataset.check", "DIR"): "",
    ("d3s_dataset.rebuild", "DIR"): "--foregrounds --backgrounds",
    ("d3s_dataset.sheet", "DIR --out sheet.png"): "--config --split --rows --masks --cell",
    ("generation.run", "--out DIR"): f"{RECIPE} --verify {MAKE} --part --sheets {INSTEAD}",
    ("generation.run", "--out DIR --part 1/2"): f"{RECIPE} --verify {MAKE} --sheets --dry-run",
    (
        "generation.run",
        "--out DIR --engine ray",
    ): f"{RECIPE} --verify --shard-rows --batch-size --part --sheets --dry-run --only",
    ("generation.run", "--out DIR --recipe paper"): f"{RECIPE} --verify {MAKE} {REDRAW} --part --sheets {INSTEAD}",
    ("generation.run", "--out DIR --recipe paper --part 1/2"): f"{RECIPE} --verify {MAKE} {REDRAW} --sheets --dry-run",
    ("generation.run", "--out DIR --recipe paper --model none"): f"{RECIPE} --verify {MAKE} --part --sheets {INSTEAD}",
    ("generation.run", "--out DIR --recipe paper --only KEY"): f"{RECIPE} --verify {MAKE} --devices --compile --clip",
    ("generation.run", "--out DIR --recipe paper --finish"): f"{RECIPE} --verify --shard-rows --clip",
    ("generation.run", "--recipe paper --dry-run"): f"{RECIPE} {MAKE} --devices --compile --clip --part --price",
    ("generation.run", "--recipe paper --plan-only"): f"{RECIPE} --clip",
    ("generation.push", "DIR --repo-id a/b"): "--private --create-pr --with-guides --as-diffs --gated --dry-run",
    ("generation.push", "DIR --repo-id a/b --as-diffs"): "--private --create-pr --foregrounds --backgrounds --gated "
    "--dry-run",
    ("generation.verify", "prepare DIR --out tasks"): f"{PREPARE} --rounds --rule",
    ("generation.verify", "prepare DIR --out tasks --rule majority"): f"{PREPARE} --rounds --ties",
    ("generation.verify", "prepare DIR --out tasks --rounds 3+2 --rule dawid-skene"): f"{PREPARE} --posterior",
    ("generation.verify", "serve DIR"): "--people --completion-code --mturk --host --port --url --days "
    "--connections-per-address --open-per-address --floor --consent --minimum-age --database",
    ("generation.verify", "export DIR --to csv --out DIR"): "--anonymous --database",
    ("generation.verify", "export DIR --to mturk --out DIR"): "--images-url --database",
    ("generation.verify", "import DIR file.csv"): "--database",
    ("generation.verify", "aggregate DIR"): "--rule --least --ties --min-gold --min-agreement --min-seconds --votes "
    "--count-fast --database",
    ("generation.verify", "aggregate DIR --rule majority"): "--least --ties --min-gold --min-agreement --min-seconds "
    "--count-fast --database",
    ("generation.verify", "aggregate --votes FILE --out FILE"): "--method --ties",
    ("generation.verify", "aggregate --votes FILE --out FILE --method dawid-skene"): "",
    ("generation.verify", "audit DIR"): "--images",
    ("generation.verify", "audit DIR DIR"): "--database",
    ("generation.verify", "apply DIR DIR --out DIR"): "--database",
    ("generation.verify", "exclude DIR anna --reason text"): "--undo --database",
    ("generation.verify", "exclude DIR anna --undo"): "--reason --database",
    ("generation.verify", "forget DIR anna"): "--with-votes --database",
    ("benchmark.run", "--model a"): f"{RUN} --split --precision --no-compile --imagenet --limit --attribution",
    (
        "benchmark.run",
        "--models-file paper",
    ): f"{RUN} --split --precision --no-compile --imagenet --limit --attribution",
    ("benchmark.run", "--model a --part 1/2"): f"{BLOCKS} --devices --precision --features",
    (
        "benchmark.run",
        "--model a --finish",
    ): f"{BLOCKS} --devices --precision --features --out --imagenet --attribution",
    ("benchmark.run", "--model a --engine ray"): f"{BLOCKS} --precision --features --out --imagenet --attribution",
    ("benchmark.run", "--model a --features"): f"{BLOCKS} --devices --part --finish --engine --launch",
    (
        "benchmark.run",
        "--model a --launch slurm",
    ): f"{MODEL} --features --split --precision --no-compile --imagenet --limit --attribution --parts",
    ("benchmark.run", "--from RESULT"): "--dataset --checkpoint --devices --no-compile",
    ("benchmark.score", "FILE"): "--out --dataset",
    ("benchmark.score", "FILE --dataset d3s"): "--out --model-name --config --split",
    ("benchmark.compare", "FILE FILE"): "--out",
    ("benchmark.power", "FILE"): "--discordance",
    ("benchmark.power", "FILE FILE"): "",
    ("benchmark.power", "--n 20000"): "--foreground-photos --background-photos --discordance "
    "--foreground-correlation --background-correlation",
    ("benchmark.realism", "FILE"): "--published --alias --out",
    (
        "benchmark.realism",
        "--measure imagenet-9 --folder DIR --model a",
    ): "--checkpoint --model-kwargs --devices --precision --no-compile --out",
    (
        "benchmark.probe",
        "--model a",
    ): f"{MODEL} --split --limit --no-compile --probes --erase --null --allow-unconverged --seed",
    (
        "benchmark.probe",
        "--model a --erase noise",
    ): f"{MODEL} --split --limit --no-compile --probes --null --allow-unconverged --seed {ERASING}",
    ("benchmark.train", "--model a"): TRAIN,
    **{
        ("benchmark.train", f"--model a --objective {name}"): f"{TRAIN} {PENALTY if each.make else ''}"
        + (" --critic-steps --critic-lr" if each.critic_steps else "")
        + (" --critic-input" if each.critic_input else "")
        + (" --readers" if each.readers else "")
        + (" --images-per-photo" if each.per_photo else "")
        for name, each in OBJECTIVES.items()
    },
    ("benchmark.correlate", "--model a"): f"{MODEL} --pairing --rho --erase --as-paper --repeats",
    ("benchmark.sweep", "--model a"): f"{MODEL} --objective --lambdas --width --probe --null --repeats",
    ("benchmark.report", "FILE"): "--dataset --out",
    (
        "benchmark.submit",
        "FILE --repo-id a/b --training-data web",
    ): "--notes --paper --license --supersedes --model-repo --dataset --dry-run",
    (
        "benchmark.leaderboard",
        "DIR",
    ): f"{BOARD} --eval-yaml --check --reproduce --begin --rehearsal --check-pr --health --workflow",
    ("benchmark.leaderboard", "DIR --check-pr 3"): "--dataset --rehearsal --comment",
    ("benchmark.leaderboard", "DIR --health"): "--out --dataset --rehearsal",
    ("benchmark.leaderboard", "DIR --workflow"): "--dataset --rehearsal",
    (
        "benchmark.leaderboard",
        "DIR --reproduce ID",
    ): f"{BOARD} --eval-yaml --rows --checkpoint --devices --model --rehearsal",
    ("benchmark.leaderboard", "DIR --begin"): "--dataset --config --split --rehearsal",
    ("benchmark.leaderboard", "DIR --check"): f"{BOARD} --rehearsal",
}


OUTPUT = {"--json", "--quiet"}  # of every command that prints tables, in every mode


def parser_of(module: str) -> Parser:
    found = importlib.import_module("generation.verify.__main__" if module == "generation.verify" else module)
    return found.parser()


def parsed(module: str, line: list[str]) -> argparse.Namespace:
    if module == "generation.run":
        from generation.run import arguments

        return arguments(line)
    return parser_of(module).parse_args(line)


def flags_of(module: str, words: list[str]) -> dict[str, argparse.Action]:
    """Return the flags that a command, or the one below it that a line names, has beside --help."""
    made = parser_of(module)
    if made._subparsers:
        made = made._subparsers._group_actions[0].choices[words[0]]
    return {
        flag: each
        for flag, each in made._option_string_actions.items()
        if flag.startswith("--") and each.dest != "help"
    }


def typed(flag: str, action: argparse.Action) -> list[str]:
    if action.nargs == 0:
        return [flag]
    return [flag, str(list(action.choices)[-1]) if action.choices else VALUES.get(flag, "word")]


def outcome(module: str, line: list[str], capsys) -> str | None:
    """Return why a command line is refused, or None."""
    try:
        parsed(module, line)
    except D3SError as error:
        return str(error)
    except SystemExit:
        shown = capsys.readouterr().err
        assert shown.count("\n") == 1, shown
        return shown.partition(": ")[2]
    return None


@pytest.mark.parametrize(("module", "line"), OBEYED, ids=[" ".join(each) for each in OBEYED])
def test_every_flag_is_obeyed_or_refused(module, line, capsys):
    words, obeyed = shlex.split(line), set(OBEYED[module, line].split())
    assert outcome(module, words, capsys) is None
    flags = flags_of(module, words)
    obeyed |= OUTPUT & flags.keys()
    assert obeyed <= flags.keys()
    for flag, action in flags.items():
        if flag in words or flag in INSTEAD_OF_EACH_OTHER.get(module, ()):
            continue
        why = outcome(module, [*words, *typed(flag, action)], capsys)
        if flag in obeyed:
            assert why is None, f"{line} {flag}: {why}"
        else:
            assert why is not None, f"{line} {flag} does nothing, and is taken"
            assert flag in why


def test_every_command_stands_in_the_list():
    assert {module for module, _ in OBEYED} == set(MODULES)
    below = parser_of("generation.verify")._subparsers._group_actions[0].choices
    assert {line.split()[0] for module, line in OBEYED if module == "generation.verify"} == set(below)


EVERY = [(module, each.split()[0] if module == "generation.verify" else "") for module, each in OBEYED]


@pytest.mark.parametrize(("module", "below"), dict.fromkeys(EVERY))
def test_every_command_has_two_examples_that_parse(module, below, capsys):
    made = parser_of(module)
    if below:
        made = made._subparsers._group_actions[0].choices[below]
    assert len(made.examples) >= 2
    for each in made.examples:
        assert f"\n  python -m {module} {below + ' ' if below else ''}{each}\n" in f"{made.format_help()}\n"
        assert outcome(module, shlex.split(f"{below} {each}"), capsys) is None


def test_a_list_is_typed_by_spaces_and_a_flag_has_one_form_everywhere():
    """A flag of one name takes the same number of values in every command; none is a comma-separated list."""
    kinds: dict[str, set[object]] = {}
    for module, below in dict.fromkeys(EVERY):
        for flag, action in flags_of(module, [below]).items():
            assert "," not in str(action.metavar or ""), f"{module} {flag}"
            kinds.setdefault(flag, set()).add(
                "list" if action.nargs in ("+", "*") else "one" if action.nargs is None else "none"
            )
    assert kinds["--devices"] == {"list"}
    assert not {"--device", "--seeds"} & kinds.keys()
    several = {flag for flag, found in kinds.items() if len(found) > 1}
    assert several <= ONE_OR_SEVERAL


def test_a_flag_typed_with_its_default_is_typed(capsys):
    assert "--rows goes with --reproduce: leave it out" in outcome(
        "benchmark.leaderboard", ["DIR", "--rows", "500"], capsys
    )
    given = ["aggregate", "--votes", "FILE", "--out", "FILE", "--rule", "full"]
    assert "--rule does nothing with --votes" in outcome("generation.verify", given, capsys)
