"""Names resolve to code, wrong names say what was meant, and no part is forgotten."""

import pathlib
import subprocess
import sys

import pytest

from common.exit_codes import ExitCode, RunError
from trainer import registry

TRAINER = pathlib.Path(registry.__file__).parent
TABLES = {
    "models": [registry.MODELS],
    "losses": [registry.LOSSES],
    "optimizers": [registry.OPTIMIZERS, registry.SCHEDULES],
    "regularizers": [registry.REGULARIZERS],
    "metrics": [registry.METRICS],
    "tasks": [registry.TASKS],
}
HELPERS = {
    "losses/from_keras.py",
    "losses/shapes.py",
    "models/blocks.py",
    "optimizers/loss_scale.py",
    "optimizers/plateau.py",
    "optimizers/loss_spike.py",
    "optimizers/unusable.py",
    "optimizers/weight_average.py",
    "tasks/features.py",
}


def test_every_name_resolves_to_something_callable():
    for table in (table for tables in TABLES.values() for table in tables):
        for name in table:
            assert callable(registry.resolve(table, name, "field")), name


def test_a_part_of_a_script_is_found(tmp_path):
    # In a script and in a notebook, `__name__` is that of the program itself.
    script = tmp_path / "script.py"
    script.write_text(
        "from trainer import registry\n"
        "def part(): ...\n"
        "assert registry.resolve({}, f'{__name__}:part', 'config.x') is part\n"
    )
    done = subprocess.run(
        [sys.executable, str(script)],
        env={"PYTHONPATH": str(TRAINER.parent)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("folder", TABLES)
def test_every_file_of_a_parts_folder_is_registered(folder):
    files = {f"{folder}/{path.name}" for path in (TRAINER / folder).glob("[!_]*.py")}
    targets = [target for table in TABLES[folder] for target in table.values()]
    own = {target.partition(":")[0] for target in targets if target.startswith("trainer.")}
    assert files - HELPERS == {
        f"{name.removeprefix('trainer.').replace('.', '/')}.py" for name in own
    }


def test_custom_code_resolves_by_its_path():
    assert registry.resolve({}, "pathlib:Path", "model.name") is pathlib.Path


@pytest.mark.parametrize("act", [registry.check, registry.resolve])
@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("can", "did you mean 'cnn'?"),
        ("transformer9", "Registered: cnn"),
        ("my model:fn", "is not 'package.module:name'"),
        ("no_such_package:fn", "no package 'no_such_package'"),
    ],
)
def test_an_unknown_name_is_refused_naming_the_field(act, name, says):
    with pytest.raises(RunError) as caught:
        act(registry.MODELS, name, "model.name")
    assert caught.value.code is ExitCode.BAD_CONFIG
    assert caught.value.reason.startswith("model.name=")
    assert says in caught.value.reason


@pytest.mark.parametrize("name", ["json:nothing", "json.nothing:fn"])
def test_custom_code_that_is_not_there_is_refused_naming_the_field(name):
    registry.check({}, name, "loss.name")
    with pytest.raises(RunError, match=r"loss\.name=.*cannot load json") as caught:
        registry.resolve({}, name, "loss.name")
    assert caught.value.code is ExitCode.BAD_CONFIG


def test_checking_names_loads_nothing_heavy():
    program = (
        "import sys; from trainer import registry as r; r.check(r.MODELS, 'cnn', 'f');"
        "r.check(r.MODELS, 'keras.layers:Dense', 'f');"
        "sys.exit(bool({'keras', 'tensorflow', 'numpy'} & set(sys.modules)))"
    )
    subprocess.run([sys.executable, "-c", program], check=True, cwd=TRAINER.parent)
