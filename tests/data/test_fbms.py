import numpy as np
import pytest
from PIL import Image

from vosbench.data import open_dataset
from vosbench.data.mini import write_mini
from vosbench.data.verify import verify
from vosbench.errors import InputError
from vosbench.formats.fbms import Definition, LabelledFrame, write_definition
from vosbench.formats.image import write_frame
from vosbench.formats.pnm import write_pnm

COLOURS = {0: (255, 255, 255), 1: (0, 255, 255), 2: (255, 0, 255)}
SCALES = (16777215, 65535, 16711935)


def coloured(ids):
    return np.array([[COLOURS[i] for i in row] for row in ids], np.uint8)


def write_frames(folder, stems):
    for stem in stems:
        write_frame(folder / f"{stem}.jpg", np.zeros((2, 3, 3), np.uint8))


@pytest.fixture
def root(tmp_path):
    """cats: five frames numbered from 7, two labelled in colours; cars1: grey maps of two frames."""
    cats = tmp_path / "fbms/Testset/cats"
    write_frames(cats, [f"cats_{n:04d}" for n in range(7, 12)])
    maps = {0: [[0, 0, 1], [0, 2, 1]], 4: [[1, 1, 0], [2, 0, 0]]}
    labelled = []
    for number, ids in maps.items():
        name = f"cats_{number + 7:04d}_gt.ppm"
        write_pnm(cats / "GroundTruth" / name, coloured(ids))
        labelled.append(LabelledFrame(number, name, f"cats_{number + 7:04d}.ppm"))
    write_definition(cats / "GroundTruth/catsDef.dat", Definition(SCALES, 5, tuple(labelled)))
    cars = tmp_path / "fbms/Testset/cars1"
    write_frames(cars, ["cars1_01", "cars1_02"])
    write_pnm(cars / "GroundTruth/cars1_02.pgm", np.array([[0, 255, 7], [0, 0, 0]], np.uint8))
    write_definition(
        cars / "GroundTruth/cars1Def.dat",
        Definition((0, 255), 2, (LabelledFrame(1, "cars1_02.pgm", "cars1_02.ppm"),)),
    )
    return tmp_path


def test_probabilities_are_not_taken_for_labels_where_the_definition_is_lost(tmp_path):
    folder = write_mini("fbms", tmp_path, scenes=1, frames=6, size=(36, 64))
    lost = next(folder.glob("Testset/*/GroundTruth/*Def.dat"))
    lost.unlink()
    with pytest.raises(InputError, match=r"GroundTruth: no definition file \*Def\.dat and no label maps"):
        open_dataset("fbms", tmp_path)
    assert [damage.path for damage in verify("fbms", tmp_path)] == [lost]


def test_regions_of_sparse_frames_whose_numbers_do_not_start_at_zero(root):
    dataset = open_dataset("fbms", root)
    assert [video.name for video in dataset] == ["cars1", "cats"]
    assert (dataset.split, dataset.label) == ("test", "fbms")
    video = dataset[1]
    assert video.frame_names[0] == "cats_0007"
    assert len(video) == 5
    assert list(video.annotations) == [0, 4]
    assert video.annotations[0].tolist() == [[0, 0, 1], [0, 2, 1]]
    assert video.annotations[4].tolist() == [[1, 1, 0], [2, 0, 0]]
    assert video.annotations[4].dtype == np.uint8


def test_grey_maps_and_unlisted_values(root):
    video = open_dataset("fbms", root)[0]
    assert {index: ids.tolist() for index, ids in video.annotations.items()} == {1: [[0, 1, 255], [0, 0, 0]]}


def test_probability_zero_is_void_unless_told_otherwise(root):
    weights = np.array([[255, 128, 0], [255, 255, 255]], np.uint8)
    write_pnm(root / "fbms/Testset/cats/GroundTruth/cats_0007_gt.pgm", weights)
    assert open_dataset("fbms", root)[1].annotations[0].tolist() == [[0, 0, 255], [0, 2, 1]]
    dataset = open_dataset("fbms", root, probabilities=False)
    assert dataset[1].annotations[0].tolist() == [[0, 0, 1], [0, 2, 1]]


@pytest.mark.parametrize("spelling", ["TestSet", "testset"])
def test_the_split_folder_in_any_case(root, spelling):
    (root / "fbms/Testset").rename(root / "fbms" / spelling)
    assert len(open_dataset("fbms", root)) == 2


