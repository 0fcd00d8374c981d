"""Arrays on disk that grow while they are written."""

import hashlib
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt


class ArrayFile:
    """A one-dimensional .npy file that grows; its header is written when the length is known."""

    def __init__(self, path: Path, dtype: np.dtype[Any]) -> None:
        self._file: BinaryIO = path.open("wb")
        self._dtype = dtype
        self._length = 0
        self._hash = hashlib.sha256()
        self._write_header()

    def append(self, values: npt.NDArray[Any]) -> None:
        """Add values at the end."""
        content = np.ascontiguousarray(values, dtype=self._dtype).tobytes()
        self._file.write(content)
        self._hash.update(content)
        self._length += len(values)

    def finish(self) -> bytes:
        """Complete the file and give the sha256 of its content."""
        self._file.seek(0)
        self._write_header()
        self.close()
        return self._hash.digest()

    def close(self) -> None:
        """Close the file, finished or not."""
        self._file.close()

    def _write_header(self) -> None:
        """numpy leaves room in the header for a length to grow."""
        fields = {"descr": np.lib.format.dtype_to_descr(self._dtype), "fortran_order": False, "shape": (self._length,)}
        np.lib.format.write_array_header_1_0(self._file, fields)
