"""Names of jobs: what Kubernetes allows, checked against the longest name derived from them."""

import re
import secrets

from launch.spec.user_input import bad_flag

OBJECT = re.compile(r"[a-z0-9]([-.a-z0-9]*[a-z0-9])?")
LABEL = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
MAX_LABEL = 63
_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"  # no vowels: a random suffix spells no word
_POD_SUFFIX = 6  # a dash and five random characters after the pod's index


def check(name: str, longest_infix: str) -> None:
    """Refuses a job name from which a pod name of more than 63 characters would follow.

    Args:
        name: name of the job.
        longest_infix: what stands between it and the random part of the longest pod name.

    Raises:
        RunError: BAD_FLAG with the allowed form or the allowed length.
    """
    if not LABEL.fullmatch(name):
        raise bad_flag(
            f"--name={name!r} is not a Kubernetes name: lower-case letters, digits and '-', "
            "starting with a letter"
        )
    room = MAX_LABEL - _POD_SUFFIX - len(longest_infix)
    if len(name) > room:
        raise bad_flag(
            f"--name={name!r} has {len(name)} characters; its longest pod name leaves room "
            f"for {room}"
        )


def generate(hint: str) -> str:
    """A name made from `hint` and a random suffix, for jobs that were given none."""
    stem = re.sub(r"[^a-z0-9]+", "-", hint.lower()).strip("-")
    stem = re.sub(r"^[^a-z]+", "", stem)[:30].strip("-") or "run"
    suffix = "".join(secrets.choice(_ALPHABET) for _ in range(5))
    return f"{stem}-{suffix}"
