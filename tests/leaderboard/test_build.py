import numpy as np
import pytest

from vosbench.errors import InputError
from vosbench.evaluation.record import record_path
from vosbench.leaderboard.build import build, write_report
from vosbench.video import Video

FILES = ["leaderboard.md", "leaderboard.html", "leaderboard.tex", "references.bib"]


def test_build_writes_the_same_files_from_the_same_records(store, val_records, make_reported, tmp_path):
    root = store("records", val_records)
    first = build(root, [make_reported()], [], tmp_path / "a")
    second = build(root, [make_reported()], [], tmp_path / "b")
    assert [path.name for path in first] == FILES
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]
    markdown, page, latex, bibtex = (path.read_text(encoding="utf-8") for path in first)
    assert all("mpnet (tiny)" in text for text in (markdown, page, latex))
    assert "@article{tokmakov2019learning," in bibtex


def test_methods_without_weights_are_in_the_table_of_methods(store, val_records, tmp_path):
    text = build(store("records", val_records), [], [], tmp_path)[0].read_text(encoding="utf-8")
    methods = text[text.index("## Methods of this project") :]
    assert "| stcnn " in methods


def test_records_that_are_not_there_are_an_error(tmp_path):
    with pytest.raises(InputError, match="no such folder"):
        build(tmp_path / "absent", [], [], tmp_path)


def test_a_comparison_gets_its_report_with_pictures(store, make_record, tmp_path):
    store("records", [make_record(edition="mini", frames=4)])
    frames = [np.zeros((8, 8, 3), np.uint8)] * 4
    video = Video("bear", frames, ("0", "1", "2", "3"), {1: np.ones((8, 8), np.uint8)})
    given = {"videos": {"davis16-mini": [video]}, "lengths": {("davis16-mini", "val"): 2}}
    written = write_report(tmp_path, **given)
    assert [path.name for path in written] == FILES
    assert "1/2" in written[0].read_text(encoding="utf-8")
    page = written[1].read_text(encoding="utf-8")
    plain = write_report(tmp_path, **given, pictures=False)[1].read_text(encoding="utf-8")
    assert len(plain) < len(page)


def test_a_report_tells_what_failed(store, make_record, make_failure, tmp_path):
    store("records", [make_record(edition="mini")])
    failure = make_failure("broken", error="RuntimeError: no")
    failure.write(record_path(tmp_path / "failures", "davis16-mini", failure.protocol, "broken", "bear"))
    markdown = write_report(tmp_path)[0].read_text(encoding="utf-8")
    assert "### Missing results\n\n* broken on bear: RuntimeError: no" in markdown
