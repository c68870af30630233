"""An experiment file outside the repository trains with custom parts."""

import json
import pathlib
import shutil

from tests.processes import summary, trainer

SOURCE = pathlib.Path(__file__).parent / "custom_experiment.py"


def test_custom_model_loss_optimizer_and_metric(tmp_path):
    mine = tmp_path / "mine.py"
    shutil.copy(SOURCE, mine)
    one = summary(tmp_path / "one", f"--config={mine}")
    two = summary(tmp_path / "two", f"--config={mine}", "--cpu_replicas=2")
    assert one["state_digest"] == two["state_digest"]
    assert one["eval"]["accuracy"] > 0.8
    assert 0.1 < one["eval"]["Confidence"] <= 1


def test_a_subclass_of_a_keras_model_trains_and_is_exported(tmp_path):
    mine, run = tmp_path / "subclassed.py", tmp_path / "run"
    mine.write_text(
        "import keras\n"
        "from trainer.config import OptimizerConfig, PartConfig, TrainConfig\n"
        "class Custom(keras.Model):\n"
        "    def __init__(self, input_shape, num_outputs):\n"
        "        super().__init__()\n"
        "        self.sizes = {'input_shape': list(input_shape), 'num_outputs': num_outputs}\n"
        "        self.flatten = keras.layers.Flatten()\n"
        "        self.dense = keras.layers.Dense(num_outputs)\n"
        "    def get_config(self):\n"
        "        return self.sizes\n"
        "    def call(self, x):\n"
        "        return self.dense(self.flatten(x))\n"
        "def get_config():\n"
        "    model, adam = PartConfig('subclassed:Custom'), OptimizerConfig('adam', 0.01)\n"
        "    return TrainConfig(epochs=3, model=model, optimizer=adam)\n"
    )
    assert summary(run, f"--config={mine}")["eval"]["accuracy"] > 0.5
    assert trainer(f"--config={mine}", f"--workdir={run}", "--dry_run").code == 0
    exported = trainer("export", str(run), f"--config={mine}", f"--to={tmp_path / 'model'}")
    assert exported.code == 0, exported.stderr
    card = json.loads((tmp_path / "model" / "export.json").read_text())
    assert (card["input_shape"], card["output_shape"]) == ([8, 8, 1], [10])


def test_a_custom_scalar_loss_ends_in_one_line(tmp_path):
    mine = tmp_path / "mine.py"
    mine.write_text(SOURCE.read_text().replace(", axis=-1)\n\n\nclass Sign", ")\n\n\nclass Sign"))
    ended = trainer(f"--config={mine}", f"--workdir={tmp_path / 'run'}")
    assert ended.code == 78
    assert "the loss returned a scalar" in ended.last_line


def test_a_mistake_in_the_file_names_its_line(tmp_path):
    mine = tmp_path / "mine.py"
    mine.write_text("import keras\n\nkeras.layrs\n")
    ended = trainer(f"--config={mine}", f"--workdir={tmp_path / 'run'}")
    assert ended.code == 78
    assert "mine.py:3" in ended.last_line
