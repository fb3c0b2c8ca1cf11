"""Croissant metadata of a release (croissant.json): files with checksums, columns, labels, splits.

The form is Croissant 1.0, a JSON-LD vocabulary (https://docs.mlcommons.org/croissant/docs/croissant-spec.html) that
search engines and loaders of data sets read. Everything follows from the manifest and the schema, so the file has
neither a date (`datePublished`, which Croissant recommends) nor the address of a copy: the same recipe gives the same
bytes here and on the Hub.
"""

import json
import re
from collections.abc import Collection, Sequence
from dataclasses import fields
from pathlib import PurePosixPath
from typing import Any

import pyarrow as pa
import yaml

from d3s_dataset.card.render import shipped_file
from d3s_dataset.manifest import Manifest, Shard
from d3s_dataset.schema import CONFIGS, not_d3s, record_of
from d3s_dataset.taxonomy import classes

FILE_NAME = "croissant.json"
_PARQUET = "application/x-parquet"
_VERSION = "http://mlcommons.org/croissant/1.0"

# The names that Croissant 1.0 gives its terms in JSON; validators warn where one is missing.
_JSON = ("data", "examples")
_TERMS = (
    "citeAs", "column", "equivalentProperty", "extract", "field", "fileProperty", "fileObject", "fileSet", "format",
    "includes", "isLiveDataset", "jsonPath", "key", "md5", "parentField", "path", "recordSet", "references", "regex",
    "repeated", "replace", "samplingRate", "separator", "source", "subField", "transform",
)  # fmt: skip
_CONTEXT = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "sc": "https://schema.org/",
    **{name: {"@id": f"cr:{name}", "@type": "@json"} for name in _JSON},
    **{name: f"cr:{name}" for name in _TERMS},
}
_TYPES = {
    pa.string(): "sc:Text",
    pa.bool_(): "sc:Boolean",
    pa.int32(): "cr:Int32",
    pa.int64(): "cr:Int64",
    pa.float32(): "cr:Float32",
}
_LABELS = {"foreground": "foregrounds", "background": "backgrounds"}  # column -> record set with its names

Json = dict[str, Any]


