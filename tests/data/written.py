"""The same examples as the files of every source: feature -> array [n, ...] becomes a dataset."""

import io
import shutil
import tarfile

import numpy as np
import pyarrow as pa
import tensorflow as tf
from array_record.python.array_record_module import ArrayRecordWriter
from PIL import Image
from pyarrow import csv, parquet

from tests.data.shards import example, write_file
from trainer.config import DatasetConfig
from trainer.data.sources import tfds

SHARD = 5
ARRAYS: dict = {}
"""What `build` returns."""


def build():
    return ARRAYS["all"]


def config_of(name, **fields):
    return DatasetConfig(str(name), **{"eval_split": "", **fields})


def parts(examples):
    """Give number and rows of each shard."""
    count = len(next(iter(examples.values())))
    for number, start in enumerate(range(0, count, SHARD)):
        yield number, {n: values[start : start + SHARD] for n, values in examples.items()}


def arrays(folder, examples, monkeypatch):
    del folder
    monkeypatch.setitem(ARRAYS, "all", {"train": examples})
    return config_of("tests.data.written:build")


def npz(folder, examples, split="train"):
    for number, rows in parts(examples):
        np.savez(folder / f"{split}-{number}.npz", **rows)
    return config_of(folder / "{split}-*.npz")


def npy(folder, examples, split="train"):
    for name, values in examples.items():
        np.save(folder / f"{split}_{name}.npy", values)
    return config_of(folder / "{split}_*.npy")


def arrow_column(values):
    if values.dtype.kind in "SO":
        return pa.array(values.tolist(), pa.string())
    column = pa.array(values.ravel())
    for size in reversed(values.shape[1:]):
        column = pa.FixedSizeListArray.from_arrays(column, size)
    return column


def table_of(rows):
    return pa.table({name: arrow_column(values) for name, values in rows.items()})


def parquet_files(folder, examples, split="train"):
    for number, rows in parts(examples):
        parquet.write_table(table_of(rows), folder / f"{split}-{number}.parquet", row_group_size=2)
    return config_of(folder / "{split}-*.parquet")


def arrow_files(folder, examples, split="train"):
    for number, rows in parts(examples):
        table = table_of(rows)
        with pa.ipc.new_stream(str(folder / f"{split}-{number}.arrow"), table.schema) as writer:
            writer.write_table(table)
    return config_of(folder / "{split}-*.arrow")


def csv_files(folder, examples, split="train"):
    """Numbers alone; types are written, as a CSV does not tell them."""
    for number, rows in parts(examples):
        csv.write_csv(table_of(rows), folder / f"{split}-{number}.csv")
    fields = {name: {"dtype": str(values.dtype)} for name, values in examples.items()}
    return config_of(folder / "{split}-*.csv", args={"features": fields})


def records_of(rows):
    """Serialize rows of numbers as raw bytes, which hold every dtype."""
    count = len(next(iter(rows.values())))
    for i in range(count):
        held = {n: np.asarray(values[i]).tobytes() for n, values in rows.items()}
        features = {
            n: tf.train.Feature(bytes_list=tf.train.BytesList(value=[x])) for n, x in held.items()
        }
        yield tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()


def raw_spec(examples):
    return {
        name: {"dtype": str(v.dtype), "shape": list(v.shape[1:]), "encoding": "raw"}
        for name, v in examples.items()
    }


def tfrecords(folder, examples, split="train"):
    for number, rows in parts(examples):
        write_file(folder / f"{split}-{number}.tfrecord", list(records_of(rows)))
    return config_of(folder / "{split}-*.tfrecord", args={"features": raw_spec(examples)})


def write_array_record(path, records):
    writer = ArrayRecordWriter(str(path), "group_size:1")
    for record in records:
        writer.write(record)
    writer.close()


def array_records(folder, examples, split="train"):
    for number, rows in parts(examples):
        write_array_record(folder / f"{split}-{number}.array_record", records_of(rows))
    return config_of(folder / "{split}-*.array_record", args={"features": raw_spec(examples)})