def test_frame_names_count_where_frames_are_missing(root):
    (root / "fbms/Testset/cats/cats_0008.jpg").unlink()
    video = open_dataset("fbms", root)[1]
    assert list(video.annotations) == [0, 3]
    assert video.frame_names[3] == "cats_0011"
    (root / "fbms/Testset/cats/cats_0011.jpg").unlink()
    with pytest.raises(
        InputError, match=r"labels frame 4 \(cats_0011\.ppm\) of 5, .* not among the 3 frames"
    ):
        open_dataset("fbms", root)


def test_a_labelled_frame_beyond_the_end(root):
    truth = root / "fbms/Testset/cars1/GroundTruth"
    labelled = (LabelledFrame(2, "cars1_02.pgm", "cars1_02.ppm"),)
    write_definition(truth / "cars1Def.dat", Definition((0, 255), 2, labelled))
    with pytest.raises(InputError, match=r"cars1Def\.dat: labels frame 2 .* not among the 2 frames"):
        open_dataset("fbms", root)


def test_two_maps_for_one_frame_name(root):
    truth = root / "fbms/Testset/cars1/GroundTruth"
    labelled = tuple(LabelledFrame(n, "cars1_02.pgm", "cars1_02.ppm") for n in (1, 2))
    write_definition(truth / "cars1Def.dat", Definition((0, 255), 9, labelled))
    with pytest.raises(InputError, match=r"frame cars1_02\.jpg has a second map"):
        open_dataset("fbms", root)


def test_opening_decodes_no_map(root):
    (root / "fbms/Testset/cats/GroundTruth/cats_0011_gt.ppm").write_bytes(b"broken")
    video = open_dataset("fbms", root)[1]
    assert video.annotations[0].shape == (2, 3)
    with pytest.raises(InputError, match=r"cats_0011_gt\.ppm: not a binary PGM or PPM"):
        video.annotations[4]


def test_a_map_of_another_size(root):
    write_pnm(root / "fbms/Testset/cats/GroundTruth/cats_0011_gt.ppm", coloured([[0, 0, 0, 1]] * 2))
    with pytest.raises(
        InputError, match=r"cats_0011_gt\.ppm: 4x2 pixels, but its frame .*cats_0011\.jpg is 3x2"
    ):
        open_dataset("fbms", root)[1].annotations[4]


def test_a_missing_map(root):
    (root / "fbms/Testset/cats/GroundTruth/cats_0011_gt.ppm").unlink()
    with pytest.raises(InputError, match=r"catsDef\.dat: names cats_0011_gt\.ppm, which is not beside it"):
        open_dataset("fbms", root)


def test_a_truncated_definition(root):
    path = root / "fbms/Testset/cats/GroundTruth/catsDef.dat"
    path.write_text(path.read_text()[:200])
    with pytest.raises(InputError, match=r"catsDef\.dat: truncated"):
        open_dataset("fbms", root)


def test_missing_and_double_definitions(root):
    truth = root / "fbms/Testset/cats/GroundTruth"
    (truth / "otherDef.dat").write_text("x")
    with pytest.raises(InputError, match="2 definition files"):
        open_dataset("fbms", root)
    (truth / "otherDef.dat").unlink()
    (truth / "catsDef.dat").unlink()
    with pytest.raises(
        InputError, match=r"GroundTruth: no definition file \*Def\.dat and no label maps; unpack"
    ):
        open_dataset("fbms", root)


def test_a_definition_without_labelled_frames(root):
    write_definition(root / "fbms/Testset/cats/GroundTruth/catsDef.dat", Definition(SCALES, 5, ()))
    with pytest.raises(InputError, match="no labelled frames"):
        open_dataset("fbms", root)


def test_a_sequence_without_frames(root):
    for path in (root / "fbms/Testset/cars1").glob("*.jpg"):
        path.unlink()
    with pytest.raises(InputError, match="cars1: sequence without frames"):
        open_dataset("fbms", root)


