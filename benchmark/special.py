"""Special functions of scipy, which is imported at the first call: `--help` needs no extra, and saves half a second."""

from typing import Any


def logit(p: Any) -> Any:
    """Return log(p / (1 - p)) of shares."""
    from scipy import special

    return special.logit(p)


def ndtri(p: Any) -> Any:
    """Return the quantile of the standard normal distribution at shares."""
    from scipy import special

    return special.ndtri(p)


def stdtr(freedom: Any, t: Any) -> Any:
    """Return Student's distribution function at `t`, for degrees of freedom."""
    from scipy import special

    return special.stdtr(freedom, t)


def stdtrit(freedom: Any, p: Any) -> Any:
    """Return the quantile of Student's distribution at shares, for degrees of freedom."""
    from scipy import special

    return special.stdtrit(freedom, p)
