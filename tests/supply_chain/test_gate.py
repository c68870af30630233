"""Nothing in trainer/ or launch/ can run what it reads."""

from pathlib import Path

import pytest

from tests.supply_chain.gate import findings

ROOT = Path(__file__).parents[2]
_PLANTED = [
    "import pickle",
    "import numpy, cloudpickle as c",
    "from pickle import loads",
    "import joblib.memory",
    "eval('1')",
    "run = exec",
    "import builtins; builtins.eval('1')",
    "yaml.load(text, Loader=yaml.SafeLoader)",
    "yaml.unsafe_load(text)",
    "from yaml import UnsafeLoader",
    "keras.models.load_model(path)",
    "from keras.models import load_model",
    "keras.models.load_model(path, safe_mode=False)",
    "keras.models.load_model(path, safe_mode=safe)",
    "tf.saved_model.load(path)",
    "keras.config.enable_unsafe_deserialization()",
    "archive.extractall(folder)",
    "archive.extractall(folder, filter='fully_trusted')",
    "shutil.unpack_archive(path)",
    "subprocess.run(line, shell=True)",
    "subprocess.run(line, shell=choice)",
    "os.system(line)",
    "np.load(path, allow_pickle=True)",
    "import numpy as np; np.load(path, None, True)",
    "import numpy; numpy.load(path, None, True)",
    "from numpy import load; load(path, None, True)",
    "import os as system; system.system(line)",
    "import yaml as y; y.load(text)",
    "from tensorflow import saved_model as models; models.load(path)",
    "import asyncio; asyncio.create_subprocess_shell(line)",
    "__import__('pickle')",
    "compile(text, name, 'exec')",
]
_HARMLESS = [
    "# pickle, eval(x)",
    "text = 'exec(this)'",
    "yaml.safe_load(text)",
    "yaml.dump(document, Dumper=yaml.SafeDumper)",
    "np.load(path, allow_pickle=False)",
    "np.load(path)",
    "archive.extractall(folder, filter='data')",
    "subprocess.run(line, shell=False)",
    "text.format(shell=name)",
    "re.compile(pattern)",
    "session.evaluate(x)",
    "keras.saving.load_model(path, safe_mode=True)",
    "model.compile(optimizer)",
    "from math import exp as load; load(path, None, True)",
]


def test_no_file_of_the_product_can_run_what_it_reads() -> None:
    files = [*ROOT.glob("trainer/**/*.py"), *ROOT.glob("launch/**/*.py")]
    assert len(files) > 50
    assert [found for path in files for found in findings(path.read_text(), str(path))] == []


@pytest.mark.parametrize("source", _PLANTED)
def test_a_planted_fault_is_found(source: str) -> None:
    assert findings(source)


@pytest.mark.parametrize("source", _HARMLESS)
def test_harmless_code_passes(source: str) -> None:
    assert findings(source) == []
