import subprocess
import sys

from vosbench.evaluation import protocols, score


def test_the_face_of_the_package_scores_without_torch():
    code = """
import sys
import vosbench.evaluation
import vosbench.evaluation.score_results
assert callable(vosbench.evaluation.score)
assert [rules.id for rules in vosbench.evaluation.protocols("segtrack")] == ["segtrack-iou"]
sys.exit(bool({"torch", "scipy"} & sys.modules.keys()))
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_score_is_a_table_of_sequences_overall_and_interval(tmp_path, make_davis, write_results):
    root = make_davis(tmp_path / "data")
    # squares of width 10 that overlap by 5 columns
    folder = write_results(tmp_path / "shifted", root, shift=5)
    usual = protocols("davis16")[0].id
    scored = score(str(folder), "davis16", usual, data_root=str(root), metrics=("j", "f"), workers=1)
    header, rows = scored.table()
    assert header == [
        "sequence",
        *("J_mean", "J_recall", "J_decay"),
        *("F_mean", "F_recall", "F_decay"),
    ]
    assert [name for name, _ in rows] == [
        *("blackswan", "dog", "zebra"),
        "overall",
        *("95 % from", "95 % to"),
    ]
    values = dict(rows)
    assert values["dog"][:3] == [5 / 15, 0.0, 0.0]
    assert values["overall"] == list(scored.overall.values())
