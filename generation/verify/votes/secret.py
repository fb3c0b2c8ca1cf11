"""Secret of a tasks folder, and derived keys: signing of links, anonymisation of worker ids."""

import hashlib
import hmac
import os
import secrets
from pathlib import Path

from d3s_dataset.errors import VerifyError, WriteError

FILE_NAME = "secret"
_BYTES = 32


def secret(folder: Path) -> bytes:
    """Return the folder's secret, created on first use; the file is readable by its owner only.

    Raises:
        VerifyError: the file contains something else.
        WriteError: it cannot be created.
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
        raise VerifyError(f"{path} holds no secret of {_BYTES} bytes; links and worker ids depend on it")
    return found


def derive(key: bytes, purpose: str) -> bytes:
    """Return a key for one purpose."""
    return hmac.digest(key, purpose.encode(), hashlib.sha256)


def anonymous(key: bytes, worker: str) -> str:
    """Return a worker's anonymous id in a release: 16 hex characters, an HMAC with the secret."""
    return hmac.digest(derive(key, "workers"), worker.encode(), hashlib.sha256).hex()[:16]
