"""Key, seed and digest: pure hashing, the same on every machine and in every version.

A digest is over canonical JSON (sorted keys, no spaces), so that it does not depend on how a value was written.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np

KEY_CHARACTERS = 20
_GOLDEN = 0x9E3779B97F4A7C15


def digest(value: Any) -> str:
    """Return the SHA-256 (64 hex characters) of a JSON value."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


def file_digest(path: Path) -> str:
    """Return the SHA-256 (64 hex characters) of a file's bytes."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def row_key(plan_digest: str, index: int) -> str:
    """Return the key of row `index` of a plan: 20 hex characters, 80 bits, so 12 million rows do not collide."""
    return hashlib.sha256(f"{plan_digest}:{index}".encode()).hexdigest()[:KEY_CHARACTERS]


def hashed(seed: int, *streams: int | np.ndarray) -> np.ndarray:
    """Mix integers into uniform 64-bit words: the counter-based generator behind every draw of a plan.

    Each argument is folded in by one round of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014), so the word of
    one row never depends on another row. Arguments broadcast; the answer is a uint64 array of their shape.
    """
    word = np.asarray(seed, dtype=np.uint64)
    with np.errstate(over="ignore"):  # arithmetic modulo 2^64 is the algorithm
        for stream in (0, *streams):
            word = _mix(word ^ _mix(np.asarray(stream, dtype=np.uint64) + np.uint64(_GOLDEN)))
    return word


def uniform(words: np.ndarray) -> np.ndarray:
    """Return 64-bit words as float64 in [0, 1), from their upper 53 bits."""
    return (words >> np.uint64(11)).astype(np.float64) * 2.0**-53


def _mix(word: np.ndarray) -> np.ndarray:
    word = (word ^ (word >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    word = (word ^ (word >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return word ^ (word >> np.uint64(31))
