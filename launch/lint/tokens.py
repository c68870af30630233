"""Secrets by what they look like, whatever their place is called."""

import itertools
import math
import re
from collections import Counter

# What the issuers themselves document as the form of their tokens.
_FORMS = {
    "a GitHub token": r"gh[pousr]_[A-Za-z0-9]{20,}|github_pat_\w{20,}",
    "a Hugging Face token": r"hf_[A-Za-z0-9]{16,}",
    "a GitLab token": r"glpat-[\w-]{16,}",
    "an AWS key": r"(AKIA|ASIA)[A-Z0-9]{12,}",
    "a Google API key": r"AIza[\w-]{20,}",
    "a Google OAuth token": r"ya29\.[\w-]{16,}",
    "a Slack token": r"xox[abeprs]-[\w-]{10,}",
    "an API key": r"[sr]k-(proj-|ant-|live-|test-)?[A-Za-z0-9_-]{16,}|[sr]k_(live|test)_\w{10,}",
    "a PyPI or npm token": r"pypi-[\w-]{16,}|npm_[A-Za-z0-9]{20,}",
    "a Docker token": r"dckr_pat_[\w-]{16,}",
    "a Vault token": r"hv[sb]\.[\w-]{16,}",
    "a JSON web token": r"eyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]+",
    "a private key": r"-----BEGIN [A-Z ]*PRIVATE KEY-----",
    "a bearer token": r"Bearer [\w.~+/-]{16,}=*",
}
_KNOWN = re.compile(
    "|".join(rf"(?P<k{i}>(?<![\w-])(?:{form}))" for i, form in enumerate(_FORMS.values()))
)
_RANDOM = re.compile(r"[A-Za-z0-9+_-]{28,}={0,2}")


def find_token(text: str) -> str:
    """What kind of secret a text holds, or ""."""
    if found := _KNOWN.search(text):
        return list(_FORMS)[int(str(found.lastgroup)[1:])]
    return "it looks random" if _RANDOM.fullmatch(text.strip()) and _is_random(text) else ""


def _is_random(text: str) -> bool:
    """Letters of both cases and digits, mixed as nobody writes them; no hash, no name."""
    kinds = (str.islower, str.isupper, str.isdigit)
    counts = Counter(text)
    entropy = -sum(n / len(text) * math.log2(n / len(text)) for n in counts.values())
    changes = sum(a.isdigit() != b.isdigit() for a, b in itertools.pairwise(text))
    mixed = all(any(map(kind, text)) for kind in kinds)
    return mixed and entropy > 4 and changes >= 4
