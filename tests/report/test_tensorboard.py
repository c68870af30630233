"""What TensorBoard is given to show."""

import io
import pathlib

import numpy as np
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tests.processes import summary


def board(folder: pathlib.Path) -> dict[str, list]:
    events = EventAccumulator(str(folder / "tensorboard"), size_guidance={"tensors": 0}).Reload()
    return {tag: events.Tensors(tag) for tag in events.Tags()["tensors"]}


def drawn(event) -> np.ndarray:
    """Return the picture of an event: [height, width, channels]; a summary holds size and PNG."""
    _, _, encoded = event.tensor_proto.string_val
    with Image.open(io.BytesIO(encoded)) as image:
        return np.asarray(image)


def test_tensorboard_has_scalars_and_the_pictures_of_a_classifier(run) -> None:
    events = board(run[0])
    assert {"time/step_ms_p50", "time/data_ms", "time/host_ms"} <= set(events)
    assert {"learning_rate", "train/gradient_norm", "eval/accuracy", "seconds/step"} <= set(events)
    assert drawn(events["confusion"][-1]).shape == (260, 260, 3)
    assert drawn(events["worst"][-1]).shape == (4 * 49, 4 * 49)


def test_a_gan_shows_its_drawings_at_every_evaluation(tmp_path: pathlib.Path) -> None:
    length = ["--config.train_steps=2", "--config.eval_every_steps=1"]
    summary(tmp_path, "--config=digits_gan", *length, "--config.eval_before_training=true")
    samples = board(tmp_path)["samples"]
    assert [event.step for event in samples] == [0, 1, 2]
    first, *_, last = map(drawn, samples)
    assert first.shape == last.shape == (8 * 49, 8 * 49)
    assert (first != last).any()
    assert "<h2>Samples</h2>\n<img" in (tmp_path / "report.html").read_text()
