"""Runs one trial of a sweep: the shared command and the arguments of this pod's index."""

import json
import os
import sys

trials = json.loads(sys.argv[1])
command = [*sys.argv[2:], *trials[int(os.environ["JOB_COMPLETION_INDEX"])]]
os.execvp(command[0], command)  # noqa: S606 - no shell: the arguments stay as they are
