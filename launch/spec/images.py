"""Container images: pinned, and with the accelerator's TensorFlow in them."""

import re

from launch.spec.job import JobSpec
from launch.spec.user_input import bad_flag

_DIGEST = re.compile(r".+@sha256:[0-9a-f]{64}")
_TAGGED = re.compile(r"[^\s@]*[^\s/@:]:(?P<tag>[\w][\w.-]{0,127})")
FLAVOURS = ("cpu", "gpu", "tpu")


def is_pinned(image: str) -> bool:
    """Whether the image is named by digest or by a tag that is not `latest`."""
    tagged = _TAGGED.fullmatch(image)
    return bool(_DIGEST.fullmatch(image)) or (tagged is not None and tagged["tag"] != "latest")


def flavour(image: str) -> str:
    """The accelerator that the image is built for, by the end of its tag, or "" if it says none."""
    ending = image.split("@", maxsplit=1)[0].rpartition(":")[2].rpartition("-")[2]
    return ending if ending in FLAVOURS else ""


def check_image(spec: JobSpec) -> None:
    """Refuses an image that may change under the job or that cannot drive its accelerator.

    Raises:
        RunError: BAD_FLAG.
    """
    if not spec.image:
        raise bad_flag(
            "--image is missing: the container image with the trainer, for example "
            f"--image=REGISTRY/lockstep:0.1.0-{spec.device.kind} (docs/images.md builds it)"
        )
    if not is_pinned(spec.image):
        raise bad_flag(
            f"--image={spec.image!r} must name a tag other than latest, or a digest "
            "(REPOSITORY:TAG or REPOSITORY@sha256:...)"
        )
    built_for = flavour(spec.image)
    if built_for and built_for != spec.device.kind:
        raise bad_flag(
            f"--image={spec.image} is built for {built_for}; --accelerator={spec.accelerator} "
            f"needs the TensorFlow of a {spec.device.kind} image (tag ending in "
            f"-{spec.device.kind})"
        )