def tars(folder, examples, split="train"):
    for number, rows in parts(examples):
        with tarfile.open(folder / f"{split}-{number}.tar", "w") as tar:
            for i in range(len(next(iter(rows.values())))):
                for name, values in rows.items():
                    stored = io.BytesIO()
                    np.save(stored, values[i])
                    add(tar, f"{i:04d}.{name}.npy", stored.getvalue())
    members = {name: f"{name}.npy" for name in examples}
    return config_of(folder / "{split}-*.tar", args={"members": members})


def add(tar, name, data):
    info = tarfile.TarInfo(name)
    info.size = len(data)
    tar.addfile(info, io.BytesIO(data))


def png(pixels):
    """Return uint8 or uint16 [height, width, 1 or 3] as a file."""
    stored = io.BytesIO()
    Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels).save(stored, "PNG")
    return stored.getvalue()


def image_folder(folder, examples, split="train"):
    """Examples in the order of their classes, which are the names of the folders."""
    for i, (pixels, label) in enumerate(zip(examples["image"], examples["label"], strict=True)):
        place = folder / split / str(label)
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{i:04d}.png").write_bytes(png(pixels))
    return config_of(f"images:{folder}/{{split}}")


def image_tars(folder, examples, split="train"):
    for number, rows in parts(examples):
        with tarfile.open(folder / f"{split}-{number}.tar", "w") as tar:
            for i, (pixels, label) in enumerate(zip(rows["image"], rows["label"], strict=True)):
                add(tar, f"{i:04d}.png", png(pixels))
                add(tar, f"{i:04d}.cls", str(label).encode())
    return config_of(folder / "{split}-*.tar")


def image_parquet(folder, examples, split="train"):
    """As Hugging Face writes images: a struct of bytes and path."""
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    for number, rows in parts(examples):
        files = [{"bytes": png(pixels), "path": "x.png"} for pixels in rows["image"]]
        table = pa.table({"image": pa.array(files, kind), "label": rows["label"]})
        parquet.write_table(table, folder / f"{split}-{number}.parquet")
    return config_of(folder / "{split}-*.parquet")


def image_records(rows):
    for pixels, label in zip(rows["image"], rows["label"], strict=True):
        yield example(image=png(pixels), label=int(label))


def image_spec(examples):
    shape = list(examples["image"].shape[1:])
    return {
        "image": {"dtype": "uint8", "shape": shape, "encoding": "image"},
        "label": {"num_classes": int(examples["label"].max()) + 1},
    }


def image_tfrecords(folder, examples, split="train"):
    for number, rows in parts(examples):
        write_file(folder / f"{split}-{number}.tfrecord", list(image_records(rows)))
    return config_of(folder / "{split}-*.tfrecord", args={"features": image_spec(examples)})


def image_array_records(folder, examples, split="train"):
    for number, rows in parts(examples):
        write_array_record(folder / f"{split}-{number}.array_record", image_records(rows))
    return config_of(folder / "{split}-*.array_record", args={"features": image_spec(examples)})


def for_the_guide(folder):
    """Write what docs/guide/sources.md says is there."""
    random = np.random.default_rng(0)
    data, pictures, pairs = (folder / name for name in ("data", "pictures", "pairs"))
    for split, count in (("train", 40), ("test", 20)):
        label = np.arange(count) % 10
        table = {"x": random.normal(size=count), "label": label}
        images = {
            "image": random.integers(0, 256, (count, 8, 8, 1), dtype=np.uint8),
            "label": label,
        }
        data.mkdir(exist_ok=True)
        for write in (npz, npy, parquet_files, arrow_files, csv_files):
            write(data, table, split)
        for write in (image_tars, image_tfrecords, image_array_records):
            write(data, images, split)
        image_folder(pictures, images, split)
        for place in ("photos", "masks"):
            (pairs / split / place).mkdir(parents=True)
            for i, pixels in enumerate(images["image"]):
                (pairs / split / place / f"{i}.png").write_bytes(png(pixels))
    shutil.copytree(tfds.EMBEDDED / "digits", folder / "tfds" / "digits")


WRITERS = (npz, npy, parquet_files, arrow_files, csv_files, tfrecords, array_records, tars)
IMAGE_WRITERS = (
    image_folder,
    image_tars,
    image_parquet,
    image_tfrecords,
    image_array_records,
)
