"""All runs below a folder: where each stands, as a table and as a page."""

import json
import math
import os
import pathlib
import threading
import time
import urllib.error
import urllib.request

import numpy as np
import pytest
from PIL import Image, ImageChops

from common.exit_codes import ExitCode, RunError
from tests.processes import ROOT
from tests.report import browser
from tests.report.page_text import Page
from trainer import storage
from trainer.commands import runs
from trainer.report import found_runs, runs_page


def write_run(folder: pathlib.Path, rate: float, *, steps: int, done: bool = True) -> None:
    """A run of 100 steps that has reached `steps`, 10 steps/s of 8 examples."""
    folder.mkdir(parents=True)
    config = {"train_steps": 100, "epochs": 0, "global_batch_size": 8}
    config |= {"optimizer": {"name": "adam", "learning_rate": rate}}
    (folder / "config.json").write_text(json.dumps(config))
    lines = [
        {"step": s, "eval/loss": 1 / s, "eval/accuracy": rate * s, "examples_per_second": 80.0}
        for s in range(10, steps + 1, 10)
    ]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (folder / "goodput.json").write_text(json.dumps([{"ended": time.time()}]))
    if done:
        summary = {"step": steps, "status": "done", "eval": {}, "train": {}}
        (folder / "summary.json").write_text(json.dumps(summary))


