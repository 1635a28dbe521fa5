import numpy as np
import pytest
import torch
from PIL import Image

from vosbench.errors import InputError
from vosbench.flow.cache import attach_flow
from vosbench.flow.encodings import angle_magnitude, magnitude_range
from vosbench.flow.precomputed import Precomputed
from vosbench.formats.flo import write_flo
from vosbench.formats.flow_picture import range_path
from vosbench.formats.kitti import write_kitti
from vosbench.formats.pfm import write_pfm
from vosbench.video import Video

SIZE = (4, 6)
NAMES = ("00005", "00006", "00007", "00008")


def make_video(names=NAMES, name="cat"):
    frames = [np.full((*SIZE, 3), 10 * index, np.uint8) for index in range(len(names))]
    return Video(name, frames, tuple(names))


def field(value):
    return np.full((2, *SIZE), value, np.float32)


def write_all(folder, stems, start=0):
    """Write a field per stem: the n-th holds n everywhere."""
    for value, stem in enumerate(stems, start=start):
        write_flo(folder / f"{stem}.flo", field(value))


def values(video, folder, **options):
    return [float(flow[0, 0, 0]) for flow in Precomputed(folder, **options).read(video)]


@pytest.mark.parametrize(
    "stems",
    [
        NAMES[:-1],
        NAMES,
        [f"{name}_flow" for name in NAMES[:-1]],
        [f"flow_{name}" for name in NAMES[:-1]],
        [f"{name}LDOF" for name in NAMES[:-1]],
        [f"{name}_epic" for name in NAMES[:-1]],
        ["00005_00006", "00006_00007", "00007_00008"],
        ["0000000", "0000001", "0000002"],
        ["000000", "000001", "000002", "000003"],
        ["0", "1", "2"],
        ["flownet2-0", "flownet2-1", "flownet2-2"],
    ],
)
def test_names_that_other_programs_give_their_files(tmp_path, stems):
    write_all(tmp_path / "cat", stems)
    assert values(make_video(), tmp_path) == [0, 1, 2]


def test_numbers_of_many_digits_or_few_are_in_numeric_order(tmp_path):
    names = [f"{index:05d}" for index in range(12)]
    write_all(tmp_path / "cat", [f"frame{index}" for index in range(11)])
    assert values(make_video(names), tmp_path) == list(range(11))


def test_numbers_from_one_need_to_be_said(tmp_path):
    write_all(tmp_path / "cat", ["frame_0001", "frame_0002", "frame_0003"])
    with pytest.raises(InputError, match="numbers from 1 are read with naming=index"):
        Precomputed(tmp_path).read(make_video())
    assert values(make_video(), tmp_path, naming="index") == [0, 1, 2]


def test_names_that_could_mean_two_things_are_not_guessed(tmp_path):
    # frames count from 1 and there is a file for each number from 0: by frame, or by index?
    video = make_video(["1", "2", "3", "4"])
    write_all(tmp_path / "cat", ["0", "1", "2", "3"])
    with pytest.raises(InputError, match=r"could be 1\.flo or 0\.flo; write naming=frame or naming=index"):
        Precomputed(tmp_path).read(video)
    assert values(video, tmp_path, naming="frame") == [1, 2, 3]
    assert values(video, tmp_path, naming="index") == [0, 1, 2]


def test_files_named_after_the_second_frame_are_not_taken_for_the_next_pair(tmp_path):
    write_all(tmp_path / "cat", NAMES[1:])
    with pytest.raises(InputError, match=r"cat/00005\.flo: missing; 3 .* named after the second frame"):
        Precomputed(tmp_path).read(make_video())


@pytest.mark.parametrize("place", ["cat", "forward/cat", "cat/forward", "fw/cat", "into_future/cat"])
def test_folders_of_forward_flow(tmp_path, place):
    write_all(tmp_path / place, NAMES[:-1])
    assert values(make_video(), tmp_path) == [0, 1, 2]


def test_forward_is_read_where_both_directions_are(tmp_path):
    write_all(tmp_path / "forward/cat", NAMES[:-1])
    write_all(tmp_path / "backward/cat", NAMES[1:], start=50)
    assert values(make_video(), tmp_path) == [0, 1, 2]
    assert values(make_video(), tmp_path, direction="backward") == [50, 51, 52]
    assert Precomputed(tmp_path).settings["direction"] == "forward"


def test_backward_flow_is_never_read_as_forward(tmp_path):
    write_all(tmp_path / "cat/backward", NAMES[1:])
    with pytest.raises(InputError, match="cat/backward: flow in the other direction only; forward flow"):
        Precomputed(tmp_path).read(make_video())
    write_all(tmp_path / "backward/cat", NAMES[1:])
    with pytest.raises(InputError, match="backward: flow in the other direction, by its name"):
        Precomputed(tmp_path / "backward").read(make_video())


def test_forward_flow_is_never_read_as_backward(tmp_path):
    write_all(tmp_path / "cat", NAMES)
    with pytest.raises(InputError, match="no folder backward/cat or cat/backward"):
        Precomputed(tmp_path, direction="backward").read(make_video())


def test_two_folders_for_one_video_are_not_guessed(tmp_path):
    write_all(tmp_path / "forward/cat", NAMES)
    write_all(tmp_path / "cat", NAMES)
    with pytest.raises(InputError, match="both hold flow of cat"):
        Precomputed(tmp_path).read(make_video())


