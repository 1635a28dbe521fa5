"""One mistake at a time in results that are otherwise good; good results have no finding."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vosbench.errors import InputError
from vosbench.evaluation import score
from vosbench.evaluation.doctor.diagnose import diagnose
from vosbench.evaluation.doctor.findings import Finding
from vosbench.formats.png import davis_palette, write_ids

SEQUENCES = {"blackswan": 8, "dog": 7, "zebra": 7}


@pytest.fixture
def root(tmp_path, make_davis):
    return make_davis(tmp_path / "data", SEQUENCES)


@pytest.fixture
def results(tmp_path, root, write_results):
    """Good results: the ground truth less its last column of pixels, 0/1."""
    folder = write_results(tmp_path / "results", root)
    change(folder, lambda ids: ids & np.roll(ids, 1, axis=1))
    return folder


def change(folder, convert, pattern="*/*.png"):
    files = sorted(folder.glob(pattern))
    for file in files:
        Image.fromarray(convert(np.asarray(Image.open(file)).copy())).save(file)
    return len(files)


def look(results, root, dataset="davis16", **options):
    return diagnose(results, dataset, data_root=root, **options)


def only(findings, sequence=None):
    """The one finding there is (of one sequence; the same in all of them)."""
    alike = {(item.problem, item.fix, item.severity) for item in findings}
    assert len(alike) == 1, findings
    assert {item.sequence for item in findings} == ({sequence} if sequence else set(SEQUENCES))
    return findings[0]


def test_good_results_have_no_finding(results, root):
    assert look(results, root) == []


@pytest.mark.parametrize("convert", [lambda ids: ids * 255, lambda ids: ids.astype(bool)])
def test_the_usual_forms_of_masks_are_good(results, root, convert):
    change(results, convert)
    assert look(results, root) == []


def test_poor_results_have_no_finding(results, root):
    """A box of the image's middle, a method far off: bad, but nothing to mend."""
    box = np.zeros((32, 48), np.uint8)
    box[8:24, 12:36] = 1
    change(results, lambda ids: box)
    assert look(results, root) == []


def test_few_empty_masks_are_the_method_s_own(tmp_path, make_davis, write_results):
    root = make_davis(tmp_path / "data", {"long": 41})
    results = write_results(tmp_path / "results", root, shift=1)
    change(results, lambda ids: ids * 0, "long/00007.png")
    assert look(results, root) == []


def test_every_file_is_opened_once(results, root, monkeypatch):
    opened = []
    original = Path.read_bytes
    monkeypatch.setattr(Path, "read_bytes", lambda self: opened.append(self) or original(self))
    plain = Path.open
    monkeypatch.setattr(
        Path, "open", lambda self, *args, **kw: opened.append(self) or plain(self, *args, **kw)
    )
    look(results, root)
    of_results = [path for path in opened if results in path.parents]
    assert len(of_results) == len(set(of_results)) == sum(SEQUENCES.values()) - 2 * len(SEQUENCES)


def test_progress_is_told_per_sequence(results, root):
    calls = []
    look(results, root, progress=lambda *call: calls.append(call))
    assert calls == [(1, 3, "blackswan"), (2, 3, "dog"), (3, 3, "zebra")]


def test_findings_are_sorted_by_sequence_and_number_of_frames(results, root):
    for sequence, frames in (("zebra", (1,)), ("dog", (2, 3))):
        for frame in frames:
            (results / sequence / f"{frame:05}.png").unlink()
    for frame in range(20, 24):
        shutil.copy(results / "dog/00000.png", results / f"dog/{frame:05}.png")
    found = [(finding.sequence, finding.count, finding.problem) for finding in look(results, root)]
    assert found == [("dog", 2, "missing frames"), ("dog", 4, "extra frames"), ("zebra", 1, "missing frames")]


# --- values ---------------------------------------------------------------------------------------


