"""Train a timm model on a release: `python -m benchmark.train --model NAME --objective erm`.

From random weights unless `--checkpoint` gives others to start from. Every objective but `erm` cuts the pooled features
in a part for the foreground and one for the background. The model is saved as a timm `local-dir` folder (config.json,
model.safetensors) with the size and colours it was trained at, so that `python -m benchmark.run --model local-dir:DIR`
prepares images the same way; `training.json` records its settings, `log.jsonl` its losses. A training that was
killed resumes from its last checkpoint when the same command is run again. Its curves are in `DIR/tensorboard`, and
with `--wandb` on Weights & Biases. Under `torchrun` every process takes its share of each batch.
"""

import argparse
import os
from argparse import ArgumentTypeError
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from benchmark.data import pairing
from benchmark.data.imagenet import Folder
from benchmark.data.split import add_dataset_flags, open_split
from benchmark.inference.subjects import check_installed
from benchmark.models.packaged_weights import PREFIX, verified
from benchmark.models.specs import argument
from benchmark.reports.text import describe
from benchmark.training.config import Settings
from benchmark.training.objectives.registry import OBJECTIVES, OPTIONS, Objective
from benchmark.training.tracking import check_trackers
from benchmark.training.train import Images, train
from d3s_dataset.errors import ModelError
from d3s_dataset.utils.cli import Parser, natural, positive, run_command, say, seed, share, weight


def _several(text: str) -> int:
    if natural(text) < 2:
        raise ArgumentTypeError("expected 2 or more images per step: batch norm has no statistics of one")
    return int(text)


def parser() -> Parser:
    """Return the command's parser."""
    examples = (
        "--model resnet10t --image-size 64 --dataset demo/d3s --out demo/model",
        "--model resnet50 --objective wasserstein --lambda 1 --imagenet imagenet/train --out models/split",
        "--model resnet50 --dataset org/d3s --out models/erm --wandb",
        "--model tf_efficientnet_lite0 --checkpoint packaged:tf_efficientnet_lite0 --objective pair --lr 5e-4",
    )
    about = "Train a timm model on a release of D3S."
    answer = Parser("python -m benchmark.train", description=about, examples=examples)
    add = answer.add_argument
    adds = "; ".join(f"{name}: {each.summary}" for name, each in OBJECTIVES.items())
    add("--model", required=True, metavar="NAME", help="timm name", default=None)
    add("--objective", choices=tuple(OBJECTIVES), default="erm", help=f"added to cross-entropy: {adds}")
    add_dataset_flags(answer, split=False)
    add("--imagenet", type=Path, metavar="DIR", help="ImageNet's train folder: half of each batch, no background label")
    add(
        "--aligned-only",
        metavar="PAIRING",
        help="without its conflicting images: paper, sample, seed or file",
    )
    add("--checkpoint", metavar="FILE", help="weights to start from, or packaged:NAME; without, random ones")
    add("--model-kwargs", type=argument, nargs="+", default=[], metavar="K=V", help="arguments of the model")
    add("--freeze", type=natural, default=0, metavar="N", help="stages not trained, the stem first")
    add("--freeze-statistics", action="store_true", help="batch norm keeps its running statistics")
    add("--out", type=Path, metavar="DIR", help="folder of the model; without, models/NAME-OBJECTIVE")
    add("--epochs", type=natural, default=Settings.epochs, metavar="N", help="passes over the images")
    add("--image-size", type=natural, default=Settings.size, metavar="N", help="side of a training view in pixels")
    add("--batch-size", type=_several, default=Settings.batch_size, metavar="N", help="images per step")
    add("--seed", type=seed, default=Settings.seed, metavar="N", help="of the first weights, the order and the crops")
    add(
        "--precision",
        choices=("auto", "fp32", "bf16"),
        default=Settings.precision,
        help="auto: bf16 on a GPU or CPU whose matrix units have it, else fp32",
    )
    add("--checkpoint-every", type=natural, default=500, metavar="N", help="steps; and after every epoch")
    add("--no-tensorboard", action="store_true", help="no curves in OUT/tensorboard (tensorboard --logdir OUT)")
    add("--wandb", action="store_true", help="curves on Weights & Biases too (WANDB_MODE=offline: in ./wandb)")
    own = answer.add_argument_group("recipe", "without these, the objective's own numbers (benchmark/objectives)")
    add = own.add_argument
    add("--lr", type=positive, metavar="X", help="peak learning rate")
    add("--lambda", type=weight, metavar="X", dest="weight", help="penalty weight")
    add("--background-gradient", type=share, metavar="X", help="of the background part, that reaches the network")
    add(
        "--foreground-features", type=natural, metavar="N", help="of the pooled ones; the rest speak for the background"
    )
    add("--warm-up", type=share, metavar="X", help="share of the steps with cross-entropy alone")
    add("--critic-steps", type=natural, metavar="N", help="critic steps per network step")
    add("--critic-lr", type=positive, metavar="X", dest="critic_rate", help="learning rate of the critics")
    add("--critic-input", choices=("raw", "normalised"), help="features that critics or readers see")
    add("--readers", type=natural, metavar="N", help="reading heads per part, re-initialised in turn; 1: never")
    add("--images-per-photo", type=_several, metavar="N", dest="per_photo", help="of a foreground photo per step")
    answer.only_with(
        _those(lambda each: each.make), "--lambda", "--background-gradient", "--foreground-features", "--warm-up"
    )
    answer.only_with(_those(lambda each: each.critic_steps), "--critic-steps", "--critic-lr")
    answer.only_with(_those(lambda each: each.critic_input), "--critic-input")
    answer.only_with(_those(lambda each: each.readers), "--readers")
    answer.only_with(_those(lambda each: each.per_photo), "--images-per-photo")
    return answer


