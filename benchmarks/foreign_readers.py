"""The formats of others as `benchmarks.data` compares them: files, and their libraries' readers."""

import io
import pathlib
import tarfile
from collections.abc import Callable, Iterator

import keras
import numpy as np
import pyarrow as pa
import tensorflow as tf
from array_record.python.array_record_data_source import ArrayRecordDataSource
from array_record.python.array_record_module import ArrayRecordWriter
from pyarrow import csv, parquet

from benchmarks.made_data import ROWS, SHARDS, random_jpeg, serialize
from benchmarks.readers import BATCH, IMAGES
from trainer.config import DatasetConfig

WIDTH = 784
COLUMNS = 16
Plain = Callable[[], Iterator[int]]


def csv_files(folder: pathlib.Path, count: int) -> tuple[DatasetConfig, Plain]:
    """Numbers in columns; the plain reader gives arrays in the order of the file."""

    def write(path: pathlib.Path, rows: np.ndarray, label: np.ndarray) -> None:
        numbers = rows[:, :COLUMNS].astype(np.float32) / 7
        columns = {f"x{i}": numbers[:, i] for i in range(COLUMNS)}
        csv.write_csv(pa.table({**columns, "label": label}), path)

    def plain() -> Iterator[int]:
        for path in sorted(folder.iterdir()):
            for batch in csv.open_csv(path):
                yield _as_arrays(batch)

    return _written(folder, count, "csv", write), plain


def parquet_files(folder: pathlib.Path, count: int) -> tuple[DatasetConfig, Plain]:
    def plain() -> Iterator[int]:
        for path in sorted(folder.iterdir()):
            for batch in parquet.ParquetFile(path).iter_batches(BATCH):
                yield _as_arrays(batch)

    return _written(folder, count, "parquet", _write_parquet), plain


def arrow_files(folder: pathlib.Path, count: int) -> tuple[DatasetConfig, Plain]:
    def plain() -> Iterator[int]:
        for path in sorted(folder.iterdir()):
            with pa.ipc.open_stream(pa.memory_map(str(path))) as stream:
                for batch in stream:
                    yield _as_arrays(batch)

    return _written(folder, count, "arrow", _write_arrow), plain


def npy_files(folder: pathlib.Path, count: int) -> tuple[DatasetConfig, Plain]:
    """The plain reader takes rows of the memory-mapped arrays in random order."""
    folder.mkdir()
    rows, label = _rows(count)
    np.save(folder / "train_image.npy", rows)
    np.save(folder / "train_label.npy", label)

    def plain() -> Iterator[int]:
        image = np.load(folder / "train_image.npy", mmap_mode="r")
        order = np.random.default_rng(0).permutation(count)
        for start in range(0, count - BATCH, BATCH):
            yield len(tf.constant(image[order[start : start + BATCH]]))

    return DatasetConfig(str(folder / "{split}_*.npy"), eval_split=""), plain


def array_records(folder: pathlib.Path, count: int) -> tuple[DatasetConfig, Plain]:
    """The plain reader looks records up in random order, and TensorFlow parses each batch."""

    def write(path: pathlib.Path, rows: np.ndarray, label: np.ndarray) -> None:
        writer = ArrayRecordWriter(str(path), "group_size:1")
        for row, number in zip(rows, label, strict=True):
            writer.write(serialize(row.tobytes(), int(number)))
        writer.close()

    features = {
        "image": tf.io.FixedLenFeature([], tf.string),
        "label": tf.io.FixedLenFeature([], tf.int64),
    }

    def plain() -> Iterator[int]:
        with ArrayRecordDataSource([str(path) for path in sorted(folder.iterdir())]) as source:
            order = np.random.default_rng(0).permutation(count)
            for start in range(0, count - BATCH, BATCH):
                records = source.__getitems__(order[start : start + BATCH].tolist())
                parsed = tf.io.parse_example(tf.constant(records), features)
                yield len(tf.io.decode_raw(parsed["image"], tf.uint8))

    config = _written(folder, count, "array_record", write)
    return DatasetConfig(config.name, eval_split="", args={"features": ROWS}), plain


