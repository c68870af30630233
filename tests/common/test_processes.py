"""A process is recognised by its start, not by its number."""

import os
import subprocess
import sys
import time

from common import processes


def test_another_process_has_another_identity() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        found = processes.identity(child.pid)
        assert found
        assert found == processes.identity(child.pid)
        assert found != processes.identity(os.getpid())


def test_a_process_that_is_gone_has_none() -> None:
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    assert processes.identity(child.pid) == ""


def test_the_start_lies_before_the_first_line_of_a_program() -> None:
    program = "import time; print(time.time()); from common import processes as p; "
    program += "print(p.started_at())"
    before = time.time()
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    first_line, started = map(float, done.stdout.split())
    assert before - 0.02 <= started <= first_line  # the kernel counts in ticks of 10 ms