def test_soft_masks_need_a_threshold(results, root):
    ramp = np.linspace(0, 90, 48).astype(np.uint8)
    change(results, lambda ids: np.maximum(ids * 200, ramp))
    found = only(look(results, root))
    assert found.problem == "soft grey levels, neither 0/1 nor 0/255"
    assert found.fix == "vosbench score ... --threshold 127"
    assert found.count == 6
    score(results, "davis16", data_root=root, threshold=127, workers=1)


def test_palette_colours_as_grey_levels(results, root):
    def save_as_picture(ids):
        colours = Image.fromarray(ids)
        colours.putpalette(davis_palette().tobytes())
        return np.asarray(colours.convert("RGB").convert("L"))

    change(results, save_as_picture)
    found = only(look(results, root))
    assert "palette" in found.problem
    assert "--threshold 0" in found.fix
    assert "38 -> 1" in found.fix
    score(results, "davis16", data_root=root, threshold=0, workers=1)


def test_colour_images(results, root):
    change(results, lambda ids: np.repeat(ids[..., None] * 255, 3, axis=2))
    found = only(look(results, root))
    assert found.problem == "colour images (RGB) instead of ids"
    with pytest.raises(InputError, match="RGB"):
        score(results, "davis16", data_root=root, workers=1)
    for file in results.glob("*/*.png"):
        exec(found.fix, {"Image": Image, "file": file})
    assert look(results, root) == []


def reordered(objects, method):
    for file in objects.glob("*/*.png"):
        colours = Image.fromarray(davis_palette()[np.asarray(Image.open(file))])
        colours.quantize(method=method).save(file)


def test_a_palette_in_another_order_is_named(objects, davis17):
    reordered(objects, Image.Quantize.MEDIANCUT)
    [problem] = {item.problem for item in look17(objects, davis17)}
    assert problem == "palette in another order: read the ids of its DAVIS colours"
    assert {item.severity for item in look17(objects, davis17)} == {"warning"}
    assert score(objects, "davis17", data_root=davis17, workers=1).overall["J_mean"] > 0.8


def test_a_palette_that_may_be_in_another_order_is_refused_with_the_way_out(objects, davis17):
    reordered(objects, Image.Quantize.FASTOCTREE)
    with pytest.raises(InputError, match="has the DAVIS colour of id"):
        score(objects, "davis17", data_root=davis17, workers=1)
    found = look17(objects, davis17)
    assert {item.severity for item in found} == {"error"}
    [fix] = {item.fix for item in found}
    for file in objects.glob("*/*.png"):
        exec(fix.removeprefix("if the colours are right: ").rpartition("; ")[0], {"file": file})
    assert look17(objects, davis17) == []


def test_ids_of_another_year(results, root):
    change(results, lambda ids: ids * np.arange(1, 49, dtype=np.uint8).clip(max=3), "dog/*.png")
    found = only(look(results, root), "dog")
    assert "several object ids" in found.problem
    assert "--dataset davis17" in found.fix
    assert found.severity == "warning"


def test_sixteen_bit_masks(results, root):
    change(results, lambda ids: ids.astype(np.uint16) * 65535)
    found = only(look(results, root))
    assert "16 bits" in found.problem
    assert found.fix == "vosbench score ... --threshold 32767"
    score(results, "davis16", data_root=root, threshold=32767, workers=1)


def test_scores_in_arrays(results, root):
    for folder in [item for item in results.iterdir() if item.is_dir()]:
        masks = [np.asarray(Image.open(file)) for file in sorted(folder.iterdir())]
        np.save(results / f"{folder.name}.npy", np.stack(masks) * np.float32(0.8) + np.float32(0.1))
        shutil.rmtree(folder)
    found = only(look(results, root))
    assert "fractions" in found.problem
    assert found.fix == "vosbench score ... --threshold 0.5"
    score(results, "davis16", data_root=root, threshold=0.5, workers=1)


# --- names and files ------------------------------------------------------------------------------


