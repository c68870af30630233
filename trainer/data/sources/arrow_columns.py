"""From columns of Arrow to arrays, value for value: what cannot be held is refused by its name.

Arrow is what CSV, Parquet and Arrow files are read into. TensorFlow has neither missing values, nor
dates, decimals or lists of any length, so that these end here, with what to write instead.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from common.exit_codes import ExitCode, RunError
from trainer.data.records.columns import objects
from trainer.data.sources import feature_spec

if TYPE_CHECKING:
    import pyarrow as pa

_LEFT_OUT = f'or list the features that are needed: --{feature_spec.FIELD}=\'["image", "label"]\''

Where = Callable[[int], str]
"""The place of a row of the batch."""


def to_array(column: "pa.Array", fields: Mapping[str, Any], where: Where) -> np.ndarray:
    """Return the values of a column: numbers [n, ...], or object[n] of bytes (text and images).

    Args:
        column: of Arrow.
        fields: that the config gives of this feature.
        where: names the place of a row, and the column.

    Raises:
        RunError: BAD_DATA with the place of a value, BAD_CONFIG where no value can be held.
    """
    if fields.get("padded"):
        return _padded(_plain(column, where), fields, where)
    values = _values(column, fields, where)
    is_text, dtype = values.dtype.kind == "O", fields.get("dtype", "")
    if dtype and is_text != (dtype == "string" or fields.get("encoding") == "image"):
        raise RunError(ExitCode.BAD_DATA, f"{where(0)} is a {column.type}, which is no {dtype}")
    if is_text:
        return values
    if dtype and fields.get("encoding") != "raw":
        values = cast(values, np.dtype(dtype), where)
    shape = tuple(fields.get("shape", values.shape[1:]))
    if shape != values.shape[1:]:
        raise RunError(
            ExitCode.BAD_DATA, f"{where(0)} has the shape {list(values.shape[1:])}, not {shape}"
        )
    return values


def _plain(column: "pa.Array", where: Where) -> "pa.Array":
    """Return a column without categories and extension types; a missing value is refused."""
    import pyarrow as pa

    permutation = getattr(column.type, "permutation", None)
    if permutation and permutation != sorted(permutation):
        raise RunError(ExitCode.BAD_CONFIG, f"{where(0)} is a tensor in another order of axes")
    if isinstance(column.type, pa.BaseExtensionType):
        column = column.storage
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if column.null_count:
        row = int(np.flatnonzero(column.is_null().to_numpy(zero_copy_only=False))[0])
        raise RunError(
            ExitCode.BAD_DATA,
            f"{where(row)} is missing; fill it, leave the row out, {_LEFT_OUT}",
        )
    return column


def _values(column: "pa.Array", fields: Mapping[str, Any], where: Where) -> np.ndarray:
    import pyarrow as pa

    shape = getattr(column.type, "shape", None)  # of a tensor
    column, types = _plain(column, where), pa.types
    kind = column.type
    if types.is_struct(kind) and {"bytes", "path"} == {field.name for field in kind}:
        column = _plain(column.field("bytes"), lambda row: f"{where(row)}: the file of the image")
        fields, kind = {"encoding": "image", **fields}, column.type
    if types.is_string(kind) or types.is_large_string(kind) or kind == pa.string_view():
        return objects(column.cast(pa.large_string()).cast(pa.large_binary()).to_pylist())
    if types.is_binary(kind) or types.is_large_binary(kind) or types.is_fixed_size_binary(kind):
        return _bytes(objects(column.cast(pa.large_binary()).to_pylist()), fields, where)
    if types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind):
        return column.to_numpy(zero_copy_only=False)
    if _is_list(kind):
        values = _rows(column, where)
        return values.reshape(len(values), *shape) if shape else values
    raise RunError(
        ExitCode.BAD_CONFIG,
        f"{where(0)} is a {kind}, which is not read; make numbers or text of it, {_LEFT_OUT}",
    )


def _bytes(values: np.ndarray, fields: Mapping[str, Any], where: Where) -> np.ndarray:
    encoding = fields.get("encoding")
    if encoding == "image":
        return values
    if encoding != "raw":
        raise RunError(
            ExitCode.BAD_CONFIG,
            f"{where(0)} holds bytes (or text that is not UTF-8): write what they are, such as "
            f'{{"encoding": "image"}}, in {feature_spec.FIELD}, {_LEFT_OUT}',
        )
    dtype = np.dtype(fields["dtype"]).newbyteorder("<")
    size = int(np.prod(fields["shape"], dtype=np.int64)) * dtype.itemsize
    for row, value in enumerate(values):
        if len(value) != size:
            raise RunError(ExitCode.BAD_DATA, f"{where(row)} holds {len(value)} bytes, not {size}")
    flat = np.frombuffer(b"".join(values), dtype).astype(fields["dtype"])
    return flat.reshape(len(values), *fields["shape"])


def _is_list(kind: "pa.DataType") -> bool:
    import pyarrow as pa

    tests = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
    return any(test(kind) for test in tests)


def _rows(column: "pa.Array", where: Where) -> np.ndarray:
    """Return lists that are all of one length, nested ones too, as an array."""
    lengths = _lengths(column)
    wrong = np.flatnonzero(lengths != lengths[:1])
    if wrong.size:
        raise RunError(
            ExitCode.BAD_DATA,
            f"{where(int(wrong[0]))} holds {lengths[wrong[0]]} values, the first {lengths[0]}: "
            "where their number differs, write the most of them, such as "
            f'{{"shape": [128], "padded": true}}, in {feature_spec.FIELD}',
        )
    size = int(lengths[0])
    if not size:
        raise RunError(ExitCode.BAD_DATA, f"{where(0)} is an empty list")
    inner = _values(column.flatten(), {}, lambda row: where(row // size))
    return inner.reshape(len(column), size, *inner.shape[1:])


def _lengths(column: "pa.Array") -> np.ndarray:
    import pyarrow.compute as pc

    return pc.list_value_length(column).to_numpy(zero_copy_only=False).astype(np.int64)


def _padded(column: "pa.Array", fields: Mapping[str, Any], where: Where) -> np.ndarray:
    if not _is_list(column.type):
        raise RunError(ExitCode.BAD_CONFIG, f"{where(0)} is a {column.type}, and no list to pad")
    lengths = _lengths(column)
    most, *inner_shape = fields["shape"]
    long = np.flatnonzero(lengths > most)
    if long.size:
        row = int(long[0])
        raise RunError(
            ExitCode.BAD_DATA, f"{where(row)} holds {lengths[row]} values, more than {most}"
        )
    owner = np.repeat(np.arange(len(lengths)), lengths)
    is_text = fields["dtype"] == "string"
    fill: Any = str(fields["pad_value"]).encode() if is_text else fields["pad_value"]
    dtype = object if is_text else fields["dtype"]
    padded = np.full((len(lengths), most, *inner_shape), fill, dtype)
    if len(owner):
        inner = _values(column.flatten(), {}, lambda row: where(int(owner[row])))
        place = np.arange(len(owner)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        is_same = (inner.dtype.kind == "O") == is_text and list(inner.shape[1:]) == inner_shape
        if not is_same:
            raise RunError(ExitCode.BAD_DATA, f"{where(0)} holds no {dtype} of {inner_shape}")
        padded[owner, place] = (
            inner if is_text else cast(inner, np.dtype(dtype), lambda row: where(int(owner[row])))
        )
    return padded


def cast(values: np.ndarray, dtype: np.dtype, where: Where) -> np.ndarray:
    """Cast to what the config says.

    Raises:
        RunError: BAD_DATA with the place of a value that the dtype cannot hold.
    """
    if values.dtype == dtype:
        return values
    with np.errstate(all="ignore"):
        made = values.astype(dtype)
        back = made.astype(values.dtype)
    if dtype.kind == "f" and values.dtype.kind == "f":  # rounding is what a narrow dtype means
        kept = np.isfinite(back) | ~np.isfinite(values)
    else:
        same_sign = (made < 0) == (values < 0) if values.dtype.kind != "b" else True
        kept = (back == values) & same_sign
    if not kept.all():
        place = tuple(axis[0] for axis in np.nonzero(~kept))
        raise RunError(
            ExitCode.BAD_DATA, f"{where(int(place[0]))} is {values[place]}, which no {dtype} holds"
        )
    return made