def test_wrong_layouts(root, tmp_path):
    with pytest.raises(InputError, match="fbms: no folder 'Trainingset'; unpack that part"):
        open_dataset("fbms", root, "train")
    with pytest.raises(InputError, match="unknown split of fbms 'tset': did you mean test"):
        open_dataset("fbms", root, "tset")
    with pytest.raises(InputError, match="unknown labels of fbms 'static'"):
        open_dataset("fbms", root, labels="static")
    (root / "fbms").rename(root / "FBMS_Testset")
    with pytest.raises(InputError, match="FBMS_Testset has Testset: to read it as fbms"):
        open_dataset("fbms", root)
    (tmp_path / "fbms/Testset").mkdir(parents=True)
    with pytest.raises(InputError, match="no folders of sequences"):
        open_dataset("fbms", tmp_path)


def write_labels(folder, **maps):
    folder.mkdir(parents=True, exist_ok=True)
    for stem, values in maps.items():
        Image.fromarray(np.array(values, np.uint8)).save(folder / f"{stem.removeprefix('n')}.png")


def moving(root):
    return root / "fbms/FBMS-3D/Testset/cats/GroundTruth"


def test_moving_labels_share_ids_over_the_frames_and_leave_out_other_sequences(root):
    write_labels(moving(root), n007_gt=[[0, 90, 90], [0, 0, 40]], n009_gt=[[0, 90, 90], [0, 0, 255]])
    dataset = open_dataset("fbms", root, labels="moving")
    assert [video.name for video in dataset] == ["cats"]
    video = dataset[0]
    assert list(video.annotations) == [0, 2]
    assert video.annotations[0].tolist() == [[0, 2, 2], [0, 0, 1]]
    assert video.annotations[2].tolist() == [[0, 2, 2], [0, 0, 255]]


def test_white_alone_is_an_object(root):
    write_labels(moving(root), n008_gt=[[0, 255, 255], [0, 0, 0]])
    video = open_dataset("fbms", root, labels="moving")[0]
    assert video.annotations[1].tolist() == [[0, 1, 1], [0, 0, 0]]


@pytest.mark.parametrize(("first", "stems"), [(1, ("001_gt", "005_gt")), (0, ("000_gt", "004_gt"))])
def test_numbers_that_are_no_frame_numbers_are_positions(root, first, stems):
    write_labels(moving(root), **{f"n{stem}": [[0, 1, 1], [0, 0, 0]] for stem in stems})
    assert list(open_dataset("fbms", root, labels="moving")[0].annotations) == [0, 4]


def test_numbers_that_fit_no_frames(root):
    write_labels(moving(root), n001_gt=np.zeros((2, 3)), n099_gt=np.zeros((2, 3)))
    with pytest.raises(InputError, match="label maps number 1 to 99 do not fit the 5 frames"):
        open_dataset("fbms", root, labels="moving")


def test_label_maps_need_distinct_numbers(root):
    write_labels(moving(root), n007_gt=np.zeros((2, 3)), n7=np.zeros((2, 3)))
    with pytest.raises(InputError, match="has the same number as"):
        open_dataset("fbms", root, labels="moving")
    (moving(root) / "7.png").rename(moving(root) / "mask.png")
    with pytest.raises(InputError, match=r"mask\.png: no frame number in its name"):
        open_dataset("fbms", root, labels="moving")


def test_missing_moving_labels(root):
    with pytest.raises(InputError, match=r"FBMS-3D: no folder 'Testset' with the moving-only labels"):
        open_dataset("fbms", root, labels="moving")
    moving(root).mkdir(parents=True)
    with pytest.raises(InputError, match="GroundTruth: no label maps"):
        open_dataset("fbms", root, labels="moving")


def test_too_many_labels_are_no_labels(root):
    noise = np.random.default_rng(0).integers(0, 255, (20, 40, 3))
    write_labels(moving(root), n007_gt=noise)
    with pytest.raises(InputError, match="different labels in its maps; was one saved as JPEG"):
        open_dataset("fbms", root, labels="moving")[0].annotations[0]


def test_official_folders_may_hold_label_maps_instead_of_a_definition(root):
    truth = root / "fbms/Testset/cats/GroundTruth"
    for path in truth.iterdir():
        path.unlink()
    write_labels(truth, cats_0011_gt=[[0, 5, 5], [0, 0, 0]])
    video = open_dataset("fbms", root)[1]
    assert {i: ids.tolist() for i, ids in video.annotations.items()} == {4: [[0, 1, 1], [0, 0, 0]]}
