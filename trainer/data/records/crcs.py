"""CRC-32C of a whole TFRecord file from what its index holds: none of the data are read.

A CRC is linear: that of A followed by B is that of A, carried over as many zero bytes as B has,
plus that of B. An object store tells the CRC-32C of a file, so that the same files are known as the
same in a bucket and on a disk.
"""

import functools
from typing import Any

import numpy as np

_POLYNOMIAL = 0x82F63B78  # CRC-32C, reflected
_MASK_DELTA = 0xA282EAD8
_FOOTER_BYTES = 4


def mask(crc: Any) -> Any:
    """Mask a CRC, an int or uint32[n], as the format does: a sum of sums would be weak."""
    return ((crc >> 15 | crc << 17) + _MASK_DELTA) & 0xFFFFFFFF


def of_records(lengths: np.ndarray, checksums: np.ndarray) -> int:
    """Return the CRC-32C of records as a file holds them, headers and checksums included.

    Args:
        lengths: int64[n], bytes of the data of each.
        checksums: uint32[n], masked CRC-32C of them.
    """
    if not len(lengths):
        return 0
    length = np.ascontiguousarray(lengths, "<u8").view(np.uint8).reshape(-1, 8)
    header = np.concatenate([length, _bytes(mask(_crc(length)))], axis=1)
    rotated = (checksums.astype(np.uint32) - np.uint32(_MASK_DELTA)).astype(np.uint32)
    data = rotated >> 17 | rotated << 15
    record = _carried(_crc(header), lengths) ^ data
    footer = np.full_like(lengths, _FOOTER_BYTES)
    record = _carried(record, footer) ^ _crc(_bytes(checksums))
    sizes = lengths + (header.shape[1] + _FOOTER_BYTES)
    behind = sizes.sum() - np.cumsum(sizes)
    return int(np.bitwise_xor.reduce(_carried(record, behind)))


def _bytes(words: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(words, "<u4").view(np.uint8).reshape(-1, 4)


def _crc(rows: np.ndarray) -> np.ndarray:
    """Return uint32[n]: the CRC of each row of uint8[n, bytes]."""
    crcs = np.full(len(rows), 0xFFFFFFFF, np.uint32)
    for column in rows.T:
        crcs = _byte_table()[(crcs ^ column) & 0xFF] ^ crcs >> 8
    return crcs ^ np.uint32(0xFFFFFFFF)


def _carried(crcs: np.ndarray, num_bytes: np.ndarray) -> np.ndarray:
    """Carry each CRC over its number of zero bytes, one power of two after the other."""
    crcs = crcs.copy()
    for power in range(int(num_bytes.max()).bit_length()):
        chosen = np.flatnonzero(num_bytes >> power & 1)
        crcs[chosen] = _apply(_zeros(power), crcs[chosen])
    return crcs


def _apply(tables: np.ndarray, words: np.ndarray) -> np.ndarray:
    low, second, third, high = tables
    lower = low[words & 0xFF] ^ second[words >> 8 & 0xFF]
    return lower ^ third[words >> 16 & 0xFF] ^ high[words >> 24]


@functools.cache
def _zeros(power: int) -> np.ndarray:
    """Return uint32[4, 256]: what 2**power zero bytes make of each byte of a CRC."""
    words = np.arange(256, dtype=np.uint32) << np.arange(0, 32, 8, dtype=np.uint32)[:, np.newaxis]
    if power:
        before = _zeros(power - 1)
        return _apply(before, _apply(before, words))
    return _byte_table()[words & 0xFF] ^ words >> 8


@functools.cache
def _byte_table() -> np.ndarray:
    table = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = np.where(table & 1, table >> 1 ^ np.uint32(_POLYNOMIAL), table >> 1)
    return table.astype(np.uint32)
