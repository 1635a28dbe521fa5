"""The command line as a user meets it: status 2 and one line for every mistake, results otherwise."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

COMMAND = Path(sys.executable).parent / "vosbench"


@pytest.fixture
def refuse(run):
    """Run a command line that must fail as a user's mistake; return its one line."""

    def command(*words):
        status, out, err = run(*words)
        assert status == 2, (out, err)
        assert out == ""
        *waits, line = err.splitlines()
        assert line.startswith("vosbench: ")
        assert all(re.match(r"(comparing|predicting|preparing \w+): ", wait) for wait in waits), err
        return line

    return command


@pytest.fixture
def root(tmp_path, make_davis):
    return make_davis(tmp_path / "data")


@pytest.fixture
def results(tmp_path, root, write_results):
    return write_results(tmp_path / "masks", root, shift=5)


def score(results, *words):
    return ("score", results, "--dataset", "davis16", "--workers", 1, "--metrics", "j,f", *words)


def compare(*words):
    return ("compare", "--models", "all_foreground,centre_box", "--workers", 1, "--metrics", "j", *words)


def test_help_names_every_command():
    shown = subprocess.run([COMMAND, "--help"], capture_output=True, text=True, check=True).stdout
    commands = "fit predict score compare ablate doctor list leaderboard data flow weights"
    for name in commands.split():
        assert re.search(rf"^  {name} ", shown, re.MULTILINE)


def test_help_imports_nothing_heavy():
    # Half a second is promised for --help; numpy or torch alone would take it all.
    script = (
        "import sys; from vosbench import cli\n"
        "try: sys.argv = ['vosbench', '--help']; cli.main()\n"
        "except SystemExit: pass\n"
        "heavy = {'numpy', 'torch', 'cv2', 'PIL', 'hydra', 'rich', 'yaml'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", script], check=True, capture_output=True)


def test_score_prints_a_row_per_sequence_and_writes_json(run, root, results):
    status, out, _err = run(*score(results, "--json", "scores.json"))
    assert status == 0
    assert re.search(r"dog +0\.333", out)
    assert re.search(r"overall +0\.333", out)
    assert json.loads(Path("scores.json").read_text())["overall"]["J_mean"] == pytest.approx(5 / 15)


def test_score_writes_json_and_nothing_else_to_stdout(run, root, results):
    status, out, err = run(*score(results, "--json", "-"))
    assert status == 0
    assert json.loads(out)["overall"]["J_mean"] == pytest.approx(5 / 15)
    assert "overall" not in err
    status, out, err = run("score", results, results, "--dataset", "davis16", "--workers", 1, "--json", "-")
    assert json.loads(out)["first"] == json.loads(out)["second"]
    assert "note: B: T_mean: over" in err


def test_score_of_two_folders_says_how_sure_the_difference_is(run, root, results, tmp_path, write_results):
    perfect = write_results(tmp_path / "perfect", root)
    words = ("--dataset", "davis16", "--workers", 1, "--metrics", "j", "--json", "pair.json")
    status, out, err = run("score", perfect, results, *words)
    assert status == 0
    # the same gain everywhere has no spread, and so no interval
    assert re.search(r"J_mean +1\.000 +0\.333 +0\.667 +- +- +1\.000", out)
    assert "no interval: all 3 sequences have the same value" in err
    assert f"A: {perfect}" in out
    assert json.loads(Path("pair.json").read_text())["comparison"]["J_mean"]["win_probability"] == 1


def test_three_folders_are_too_many(refuse, root, results):
    assert "3 result folders" in refuse("score", results, results, results, "--dataset", "davis16")


def test_score_of_a_zip_of_soft_masks(run, tmp_path, root, write_results):
    folder = write_results(tmp_path / "soft", root, foreground=200)
    zipped = shutil.make_archive(tmp_path / "soft", "zip", folder)
    status, out, err = run(*score(zipped, "--threshold", 127))
    assert (status, "overall" in out) == (0, True)
    assert "127" in err


def test_doctor_finds_nothing_in_healthy_results(run, tmp_path, root, write_results):
    status, out, err = run("doctor", write_results(tmp_path / "near", root, shift=1), "--dataset", "davis16")
    assert (status, out) == (0, "")
    assert "no kinds of mistakes" in err


def test_doctor_names_sequence_count_and_fix(run, root, results):
    (results / "dog/00003.png").unlink()
    status, out, _err = run("doctor", results, "--dataset", "davis16")
    assert status == 1
    assert "in dog (1)" in out
    assert "--missing empty" in out


def test_compare_prints_the_table_and_leaves_records_and_a_page(run, root):
    status, out, _err = run(*compare("--data-root", root))
    assert status == 0
    assert "centre_box" in out
    assert len(list(Path("results/records").rglob("*.json"))) == 6
    assert "<table" in Path("results/leaderboard.html").read_text()
    again, table, summary = run(*compare("--data-root", root))
    assert (again, table) == (0, out)
    assert "6 kept" in summary


