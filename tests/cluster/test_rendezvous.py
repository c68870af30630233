"""R6: peers that are missing, wrong, stale or in the way; every worker a thread here."""

import re
import socket
import threading
import time
from collections.abc import Callable

import pytest

from common.cluster_description import Cluster
from common.exit_codes import ExitCode, RunError
from tests.processes import free_ports
from trainer.cluster import rendezvous

CONFIG = {"seed": 0}


def _addresses(count: int) -> tuple[str, ...]:
    return tuple(f"localhost:{port}" for port in free_ports(count))


def _meet(*workers: tuple[Cluster, dict], deadline: float = 3.0) -> list[RunError | None]:
    """Let workers meet, each in a thread; return how each ended, within the deadline + 10 s."""
    ends: list[RunError | None] = [None] * len(workers)

    def one(place: int) -> None:
        try:
            rendezvous.meet(*workers[place], deadline)
        except RunError as error:
            ends[place] = error

    threads = [threading.Thread(target=one, args=(i,)) for i in range(len(workers))]
    last = time.monotonic() + deadline + 10
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(last - time.monotonic())
        assert not thread.is_alive()
    return ends


def _refusal(end: RunError | None, code: ExitCode, *words: str) -> None:
    assert end is not None
    assert end.code is code
    assert all(word in end.reason for word in words), end.reason


def test_all_meet_and_the_ports_are_free_again() -> None:
    addresses = _addresses(4)
    ends = _meet(*[(Cluster(addresses, i), CONFIG) for i in range(4)], deadline=10)
    assert ends == [None] * 4
    for address in addresses:
        with socket.create_server(("", int(address.rpartition(":")[2]))):
            pass


def test_one_process_meets_nobody() -> None:
    rendezvous.meet(Cluster(), CONFIG, 0.1)


def test_a_late_worker_is_waited_for() -> None:
    addresses = _addresses(2)
    late = threading.Timer(1.0, rendezvous.meet, args=(Cluster(addresses, 1), CONFIG, 10.0))
    late.start()
    rendezvous.meet(Cluster(addresses, 0), CONFIG, 10.0)
    late.join()


def test_missing_worker_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    addresses = _addresses(2)
    (end,) = _meet((Cluster(addresses, 0), CONFIG))
    _refusal(end, ExitCode.HANG, f"worker 1 of 2: {addresses[1]} refused", "--startup_deadline")
    said = capsys.readouterr().err
    assert re.search(f"waiting for worker 1 of 2: {addresses[1]} refused, \\d s left", said)


def test_every_missing_worker_of_five_is_named_by_all_who_came() -> None:
    addresses = _addresses(5)
    for end in _meet(*[(Cluster(addresses, i), CONFIG) for i in (0, 2, 4)]):
        _refusal(end, ExitCode.HANG, *(f"worker {i} of 5: {addresses[i]}" for i in (1, 3)))
        assert end is not None
        assert not any(f"worker {i} of 5" in end.reason for i in (0, 2, 4))


def test_one_of_four_with_another_config_is_named_by_the_others() -> None:
    addresses = _addresses(4)
    given = [CONFIG, CONFIG, {"seed": 1}, CONFIG]
    ends = _meet(*[(Cluster(addresses, i), given[i]) for i in range(4)])
    _refusal(ends[2], ExitCode.BAD_CONFIG, "has another config")
    for end in (ends[0], ends[1], ends[3]):
        assert end is not None
        # Who comes after it has left finds nobody there.
        assert f"worker 2 of 4: {addresses[2]}" in end.reason


def test_a_worker_that_answers_and_never_comes_is_named() -> None:
    addresses = _addresses(3)
    port = int(addresses[2].rpartition(":")[2])

    def answer(server: socket.socket) -> None:
        for _ in range(2):
            link, _ = server.accept()
            with link, link.makefile("rb") as file:
                link.sendall(
                    file.readline()
                    .replace(b'"worker": 0', b'"worker": 2')
                    .replace(b'"worker": 1', b'"worker": 2')
                )

    with socket.create_server(("localhost", port)) as server:
        thread = threading.Thread(target=answer, args=(server,))
        thread.start()
        ends = _meet(*[(Cluster(addresses, i), CONFIG) for i in range(2)])
        thread.join()
    for end in ends:
        said = f"worker 2 of 3: {addresses[2]} answers, but does not reach this worker"
        _refusal(end, ExitCode.HANG, said)
        assert end is not None
        assert end.reason.count(" of 3: ") == 1


def test_unknown_host_is_named() -> None:
    addresses = (*_addresses(1), "no-such-host.invalid:2222")
    (end,) = _meet((Cluster(addresses, 0), CONFIG))
    _refusal(end, ExitCode.HANG, "no-such-host.invalid:2222 cannot be resolved")


def test_silent_peer_is_named() -> None:
    with socket.create_server(("localhost", 0)) as silent:
        addresses = (*_addresses(1), f"localhost:{silent.getsockname()[1]}")
        (end,) = _meet((Cluster(addresses, 0), CONFIG))
    _refusal(end, ExitCode.HANG, addresses[1])


def test_busy_port(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rendezvous, "_BUSY_SECS", 0.5)
    with socket.create_server(("", 0)) as other:
        addresses = (f"localhost:{other.getsockname()[1]}", *_addresses(1))
        (end,) = _meet((Cluster(addresses, 0), CONFIG))
    _refusal(end, ExitCode.BAD_CONFIG, addresses[0], "in use", "task.index")


def _pair(first: Callable[[tuple[str, ...]], tuple[Cluster, dict]]) -> list[RunError | None]:
    addresses = _addresses(2)
    return _meet(first(addresses), (Cluster(addresses, 1), CONFIG), deadline=10)


def test_another_config_is_refused_on_both() -> None:
    for end in _pair(lambda a: (Cluster(a, 0), {"seed": 1})):
        _refusal(end, ExitCode.BAD_CONFIG, "another config")


def test_a_stale_description_is_refused() -> None:
    ends = _pair(lambda a: (Cluster((*a, "localhost:1"), 0), CONFIG))
    _refusal(ends[1], ExitCode.BAD_CONFIG, "another list of workers")


def test_a_wrong_index_is_refused() -> None:
    # Both say that they are worker 1; on two hosts neither would find its port busy.
    addresses = _addresses(2)
    swapped = Cluster((addresses[1], addresses[0]), 1)
    ends = _meet((swapped, CONFIG), (Cluster(addresses, 1), CONFIG), deadline=10)
    assert any(end is not None and end.code is ExitCode.BAD_CONFIG for end in ends)


def test_sabotage_a_worker_that_asks_nothing_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rendezvous._Meeting, "_compare", lambda *_: None)
    with pytest.raises(AssertionError):
        test_another_config_is_refused_on_both()


def test_workers_with_other_data_are_refused() -> None:
    addresses = _addresses(2)
    ends: list[RunError] = []

    def one(index: int) -> None:
        with pytest.raises(RunError) as caught:
            rendezvous.meet(Cluster(addresses, index), CONFIG, 10.0, data=str(index))
        ends.append(caught.value)

    threads = [threading.Thread(target=one, args=(index,)) for index in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for end in ends:
        _refusal(end, ExitCode.BAD_CONFIG, "has other data", "give a seed")
    assert len(ends) == 2
