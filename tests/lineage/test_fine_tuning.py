"""Fine-tuning in two phases is two short configs: a frozen base, then all at lower rates."""

import json
import subprocess
import sys

import pytest

from tests.processes import ROOT


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    folder = str(tmp_path_factory.mktemp("fine_tuning"))
    command = [sys.executable, "-m", "tests.lineage.fine_tuning", folder]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_base_is_taken_from_its_file(found):
    assert found["count"] > 100
    assert found["given"] == []


def test_a_frozen_base_stays_as_it_is_with_its_statistics_bit_for_bit(found):
    assert {name.split("/", 2)[2] for name in found["one"]} == {"head/kernel", "head/bias"}


def test_the_second_phase_begins_where_the_first_has_ended(found):
    assert found["between"] == []
    assert found["parent"]["step"] == 4
    assert [a["source"].rpartition("/")[2] for a in found["parent"]["ancestors"]] == ["base.keras"]


def test_it_trains_the_base_at_its_own_rate(found):
    assert len(found["two"]) > 100
    kernels = {name: far for name, far in found["two"].items() if name.endswith("/kernel")}
    slow = [far for name, far in kernels.items() if "/head/" not in name]
    (fast,) = (far for name, far in kernels.items() if "/head/" in name)
    # Four updates of adamw, each by its rate at most.
    assert len(slow) > 10
    assert max(slow) < 6e-5
    assert fast > 1.5e-4
