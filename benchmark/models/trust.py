"""Model names that come from data: a result, a submission, a models file.

A name typed on the command line may name code (`MODULE:FUNCTION`) or a folder of this machine. A name that was read
from a file may have been written by a stranger, so it may only name weights whose code is ours or timm's: a timm name,
or a Hub repo after `hf-hub:`, `transformers:` or `zero-shot:`.
"""

import re

from d3s_dataset.errors import ModelError

_REPO = r"[\w-][\w.-]*/[\w-][\w.-]*(?:@[\w./-]+)?"
_SAFE = re.compile(rf"[\w-][\w.-]*|hf-hub:{_REPO}|transformers:{_REPO}|zero-shot:{_REPO}", re.ASCII)


def name_from_data(name: str, where: str) -> str:
    """Return a model name that was read from a file, if it may be loaded.

    Args:
        name: the name.
        where: the file it was read from, for the error.

    Raises:
        ModelError: it names code or a folder, which only a command line may do.
    """
    if not _SAFE.fullmatch(name):
        raise ModelError(
            f"{where} names the model {name!r}: a name from a file may be a timm name, or hf-hub:, transformers: or "
            "zero-shot: and ORG/NAME; code and folders load only when typed as --model"
        )
    return name