def rename(folder, name):
    for file in sorted(folder.glob("*.png"), reverse=True):
        file.rename(file.with_name(name(int(file.stem)) + ".png"))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        (lambda t: f"{t + 1:05}", r"numbered \+1: '00001' to '00007' for '00000' to '00006'"),
        (lambda t: f"{t:03}", "numbered in another way: '000' for frame '00000'"),
        (lambda t: f"{t:05}_mask", "named '00000_mask' where the frame is '00000'"),
        (lambda t: f"frame_{t:05}", "named 'frame_00000' where the frame is '00000'"),
    ],
)
def test_other_names_are_found_and_stop_score(results, root, name, words):
    rename(results / "dog", name)
    found = only(look(results, root), "dog")
    assert found.count == 7
    assert "rename" in found.fix
    with pytest.raises(InputError, match=f"dog: masks are {words}; rename"):
        score(results, "davis16", data_root=root, workers=1)
    with pytest.raises(InputError, match="masks are n"):
        score(results, "davis16", data_root=root, workers=1, missing="empty")


def test_missing_frames(results, root):
    for t in (2, 4):
        (results / "dog" / f"{t:05}.png").unlink()
    found = only(look(results, root), "dog")
    assert (found.count, found.problem) == (2, "missing frames")
    assert "--missing empty" in found.fix
    score(results, "davis16", data_root=root, missing="empty", workers=1)


def test_missing_frames_that_do_not_count_are_no_mistake(results, root):
    for sequence in results.iterdir():
        sorted(sequence.iterdir())[-1].unlink()
    found = only(look(results, root))
    assert (found.count, found.severity) == (1, "warning")
    assert found.problem == "no mask of the last frame, which davis16-unsupervised does not evaluate"
    assert score(results, "davis16", data_root=root, workers=1).overall["J_mean"] == 0.9


def test_extra_frames(results, root):
    shutil.copy(results / "dog/00003.png", results / "dog/00009.png")
    found = only(look(results, root), "dog")
    assert (found.count, found.problem, found.severity) == (1, "extra frames", "warning")


def test_missing_sequence(results, root):
    shutil.rmtree(results / "zebra")
    found = only(look(results, root), "zebra")
    assert (found.count, found.problem) == (7, "no results for this sequence")
    assert "--sequences blackswan,dog" in found.fix
    assert look(results, root, sequences=["blackswan", "dog"]) == []


def test_another_split(tmp_path, results, root):
    (results / "zebra").rename(results / "bear")
    folder = root / "davis16"
    for kind in ("JPEGImages", "Annotations"):
        shutil.move(folder / kind / "480p/zebra", folder / kind / "480p/bear")
    listed = (folder / "ImageSets/480p/val.txt").read_text()
    train = [line.replace("zebra", "bear") for line in listed.splitlines() if "zebra" in line]
    (folder / "ImageSets/480p/train.txt").write_text("\n".join(train))
    (folder / "ImageSets/480p/val.txt").write_text(
        "\n".join(line for line in listed.splitlines() if "zebra" not in line)
    )
    shutil.rmtree(results / "dog")
    shutil.rmtree(results / "blackswan")
    [found] = look(results, root)
    assert found == Finding(
        1, "no sequence of split val, but 1 of split train", "vosbench score ... --split train"
    )
    assert look(results, root, split="train") == []


def test_truncated_file(results, root):
    file = results / "dog/00003.png"
    file.write_bytes(file.read_bytes()[:-30])
    found = only(look(results, root), "dog")
    assert found.count == 1
    assert "00003.png" in found.problem
    assert "copy or write it again" in found.fix


def test_mixed_formats(results, root):
    np.save(results / "dog.npy", np.zeros((7, 32, 48), bool))
    found = only(look(results, root), "dog")
    assert "several files or formats" in found.problem


def test_no_results_at_all_is_an_error(tmp_path, root):
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="holds none of the 3 sequences"):
        look(tmp_path / "empty", root)