def write_kind(folder, stem, kind, flow):
    folder.mkdir(exist_ok=True, parents=True)
    if kind == "flo":
        write_flo(folder / f"{stem}.flo", flow)
    elif kind == "pfm":
        write_pfm(folder / f"{stem}.pfm", np.stack([*flow, 0 * flow[0]], axis=-1))
    elif kind == "kitti":
        write_kitti(folder / f"{stem}.png", flow)
    else:
        tensor = torch.from_numpy(flow)
        Image.fromarray(angle_magnitude(tensor).movedim(0, -1).numpy()).save(folder / f"{stem}.png")
        range_path(folder / f"{stem}.png").write_text(" ".join(map(str, magnitude_range(tensor).tolist())))


@pytest.mark.parametrize(("kind", "error"), [("flo", 0), ("pfm", 0), ("kitti", 1 / 128), ("picture", 0.3)])
def test_every_format_gives_the_same_field(tmp_path, kind, error):
    flow = np.random.default_rng(0).normal(0, 5, (2, *SIZE)).astype(np.float32)
    for name in NAMES[:-1]:
        write_kind(tmp_path / "cat", name, kind, flow)
    read = Precomputed(tmp_path).read(make_video())[2]
    assert read.dtype == np.float32
    assert np.abs(read - flow).max() <= error


def test_pictures_beside_the_flow_are_passed_over(tmp_path):
    write_all(tmp_path / "cat", NAMES[:-1])
    for name in NAMES[:-1]:
        Image.fromarray(np.zeros((*SIZE, 3), np.uint8)).save(tmp_path / f"cat/{name}.png")
    assert values(make_video(), tmp_path) == [0, 1, 2]


def test_colour_wheels_alone_are_refused(tmp_path):
    (tmp_path / "cat").mkdir()
    for name in NAMES[:-1]:
        Image.fromarray(np.zeros((*SIZE, 3), np.uint8)).save(tmp_path / f"cat/{name}.jpg")
    with pytest.raises(InputError, match=r"no flow files .*pictures of flow cannot be read back"):
        Precomputed(tmp_path).read(make_video())
    for name in NAMES[:-1]:
        Image.fromarray(np.zeros((*SIZE, 3), np.uint8)).save(tmp_path / f"cat/{name}.png")
    with pytest.raises(InputError, match=r"cat/00005\.png: .*cannot be read back"):
        Precomputed(tmp_path).read(make_video())[0]


def test_formats_are_not_mixed(tmp_path):
    write_kind(tmp_path / "cat", "00005", "flo", field(1))
    write_kind(tmp_path / "cat", "00006", "kitti", field(1))
    write_kind(tmp_path / "cat", "00007", "flo", field(1))
    with pytest.raises(InputError, match=r"cat/00006\.png: of another format than the 2 \.flo files"):
        Precomputed(tmp_path).read(make_video())


@pytest.mark.parametrize("missing", range(3))
def test_a_missing_file_is_named(tmp_path, missing):
    write_all(tmp_path / "cat", NAMES[:-1])
    (tmp_path / f"cat/{NAMES[missing]}.flo").unlink()
    with pytest.raises(InputError, match=rf"cat/{NAMES[missing]}\.flo: missing; 2 \.flo files for 4 frames"):
        Precomputed(tmp_path).read(make_video())


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(InputError, match="no folder cat of precomputed flow"):
        Precomputed(tmp_path).read(make_video())


@pytest.mark.parametrize("value", [np.nan, 1.7e9, -np.inf])
def test_unknown_flow_is_not_handed_to_a_method(tmp_path, value):
    write_all(tmp_path / "cat", NAMES[:-1])
    flow = field(1)
    flow[1, 2, 3] = value
    write_flo(tmp_path / "cat/00006.flo", flow)
    with pytest.raises(InputError, match=r"00006\.flo: 1 pixels have no flow"):
        Precomputed(tmp_path).read(make_video())[1]


def test_invalid_pixels_of_kitti_are_not_handed_to_a_method(tmp_path):
    valid = np.ones(SIZE, np.bool_)
    valid[0, :5] = False
    for name in NAMES[:-1]:
        write_kitti(tmp_path / f"cat/{name}.png", field(1), valid)
    with pytest.raises(InputError, match=r"00005\.png: 5 pixels have no flow"):
        Precomputed(tmp_path).read(make_video())[0]


def test_one_frame_needs_no_files(tmp_path):
    video = make_video(["00000"])
    assert len(attach_flow(video, Precomputed(tmp_path), None).flow) == 0
    assert Precomputed(tmp_path).content_hash(video) == Precomputed(tmp_path).content_hash(video)


def test_content_hash_follows_the_files(tmp_path):
    video = make_video()
    write_all(tmp_path / "cat", NAMES[:-1])
    before = Precomputed(tmp_path).content_hash(video)
    assert Precomputed(tmp_path).content_hash(video) == before
    write_flo(tmp_path / "cat/00006.flo", field(7))
    assert Precomputed(tmp_path).content_hash(video) != before


def test_content_hash_follows_the_range_of_pictures(tmp_path):
    video = make_video()
    for name in NAMES[:-1]:
        write_kind(tmp_path / "cat", name, "picture", field(1))
    before = Precomputed(tmp_path).content_hash(video)
    range_path(tmp_path / "cat/00006.png").write_text("0 9")
    assert Precomputed(tmp_path).content_hash(video) != before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"direction": "backwards"}, "unknown direction .*did you mean backward"),
        ({"naming": "frames"}, "unknown naming .*did you mean frame"),
    ],
)
def test_wrong_options_are_explained(tmp_path, options, message):
    with pytest.raises(InputError, match=message):
        Precomputed(tmp_path, **options)
