"""Train a timm model on a release: `python -m benchmark.train --model NAME --objective erm`.

From random weights unless `--checkpoint` gives others to start from. The model is saved as a timm `local-dir` folder
(config.json, model.safetensors) with the size and colours it was trained at, so that
`python -m benchmark.run --model local-dir:DIR` prepares images the same way; `training.json` says how it came about.
"""

from argparse import ArgumentTypeError
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.data import Split, open_split
from benchmark.fit import COLOURS, Settings, fit
from benchmark.results import make_folder
from benchmark.run import describe
from d3s_dataset.command import Parser, natural, run_command, say
from d3s_dataset.errors import MissingExtra, ModelError
from d3s_dataset.taxonomy import classes

if TYPE_CHECKING:
    import torch


def train(
    split: Split,
    settings: Settings,
    out: Path,
    checkpoint: Path | None = None,
    report: Callable[[str], None] = lambda line: None,
) -> None:
    """Train a model as `fit` says and save it.

    Library-wide random state is left as it was; the same seed gives the same weights on a CPU.

    Args:
        split: the images.
        settings: how.
        out: folder of the model, made at the end; one of an earlier training is replaced.
        checkpoint: weights to start from.
        report: called with a line after every epoch.

    Raises:
        ModelError: unknown model, unusable `out`, or a loss that is not finite.
        CheckpointError: weights of another architecture.
    """
    import torch

    from benchmark.augment import decode
    from benchmark.weights import check_folder, save

    check_folder(out)
    make_folder(out.parent)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        torch.manual_seed(settings.seed)
        network = _network(settings, checkpoint)
        pixels = decode(split, -(-settings.size * 8 // 7), out.parent)
        labels = torch.from_numpy(split.labels["foreground"].to_numpy(zero_copy_only=False).copy())
        fit(network, pixels, labels, settings, device, report)
    save(network, out, {**asdict(settings), "dataset": split.facts().model_dump(mode="json")})


def _network(settings: Settings, checkpoint: Path | None) -> "torch.nn.Module":
    import timm

    from benchmark import weights
    from benchmark.models import check

    if ":" in settings.model:
        raise ModelError(f"expected a timm name to train, got {settings.model!r}")
    check(settings.model, pretrained=False)
    view = {"input_size": (3, settings.size, settings.size), "crop_pct": 1.0, "interpolation": "bilinear", **COLOURS}
    other = {"tag": None, "test_input_size": None, "test_crop_pct": None, "num_classes": len(classes())}
    try:
        network = timm.create_model(
            settings.model, num_classes=len(classes()), pretrained_cfg_overlay={**view, **other, "label_offset": None}
        )
    except (RuntimeError, ValueError, AssertionError, TypeError) as error:
        raise ModelError(
            f"{settings.model} cannot be made for {settings.size} pixels: {' '.join(str(error).split())}"
        ) from None
    if checkpoint:
        weights.load_into(network, weights.read(checkpoint), checkpoint, settings.model)
    return network


def _rate(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 < value < float("inf"):
        raise ArgumentTypeError(f"expected a number above 0, got {text!r}")
    return value


def _several(text: str) -> int:
    if natural(text) < 2:
        raise ArgumentTypeError("expected 2 images a step or more: batch norm has no statistics of one")
    return int(text)


def _seed(text: str) -> int:
    if not text.isdecimal() or int(text) >= 2**63:
        raise ArgumentTypeError(f"expected a whole number from 0 to 2^63 - 1, got {text!r}")
    return int(text)


def parser() -> Parser:
    """Return the command's parser."""
    answer = Parser(prog="python -m benchmark.train", description="Train a timm model on a release of D3S.")
    add = answer.add_argument
    add("--model", required=True, metavar="NAME", help="timm name", default=None)
    add("--objective", choices=("erm",), default="erm", help="erm: cross-entropy on the foreground label")
    add("--dataset", default="d3s", metavar="DIR_OR_REPO", help="folder or Hub repo of a release")
    add("--config", default="default", metavar="NAME", help="which images of the release")
    add("--checkpoint", type=Path, metavar="FILE", help="weights to start from; without, random ones")
    add("--out", type=Path, metavar="DIR", help="folder of the model; without, models/NAME-OBJECTIVE")
    add("--epochs", type=natural, default=Settings.epochs, metavar="N", help="passes over the images")
    add("--image-size", type=natural, default=Settings.size, metavar="N", help="side of a training view in pixels")
    add("--batch-size", type=_several, default=Settings.batch_size, metavar="N", help="images a step")
    add("--lr", type=_rate, default=Settings.rate, metavar="X", help="peak learning rate")
    add("--seed", type=_seed, default=Settings.seed, metavar="N", help="of the first weights, the order and the crops")
    return answer


def main(argv: Sequence[str] | None = None) -> None:
    """Train a model on the train split, say where it lies and what to type next."""
    args = parser().parse_args(argv)
    split = open_split(args.dataset, args.config, "train")
    say(describe(split.facts()))
    try:
        import timm  # noqa: F401
        import torchvision  # noqa: F401
    except ImportError as error:
        raise MissingExtra(error.name or "timm", "benchmark") from None
    settings = Settings(
        model=args.model,
        objective=args.objective,
        epochs=args.epochs,
        size=args.image_size,
        batch_size=args.batch_size,
        rate=args.lr,
        seed=args.seed,
    )
    out = args.out or Path("models") / f"{args.model}-{args.objective}"
    say(f"train {args.model} from {args.checkpoint or 'random weights'}")
    train(split, settings, out, args.checkpoint, say)
    say(f"model {out}\nnext: python -m benchmark.run --model local-dir:{out} --dataset {args.dataset}")


if __name__ == "__main__":
    run_command(main)
