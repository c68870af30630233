"""docs/launching.md says only what is true: its commands parse, its table is the policy."""

import re
import shlex
from pathlib import Path

import pytest
from command_line import microbatches

from launch.cli.flags import spec_from
from launch.cli.main import VERBS, Parser, parse
from launch.spec import exit_policy
from launch.spec.exit_policy import Verdict

PAGE = (Path(__file__).parents[2] / "docs" / "launching.md").read_text()


def commands() -> list[list[str]]:
    blocks = re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    words = [shlex.split(line, comments=True) for line in lines]
    return [one[3:] for one in words if one[:3] == ["python", "-m", "launch"]]


@pytest.mark.parametrize("command", commands(), ids=" ".join)
def test_every_command_of_the_page_is_understood(command):
    name, *rest = command
    own = rest[: rest.index("--")] if "--" in rest else rest
    _, rest = Parser(name).parse_known_args(own)
    assert not [word for word in rest if word.startswith("-")]


@pytest.mark.parametrize("command", [c for c in commands() if "--config=digits" in c], ids=" ".join)
def test_the_hardware_of_every_job_on_the_page_can_share_out_its_microbatches(
    command, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    for kind, name in (("toml", "launch.toml"), ("yaml", "sweep.yaml")):
        Path(name).write_text(re.findall(rf"```{kind}\n(.*?)```", PAGE, re.DOTALL)[0])
    verb, *rest = command
    spec = spec_from(parse(verb, rest), ())
    assert microbatches(spec) % spec.replicas == 0, "the trainer would end with 78"


def test_every_verb_is_on_the_page():
    assert all(f"`{verb}`" in PAGE for verb in VERBS)


def test_every_flag_on_the_page_exists():
    known = {"config", "workdir", "strategy", "stage_bytes", "metrics_port", "generate", "help"} | {
        "server"
    }  # kubectl's --server-side
    flags = [flag for verb in VERBS.values() for flag in verb.flags]
    known |= {flag.name for flag in flags}
    known |= {f"no{flag.name}" for flag in flags if isinstance(flag.default, bool)}
    assert set(re.findall(r"--([a-z_]+)", PAGE)) <= known


def test_the_table_of_exits_is_the_policy():
    rows = dict(re.findall(r"^\| ([^|]*?) \| ([^|]*?) \|$", PAGE, re.MULTILINE))
    told = {
        int(code): text for codes, text in rows.items() for code in re.findall(r"\b\d+\b", codes)
    }
    starts = {
        Verdict.DONE: "done",
        Verdict.IGNORE: "restart, not counted",
        Verdict.COUNT: "restart, counted",
        Verdict.FAIL: "fail at once",
    }
    assert set(exit_policy.PERMANENT_CODES) <= set(told)
    for code, text in told.items():
        assert text.startswith(starts[exit_policy.judge_exit(code)]), code