def test_a_dry_run_writes_nothing(run, root):
    status, _, err = run(*compare("--dry-run"))
    assert status == 0
    assert "6 planned" in err
    assert not Path("results").exists()


def test_predict_writes_a_mask_per_frame_and_an_overlay(run, root):
    folder = root / "davis16/JPEGImages/480p/dog"
    words = ("--model", "centre_box", "--out", "masks", "--overlay", "shown")
    status, _out, _ = run("predict", folder, *words)
    assert status == 0
    assert len(list(Path("masks/dog").glob("*.png"))) == 5
    assert len(list(Path("shown").rglob("0000*"))) == 5


def test_flow_of_another_program_is_read_from_a_folder(run, root, tmp_path):
    import numpy as np

    from vosbench.formats.flo import write_flo

    for sequence, frames in {"blackswan": 6, "dog": 5, "zebra": 5}.items():
        for t in range(frames - 1):
            flow = np.zeros((2, 32, 48), np.float32)
            flow[0, 10:20, 4 + 2 * t : 14 + 2 * t] = 2
            write_flo(tmp_path / "flow" / sequence / f"{t:05}.flo", flow)
    words = ("compare", "--models", "flow_threshold", "--workers", 1, "--metrics", "j", "--flow", "flow")
    _, out, _ = run(*words)
    assert re.search(r"flow_threshold +\| baseline +\| +100\.0 ", out)
    write_flo(tmp_path / "flow/dog/00000.flo", np.zeros((2, 32, 48), np.float32))
    _, _, summary = run(*words)
    assert "1 computed, 2 kept" in summary


def test_data_list_says_what_is_there(run, root):
    _, out, _ = run("data", "list")
    assert re.search(r"davis16 .* davis16 ", out)
    assert re.search(r"ft3d .* no", out)


def test_flow_is_computed_into_files_that_compare_reads(run, root):
    status, out, _ = run("flow", "compute", "davis16", "--estimator", "dis:fast", "--out", "flow")
    assert (status, out) == (0, "flow\n")
    assert len(list(Path("flow/dog").glob("*.flo"))) == 4
    status, _, _ = run(
        "compare", "--models", "flow_threshold", "--workers", 1, "--metrics", "j", "--flow", "flow"
    )
    assert status == 0


def test_verify_names_the_damage_and_ends_with_1(run, root):
    status, out, err = run("data", "verify", "davis16")
    assert status == 1
    # a folder of three sequences is no whole DAVIS 2016
    assert re.search(r"\b3\b.*\b20\b|\b20\b.*\b3\b", out)
    (root / "davis16/Annotations/480p/dog/00002.png").unlink()
    status, out, err = run("data", "verify", "davis16")
    assert (status, "dog/00002.png: missing" in out) == (1, True)
    assert "davis16 val: 2 damaged or missing files" in err


def test_prepare_counts_what_it_drops(run):
    from vosbench.data.mini import write_mini

    write_mini("ilsvrc_vid", Path("data"), scenes=1)
    words = ("data", "prepare", "fusionseg_vid", "--appearance", "centre_box", "--limit", 1)
    status, out, _ = run(*words)
    assert status == 0
    counts = dict(line.split() for line in out.splitlines())
    dropped = sum(int(counts[f"dropped_{why}"]) for why in ("overlap", "fill", "contrast"))
    assert int(counts["boxes"]) == int(counts["kept"]) + dropped > 0
    assert Path("data/fusionseg_vid/report.json").is_file()


