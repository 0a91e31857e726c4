"""The IDX format of MNIST and its relatives (Y. LeCun): a big-endian header and then the values, often gzipped."""

from __future__ import annotations

import struct
import zlib

import numpy as np
from numpy.typing import NDArray

from pipelines.config.pipeline_errors import DataError

_GZIP = b"\x1f\x8b"
_UNSIGNED_BYTE = 0x08


def decompress(data: bytes, size: int, where: str) -> bytes:
    """The content of a gzipped or raw file that must be `size` bytes long; no more than that is ever unpacked.

    Raises:
        DataError: damaged, or of another size.
    """
    if data[:2] == _GZIP:
        unpacker = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
        try:
            content = unpacker.decompress(data, size + 1)
        except zlib.error as error:
            raise DataError(f"{where}: damaged gzip file ({error})") from error
        if len(content) <= size and not unpacker.eof:
            raise DataError(f"{where}: the file is cut off; fetch it again")
    else:
        content = data
    if len(content) != size:
        amount = "more" if len(content) > size else f"{len(content)}"
        raise DataError(f"{where}: must hold {size} bytes, holds {amount}; it is cut off or another file")
    return content


def parse(content: bytes, where: str) -> NDArray[np.uint8]:
    """The array of an IDX file of unsigned bytes, read-only.

    Raises:
        DataError: not such a file, or its length is not what the header says.
    """
    if len(content) < 4 or content[:2] != b"\0\0" or content[2] != _UNSIGNED_BYTE:
        raise DataError(f"{where}: not an IDX file of unsigned bytes")
    dimensions = content[3]
    start = 4 + 4 * dimensions
    if len(content) < start:
        raise DataError(f"{where}: the file is cut off in its header")
    shape = struct.unpack(f">{dimensions}I", content[4:start])
    values = np.frombuffer(content, dtype=np.uint8, offset=start)
    expected = 1
    for extent in shape:
        expected *= extent
    if len(values) != expected:
        raise DataError(f"{where}: its header says {shape}, which is {expected} bytes, but {len(values)} follow")
    return values.reshape(shape)
