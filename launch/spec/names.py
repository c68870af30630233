"""Names of jobs, of objects and of images: their forms, and the lengths that Kubernetes allows."""

import re
import secrets

from launch.spec.user_input import bad_flag

OBJECT = re.compile(r"[a-z0-9]([-.a-z0-9]*[a-z0-9])?")
LABEL = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
MAX_LABEL = 63
_DIGEST = re.compile(r".+@sha256:[0-9a-f]{64}")
_TAGGED = re.compile(r"[^\s@]*[^\s/@:]:(?P<tag>[\w][\w.-]{0,127})")
_FLAVOURS = ("cpu", "gpu", "tpu")
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


def is_pinned(image: str) -> bool:
    """Whether the image is named by digest or by a tag that is not `latest`."""
    tagged = _TAGGED.fullmatch(image)
    return bool(_DIGEST.fullmatch(image)) or (tagged is not None and tagged["tag"] != "latest")


def image_flavour(image: str) -> str:
    """The accelerator that the image is built for, by the end of its tag, or "" if it says none."""
    ending = image.split("@", maxsplit=1)[0].rpartition(":")[2].rpartition("-")[2]
    return ending if ending in _FLAVOURS else ""
