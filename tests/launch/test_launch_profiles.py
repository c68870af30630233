"""Profiles: what a team always says, in a file."""

from pathlib import Path

import pytest
from command_line import RENDER, TRAINER, refused, rendered


def profile(tmp_path: Path, text: str) -> list[str]:
    path = tmp_path / "launch.toml"
    path.write_text(text)
    return [*RENDER, f"--profiles={path}", "--profile=big", *TRAINER]


def test_a_profile_fills_what_the_command_line_leaves_out(capsys, tmp_path):
    argv = profile(tmp_path, '[big]\nworkers = 4\nspot = true\nqueue = "q"\nenv = ["A=1"]\n')
    job = rendered(capsys, *argv)[-1]
    assert job["spec"]["completions"] == 4
    assert job["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "q"
    job = rendered(capsys, *argv[:-3], "--workers=2", *argv[-3:])[-1]
    assert job["spec"]["completions"] == 2


def test_one_profile_serves_every_verb_that_starts_jobs(capsys, tmp_path):
    text = '[big]\nbackend = "kubernetes"\nfollow = true\nstate_dir = "x"\nworkers = 4\n'
    job = rendered(capsys, *profile(tmp_path, text))[-1]
    assert job["spec"]["completions"] == 4


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("[big]\nworker = 4\n", "did you mean 'workers'"),
        ("[bigger]\n", "did you mean 'bigger'"),
        ("workers = 4\n", "outside a section"),
        ("[big\n", "is not TOML"),
        ('[big]\nworkers = "many"\n', "workers = 'many'"),
        ('[big]\nspot = "yes"\n', "spot = 'yes'"),
        ('[big]\nenv = "A=1"\n', "must be a list of strings"),
        ('[big]\nname = "one"\n', "'name' does not exist"),
    ],
)
def test_a_wrong_profile_is_refused(capsys, tmp_path, text, shown):
    code, said = refused(capsys, *profile(tmp_path, text))
    assert code == 64
    assert shown in said
