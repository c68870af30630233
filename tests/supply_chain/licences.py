"""The licences of what is installed: `python -m tests.supply_chain.licences` prints them."""

import importlib.metadata
import re

from tests.supply_chain import sbom

_BINDING = re.compile(r"\bA?GPL\b|Affero|GNU General Public", re.IGNORECASE)
# Packages whose metadata says nothing, or names the licence of files that no wheel holds (of
# docutils an extension of Emacs), and what their own repository or licence file says.
_READ_BY_HAND = {"namex": "Apache-2.0", "docutils": "Public-Domain AND BSD-2-Clause"}


def rows() -> list[tuple[str, str]]:
    """Name and licence of every installed distribution, sorted by name."""
    found = {
        sbom.canonical(one.metadata["Name"]): sbom.licence(one)
        for one in importlib.metadata.distributions()
    }
    return [(name, _READ_BY_HAND.get(name, stated)) for name, stated in sorted(found.items())]


def refused(licence: str) -> bool:
    """Whether nobody may rely on it: not stated, or no choice without a strong copyleft."""
    if not licence or licence.upper() == "UNKNOWN":
        return True
    return all(_BINDING.search(choice) for choice in re.split(r"\s+OR\s+", licence))


if __name__ == "__main__":
    for name, licence in rows():
        print(f"{name:40} {licence or 'not stated'}")
