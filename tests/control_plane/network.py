"""A network namespace for a cluster with a node: its addresses are nobody else's.

Programs inside see one another, the pods and loopback, and nothing of this machine's network; the
firewall of the node is a firewall of this namespace alone.
"""

import ctypes
import os
import subprocess
from pathlib import Path

NAME = "lockstep-cluster"
ADDRESS = "10.211.0.1"  # of the node, and the pods' gateway
PODS = "10.211.0.0/24"
BRIDGE = "pods"
_PLACE = Path("/run/netns") / NAME
_CLONE_NEWNET = 0x40000000


def make() -> None:
    """Makes the namespace with the pods' bridge, and moves this process into it."""
    remove()
    _ip("netns", "add", NAME)
    enter()
    _ip("link", "set", "lo", "up")
    # The gateway of the pods is the address of the node: a machine without another link has one.
    _ip("link", "add", BRIDGE, "type", "bridge")
    _ip("address", "add", f"{ADDRESS}/24", "dev", BRIDGE)
    _ip("link", "set", BRIDGE, "up")
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1")


def enter() -> None:
    """Moves this process, and those that it will start, into the namespace.

    Raises:
        OSError: it does not exist, or this process may not.
    """
    with _PLACE.open() as place:
        if ctypes.CDLL(None, use_errno=True).setns(place.fileno(), _CLONE_NEWNET):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), str(_PLACE))


def remove() -> None:
    """Removes it; the kernel keeps it for processes that are still in it."""
    if _PLACE.exists():
        _ip("netns", "delete", NAME)


def inside() -> list[str]:
    """The words before a command that is to run inside."""
    return ["nsenter", f"--net={_PLACE}"]


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)
