"""Sparse matrices of scipy, times dense ones."""

import numpy as np

class csr_array:
    data: np.ndarray
    indices: np.ndarray
    indptr: np.ndarray
    shape: tuple[int, int]
    def __init__(
        self,
        arg1: tuple[np.ndarray, tuple[np.ndarray, np.ndarray]] | tuple[np.ndarray, np.ndarray, np.ndarray],
        shape: tuple[int, int],
    ) -> None: ...
    @property
    def T(self) -> csr_array: ...
    def __matmul__(self, other: np.ndarray, /) -> np.ndarray: ...

csc_array = csr_array  # the same members, stored the other way
