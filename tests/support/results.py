"""What results say of a model and of a data set, with any field changed."""

from benchmark.schemas.result import Dataset, Model
from d3s_dataset.taxonomy import background_names


def model(name: str = "resnet18", **others) -> Model:
    facts = {"architecture": "resnet18", "tag": "resnet18.a1_in1k", "kwargs": {}, "digest": "0123456789abcdef"}
    return Model(name=name, **(facts | {"precision": "fp32", "transform": {"crop_pct": 0.95}} | others))


def dataset(**others) -> Dataset:
    facts = {"name": "d3s", "kind": "d3s", "revision": None, "digest": "f" * 64, "config": "default", "n": 40}
    more = {"split": "validation", "verified_fraction": None, "backgrounds": list(background_names())}
    return Dataset(**(facts | more | {"release": "f" * 64} | others))
