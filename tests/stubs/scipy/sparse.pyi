"""Sparse matrices of scipy, times dense ones."""

import numpy as np

class _Compressed:
    data: np.ndarray
    indices: np.ndarray
    indptr: np.ndarray
    shape: tuple[int, int]
    def __init__(
        self,
        arg1: tuple[np.ndarray, tuple[np.ndarray, np.ndarray]] | tuple[np.ndarray, np.ndarray, np.ndarray],
        shape: tuple[int, int],
    ) -> None: ...
    def __matmul__(self, other: np.ndarray, /) -> np.ndarray: ...

class csr_array(_Compressed):
    @property
    def T(self) -> csc_array: ...

class csc_array(_Compressed):
    @property
    def T(self) -> csr_array: ...
