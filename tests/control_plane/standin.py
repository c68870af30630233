"""What a worker does on a real node without the trainer, whose start takes seconds.

Worker 1 waits until worker 0 is connected, then acts. Worker 0 acts as a survivor: it ends with
201 as soon as the connection breaks, in the same second. A job of one worker only acts.
"""

import dataclasses
import os

from launch.spec.job import JobSpec

# Any image with Python; the trainer itself is not needed.
IMAGE = os.environ.get("LOCKSTEP_TEST_IMAGE", "python:3.11-slim")
PROGRAM = """
import json, os, signal, socket, sys, time

def reach(host, port):
    for _ in range(600):
        try:
            return socket.create_connection((host, int(port)), 5)
        except OSError:
            time.sleep(0.2)
    sys.exit(201)

def memory(_):
    held = []
    while True:
        held.append(b"x" * 2**26)

def scratch(_):
    with open("/tmp/large", "wb", buffering=0) as file:
        for _ in range(1300):
            file.write(bytes(2**20))
    time.sleep(600)

def kill(_):
    os.kill(os.getpid(), signal.SIGKILL)

def listen(port):
    server = socket.create_server(("", int(port)))
    time.sleep(600)

def connect(address):
    host, port = address.rsplit(":", 1)
    try:
        socket.create_connection((host, int(port)), 5)
    except OSError as error:
        print("refused", error, flush=True)
        sys.exit(70)

# The launcher adds flags of the trainer in front.
word = next(word for word in sys.argv[1:] if not word.startswith("--"))
action, _, value = word.partition("=")
index = int(os.environ["JOB_COMPLETION_INDEX"])
workers = json.loads(os.environ.get("TF_CONFIG", "{}")).get("cluster", {}).get("worker", [])
print("worker", index, "of", len(workers), flush=True)
if workers and index == 0:
    peer = reach(*workers[1].rsplit(":", 1))
    peer.settimeout(None)
    try:
        peer.recv(1)
    except OSError:
        pass
    sys.exit(201)
if workers:
    server = socket.create_server(("", int(workers[1].rsplit(":", 1)[1])))
    held, _ = server.accept()
known = {"exit": lambda code: sys.exit(int(code)), "sleep": lambda secs: time.sleep(float(secs))}
known |= {"memory": memory, "scratch": scratch, "kill": kill, "listen": listen, "connect": connect}
known[action](value)
"""


def spec(namespace: str, name: str, action: str, **fields: object) -> JobSpec:
    """A job of the stand-in; `action` is what its last worker does, for example `exit=78`."""
    base = JobSpec(
        name=name,
        namespace=namespace,
        command=("python", "-c", PROGRAM),
        args=(action, "--workdir=gs://BUCKET/x", "--strategy=cpu"),
        image=IMAGE,
        cpus=1,
        memory_gib=1,
        scratch_gib=1,
        grace_secs=5,
    )
    return dataclasses.replace(base, **fields)
