"""The page at the end of a run, and runs side by side."""

import html.parser
import io
import json
import os
import pathlib
import re
import tracemalloc
import types

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageChops
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from common.exit_codes import RunError
from tests.data.shards import FEATURES, record_offset, write_shards
from tests.docs import pages
from tests.processes import ROOT, SHORT, summary
from tests.report import browser
from trainer.commands import compare
from trainer.data.info import Feature
from trainer.report import examples, page, pictures
from trainer.report.run_files import read_run
from trainer.report.svg import line_chart, round_numbers

TOP = 1390
"""So much of the page, in pixels, is the picture of the docs."""
VOID = {"meta", "img", "br", "line", "circle", "polyline"}


class Page(html.parser.HTMLParser):
    """Text and references of a page; fails where tags are not closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.references: list[str] = []
        self.text = ""
        self.tags: list[str] = []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.references += [v for n, v in attrs if n in ("src", "href")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report") / "run"
    return folder, summary(folder, "--config=digits", *SHORT, "--config.seed=3")


def test_report_is_one_page_without_references(run) -> None:
    folder, ended = run
    text = (folder / "report.html").read_text()
    seen = Page(text)
    assert all(reference.startswith("data:image/png;base64,") for reference in seen.references)
    assert not re.search(r"https?://|@import|url\(", text)
    assert {"svg", "polyline", "img"} <= set(seen.tags)
    assert ended["state_digest"] in seen.text
    assert "python -m trainer" in seen.text
    assert "--config.seed=3" in seen.text
    assert "tensorflow" in seen.text
    assert str(ROOT) not in text  # a page that is sent on says nothing of the machine's folders


def test_confusion_matrix_counts_what_evaluation_counted(run) -> None:
    folder, ended = run
    (table,) = re.findall(
        r'<table class="confusion">(.*?)</table>', (folder / "report.html").read_text()
    )
    rows = [re.findall(r"<td[^>]*>(\d*)</td>", row) for row in table.split("</tr>")[1:-1]]
    matrix = [[int(cell or 0) for cell in row] for row in rows]
    right = sum(matrix[k][k] for k in range(10))
    assert sum(map(sum, matrix)) == 296
    assert right / 296 == pytest.approx(ended["eval"]["accuracy"])


def test_rows_of_the_confusion_matrix_are_true_classes() -> None:
    # Of three eights two are taken for a three; of two threes none for an eight.
    matrix = examples.count(np.array([8, 8, 8, 3, 3]), np.array([3, 3, 8, 3, 3]), 10)
    assert (matrix[8, 3], matrix[8, 8], matrix[3, 3], matrix[3, 8]) == (2, 1, 2, 0)
    assert matrix.sum() == 5


def test_a_bad_held_out_record_that_is_skipped_costs_no_report(tmp_path: pathlib.Path) -> None:
    pattern = write_shards(tmp_path / "data", [8])
    write_shards(tmp_path / "data", [6], "test")
    file = tmp_path / "data" / "test-0.tfrecord"
    data = bytearray(file.read_bytes())
    data[record_offset(file, 2) + 30] ^= 0x40
    file.write_bytes(data)
    options = {"name": pattern, "args": json.dumps({"features": FEATURES})}
    options |= {"skip_bad_records": "true"}
    fields = [f"--config.dataset.{name}={value}" for name, value in options.items()]
    fields += ["--config.global_batch_size=4", "--config.virtual_replicas=2"]
    fields += ["--config.model.name=mlp", "--config.model.args={}", "--config.augment=[]"]
    summary(tmp_path / "run", "--config=digits", *SHORT, *fields)
    seen = Page((tmp_path / "run" / "report.html").read_text()).text
    assert "Worst held-out examples" in seen
    assert "#4" in seen
    assert "#5" not in seen


def test_held_out_images_are_not_all_there_as_floats() -> None:
    images = np.arange(2048, dtype=np.uint32).astype(np.uint8)[:, None, None, None]
    images = np.broadcast_to(images, [2048, 32, 32, 3])
    task = types.SimpleNamespace(average=None, model=lambda x, **_: tf.reduce_mean(x, [1, 2]) * 255)
    tracemalloc.start()
    labels = np.zeros(2048, np.int64)
    judged = examples._judge(task, images, Feature((32, 32, 3), "uint8"), labels, 3)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    # Three equal logits: the loss is log(3) whatever they are.
    np.testing.assert_allclose(judged.losses, np.log(3), rtol=1e-4)
    assert peak < images.size / 2


def test_the_losses_of_the_examples_are_those_of_their_logits() -> None:
    logits = np.random.default_rng(0).normal(size=(130, 1, 1, 5)).astype(np.float32)
    labels = np.arange(130) % 5
    task = types.SimpleNamespace(average=None, model=lambda x, **_: x[:, 0, 0])
    judged = examples._judge(task, logits, Feature((1, 1, 5), "float32"), labels, 5)
    rows = logits[:, 0, 0].astype(np.float64)
    log_p = rows - np.log(np.exp(rows).sum(-1, keepdims=True))
    np.testing.assert_allclose(judged.losses, -log_p[np.arange(130), labels], rtol=1e-5)
    np.testing.assert_array_equal(judged.predicted, rows.argmax(-1))


def test_of_many_classes_the_most_frequent_confusions_are_listed() -> None:
    # 2^20 classes: their matrix would have 2^40 cells.
    labels = np.array([7, 7, 7, 2**20 - 1, 5, 5])
    predicted = np.array([9, 9, 7, 0, 5, 2])
    assert examples._most_frequent(labels, predicted) == [(7, 9, 2), (5, 2, 1), (2**20 - 1, 0, 1)]


@pytest.fixture(scope="module")
def chromium() -> str:
    if (found := browser.find()) is None:
        pytest.skip("NOT SHOWN: no browser is installed here")
    return found


def test_a_stub_in_the_place_of_a_browser_is_none(tmp_path: pathlib.Path, monkeypatch) -> None:
    for name, code in (("chromium-browser", 1), ("google-chrome", 0)):
        (tmp_path / name).write_text(f"#!/bin/sh\nexit {code}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert browser.find() == str(tmp_path / "google-chrome")


@pytest.mark.parametrize("width", [browser.WIDTH, 390])
def test_report_opens_in_a_browser_without_network(run, chromium, width, tmp_path) -> None:
    folder, ended = run
    shown = browser.open_page(chromium, folder / "report.html", tmp_path / "report.png", width)
    assert ended["state_digest"] in shown.document
    assert not shown.said
    assert not shown.faults
    with Image.open(tmp_path / "report.png") as image:
        colors = {color for _, color in image.convert("RGB").getcolors(1 << 24)}
    assert {(37, 99, 235), (217, 119, 6)} <= colors  # the curves of training and evaluation


def test_the_browser_sees_what_is_cut_off_or_missing(chromium, tmp_path: pathlib.Path) -> None:
    page_file = tmp_path / "bad.html"
    page_file.write_text(
        '<body><svg viewBox="0 0 100 20" width="100"><text x="90" y="9">too long</text></svg>'
        '<img src="data:image/png;base64,AAAA"><div style="width:9000px">-</div></body>'
    )
    shown = browser.open_page(chromium, page_file, tmp_path / "bad.png")
    assert shown.faults == ["cut off: too long", "no image", "wider than the window"]


@pytest.mark.slow
def test_the_picture_of_the_docs_is_this_page(chromium, tmp_path: pathlib.Path) -> None:
    # The command that the picture shows, in a folder of its own.
    done = pages.run("python -m trainer --config=digits --workdir=runs/digits", tmp_path)
    assert done.returncode == 0, done.stderr
    picture = tmp_path / "report.png"
    shown = browser.open_page(chromium, tmp_path / "runs/digits/report.html", picture)
    assert not shown.faults
    kept = ROOT / "docs" / "report.png"
    with Image.open(picture) as whole:
        top = whole.convert("RGB").crop((0, 0, browser.WIDTH, TOP))
    if os.environ.get("LOCKSTEP_WRITE_PICTURES"):
        top.save(kept, optimize=True)
    with Image.open(kept) as shown_in_docs:
        difference = ImageChops.difference(top, shown_in_docs.convert("RGB"))
    # The same layout; what is drawn and written differs with the processor and its load.
    assert np.mean(difference) < 8


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


def test_confusion_picture_shades_each_row_by_its_share() -> None:
    picture = pictures.confusion(np.array([[4, 0], [3, 1]]))
    blue = 255 - picture[2:52:26, 24:52:26, 0].astype(int)  # corners of the cells, without text
    share = blue / (0.8 * (255 - 37))
    np.testing.assert_allclose(share, [[1, 0], [0.75, 0.25]], atol=0.01)


def test_grid_keeps_the_order_of_the_images_and_enlarges_small_ones() -> None:
    images = np.arange(3, dtype=np.uint8).reshape(3, 1, 1, 1).repeat(8, 1).repeat(8, 2) * 100
    laid = pictures.grid(images)
    assert laid.shape == (2 * 49, 2 * 49, 1)
    assert laid[[0, 0, 49, 49], [0, 49, 0, 49], 0].tolist() == [0, 100, 200, 128]


def write_run(folder: pathlib.Path, rate: float, losses: list[float]) -> pathlib.Path:
    folder.mkdir()
    config = {"seed": 0, "optimizer": {"name": "adam", "learning_rate": rate}}
    (folder / "config.json").write_text(json.dumps(config))
    lines = [json.dumps({"step": i, "eval/loss": loss}) for i, loss in enumerate(losses)]
    (folder / "metrics.jsonl").write_text("\n".join(lines))
    return folder


def test_compare_says_what_differs_and_draws_every_run(tmp_path: pathlib.Path, capsys) -> None:
    one = write_run(tmp_path / "one", 0.1, [3.0, 2.0])
    two = write_run(tmp_path / "two", 0.2, [3.0, 1.5])
    compare.main([str(one), str(two), f"--html={tmp_path / 'both.html'}"])
    shown = capsys.readouterr().out
    assert re.search(r"optimizer.learning_rate +0.1 +0.2", shown)
    assert re.search(r"eval/loss +2 +1.5", shown)
    assert "seed" not in shown
    text = (tmp_path / "both.html").read_text()
    assert text.count("<polyline") == 2
    assert "two: held out" in Page(text).text


def test_what_only_the_third_run_changes_is_shown(tmp_path: pathlib.Path) -> None:
    rates = [("one", 0.1), ("two", 0.1), ("three", 0.3)]
    runs = [read_run(write_run(tmp_path / name, rate, [3.0])) for name, rate in rates]
    assert compare.differences(runs) == [("optimizer.learning_rate", "0.1", "0.1", "0.3")]


def test_runs_in_folders_of_one_name_are_told_apart(tmp_path: pathlib.Path, capsys) -> None:
    for name, losses in (("a", [3.0, 2.0]), ("b", [3.0, 1.5])):
        (tmp_path / name).mkdir()
        write_run(tmp_path / name / "run", 0.1, losses)
    runs = [str(tmp_path / name / "run") for name in "ab"]
    drawn = tmp_path / "new" / "both.html"
    compare.main([*runs, f"--html={drawn}"])
    assert drawn.read_text().count("<polyline") == 2
    assert all(f"{run}: held out" in Page(drawn.read_text()).text for run in runs)


def test_a_page_that_cannot_be_written_is_one_line(tmp_path: pathlib.Path) -> None:
    one = write_run(tmp_path / "one", 0.1, [3.0])
    with pytest.raises(RunError, match="--html") as caught:
        compare.main([str(one), f"--html={one / 'config.json' / 'x.html'}"])
    assert caught.value.code == 78


def test_a_run_that_goes_on_is_shown_as_running(tmp_path: pathlib.Path) -> None:
    rows = compare.results([read_run(write_run(tmp_path / "one", 0.1, [3.0]))])
    assert ("status", "running") in rows
    assert ("eval/loss", "3") in rows


def test_a_folder_without_a_run_is_named(tmp_path: pathlib.Path) -> None:
    with pytest.raises(RunError, match=r"config.json is missing"):
        read_run(tmp_path)


def test_names_cannot_break_the_page() -> None:
    text = page.document("<b>", [page.table([["<script>", {"a": "<i>"}]])])
    assert "<script>" not in text
    assert Page(text).text.count("<b>") == 2


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (0, 1, [0, 0.5, 1]),
        (47, 1408, [0, 500, 1000, 1500]),
        (0.767, 1.0, [0.7, 0.8, 0.9, 1.0]),
        (3, 3, [2.5, 3.0, 3.5]),
    ],
)
def test_axes_are_marked_with_round_numbers(low: float, high: float, ticks: list[float]) -> None:
    assert round_numbers(low, high) == pytest.approx(ticks)


def test_a_loss_is_drawn_by_its_powers_of_ten() -> None:
    drawn = line_chart("loss", {"a": [(0, 1.0), (1, 0.1), (2, 0.01)]}, log=True)
    (points,) = re.findall(r'points="([^"]*)"', drawn)
    first, second, third = (float(pair.partition(",")[2]) for pair in points.split())
    assert second - first == pytest.approx(third - second, abs=0.2)
    assert line_chart("loss", {"a": [(0, 1.0), (1, -0.1)]}, log=True).count("<polyline") == 1


def test_chart_leaves_out_what_is_not_finite() -> None:
    drawn = line_chart("loss", {"a": [(0, 1.0), (1, float("nan")), (2, 3.0)]})
    (points,) = re.findall(r'points="([^"]*)"', drawn)
    assert len(points.split()) == 2
    assert line_chart("loss", {"a": [(0, float("inf"))]}) == ""
