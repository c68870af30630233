"""The bill of materials equals what is installed, and every part says its licence."""

import json
import re
from email.parser import HeaderParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from tests.supply_chain import sbom
from tests.supply_chain.licences import refused, rows
from tests.supply_chain.lock import read

ROOT = Path(__file__).parents[2]
_SITE = Path(np.__file__).parents[1]
# Comes with the environment, not with a lock file.
_UNLOCKED = {"pip"}


def _on_disk() -> set[tuple[str, str]]:
    """Name and version of every distribution, read from the folders and not through importlib."""
    found = set()
    for path in _SITE.glob("*.dist-info/METADATA"):
        head = HeaderParser().parsestr(path.read_text(encoding="utf-8"))
        found.add((re.sub(r"[-_.]+", "-", head["Name"]).lower(), head["Version"]))
    return found


def test_the_bill_equals_what_is_installed() -> None:
    listed = {(part["name"], part["version"]) for part in sbom.bill()["components"]}
    assert listed == _on_disk()


def test_everything_installed_is_locked() -> None:
    # In an image the lock is the image's own; both are here, and both are as strict.
    locks = [
        read((ROOT / f"requirements{name}.lock").read_text())
        for name in ("-dev", "-test", "", "-cpu")
    ]
    loose = {
        f"{name}=={version}"
        for name, version in _on_disk()
        if name not in _UNLOCKED and not any(version in lock.get(name, ()) for lock in locks)
    }
    assert loose == set()


def test_the_bill_is_the_same_each_time_and_refers_to_itself() -> None:
    bill = sbom.bill()
    assert bill == sbom.bill()
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.5")
    known = {part["bom-ref"] for part in bill["components"]}
    assert len(known) == len(bill["components"])
    for edge in bill["dependencies"]:
        assert edge["ref"] in known
        assert set(edge["dependsOn"]) <= known
    keras = next(edge for edge in bill["dependencies"] if "/keras@" in edge["ref"])
    assert any("/numpy@" in name for name in keras["dependsOn"])


def _against_the_schema(bill: dict[str, Any]) -> object:
    """The first fault that CycloneDX's own schema finds, or None."""
    return JsonStrictValidator(SchemaVersion.V1_5).validate_str(json.dumps(bill))


def test_the_bill_satisfies_the_schema_of_cyclonedx() -> None:
    bill = sbom.bill()
    assert _against_the_schema(bill) is None
    bill["components"][0]["kind"] = "library"
    assert _against_the_schema(bill) is not None


def test_every_licence_is_stated_and_accepted() -> None:
    assert [row for row in rows() if refused(row[1])] == []


@pytest.mark.parametrize(
    ("licence", "wrong"),
    [
        ("MIT", False),
        ("Apache-2.0 OR GPL-3.0-only", False),
        ("MPL-2.0", False),
        ("", True),
        ("UNKNOWN", True),
        ("GPL-3.0-or-later", True),
        ("GNU Affero General Public License v3", True),
        ("MIT AND GPL-2.0-only", True),
    ],
)
def test_a_licence_that_binds_our_users_is_refused(licence: str, wrong: bool) -> None:
    assert refused(licence) is wrong