def to_bytes(manifest: Manifest, without: Collection[str] = ()) -> bytes:
    """Return the content of croissant.json; `without` names columns that the release lacks."""
    return (json.dumps(metadata(manifest, without), indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode()


def metadata(manifest: Manifest, without: Collection[str] = ()) -> Json:
    """Return a release's Croissant metadata as JSON values.

    Paths are relative to the file, which lies in the release's folder. Every Parquet file is a `FileObject` with its
    SHA-256; the files of a config are a `FileSet`, and its rows a `RecordSet` with a field per column, one for the
    split, and labels that refer to their names.
    """
    head, body = _template()
    warning = not_d3s(manifest.kind)
    return {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": _VERSION,
        "name": "D3S" if warning is None else f"{manifest.name}: {warning}",
        "description": f"{manifest.recipe['description']}{f'; {warning}' if warning else ''}",
        "license": f"https://spdx.org/licenses/{head['license'].upper()}",
        "citeAs": body.split("```bibtex\n", 1)[1].split("\n```", 1)[0],
        "creator": {"@type": "sc:Organization", "name": "The D3S authors"},
        "keywords": head["tags"],
        # The images' digest is the part of a semantic version that orders nothing.
        "version": f"{manifest.schema_version}.0.0+{manifest.digest[:16]}",
        "distribution": [*map(_file, manifest.shards), *(_file_set(manifest, each) for each in manifest.configs())],
        "recordSet": [*_names(manifest), *(_record_set(manifest, each, without) for each in manifest.configs())],
    }


def _template() -> tuple[Json, str]:
    _, head, body = shipped_file("dataset_card.md").read_text(encoding="utf-8").split("---\n", 2)
    return yaml.safe_load(head), body


def _file(shard: Shard) -> Json:
    return {
        "@type": "cr:FileObject",
        "@id": shard.path,
        "name": shard.path,
        "contentUrl": shard.path,
        "contentSize": f"{shard.bytes} B",
        "encodingFormat": _PARQUET,
        "sha256": shard.sha256,
    }


def _file_set(manifest: Manifest, config: str) -> Json:
    first = next(shard for shard in manifest.shards if shard.config == config)
    return {
        "@type": "cr:FileSet",
        "@id": _files_of(config),
        "name": _files_of(config),
        "description": CONFIGS.get(config, config),
        "encodingFormat": _PARQUET,
        "includes": f"{PurePosixPath(first.path).parent}/*.parquet",
    }


def _files_of(config: str) -> str:
    return f"files-{config}"  # an identifier may hold no space


def _names(manifest: Manifest) -> list[Json]:
    """Return the record sets of the labels' names and of the splits."""
    objects = [{"label": i, "name": each.name, "wnid": each.wnid} for i, each in enumerate(classes())]
    scenes = [{"label": i, "name": name} for i, name in enumerate(manifest.backgrounds)]
    splits = [{"name": name} for name in _splits(manifest)]
    return [
        _inline("foregrounds", "sc:Enumeration", "ImageNet-1k classes", objects),
        _inline("backgrounds", "sc:Enumeration", "background labels", scenes),
        _inline("splits", "cr:Split", "splits of the release", splits),
    ]


def _inline(name: str, kind: str, about: str, rows: Sequence[Json]) -> Json:
    types = {key: "cr:Int64" if isinstance(value, int) else "sc:Text" for key, value in rows[0].items()}
    return {
        "@type": "cr:RecordSet",
        "@id": name,
        "name": name,
        "description": about,
        "dataType": kind,
        "key": {"@id": f"{name}/{next(iter(types))}"},
        "field": [_field(f"{name}/{key}", each, "") for key, each in types.items()],
        "data": [{f"{name}/{key}": value for key, value in row.items()} for row in rows],
    }


def _record_set(manifest: Manifest, config: str, without: Collection[str]) -> Json:
    kept = [each for each in fields(record_of(config)) if each.name not in without]
    columns = [_column(config, each.name, each.metadata) for each in kept]
    key = {} if config == "votes" else {"key": {"@id": f"{config}/key"}}  # a row of votes has no name of its own
    return {
        "@type": "cr:RecordSet",
        "@id": config,
        "name": config,
        "description": CONFIGS.get(config, config),
        **key,
        "field": [_split(manifest, config), *columns],
    }


def _splits(manifest: Manifest) -> list[str]:
    return list(dict.fromkeys(shard.split for shard in manifest.shards))


def _split(manifest: Manifest, config: str) -> Json:
    # mlcroissant applies a transform twice where a field refers to another: the result must match too.
    names = "|".join(map(re.escape, _splits(manifest)))
    regex = rf"^({names})(?:-\d+-of-\d+\.parquet)?$"
    source = _source(config, {"fileProperty": "filename"}, {"regex": regex})
    return _field(f"{config}/split", "sc:Text", "split that the row is in", source=source, references="splits/name")


def _column(config: str, name: str, about: Any) -> Json:
    arrow, doc, own = about["arrow"], about["doc"], f"{config}/{name}"
    if about["feature"] == "image":
        source = _source(config, {"column": name}, {"jsonPath": "bytes"})
        return _field(own, "sc:ImageObject", doc, source=source)
    if pa.types.is_struct(arrow):
        parts = [arrow.field(i) for i in range(arrow.num_fields)]
        below = [
            _field(f"{own}/{each.name}", _TYPES[each.type], "",
                   source=_source(config, {"column": name}, {"jsonPath": each.name}))
            for each in parts
        ]  # fmt: skip
        return {"@type": "cr:Field", "@id": own, "name": own, "description": doc, "subField": below}
    refers = f"{_LABELS[name]}/label" if about["feature"] in _LABELS else None
    return _field(own, _TYPES[arrow], doc, source=_source(config, {"column": name}), references=refers)


def _source(config: str, extract: Json, transform: Json | None = None) -> Json:
    found = {"fileSet": {"@id": _files_of(config)}, "extract": extract}
    return found | ({"transform": transform} if transform else {})


def _field(name: str, kind: str, about: str, *, source: Json | None = None, references: str | None = None) -> Json:
    return {
        "@type": "cr:Field",
        "@id": name,
        "name": name,
        **({"description": about} if about else {}),
        "dataType": kind,
        **({"references": {"field": {"@id": references}}} if references else {}),
        **({"source": source} if source else {}),
    }
