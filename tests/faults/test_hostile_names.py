"""Names of others in tables, files and terminals: text, and nothing more."""

import csv
import io
import re
import tarfile
import zipfile

import pytest

from vosbench.cli.terminal import make_table, print_notes, print_table, progress_bar
from vosbench.data.download.archives import unpack
from vosbench.errors import InputError
from vosbench.evaluation.record import Record
from vosbench.leaderboard.assemble import make_boards
from vosbench.leaderboard.html.page import html
from vosbench.leaderboard.latex import latex
from vosbench.leaderboard.tables import markdown, markdown_table, plain
from vosbench.training.loggers import open_log

NAMES = (
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "![x](https://example.org/track.png)",
    "[x](javascript:alert(1))",
    "a|b\\|c\\\\|d",
    "}\\input{/etc/passwd}",
    "=1+1",
    "-rf",
    "é" * 150,
    "{0.__class__}",
)


@pytest.fixture
def boards(soak_program):
    content = soak_program("readers").sound_record()
    records = [
        Record(**content | {"model": name, "sequence": name, "dataset": name, "split": name, "size": ""})
        for name in NAMES
    ]
    return make_boards(records)


def cells(line):
    """Return the cells of a line of a table as GitHub cuts them: at pipes that no backslash escapes."""
    return re.findall(r"((?:\\.|[^|\\])*)\|", line.strip().removeprefix("|"))


def test_a_leaderboard_in_markdown_has_no_html_links_or_pictures_of_others(boards):
    text = markdown(boards, "title")
    assert set(re.findall(r"<[^>]*>", text)) <= {"<u>", "</u>"}
    assert "](" not in text
    assert "&lt;script>alert(1)&lt;/script>" in text


def test_the_cells_of_a_table_stay_the_cells_of_a_table():
    lines = markdown_table(["name", "J"], [[name, "1"] for name in NAMES], "lr").splitlines()
    assert [len(cells(line)) for line in lines] == [2] * len(lines)
    assert all(cells(line)[1].strip() == "1" for line in lines[2:])


def test_our_own_marks_stay_marks(make_table_of_three):
    text = markdown(make_table_of_three, "title")
    assert "**80.0**" in text
    assert "<u>50.0</u>" in text


@pytest.fixture
def make_table_of_three(soak_program):
    content = soak_program("readers").sound_record()
    return make_boards(
        [
            Record(**content | {"model": name, "edition": "mini", "values": {"J_mean": value}})
            for name, value in {"good": 0.8, "middle": 0.5, "bad": 0.2}.items()
        ]
    )


def test_text_is_one_line():
    assert plain("a\nb\r<c>[d](e)") == "a b &lt;c>[d]\\(e)"


def test_latex_and_the_page_hold_names_as_text(boards):
    text = latex(boards, {})
    assert "\\input{/etc" not in text
    assert not [label for label in re.findall(r"\\label\{([^}]*)\}", text) if re.search(r"[^\w.:+-]", label)]
    page = html(boards, "title")
    assert "<script>alert" not in page
    assert "<img src=x" not in page


def test_cells_of_a_csv_file_are_no_formulas(tmp_path):
    log = open_log("csv", tmp_path, "run")
    rows = [["=1+1", -0.5], ["+1", 1], ["-x", None], ["@SUM(A1)", "a=b"], ["\tx", "x"]]
    log.table("t", ["=name", "J"], rows)
    log.curves("c", {"=a": [-0.25]})
    log.close()
    with (tmp_path / "t.csv").open(newline="") as file:
        assert list(csv.reader(file)) == [
            *(["'=name", "J"], ["'=1+1", "-0.5"], ["'+1", "1"], ["'-x", ""], ["'@SUM(A1)", "a=b"]),
            ["'\tx", "x"],
        ]
    assert (tmp_path / "c.csv").read_text() == "index,'=a\n0,-0.25\n"


