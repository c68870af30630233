import random
from collections.abc import Iterator

import pytest

from tests.storage.emulator import Emulator, running_emulator
from tests.storage.staged import SIZE
from trainer import storage


@pytest.fixture(scope="session")
def shared_emulator() -> Iterator[Emulator]:
    with running_emulator() as emulator:
        yield emulator


@pytest.fixture
def emulator(shared_emulator: Emulator, request: pytest.FixtureRequest) -> Emulator:
    """The emulator, with what this process remembers of it forgotten."""
    storage.close()
    storage.forget()
    shared_emulator.proxy.plan = lambda *_: None
    shared_emulator.proxy.requests = []
    shared_emulator.proxy.bytes_out = 0
    return shared_emulator


@pytest.fixture
def bucket(emulator: Emulator, request: pytest.FixtureRequest) -> str:
    """The URL of an empty bucket of this test's own."""
    name = f"b{abs(hash(request.node.nodeid)):x}"
    emulator.make_bucket(name)
    return f"gs://{name}"


@pytest.fixture
def waits() -> list[float]:
    """Seconds that `retry` would have slept."""
    return []


@pytest.fixture
def retry(waits: list[float]) -> storage.Retry:
    return storage.Retry(sleep=waits.append)


@pytest.fixture
def shards(bucket):
    urls = [f"{bucket}/train-{i}.tfrecord" for i in range(8)]
    for i, url in enumerate(urls):
        storage.write_bytes(url, random.Random(i).randbytes(SIZE))
    storage.list_files(f"{bucket}/*")
    return urls