class TestMistakes:
    def test_appearance_that_needs_flow(self, refuse):
        words = ("data", "prepare", "fusionseg_vid", "--appearance", "flow_threshold")
        assert "flow_threshold: needs flow; name a method that reads frames alone" in refuse(*words)

    def test_a_folder_of_masks_has_no_switches(self, refuse, root):
        Path("masks").mkdir()
        words = ("data", "prepare", "fusionseg_vid", "--appearance", "masks", "--set", "threshold=0.4")
        assert "takes no checkpoint and no switches" in refuse(*words)

    def test_flow_of_files_cannot_be_computed(self, refuse, root):
        Path("flow").mkdir()
        assert "nothing to compute" in refuse("flow", "compute", "davis16", "--estimator", "flow")

    def test_a_data_set_that_must_be_asked_for(self, refuse):
        assert "registration" in refuse("data", "download", "ytvos")

    def test_unknown_command(self, refuse):
        assert "Did you mean 'score'" in refuse("scroe")

    def test_unknown_option(self, refuse):
        assert "--nope" in refuse("compare", "--nope")

    def test_unknown_model(self, refuse, root):
        assert "did you mean mpnet" in refuse("compare", "--models", "mp-net", "--data-root", root)

    def test_unknown_data_set(self, refuse):
        assert "did you mean davis16" in refuse("score", ".", "--dataset", "davis-16")

    def test_unknown_key(self, refuse):
        assert "did you mean model.decoder_units" in refuse("fit", "model=mpnet", "model.decoder_unit=1")

    def test_unknown_model_to_train(self, refuse):
        assert "did you mean mpnet" in refuse("fit", "model=mpnt")

    def test_training_without_a_model(self, refuse):
        line = refuse("fit", "data=mini")
        assert "no model named: write model=" in line
        assert "model=mpnet" in line

    def test_training_without_data_names_both_ways_out(self, refuse):
        line = refuse("fit", "model=mpnet")
        assert "VOSBENCH_DATA" in line
        assert "data.edition=mini" in line

    def test_wrong_data_root(self, refuse, results):
        line = refuse(*score(results, "--data-root", "nowhere"))
        assert "nowhere/davis16" in line

    def test_missing_frame(self, refuse, results):
        (results / "dog/00003.png").unlink()
        line = refuse(*score(results))
        assert "dog" in line
        assert "00003" in line

    def test_truncated_mask(self, refuse, results):
        path = results / "dog/00003.png"
        path.write_bytes(path.read_bytes()[:40])
        assert "00003.png" in refuse(*score(results))

    def test_mask_of_another_size(self, refuse, results):
        from PIL import Image

        path = results / "dog/00003.png"
        Image.open(path).resize((24, 16), Image.Resampling.NEAREST).save(path)
        line = refuse(*score(results))
        assert "24x16" in line
        assert "48x32" in line

    def test_empty_results_folder(self, refuse, root):
        Path("empty").mkdir()
        assert "empty" in refuse(*score("empty"))

    def test_empty_frame_folder(self, refuse):
        Path("empty").mkdir()
        assert "empty" in refuse("predict", "empty", "--model", "centre_box", "--out", "masks")

    def test_a_video_that_cannot_be_decoded(self, refuse):
        Path("clip.mp4").write_bytes(b"not a video" * 100)
        assert "clip.mp4" in refuse("predict", "clip.mp4", "--model", "centre_box", "--out", "masks")
        assert not Path("masks").exists()

    def test_missing_input(self, refuse):
        assert "no such file" in refuse("predict", "absent.mp4", "--model", "centre_box", "--out", "masks")

    def test_unknown_flow_estimator(self, refuse, root):
        assert "unknown flow estimator 'diss': did you mean dis?" in refuse(*compare("--flow", "diss"))

    def test_a_checkpoint_that_is_none(self, refuse, root):
        Path("weights.ckpt").write_bytes(b"zip?")
        words = ("--model", "mpnet", "--out", "masks", "--checkpoint", "weights.ckpt")
        assert "weights.ckpt" in refuse("predict", root / "davis16/JPEGImages/480p/dog", *words)


def test_binary_masks_with_255_are_accepted_with_a_note(run, tmp_path, root, write_results):
    folder = write_results(tmp_path / "grey", root, foreground=255)
    status, _out, err = run(*score(folder))
    assert status == 0
    assert "0/255" in err


def test_networks_run_on_the_device_that_is_named(refuse, root):
    words = ("compare", "--models", "mpnet", "--datasets", "davis16", "--device", "cuda:99")
    assert "device 'cuda:99' is not available here" in refuse(*words)


def test_data_list_of_one_tells_layout_source_and_terms(run):
    _, out, _ = run("data", "list", "davis16")
    for key in ("layout", "licence", "citation", "url"):
        assert re.search(rf"^{key} +\S", out, re.MULTILINE)
    assert "folder    data/davis16" in out


def test_weights_list_names_what_they_were_trained_on(run):
    status, out, _ = run("weights", "list")
    assert status == 0
    assert re.search(r"mpnet +tiny +ft3d \(\d+ scenes\), mini edition +[0-9a-f]{64}", out)


def test_piped_tables_are_not_cut(run, root):
    _, out, _ = run("data", "list")
    assert "…" not in out


@pytest.mark.parametrize(
    ("out", "message"),
    [
        ("notes/dog", "notes/dog: cannot be written (a file is in the place of a folder)"),
        ("full", "holds other things than .png results"),
    ],
)
def test_a_bad_target_is_refused_before_a_network_is_built(root, tmp_path, out, message):
    (tmp_path / "notes").write_text("a file")
    (tmp_path / "full/dog").mkdir(parents=True)
    (tmp_path / "full/dog/notes.txt").write_text("not a mask")
    words = ["predict", str(root / "davis16/JPEGImages/480p/dog"), "--model", "mpnet", "--out", out]
    done = without_pytorch(words, tmp_path)
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_baseline_predicts_without_pytorch(root, tmp_path):
    words = ["predict", str(root / "davis16/JPEGImages/480p/dog"), "--model", "centre_box", "--out", "masks"]
    done = without_pytorch(words, tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines() == [
        "predicting: loading centre_box",
        "predicting: 0 of 5 after 0 s; dog",
    ]


def without_pytorch(words, folder):
    """Run a command in a process of its own, in which PyTorch cannot be imported."""
    script = (
        "import sys; sys.modules['torch'] = None; sys.modules['pytorch_lightning'] = None\n"
        f"sys.argv = ['vosbench', *{words!r}]\n"
        "from vosbench import cli; cli.main()"
    )
    return subprocess.run([sys.executable, "-c", script], cwd=folder, capture_output=True, text=True)