def test_a_terminal_shows_names_and_does_not_obey_them(capsys):
    table = make_table("title", ["name"])
    for name in ("[/x]", "[red]a[/red]", ":smile:", "\x1b[2J\x1b]0;owned\x07", "a\nb"):
        table.add_row(name)
    print_table(table)
    print_notes(["\x1b[31mred\nnext"])
    out, err = capsys.readouterr()
    for name in ("[/x]", "[red]a[/red]", ":smile:", "\\x1b[2J\\x1b]0;owned\\x07", "a b"):
        assert name in out
    assert "\x1b" not in out + err
    assert err == "note: \\x1b[31mred next\n"


def test_a_bar_shows_a_title_with_braces_and_brackets(monkeypatch):
    from rich.console import Console

    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=100)
    monkeypatch.setattr("rich.console.Console", lambda **_: console)
    with progress_bar("scoring {task.fields} [/x] {") as report:
        report(1, 2, "[/y] \x1b[2Jname {x}")
    assert "scoring {task.fields} [/x] {" in screen.getvalue()
    assert "\\x1b[2Jname" in screen.getvalue()


def test_a_message_is_one_bounded_line(run, tmp_path):
    name = "x" * 200 + "\x1b[2J"
    status, out, err = run("score", name, "--dataset", "davis16", "--data-root", tmp_path)
    assert (status, out) == (2, "")
    assert err.startswith("vosbench: ")
    assert "\x1b" not in err
    assert err.count("\n") == 1


def tar_of(path, members):
    with tarfile.open(path, "w") as archive:
        for name, content in members:
            member = tarfile.TarInfo(name)
            if isinstance(content, str):
                member.type, member.linkname = tarfile.SYMTYPE, content
                archive.addfile(member)
            else:
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
    return path


@pytest.mark.parametrize(
    "members",
    [
        [("a/x", b"1"), ("a/x", b"2")],
        [("a/x", b"1"), ("./a//x", b"2")],
        [("a/x", "y"), ("a/y", b"1"), ("a/x", b"2")],
        [("a/x", b"1"), ("a/x", "y"), ("a/y", b"2")],
        [("a/x", "y"), ("a/x", "z"), ("a/y", b"1"), ("a/z", b"1")],
    ],
    ids=["file file", "other spelling", "link file", "file link", "link link"],
)
def test_a_member_of_an_archive_is_there_once(tmp_path, members):
    with pytest.raises(InputError, match=r"a\.tar: its member 'a/x' is there twice; do not trust it"):
        unpack(tar_of(tmp_path / "a.tar", members), tmp_path / "out")
    assert not (tmp_path / "out" / "a").exists()


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_member_of_a_zip_is_there_once(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("a/x", b"1")
        archive.writestr("a/x", b"2")
    with pytest.raises(InputError, match=r"a\.zip: its member 'a/x' is there twice"):
        unpack(tmp_path / "a.zip", tmp_path / "out")


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_folders_may_repeat_and_names_may_be_strange(tmp_path):
    members = [("a b/-x", b"1"), ("é/日本", b"2"), ("x" * 100 + "/y", b"3")]
    unpack(tar_of(tmp_path / "a.tar", members), tmp_path / "out")
    assert (tmp_path / "out" / "é" / "日本").read_bytes() == b"2"
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as archive:
        archive.writestr("d/", "")
        archive.writestr("d/", "")
        archive.writestr("d/x", "1")
    unpack(tmp_path / "b.zip", tmp_path / "out")
    assert (tmp_path / "out" / "d" / "x").read_text() == "1"


def test_more_links_than_an_honest_archive_has(tmp_path):
    from vosbench.data.download.archives import Limits

    path = tar_of(tmp_path / "a.tar", [(f"x{number}", "y") for number in range(12)])
    with pytest.raises(InputError, match="more than 10 links; do not trust it"):
        unpack(path, tmp_path / "out", Limits(links=10))


def test_a_member_with_a_name_of_64_kib_is_one_short_line(tmp_path):
    path = tar_of(tmp_path / "a.tar", [("../" + "x" * 60_000, b"1")])
    with pytest.raises(InputError, match="would leave the folder") as raised:
        unpack(path, tmp_path / "out")
    assert len(str(raised.value)) < 500