# --- size -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("convert", "words", "fix"),
    [
        (lambda ids: ids[::2, ::2], r"24x16, the data set is 48x32, 0.5 times the size", "NEAREST"),
        (lambda ids: ids.T, r"32x48, the data set is 48x32, height and width are swapped", "mask.T"),
        (lambda ids: np.pad(ids, 1), r"50x34, the data set is 48x32", "NEAREST"),
    ],
)
def test_wrong_resolution(results, root, convert, words, fix):
    change(results, lambda ids: np.ascontiguousarray(convert(ids)))
    found = only(look(results, root))
    assert words in found.problem
    assert fix in found.fix
    assert found.count == 6
    with pytest.raises(InputError, match="masks are never resized"):
        score(results, "davis16", data_root=root, workers=1)


# --- content --------------------------------------------------------------------------------------


def test_inverted_masks(results, root):
    change(results, lambda ids: 1 - ids)
    found = only(look(results, root))
    assert found.problem.startswith("inverted")
    assert found.severity == "error"


def test_one_inverted_sequence_of_many_may_be_the_method(results, root):
    change(results, lambda ids: 1 - ids, "dog/*.png")
    assert only(look(results, root), "dog").severity == "warning"


@pytest.mark.parametrize(("step", "word"), [(1, "next"), (-1, "previous")])
def test_content_shifted_by_one_frame(results, root, step, word):
    for folder in results.iterdir():
        masks = [np.asarray(Image.open(file)) for file in sorted(folder.iterdir())]
        for t in range(len(masks)):
            source = min(max(t + step, 0), len(masks) - 1)
            Image.fromarray(masks[source]).save(folder / f"{t:05}.png")
    found = only(look(results, root))
    assert found.problem == f"shifted by one frame: masks agree with the ground truth of the {word} frame"


def test_a_still_object_is_not_shifted(tmp_path, make_davis, write_results):
    """Masks that fit neighbours as well as their own frame say nothing."""
    root = make_davis(tmp_path / "data", {"still": 9})
    folder = root / "davis16/Annotations/480p/still"
    for t in range(1, 9):
        shutil.copy(folder / "00000.png", folder / f"{t:05}.png")
    results = write_results(tmp_path / "results", root, shift=2)
    assert look(results, root) == []


def test_all_masks_empty(results, root):
    change(results, lambda ids: ids * 0)
    found = only(look(results, root))
    assert (found.problem, found.count, found.severity) == ("every mask is empty", 6, "error")


def test_some_masks_empty(results, root):
    change(results, lambda ids: ids * 0, "dog/0000[23].png")
    found = only(look(results, root), "dog")
    assert found.problem == "empty masks where the ground truth has an object"
    assert (found.count, found.severity) == (2, "warning")


def test_full_masks(results, root):
    change(results, lambda ids: ids * 0 + 1)
    assert only(look(results, root)).problem == "masks cover the whole frame"


def test_the_ground_truth_itself(tmp_path, root, write_results):
    results = write_results(tmp_path / "copy", root, foreground=255)
    found = only(look(results, root))
    assert "identical to the ground truth" in found.problem
    assert found.count == 6


def test_a_given_first_frame_is_no_copy(results, root):
    shutil.copy(root / "davis16/Annotations/480p/dog/00000.png", results / "dog/00000.png")
    assert look(results, root, protocol="davis16-semi-supervised") == []


# --- objects told apart ---------------------------------------------------------------------------


def truth(t):
    """Two objects, 8 x 10 each, moving to the right."""
    ids = np.zeros((32, 48), np.uint8)
    ids[4:12, 4 + t : 14 + t] = 1
    ids[20:28, 10 + 2 * t : 20 + 2 * t] = 2
    return ids


@pytest.fixture
def davis17(tmp_path):
    folder = tmp_path / "data17/davis17"
    for name in ("bear", "cow"):
        for t in range(8):
            for masks in ("Annotations", "Annotations_unsupervised"):
                write_ids(folder / f"{masks}/480p/{name}/{t:05}.png", truth(t))
            frame = folder / f"JPEGImages/480p/{name}/{t:05}.jpg"
            frame.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (48, 32)).save(frame)
    (folder / "ImageSets/2017").mkdir(parents=True)
    (folder / "ImageSets/2017/val.txt").write_text("bear\ncow\n")
    return folder.parent


