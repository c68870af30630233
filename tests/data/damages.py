"""Damage to TFRecord files; each returns the byte of the record that is damaged."""

from tests.data.shards import record_offset


def flip(path, offset):
    data = bytearray(path.read_bytes())
    data[offset] ^= 0x40
    path.write_bytes(data)


def cut(path, size):
    path.write_bytes(path.read_bytes()[:size])


def flip_data(path):
    flip(path, record_offset(path, 2) + 30)
    return record_offset(path, 2)


def flip_length(path):
    offset = record_offset(path, 2)
    flip(path, offset + 1)
    return offset


def flip_length_of(*records):
    """Damage the lengths of some records."""

    def damage(path):
        for offset in [record_offset(path, record) for record in records]:
            flip(path, offset + 1)

    damage.__name__ = f"length_of_{'_'.join(map(str, records))}"
    return damage


def flip_checksum_of(record):
    """Damage the checksum behind the data of a record."""

    def damage(path):
        flip(path, record_offset(path, record + 1) - 1)

    damage.__name__ = f"checksum_of_{record}"
    return damage


def cut_record(path):
    cut(path, record_offset(path, 5) + 20)
    return record_offset(path, 5)


def cut_checksum(path):
    """The data of the last record are whole; half of the checksum behind them is missing."""
    cut(path, record_offset(path, 6) - 2)
    return record_offset(path, 5)


def cut_header(path):
    cut(path, record_offset(path, 5) + 5)
    return record_offset(path, 5)


def cut_at_boundary(path):
    offset = record_offset(path, 5)
    cut(path, offset)
    return offset


def empty(path):
    cut(path, 0)
    return 0


def append_record(path):
    data = path.read_bytes()
    path.write_bytes(data + data[: record_offset(path, 1)])
    return path.stat().st_size


DAMAGES = [
    flip_data, flip_length, cut_record, cut_checksum, cut_header, cut_at_boundary, empty,
    append_record,
]  # fmt: skip
