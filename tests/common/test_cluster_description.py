"""What the launcher writes is what the trainer reads, for every cluster there can be."""

import json

from hypothesis import given
from hypothesis import strategies as st

from common.cluster_description import Cluster, read_cluster, worker_env

NAMES = st.from_regex(r"[a-z][a-z0-9-]{0,20}(\.[a-z][a-z0-9-]{0,20}){0,3}", fullmatch=True)
HOSTS = NAMES | st.ip_addresses(v=4).map(str) | st.ip_addresses(v=6).map("[{}]".format)
ADDRESSES = st.builds("{}:{}".format, HOSTS, st.integers(1, 65535))


@given(st.lists(ADDRESSES, min_size=2, max_size=8, unique=True), st.data())
def test_every_worker_reads_the_cluster_that_was_written(
    workers: list[str], data: st.DataObject
) -> None:
    index = data.draw(st.integers(0, len(workers) - 1))
    assert read_cluster(worker_env(workers, index)) == Cluster(tuple(workers), index)


@given(st.lists(ADDRESSES, min_size=2, max_size=8, unique=True), st.data())
def test_the_kubelet_fills_the_index_in(workers: list[str], data: st.DataObject) -> None:
    index = data.draw(st.integers(0, len(workers) - 1))
    written = worker_env(workers, "$(INDEX)")
    filled = {name: text.replace("$(INDEX)", str(index)) for name, text in written.items()}
    assert read_cluster(filled) == Cluster(tuple(workers), index)
    assert json.loads(filled["TF_CONFIG"])["task"] == {"type": "worker", "index": index}


def test_a_single_worker_needs_no_description() -> None:
    assert worker_env(["localhost:2222"], 0) == {}
    assert read_cluster({}) == Cluster()