def image_folder(folder: pathlib.Path, count: int) -> tuple[DatasetConfig, Plain]:
    """The plain reader is `image_dataset_from_directory` of Keras, shuffled."""
    for i, jpeg in enumerate(_jpegs(count)):
        place = folder / "train" / f"class{i % 10}"
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{i:06d}.jpg").write_bytes(jpeg)

    def plain() -> Iterator[int]:
        dataset = keras.utils.image_dataset_from_directory(
            folder / "train", image_size=(224, 224), batch_size=IMAGES, seed=0, verbose=False
        )
        for images, _ in dataset:
            yield len(images)

    return DatasetConfig(f"images:{folder}/{{split}}", eval_split=""), plain


def tars(folder: pathlib.Path, count: int) -> tuple[DatasetConfig, Plain]:
    """The plain reader goes through the tars in order and decodes in parallel."""
    folder.mkdir()
    jpegs = list(_jpegs(count))
    for shard in range(SHARDS):
        with tarfile.open(folder / f"train-{shard}.tar", "w") as tar:
            for i in range(shard, count, SHARDS):
                for name, data in ((f"{i}.jpg", jpegs[i]), (f"{i}.cls", str(i % 10).encode())):
                    member = tarfile.TarInfo(name)
                    member.size = len(data)
                    tar.addfile(member, io.BytesIO(data))

    def members() -> Iterator[bytes]:
        for path in sorted(folder.iterdir()):
            with tarfile.open(path) as tar:
                for member in tar:
                    file = tar.extractfile(member)
                    if file is not None and member.name.endswith(".jpg"):
                        yield file.read()

    def plain() -> Iterator[int]:
        files = tf.data.Dataset.from_generator(
            members, output_signature=tf.TensorSpec([], tf.string)
        )
        decoded = files.map(tf.io.decode_jpeg, num_parallel_calls=tf.data.AUTOTUNE)
        for images in decoded.batch(IMAGES).prefetch(4):
            yield len(images)

    return DatasetConfig(str(folder / "{split}-*.tar"), eval_split=""), plain


SOURCES = {
    "csv": csv_files,
    "parquet": parquet_files,
    "arrow": arrow_files,
    "npy": npy_files,
    "array_record": array_records,
    "image_folder": image_folder,
    "webdataset": tars,
}
OF_IMAGES = ("image_folder", "webdataset")


def _written(
    folder: pathlib.Path,
    count: int,
    extension: str,
    write: Callable[[pathlib.Path, np.ndarray, np.ndarray], None],
) -> DatasetConfig:
    folder.mkdir()
    rows, label = _rows(count)
    for shard in range(SHARDS):
        write(folder / f"train-{shard}.{extension}", rows[shard::SHARDS], label[shard::SHARDS])
    return DatasetConfig(str(folder / f"{{split}}-*.{extension}"), eval_split="")


def _rows(count: int) -> tuple[np.ndarray, np.ndarray]:
    rows = np.random.default_rng(0).integers(0, 256, (count, WIDTH), np.uint8)
    return rows, np.arange(count) % 10


def _table(rows: np.ndarray, label: np.ndarray) -> pa.Table:
    image = pa.FixedSizeListArray.from_arrays(pa.array(rows.ravel()), WIDTH)
    return pa.table({"image": image, "label": label})


def _write_parquet(path: pathlib.Path, rows: np.ndarray, label: np.ndarray) -> None:
    parquet.write_table(_table(rows, label), path)


def _write_arrow(path: pathlib.Path, rows: np.ndarray, label: np.ndarray) -> None:
    table = _table(rows, label)
    with pa.ipc.new_stream(str(path), table.schema) as writer:
        writer.write_table(table, max_chunksize=BATCH)


def _as_arrays(batch: pa.RecordBatch) -> int:
    for column in batch.columns:
        values = column.flatten() if pa.types.is_fixed_size_list(column.type) else column
        values.to_numpy(zero_copy_only=False)
    return int(batch.num_rows)


def _jpegs(count: int) -> Iterator[bytes]:
    rng = np.random.default_rng(0)
    made = [random_jpeg(rng) for _ in range(64)]
    for i in range(count):
        yield made[i % len(made)]
