"""Folders of results compared: the same bytes, but for the seconds that a run took."""

import json
from dataclasses import replace
from pathlib import Path

from benchmark.schemas.predictions import read, write


def same_files(one: Path, other: Path) -> bool:
    """Return whether two folders hold the same results and predictions to the byte, their seconds set to 0."""
    return _bytes(one) == _bytes(other)


def _bytes(folder: Path) -> dict[str, bytes]:
    found = {}
    for path in sorted(folder.iterdir()):
        if path.suffix == ".parquet":
            predictions, before = read(path), path.read_bytes()
            write(path, predictions)
            assert path.read_bytes() == before  # writing again changes nothing, so what follows compares the file
            write(path, replace(predictions, provenance=predictions.provenance | {"seconds": 0.0}))
            found[path.name] = path.read_bytes()
            path.write_bytes(before)
        else:
            content = json.loads(path.read_text())
            assert content["seconds"] > 0
            found[path.name] = json.dumps(content | {"seconds": 0.0}).encode()
    assert found
    return found
