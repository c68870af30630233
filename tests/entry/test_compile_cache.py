"""`--compile_cache` keeps what XLA compiled, and changes no bit."""

from pathlib import Path

from tests.processes import SHORT, summary, trainer

COMPILED = ("--config.execution=xla_loop", "--config.model.name=mlp", "--config.model.args={}")


def programs(cache: Path) -> set[str]:
    return {path.name for path in cache.rglob("*.pb")}


def test_the_next_start_compiles_nothing_and_ends_the_same(tmp_path):
    cache = tmp_path / "cache"
    plain = summary(tmp_path / "plain", *COMPILED, *SHORT)
    first = summary(tmp_path / "first", *COMPILED, *SHORT, f"--compile_cache={cache}")
    kept = programs(cache)
    log = tmp_path / "examples.tsv"
    again = (f"--compile_cache={cache}", f"--log_examples={log}")
    second = summary(tmp_path / "second", *COMPILED, *SHORT, *again)
    assert len(kept) == 2  # training and evaluation
    assert programs(cache) == kept
    digests = {run["state_digest"] for run in (plain, first, second)}
    assert len(digests) == 1
    served = [line.split("\t")[0] for line in log.read_text().splitlines()]
    assert [served.count(str(step)) for step in range(12)] == [32] * 12
    (own,) = cache.iterdir()
    assert own.stat().st_mode & 0o077 == 0


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    shown = trainer(f"--workdir={tmp_path / 'run'}", f"--compile_cache={tmp_path / 'file'}/cache")
    assert shown.code == 64
    assert "--compile_cache=" in shown.last_line
    assert not (tmp_path / "run").exists()
