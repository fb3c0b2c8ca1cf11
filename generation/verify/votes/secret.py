"""The secret of a folder of tasks, and what is derived from it: the key of links, the salt of worker ids."""

import hashlib
import hmac
import os
import secrets
from pathlib import Path

from d3s_dataset.errors import VerifyError, WriteError

FILE_NAME = "secret"
_BYTES = 32


def secret(folder: Path) -> bytes:
    """Return the folder's secret, made when it is first asked for; only its owner may read the file.

    Raises:
        VerifyError: the file holds something else.
        WriteError: it cannot be made or read.
    """
    path = folder / FILE_NAME
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as stream:
            stream.write(secrets.token_hex(_BYTES))
    except FileExistsError:
        pass
    except OSError as error:
        raise WriteError(f"cannot write {path}: {error.strerror}") from None
    try:
        found = bytes.fromhex(path.read_text())
    except (OSError, ValueError):
        found = b""
    if len(found) != _BYTES:
        raise VerifyError(f"{path} holds no secret of {_BYTES} bytes; without it links and worker ids cannot be told")
    return found


def derive(key: bytes, purpose: str) -> bytes:
    """Return a key for one purpose."""
    return hmac.digest(key, purpose.encode(), hashlib.sha256)


def anonymous(key: bytes, worker: str) -> str:
    """Return the name under which a worker stands in a release: 16 hex characters that need the secret to be made."""
    return hmac.digest(derive(key, "workers"), worker.encode(), hashlib.sha256).hex()[:16]