def write_sweep(folder: pathlib.Path) -> None:
    """Twelve trials with curves that look like some; one goes on."""
    for index in range(12):
        rate, dropout = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2)[index // 2], 0.2 * (index % 2)
        write_run(trial := folder / f"trial-{index:02}", rate, steps=100, done=index != 11)
        config = json.loads((trial / "config.json").read_text())
        config["model"] = {"name": "cnn", "args": {"dropout": dropout}}
        (trial / "config.json").write_text(json.dumps(config))
        speed = math.exp(-((math.log10(rate) + 2.6) ** 2))
        lines = []
        for step in range(5, 101 if index != 11 else 61, 5):
            loss = 2.3 * math.exp(-step / 30 * speed) + 0.02 * math.sin(step * index) + 0.05
            numbers = {"loss": loss, "accuracy": 1 - loss / 2.4}
            kinds = ("train", "eval") if step % 20 == 0 else ("train",)
            line = {f"{kind}/{n}": v for kind in kinds for n, v in numbers.items()}
            lines.append({"step": step, "learning_rate": rate, "examples_per_second": 80.0, **line})
        (trial / "metrics.jsonl").write_text("".join(json.dumps(x) + "\n" for x in lines))


@pytest.fixture
def folder(tmp_path: pathlib.Path) -> pathlib.Path:
    write_run(tmp_path / "sweep" / "a", 0.001, steps=100)
    write_run(tmp_path / "sweep" / "b", 0.01, steps=100)
    write_run(tmp_path / "late", 0.1, steps=40, done=False)
    write_run(tmp_path / "dead", 0.1, steps=20, done=False)
    (tmp_path / "dead" / "goodput.json").write_text(json.dumps([{"ended": time.time() - 3600}]))
    return tmp_path


def found(folder: pathlib.Path) -> dict[str, found_runs.FoundRun]:
    return {run.files.name: run for run in found_runs.find(str(folder), folder)}


def test_every_run_is_found_with_where_it_stands(folder) -> None:
    seen = found(folder)
    states = {name: (run.state, run.step, run.total_steps) for name, run in seen.items()}
    assert states == {
        "sweep/a": ("done", 100, 100), "sweep/b": ("done", 100, 100),
        "late": ("running", 40, 100), "dead": ("stopped", 20, 100),
    }  # fmt: skip
    assert seen["late"].eta_secs == pytest.approx(6.0)  # 60 steps at 10 a second
    assert seen["dead"].eta_secs is None
    assert seen["sweep/b"].metric == ("eval/accuracy", 1.0)


def test_steps_of_a_run_that_counts_epochs_follow_from_its_log(folder) -> None:
    config = json.loads((folder / "late" / "config.json").read_text())
    config |= {"train_steps": 0, "epochs": 3}
    (folder / "late" / "config.json").write_text(json.dumps(config))
    with (folder / "late" / "metrics.jsonl").open("a") as file:
        file.write(json.dumps({"step": 40, "epoch": 0.8}) + "\n")
    assert found(folder)["late"].total_steps == 150


def test_the_table_names_what_is_swept(folder, capsys) -> None:
    runs.main([str(folder), f"--html={folder / 'new' / 'runs.html'}"])
    said = capsys.readouterr().out
    assert "sweep/b" in said
    assert "accuracy 1" in said
    page = Page((folder / "new" / "runs.html").read_text())
    assert "optimizer.learning_rate" in page.text
    assert page.references == []
    assert "input" in page.tags


@pytest.mark.parametrize("name", ["config.json", "metrics.jsonl", "summary.json", "goodput.json"])
@pytest.mark.parametrize("text", ["{", "[1]", '"x"', ""])
def test_a_damaged_run_hides_no_other(folder, name, text, capsys) -> None:
    (folder / "sweep" / "a" / name).write_text(text)
    runs.main([str(folder), f"--html={folder / 'runs.html'}"])
    assert "sweep/b" in capsys.readouterr().out


def test_runs_of_a_bucket_are_found_as_they_are_now(folder, tmp_path_factory) -> None:
    for file in folder.rglob("*"):
        if file.is_file():
            storage.upload(file, f"memory://bucket/runs/{file.relative_to(folder).as_posix()}")
    copies = tmp_path_factory.mktemp("copies")
    seen = {run.files.name: run for run in found_runs.find("memory://bucket/runs/", copies)}
    assert seen.keys() == found(folder).keys()
    assert (seen["late"].state, seen["late"].step) == ("running", 40)


def test_a_line_that_is_just_being_written_is_left_out(folder) -> None:
    with (folder / "late" / "metrics.jsonl").open("a") as file:
        file.write('{"step": 50, "eval/loss"')
    assert (found(folder)["late"].state, found(folder)["late"].step) == ("running", 40)


def test_a_folder_without_a_run_is_one_line(tmp_path) -> None:
    with pytest.raises(RunError, match=r"no config\.json below it") as raised:
        runs.main([str(tmp_path)])
    assert raised.value.code is ExitCode.BAD_FLAG


def test_what_is_served_is_what_the_files_say_now(folder) -> None:
    with runs.make_server(str(folder), 0) as server:
        assert server.server_address[0] == "127.0.0.1"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/"
        assert "late" in (before := urllib.request.urlopen(url).read().decode())
        write_run(folder / "newer", 0.2, steps=10)
        assert "newer" not in before
        assert "newer" in urllib.request.urlopen(url).read().decode()
        with pytest.raises(urllib.error.HTTPError, match="404"):
            urllib.request.urlopen(f"{url}sweep/a/config.json")
        with pytest.raises(RunError, match="--serve") as raised:
            runs.make_server(str(folder), server.server_port)
        assert raised.value.code is ExitCode.BAD_FLAG
        server.shutdown()


def test_a_name_cannot_break_the_page(folder) -> None:
    write_run(folder / "<script>x", 0.1, steps=10)
    text = runs_page.render(list(found(folder).values()))
    assert "<script>x" not in text


def test_the_page_opens_and_filters_in_a_browser(folder, chromium, tmp_path) -> None:
    page = tmp_path / "runs.html"
    text = runs_page.render(list(found(folder).values()))
    page.write_text(text.replace("box.value = decodeURIComponent(location.hash.slice(1))",
                                 'box.value = "sweep done"'))  # fmt: skip
    shown = browser.open_page(chromium, page, tmp_path / "runs.png")
    assert not shown.faults
    assert not shown.said
    rows = {name: f'<tr data-name="{name}" hidden' in shown.document for name in found(folder)}
    assert rows == {"sweep/a": False, "sweep/b": False, "late": True, "dead": True}


@pytest.mark.parametrize("width", [browser.WIDTH, 390])
def test_the_picture_of_the_docs_is_a_sweep(chromium, width, tmp_path) -> None:
    write_sweep(tmp_path / "sweep")
    page = tmp_path / "runs.html"
    page.write_text(runs_page.render(found_runs.find(str(tmp_path / "sweep"), tmp_path)))
    shown = browser.open_page(chromium, page, tmp_path / "runs.png", width)
    assert not shown.faults
    kept = ROOT / "docs" / "runs.png"
    if width != browser.WIDTH:
        return
    with Image.open(tmp_path / "runs.png") as picture:
        drawn = picture.convert("RGB")
    if os.environ.get("LOCKSTEP_WRITE_PICTURES"):
        drawn.save(kept, optimize=True)
    with Image.open(kept) as shown_in_docs:
        assert shown_in_docs.size == drawn.size
        assert np.mean(ImageChops.difference(drawn, shown_in_docs.convert("RGB"))) < 8
