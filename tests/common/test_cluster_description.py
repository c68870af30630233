"""What the launcher writes is what the trainer reads, for every cluster there can be."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.cluster_description import Cluster, read_cluster, worker_env
from common.exit_codes import RunError

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


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{}", "'cluster' is missing"),
        ("[]", "'cluster' is missing"),
        ('{"cluster": {}}', "'cluster' is missing"),
        ('{"cluster": {"worker": ["a:1"]}}', "'task' is missing"),
        ('{"cluster": {"worker": ["a:1"]}, "task": {"index": 0}}', "got ['none']"),
        (
            '{"cluster": {"chief": ["a:1"]}, "task": {"type": "chief", "index": 0}}',
            "only tasks of type 'worker' are used, got ['chief']; the chief is worker 0",
        ),
        ('{"cluster": {"worker": "a:1"}, "task": {"type": "worker"}}', "must be a list"),
        ("{", "is no JSON"),
    ],
)
def test_a_description_that_is_none_is_refused_by_what_it_lacks(text: str, said: str) -> None:
    with pytest.raises(RunError) as refused:
        read_cluster({"TF_CONFIG": text})
    assert refused.value.code == 78
    assert said in refused.value.reason
    assert "Error" not in refused.value.reason


def test_a_single_worker_needs_no_description() -> None:
    assert worker_env(["localhost:2222"], 0) == {}
    assert read_cluster({}) == Cluster()
