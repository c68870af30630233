import itertools
from collections.abc import Callable
from types import SimpleNamespace

import pytest
from gcsfs.credentials import GoogleCredentials
from google.auth import exceptions

from common.exit_codes import ExitCode, RunError
from trainer import storage

URL = "gs://bucket/object"


def failing(error: Exception, times: float) -> Callable[[], str]:
    count = itertools.count(1)

    def call() -> str:
        if next(count) <= times:
            raise error
        return "done"

    return call


class CodedError(Exception):
    def __init__(self, code: int | str) -> None:
        super().__init__("secret-canary")
        self.code = code


class Renewing:
    """Expired credentials; those of Google's machines wrap a fault of the network."""

    valid, expiry = False, None

    def __init__(self, fault: Exception) -> None:
        self._fault = fault

    def refresh(self, _: object) -> None:
        if isinstance(self._fault, exceptions.TransportError):
            raise exceptions.RefreshError(self._fault) from self._fault
        raise self._fault


TRANSIENT = [
    *[CodedError(code) for code in (408, 429, 500, 502, 503, 504, "503")],
    ConnectionResetError(),
    exceptions.TransportError("secret-canary"),  # of credentials that are not Google's machines'
    TimeoutError(),
]


@pytest.mark.parametrize("error", TRANSIENT, ids=repr)
def test_transient_faults_are_repeated(error, retry, waits):
    assert retry.run(failing(error, 3), URL, "reading") == "done"
    assert len(waits) == 3


@pytest.mark.parametrize("error", TRANSIENT, ids=repr)
def test_spent_attempts_are_transient(error, retry, waits):
    with pytest.raises(RunError, match="after 10 attempts") as caught:
        retry.run(failing(error, 99), URL, "reading")
    assert caught.value.code is ExitCode.TRANSIENT
    assert len(waits) == 9


@pytest.mark.parametrize("code", [400, 401, 403, 404, 409, 412])
def test_refusals_are_never_repeated(code, retry, waits):
    with pytest.raises(RunError, match=rf"'bucket'.*'object'.*{code}") as caught:
        retry.run(failing(CodedError(code), 1), URL, "reading")
    assert caught.value.code is ExitCode.BAD_CONFIG
    assert waits == []


@pytest.mark.parametrize(
    ("fault", "lasts"),
    [
        (exceptions.TransportError("secret-canary"), True),
        (exceptions.RefreshError("secret-canary", retryable=True), True),
        (exceptions.RefreshError("secret-canary"), False),
        (exceptions.TransportError("secret-canary", SimpleNamespace(status=404)), False),
    ],
    ids=["network", "issuer", "refused", "no identity"],
)
def test_a_token_that_cannot_be_renewed_now(fault, lasts, retry, waits):
    credentials = GoogleCredentials(None, "read_only", "anon")
    credentials.credentials = Renewing(fault)
    with pytest.raises(RunError, match=r"'bucket'.*'object'") as caught:
        retry.run(credentials.maybe_refresh, URL, "reading")
    assert caught.value.code is (ExitCode.TRANSIENT if lasts else ExitCode.BAD_CONFIG)
    assert len(waits) == (9 if lasts else 0)
    assert ("credentials could not be renewed" if lasts else "401") in caught.value.reason
    assert "canary" not in caught.value.reason


def test_a_bug_is_not_hidden(retry, waits):
    with pytest.raises(ZeroDivisionError):
        retry.run(failing(ZeroDivisionError(), 1), URL, "reading")
    assert waits == []


def test_waits_are_drawn_from_zero_to_a_capped_exponential():
    drawn: list[tuple[float, float]] = []

    def uniform(low: float, high: float) -> float:
        drawn.append((low, high))
        return high

    waits: list[float] = []
    retry = storage.Retry(8, 0.5, 10.0, 1e9, waits.append, lambda: 0.0, uniform)
    with pytest.raises(RunError):
        retry.run(failing(TimeoutError(), 99), URL, "reading")
    assert drawn[:7] == [(0.0, high) for high in (1, 2, 4, 8, 10, 10, 10)]
    assert waits == [1, 2, 4, 8, 10, 10, 10]


def test_no_attempt_starts_after_the_budget():
    now = [0.0]

    def sleep(secs: float) -> None:
        now[0] += secs

    retry = storage.Retry(99, 1.0, 8.0, 20.0, sleep, lambda: now[0], lambda _, high: high)
    with pytest.raises(RunError, match=r"after 4 attempts in 14 s"):
        retry.run(failing(TimeoutError(), 999), URL, "reading")


def test_error_lines_hold_no_secrets(retry):
    url = "https://user:canary1@host/data?X-Sig=canary2&token=canary3#canary4"
    for error in (CodedError(403), CodedError(503), CodedError(404)):
        with pytest.raises(RunError) as caught:
            retry.run(failing(error, 99), url, "reading")
        assert "canary" not in caught.value.reason
        assert "host" in caught.value.reason
    assert storage.scrub(url) == "https://host/data"
