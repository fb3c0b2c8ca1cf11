"""An eraser that releases two things and nothing else: a code of the photo, and the answer of the model's own head."""

import numpy as np

from benchmark.erasers.discriminant import SHRINKAGE, WIDTH, kernel_code
from benchmark.erasers.linear import leace
from benchmark.erasers.noise import drawn
from benchmark.erasers.registry import Map, Rows, within
from d3s_dataset.errors import EraserError

DIRECTIONS = 50  # at most; chosen on features of mobilenetv2_100
STRENGTH = 0.0  # length of the noise, in units of the code's
_WEIGHT = 0.1  # length of the answer's part, in units of the code's


def code_answer(
    rows: Rows,
    seed: int,
    *,
    directions: float = DIRECTIONS,
    shrinkage: float = SHRINKAGE,
    width: float = WIDTH,
    strength: float = STRENGTH,
) -> tuple[Map, int]:
    """Release the kernel photo-LDA code of an image and the answer of the own head to LEACE of its features: ours.

    The code stands in the directions that the head reads least (none of it where the head has a null space); in the
    others stands the shortest vector to which the head gives that answer. This keeps the head by construction: it is
    its answer that is released, one of as many as there are classes, and no confidence or second choice with it.

    Args:
        rows: see `registry.Fit`; with a head.
        seed: of the kernel's landmarks and of the noise.
        directions: of the code, at most, and no more than features.
        shrinkage: of the within-photo scatter, from 0 to 1.
        width: of the RBF kernel.
        strength: length of Gaussian noise added to the code, in units of the code's length.

    Raises:
        EraserError: no linear head, or one that cannot give every answer.
    """
    within("code-answer", "strength", strength, 0, 1e3)
    if rows.head is None:
        raise EraserError("the eraser 'code-answer' needs the model's own head, linear in the features it erases")
    weight, bias = rows.head
    code, count = kernel_code(rows, "code-answer", seed, directions, shrinkage, width)
    clean, _ = leace(rows, seed)
    _, _, right = np.linalg.svd(weight.astype(np.float64), full_matrices=True)
    place = right[::-1][:count].astype(np.float32)
    length = np.float32(np.sqrt(np.square(rows.features - rows.features.mean(0)).sum(1).mean()))
    answers = prototypes(weight, bias, length * place)
    scale = np.float32(strength / np.sqrt(count))

    def apply(features: np.ndarray) -> np.ndarray:
        found = code(features)
        if strength:
            found = found + scale * drawn(features, seed)[:, :count]
            found /= np.linalg.norm(found, axis=1, keepdims=True)
        best = (clean(features) @ weight.T + bias).argmax(1)
        return length * found @ place + answers[best]

    return apply, min(rows.features.shape[1], count + len(weight))


def prototypes(weight: np.ndarray, bias: np.ndarray, place: np.ndarray) -> np.ndarray:
    """Return a vector per class, (classes, d) float32, to which the head answers it whatever code is added.

    Args:
        weight: (classes, d) of the head.
        bias: (classes,) of the head.
        place: (k, d) orthogonal rows of equal length, by which codes of unit length are multiplied.

    Raises:
        EraserError: a class that the head answers to no such vector.
    """
    inverse = np.linalg.pinv(weight.astype(np.float64), rcond=1e-6)
    offset = inverse @ -bias
    logits = weight @ inverse  # column c: of the shortest vector whose logits are nearest to one for class c alone
    own = logits.diagonal().copy()
    np.fill_diagonal(logits, -np.inf)
    margin = (own - logits.max(0)).min()
    if not margin > 1e-3:
        raise EraserError(
            f"the eraser 'code-answer' needs a head that can give each of its {len(weight)} answers to "
            f"{weight.shape[1]} features, which this one cannot: choose another eraser"
        )
    # Codes and what is left of the biases move the difference of two logits by no more than this.
    moved = np.ptp(weight @ offset + bias) + 2 * np.linalg.norm(weight @ place.T, 2)
    share = _WEIGHT * np.linalg.norm(place[0]) / np.linalg.norm(inverse, axis=0).mean()
    return (max(share, 2 * moved / margin) * inverse.T + offset).astype(np.float32)
