import re

import pytest

from vosbench.leaderboard.assemble import make_boards
from vosbench.leaderboard.bibtex import load_bibliography
from vosbench.leaderboard.latex import escape, latex


def tables(records, **more):
    return latex(make_boards(records, **more), load_bibliography())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("flow_threshold", r"flow\_threshold"),
        ("50 % & more #1 $", r"50 \% \& more \#1 \$"),
        (r"a\b{c}", r"a\textbackslash{}b\{c\}"),
        ("~^<>", r"\textasciitilde{}\textasciicircum{}\textless{}\textgreater{}"),
        ("two\nlines", "two lines"),
    ],
)
def test_names_and_remarks_cannot_be_commands(text, expected):
    assert escape(text) == expected


def test_best_in_bold_second_underlined_negative_with_a_minus_sign(make_record):
    values = {"good": 0.8, "mid_dle": 0.5, "bad": -0.2}
    text = tables([make_record(name, j=(value,), edition="mini") for name, value in values.items()])
    cells = [line.split(" & ")[2] for line in text.splitlines() if line.endswith(r"\\") and "1/1" in line]
    assert cells == [r"\textbf{80.0}", r"\underline{50.0}", "$-$20.0"]
    assert r"mid\_dle & " in text


def test_a_row_has_as_many_cells_as_its_table_has_columns(val_records, make_record, make_reported):
    text = tables([*val_records, make_record("other")], reported=[make_reported(0.7)])
    columns = re.search(r"\\begin\{tabular\}\{([lr]+)\}", text).group(1)
    body = text[text.index(r"\toprule") : text.index(r"\bottomrule")]
    rows = [line for line in body.splitlines() if line.endswith(r"\\")]
    assert len(rows) == 3
    assert {len(re.split(r"(?<!\\)&", row)) for row in rows} == {len(columns)}


def test_braces_and_environments_are_closed(val_records, make_reported):
    text = tables(val_records, reported=[make_reported(0.7, note="50 % {sic}")])
    plain = re.sub(r"\\[{}]", "", text)
    assert plain.count("{") == plain.count("}")
    opened, closed = (re.findall(rf"\\{word}\{{([a-z*]+)\}}", text) for word in ("begin", "end"))
    assert opened == ["table*", "tabular"]
    assert closed == opened[::-1]


def test_a_line_break_never_swallows_an_interval(make_record):
    records = [
        make_record(sequence=name, j=(j,), edition="mini") for name, j in (("a", 0.2), ("b", 0.4), ("c", 0.6))
    ]
    text = tables(records)
    assert r"40.0\,{\scriptsize [7.8, 84.1]}" in text
    # LaTeX takes brackets after \\ for an argument
    assert not re.search(r"\\\\\s*\[", text)


def test_rows_cite_their_papers(make_record):
    text = tables([make_record(), make_record("nobody")])
    assert r"mpnet (tiny)~\cite{tokmakov2019learning}" in text
    assert "nobody &" in text


def test_a_reason_for_a_difference_is_a_footnote(val_records, make_reported):
    text = tables(val_records, reported=[make_reported(0.7, split="trainval")])
    assert r"J\_mean 70.0 (Doe et al., table 3) & not comparable\textsuperscript{1} \\" in text
    assert r"\textsuperscript{1} published on trainval, measured on val" in text


def test_a_failure_and_a_miniature_say_what_they_are(make_record, make_failure):
    text = tables([make_record(edition="mini")], failures=[make_failure("bro_ken", error="no {flow}")])
    assert r"failed: bro\_ken on bear: no \{flow\}" in text
    assert "Rendered miniature scenes" in text