def _those(have: Callable[[Objective], object]) -> str:
    """Return the objectives that have something, as a mode of the parser."""
    return f"--objective {'|'.join(name for name, each in OBJECTIVES.items() if have(each))}"


_OWN = (
    "weight",
    "background_gradient",
    "foreground_features",
    "warm_up",
    "per_photo",
    *OPTIONS,
)  # of the objective's recipe


def settings_of(args: argparse.Namespace) -> Settings:
    """Return the settings that arguments and the objective's recipe make.

    Raises:
        ModelError: fewer images per step than the objective needs.
    """
    objective = OBJECTIVES[args.objective]
    least = objective.least * (2 if args.imagenet else 1)
    if args.batch_size < least:
        raise ModelError(f"expected --batch-size of {least} or more for these, got {args.batch_size}")
    chosen = {"rate": args.lr, **{name: getattr(args, name) for name in _OWN}}
    settings = Settings(
        model=args.model,
        objective=args.objective,
        epochs=args.epochs,
        size=args.image_size,
        batch_size=args.batch_size,
        seed=args.seed,
        precision=args.precision,
        freeze=args.freeze,
        freeze_statistics=args.freeze_statistics,
        kwargs=dict(args.model_kwargs),
    )
    resolved = {name: getattr(objective, name, None) if value is None else value for name, value in chosen.items()}
    return replace(settings, **resolved)


def checkpoint_of(args: argparse.Namespace) -> Path | None:
    """Return the file of weights to start from.

    Raises:
        ModelError: a package's weights of another network, or of none.
        MissingExtra: the package is not installed.
        CheckpointError: its file was changed.
    """
    if args.checkpoint is None or not args.checkpoint.startswith(f"{PREFIX}:"):
        return args.checkpoint and Path(args.checkpoint)
    found = verified(args.checkpoint)
    name = args.checkpoint.removeprefix(f"{PREFIX}:")
    if name != args.model:
        raise ModelError(f"{args.checkpoint} holds the weights of {name}: expected --model {name}, got {args.model}")
    return found


def main(argv: Sequence[str] | None = None) -> None:
    """Train a model on the train split, print its folder and the next command."""
    args = parser().parse_args(argv)
    settings = settings_of(args)
    check_installed()
    curves = {"tensorboard": not args.no_tensorboard, "wandb": args.wandb}
    check_trackers(**curves)
    checkpoint = checkpoint_of(args)
    aligned_only = pairing.read(args.aligned_only) if args.aligned_only else None
    split = open_split(args.dataset, args.config, "train")
    photos = Folder(args.imagenet) if args.imagenet else None
    out = args.out or Path("models") / f"{args.model}-{args.objective}"
    tell = say if os.environ.get("RANK", "0") == "0" else lambda line: None
    tell(describe(split.facts()))
    tell(f"train {args.model} from {args.checkpoint or 'random weights'}")
    train(Images(split, photos, aligned_only), settings, out, checkpoint, args.checkpoint_every, tell, **curves)
    tell(f"model {out}\nnext: python -m benchmark.run --model local-dir:{out} --dataset {args.dataset}")


if __name__ == "__main__":
    run_command(main)