@pytest.fixture
def objects(tmp_path, davis17):
    folder = tmp_path / "results17"
    for name in ("bear", "cow"):
        for t in range(8):
            ids = truth(t)
            write_ids(folder / name / f"{t:05}.png", ids * (np.roll(ids, 1, axis=1) == ids))
    return folder


def look17(results, root, convert=None, **options):
    if convert is not None:
        change(results, convert, "bear/*.png")
    return diagnose(results, "davis17", data_root=root, **options)


def test_good_ids_have_no_finding(objects, davis17):
    assert look17(objects, davis17) == []
    assert look17(objects, davis17, protocol="davis17-unsupervised") == []


@pytest.mark.parametrize(
    ("convert", "problem", "fix"),
    [
        (lambda ids: (ids > 0) * np.uint8(255), "0/255 masks", "mask // 255"),
        (lambda ids: (ids > 0).astype(np.uint8), "one merged mask", "--dataset davis16"),
        (lambda ids: ids * np.uint8(127), "ids multiplied", "mask // 127"),
        (lambda ids: np.array([0, 128, 255], np.uint8)[ids], "ids stretched to 0..255", "127.5"),
        (lambda ids: np.array([0, 38, 75], np.uint8)[ids], "palette", "38 -> 1, 75 -> 2"),
        (lambda ids: np.array([0, 2, 1], np.uint8)[ids], "ids swapped", "1 -> 2, 2 -> 1"),
        (lambda ids: np.where(ids == 2, 255, ids).astype(np.uint8), "id 255 is predicted", "ids == 255"),
        (lambda ids: np.where(ids == 2, 9, ids).astype(np.uint8), "ids beyond", "first ground-truth frame"),
    ],
)
def test_mistakes_with_ids(objects, davis17, convert, problem, fix):
    [found] = look17(objects, davis17, convert)
    assert found.sequence == "bear"
    assert problem in found.problem
    assert fix in found.fix
    assert found.count in (6, 8)
    assert found.severity == "error"


def test_proposals_may_be_numbered_at_will(objects, davis17):
    def swap(ids):
        return np.array([0, 2, 1], np.uint8)[ids]

    assert look17(objects, davis17, swap, protocol="davis17-unsupervised") == []


def test_a_late_confusion_is_the_method_s_own(tmp_path, objects, davis17):
    for t in range(4, 8):
        change(objects, lambda ids: np.array([0, 2, 1], np.uint8)[ids], f"bear/{t:05}.png")
    assert look17(objects, davis17) == []


# --- other sources --------------------------------------------------------------------------------


def test_a_zip_is_looked_at_in_place(tmp_path, results, root):
    change(results, lambda ids: 1 - ids)
    archive = shutil.make_archive(str(tmp_path / "packed"), "zip", results)
    before = sorted(tmp_path.rglob("*"))
    assert only(look(Path(archive), root)).problem.startswith("inverted")
    assert sorted(tmp_path.rglob("*")) == before


def test_torch_is_not_imported():
    code = "import sys, vosbench.evaluation.doctor.diagnose; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.real_data
def test_published_masks_are_healthy(real_data):
    root = real_data("davis16_results/STM")
    assert look(root / "davis16_results/STM", root) == []
    assert look(root / "davis16_results/STM", root, protocol="davis16-semi-supervised") == []


def test_sparse_tracks_under_another_measure(results, root):
    shutil.rmtree(results / "dog")
    (results / "dog.dat").write_text("7\n1\n1\n1\n3 3 2\n")
    found = only(look(results, root), "dog")
    assert "protocol davis16-unsupervised needs a prediction for every pixel" in found.problem
    assert found.fix == "write dense masks, or score with protocol fbms-official"


def test_detections_are_not_looked_at(results, root):
    with pytest.raises(InputError, match="takes detections"):
        look(results, root, "davis17", protocol="davis16-map50")
