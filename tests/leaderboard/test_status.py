import pytest

from vosbench.leaderboard.assemble import make_boards
from vosbench.leaderboard.status import Status, method_statuses, trained_weights

MINI = {"name": "mpnet", "size": "tiny", "sha256": "a" * 64, "training": {"data": {"edition": "mini"}}}
REAL = {"name": "mpnet", "size": "full", "sha256": "b" * 64, "training": {"data": {"edition": "official"}}}
ZOO = trained_weights([MINI, REAL])


@pytest.mark.parametrize(
    ("provenance", "kind"),
    [
        ({"weights": {"weights": "none"}}, "baseline"),
        ({"weights": {"sha256": "a" * 64}}, "smoke-trained"),
        ({"weights": {"sha256": "b" * 64}}, "trained"),
        ({"weights": {"sha256": "c" * 64}}, "implemented"),
        ({"weights": {"sha256": "c" * 64}, "training": {"data": {"edition": "mini"}}}, "smoke-trained"),
        ({"weights": {"sha256": "c" * 64}, "training": {"data": {"edition": "official"}}}, "trained"),
        ({"weights": {"sha256": "c" * 64, "released": [{"file": "x.pth"}]}}, "parity"),
        ({"masks": {"sha256": "d"}}, "masks scored"),
        ({"reported": {"title": "X", "source": "Doe"}}, "reported"),
        ({}, "implemented"),
    ],
)
def test_the_status_follows_from_the_records(make_record, provenance, kind):
    published = [make_record("other", provenance=provenance)] if kind == "reported" else []
    records = [make_record("other", provenance=provenance)] if kind != "reported" else [make_record()]
    (board,) = make_boards(records, published=published, zoo=ZOO)
    assert next(row for row in board.rows if row.model == "other").status.kind == kind


def test_a_row_of_several_weights_is_none_of_them(make_record):
    records = [
        make_record(sequence=name, provenance={"weights": {"sha256": letter * 64}})
        for name, letter in (("x", "a"), ("y", "b"))
    ]
    status = make_boards(records, zoo=ZOO)[0].rows[0].status
    assert status.kind == "implemented"
    assert "several weights" in status.evidence


@pytest.mark.parametrize(("value", "kind"), [(0.6, "matches paper"), (0.7, "trained")])
def test_reproducing_its_own_paper_is_the_last_step(val_records, make_reported, value, kind):
    for record in val_records:
        record.provenance["weights"] = {"sha256": "b" * 64}
    (board,) = make_boards(val_records, [make_reported(value)], zoo=ZOO)
    assert board.rows[0].status.kind == kind


def test_a_quoted_number_is_not_its_own_paper(val_records, make_reported):
    for record in val_records:
        record.provenance["weights"] = {"sha256": "b" * 64}
    (board,) = make_boards(val_records, [make_reported(0.6, own=False)], zoo=ZOO)
    assert board.rows[0].status.kind == "trained"


def test_every_method_is_listed_with_the_furthest_it_came():
    shown = {("mpnet", "full"): [Status("trained", "w"), Status("matches paper", "w")], ("stm", ""): []}
    found = method_statuses(["lvo", "mpnet"], ZOO, shown)
    assert [(each.name, each.size, each.status.kind) for each in found] == [
        ("lvo", "", "implemented"),
        ("mpnet", "full", "matches paper"),
        ("mpnet", "tiny", "smoke-trained"),
    ]
