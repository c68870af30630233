"""Records that are kept are whole, found again, and never stale."""

import fcntl
import os
import pathlib
import signal
import subprocess
import sys
import time

import h5py
import numpy as np

from tests.data.test_kept import describe, load
from tests.processes import ROOT
from trainer.config import DatasetConfig
from trainer.data.records import kept

COUNTING = """
def data():
    with (HERE / "calls").open("a") as file:
        file.write("x")
    rows = np.loadtxt(HERE / "rows.csv")
    return Slices({"x": rows}).batch(4)
"""


def calls(tmp_path):
    path = tmp_path / "calls"
    count = len(path.read_text()) if path.exists() else 0
    path.unlink(missing_ok=True)
    return count


def test_it_is_read_again_when_code_arguments_or_files_change_and_else_not(write, tmp_path, capsys):
    rows = tmp_path / "rows.csv"
    rows.write_text("1\n2\n3\n")
    config = write(COUNTING, name="counted")
    before = describe(config, tmp_path).fingerprint()
    assert calls(tmp_path) > 0
    assert describe(config, tmp_path).fingerprint() == before
    assert calls(tmp_path) == 0
    rows.write_text("1\n2\n4\n")
    assert describe(config, tmp_path).fingerprint() != before
    assert calls(tmp_path) > 0
    assert f"{rows} has changed" in capsys.readouterr().err
    write(COUNTING + "\n# another text", name="counted")
    describe(config, tmp_path)
    assert calls(tmp_path) > 0
    assert "counted.py has changed" in capsys.readouterr().err
    write(COUNTING.replace("data()", "data(n)"), name="counted")
    describe(DatasetConfig("counted:data", eval_split="", args={"n": 1}), tmp_path)
    assert calls(tmp_path) > 0


def test_files_that_tensorflow_reads_are_watched(write, tmp_path):
    path = tmp_path / "lines.txt"
    path.write_text("1\n2\n")
    config = write("def data(): return tf.data.TextLineDataset(str(HERE / 'lines.txt'))")
    before = describe(config, tmp_path).fingerprint()
    path.write_text("1\n3\n")
    assert describe(config, tmp_path).fingerprint() != before


def test_files_that_hdf5_reads_are_watched(write, tmp_path):
    def hold(rows):
        with h5py.File(tmp_path / "rows.h5", "w") as file:
            file["x"] = rows

    hold([1, 2])
    config = write(
        "import h5py\n"
        "def data():\n"
        "  with h5py.File(HERE / 'rows.h5') as file: rows = file['x'][:]\n"
        "  for row in rows: yield {'x': row}\n",
        elements="examples",
    )
    before = describe(config, tmp_path).fingerprint()
    assert describe(config, tmp_path).fingerprint() == before
    hold([1, 3])
    assert describe(config, tmp_path).fingerprint() != before


def test_code_that_is_imported_is_watched(write, tmp_path):
    (tmp_path / "beside.py").write_text("SCALE = 1")
    config = write("from beside import SCALE\ndef data(): return Slices({'x': Y * SCALE})")
    before = load(config, tmp_path)["x"]
    (tmp_path / "beside.py").write_text("SCALE = 2")
    sys.modules.pop("beside")
    write(
        "from beside import SCALE\ndef data(): return Slices({'x': Y * SCALE})",
        name=config.name.partition(":")[0],
    )
    assert np.array_equal(load(config, tmp_path)["x"], 2 * before)


KILLED = """
import sys, time
from trainer.config import DatasetConfig
from trainer.data import sources
from trainer.data.records.files import Stage
sys.path.insert(0, sys.argv[1])
info = sources.describe(DatasetConfig("slow:data", eval_split=""), Stage(sys.argv[1] + "/stage"))
print(info.train.num_examples, info.fingerprint())
"""
SLOW = """
def data():
    for i in range(400):
        if not (HERE / "go").exists(): time.sleep(0.05)
        yield np.full(1000, i), 1
"""


def test_a_kill_in_the_middle_leaves_nothing_that_is_taken_for_whole(tmp_path):
    (tmp_path / "slow.py").write_text(
        "import pathlib, time\nimport numpy as np\nHERE = pathlib.Path(__file__).parent\n" + SLOW
    )
    command = [sys.executable, "-c", KILLED, str(tmp_path)]
    started = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in "ab"]
    while not list(tmp_path.glob("stage/kept/*/*/*.tfrecord")):
        time.sleep(0.01)
    time.sleep(0.3)
    for process in started:
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
    assert not list(tmp_path.glob("stage/kept/*/*/made.json"))
    (tmp_path / "go").write_text("")
    started = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in "ab"]
    told = {process.communicate()[0] for process in started}
    assert len(told) == 1
    assert told.pop().startswith("400 ")
    assert len(list(tmp_path.glob("stage/kept/*/*/"))) == 1


def test_what_another_process_reads_is_not_swept(tmp_path):
    def keep(number):
        with kept.alone(tmp_path, "x"), kept.new(tmp_path) as place:
            kept.commit(place, (), {}, {"number": number})
        return place

    first = keep(1)
    lock = kept._lock(first, fcntl.LOCK_SH)
    second = keep(2)
    assert first.exists()
    os.close(lock)
    third = keep(3)
    assert [place.exists() for place in (first, second, third)] == [False, False, True]


def test_what_is_found_often_is_locked_once(tmp_path):
    with kept.alone(tmp_path, "x"), kept.new(tmp_path) as place:
        kept.commit(place, (), {}, {})
    open_files = pathlib.Path("/proc/self/fd")
    before = len(list(open_files.iterdir()))
    for _ in range(20):
        assert kept.find(tmp_path, lambda _: "")[0] is not None
    assert len(list(open_files.iterdir())) <= before + 1
