"""The page at the end of a run."""

import json
import os
import pathlib
import re

import numpy as np
import pytest
from PIL import Image, ImageChops

from tests.data.shards import FEATURES, record_offset, write_shards
from tests.docs import pages
from tests.processes import ROOT, SHORT, summary
from tests.report import browser
from tests.report.page_text import Page
from trainer.report import page

TOP = 1390
"""So much of the page, in pixels, is the picture of the docs."""


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
    assert ended["certificate"]["config"] in seen.text
    assert ended["certificate"]["state"] == ended["state_digest"]
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


def test_names_cannot_break_the_page() -> None:
    text = page.document("<b>", [page.table([["<script>", {"a": "<i>"}]])])
    assert "<script>" not in text
    assert Page(text).text.count("<b>") == 2
