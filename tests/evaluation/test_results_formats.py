"""Results as arrays, label maps of colours and grey levels, and tracks."""

import pickle
import re
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest
from PIL import Image

from vosbench.errors import InputError
from vosbench.evaluation.results.reader import ResultFolder
from vosbench.scoring.protocol import load_protocol
from vosbench.video import LazySequence, Video

DAVIS16 = load_protocol("davis16-unsupervised")
SEMI = load_protocol("davis17-semi-supervised")
FBMS = load_protocol("fbms-official")
PROPOSED = load_protocol("fbms-proposed")
BINARY = load_protocol("fbms-binary")
SIZE = (4, 6)


def video(frames=3, labelled=None, size=SIZE):
    """Frames without ground truth, or with an empty one on those labelled."""
    empty = np.zeros((*size, 3), np.uint8)
    names = tuple(f"{t:05}" for t in range(frames))
    truth = {t: np.zeros(size, np.uint8) for t in labelled or ()}
    return Video("dog", LazySequence(lambda t: empty, frames), names, truth)


def stack(*corners, dtype=None):
    """One frame per value, which stands in the upper left corner; bytes, or float64 for fractions."""
    fractions = any(isinstance(value, float) for value in corners)
    masks = np.zeros((len(corners), *SIZE), dtype or (np.float64 if fractions else np.uint8))
    masks[:, 0, 0] = corners
    return masks


def opened(path, protocol=DAVIS16, clip=None, **options):
    return ResultFolder.open(path, ["dog"], protocol, **options).read(clip or video())


def corners(masks):
    return [int(ids[0, 0]) for ids in masks.ids]


# --- lazily ---------------------------------------------------------------------------------------


def test_a_frame_is_read_when_asked_for_and_not_before(tmp_path):
    for t, mask in enumerate(stack(1, 0, 1)):
        (tmp_path / "dog").mkdir(exist_ok=True)
        Image.fromarray(mask).save(tmp_path / "dog" / f"{t:05}.png")
    masks = opened(tmp_path)
    (tmp_path / "dog/00001.png").write_bytes(b"no picture")
    assert masks.ids[2][0, 0] == 1
    with pytest.raises(InputError, match=r"00001\.png: not a PNG"):
        masks.ids[1]
    assert len(masks.ids[:2]) == 2


def test_notes_tell_what_was_seen_after_reading(tmp_path):
    np.save(tmp_path / "dog.npy", stack(0, 255, 2))
    masks = opened(tmp_path)
    assert masks.notes == ()
    list(masks.ids)
    assert masks.notes == (
        "0/255 masks read as background/foreground",
        "several ids read as one foreground",
    )


def test_an_opened_folder_travels_to_another_process(tmp_path):
    np.save(tmp_path / "dog.npy", stack(0, 1, 1))
    folder = pickle.loads(pickle.dumps(ResultFolder.open(tmp_path, ["dog"], DAVIS16)))
    assert corners(folder.read(video())) == [0, 1, 1]


def test_memory_does_not_grow_with_the_sequence(tmp_path):
    masks = np.lib.format.open_memmap(tmp_path / "dog.npy", "w+", np.uint8, (400, 240, 320))
    masks.flush()
    del masks
    read = opened(tmp_path, clip=video(400, size=(240, 320)))
    tracemalloc.start()
    for ids in read.ids:
        assert ids.shape == (240, 320)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2 * 2**20  # all at once would be 30 MB


def test_torch_is_not_imported():
    code = "import sys, vosbench.evaluation.results.reader; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# --- sparse ground truth --------------------------------------------------------------------------


def save_frames(folder, masks, indices):
    folder.mkdir(parents=True)
    for t, mask in zip(indices, masks, strict=True):
        Image.fromarray(mask).save(folder / f"{t:05}.png")


def test_only_labelled_frames_are_needed(tmp_path):
    save_frames(tmp_path / "dog", stack(1, 2), [2, 7])
    masks = opened(tmp_path, FBMS, video(9, labelled=[2, 7]))
    assert len(masks.ids) == 9
    assert (masks.ids[2][0, 0], masks.ids[7][0, 0]) == (1, 2)
    with pytest.raises(InputError, match="no mask for frame 00003"):
        masks.ids[3]


def test_masks_of_other_frames_are_not_read(tmp_path):
    save_frames(tmp_path / "dog", stack(0, 1, 0), [1, 2, 3])
    (tmp_path / "dog/00001.png").write_bytes(b"broken")
    masks = opened(tmp_path, FBMS, video(5, labelled=[2]))
    assert masks.ids[2][0, 0] == 1
    assert masks.notes == ()


def test_a_missing_labelled_frame_is_named(tmp_path):
    save_frames(tmp_path / "dog", stack(1), [2])
    clip = video(9, labelled=[2, 7])
    with pytest.raises(InputError, match="lacks frame 00007"):
        opened(tmp_path, FBMS, clip)
    masks = opened(tmp_path, FBMS, clip, missing="empty")
    assert not masks.ids[7].any()


def test_the_frame_given_is_not_needed(tmp_path):
    save_frames(tmp_path / "dog", stack(1), [7])
    protocol = load_protocol("youtube-objects-semi-supervised")
    assert opened(tmp_path, protocol, video(9, labelled=[2, 7])).ids[7][0, 0] == 1


def test_sparse_masks_off_by_one_are_no_masks_of_other_frames(tmp_path):
    save_frames(tmp_path / "dog", stack(1, 2), [3, 8])
    with pytest.raises(InputError, match=r"numbered \+1"):
        opened(tmp_path, FBMS, video(9, labelled=[2, 7]), missing="empty")


# --- arrays ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int64, ">i4", np.float32])
def test_whole_sequences_as_arrays(tmp_path, dtype):
    np.save(tmp_path / "dog.npy", stack(1, 0, 1).astype(dtype))
    masks = opened(tmp_path)
    assert corners(masks) == [1, 0, 1]
    assert masks.ids[0].dtype == np.uint8


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_whole_sequences_as_npz(tmp_path, save):
    save(tmp_path / "dog.npz", stack(1, 0, 2))
    masks = opened(tmp_path, SEMI)
    assert [int(masks.ids[t][0, 0]) for t in (2, 0, 1)] == [2, 1, 0]


@pytest.mark.parametrize("suffix", ["npy", "npz"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_a_frame_per_array(tmp_path, suffix, order):
    (tmp_path / "dog").mkdir()
    for t, mask in enumerate(np.arange(72, dtype=np.uint8).reshape(3, *SIZE)):
        save = np.save if suffix == "npy" else np.savez
        save(tmp_path / "dog" / f"{t:05}.{suffix}", np.asarray(mask, order=order))
    masks = opened(tmp_path, SEMI)
    assert np.stack(list(masks.ids)).ravel().tolist() == list(range(72))


def test_fractions_need_a_threshold_in_their_own_unit(tmp_path):
    np.save(tmp_path / "dog.npy", stack(0.4, 0.6, 0.5))
    with pytest.raises(InputError, match=r"dog\.npy: fractions between 0 and 0.4 .* threshold .*e\.g\. 0\.5"):
        corners(opened(tmp_path))
    masks = opened(tmp_path, threshold=0.5)
    assert corners(masks) == [0, 1, 0]
    assert masks.notes == ("foreground where value > 0.5",)


def test_fractions_are_no_ids(tmp_path):
    np.save(tmp_path / "dog.npy", stack(0.4, 0.6, 0.5))
    with pytest.raises(InputError, match="davis17-semi-supervised needs object ids"):
        corners(opened(tmp_path, SEMI))


@pytest.mark.parametrize(
    ("masks", "threshold", "words"),
    [
        (stack(0.4, 0.6, 0.9), 127, r"values up to 0\.6 never exceed the threshold 127"),
        (stack(0, 1, 1), 127, "the masks are 0/1 already"),
        (stack(0, 1, 1, dtype=bool), 0.5, "false/true already"),
        (stack(0.2, float("nan"), 0.1), 0.5, "not a number"),
        (stack(0, 200, 1), 0.5, r"grey level 0\.\.254"),
        (stack(0, 60000, 1, dtype=np.uint16), 127, r"16 bits per pixel, .* e\.g\. 32639"),
    ],
)
def test_a_threshold_of_another_unit_is_noticed(tmp_path, masks, threshold, words):
    np.save(tmp_path / "dog.npy", masks)
    with pytest.raises(InputError, match=words):
        corners(opened(tmp_path, threshold=threshold))


@pytest.mark.parametrize(
    ("masks", "words"),
    [
        (stack(0, 1), "2 masks for 3 frames"),
        (stack(0, 1, 1)[:, None], r"shape \(3, 1, 4, 6\); a sequence is \(frames, height, width\)"),
        (stack(0, 1, 1).transpose(0, 2, 1).copy(), "the mask is 4x6, the data set 6x4.*swapped"),
        (np.asfortranarray(stack(0, 1, 1)), "ascontiguousarray"),
        (stack(0, -1, 1, dtype=np.int16), r"negative ids, values from -1 to 0; save ids \+ 1 if -1 is the"),
        (stack(0, float("inf"), 1), "not a number or infinite; write the masks again"),
        (stack(0, float("nan"), 1), "not a number or infinite; write the masks again"),
        (stack(0, 400, 1, dtype=np.int16), r"values from 0 to 400 .* \(e\.g\. 200; larger"),
        (stack(0, 300, 1, dtype=np.int16), "values from 0 to 300"),
        (stack(0, 1, 1).astype(complex), "array of complex128"),
    ],
)
def test_arrays_that_cannot_be_masks(tmp_path, masks, words):
    np.save(tmp_path / "dog.npy", masks)
    with pytest.raises(InputError, match=words):
        corners(opened(tmp_path))


def test_pickles_are_never_run(tmp_path):
    np.save(tmp_path / "dog.npy", np.array([{"a": 1}] * 3, object))
    with pytest.raises(InputError, match="array of object"):
        opened(tmp_path)


def test_a_damaged_array_is_named(tmp_path):
    np.save(tmp_path / "dog.npy", stack(0, 1, 1))
    whole = (tmp_path / "dog.npy").read_bytes()
    (tmp_path / "dog.npy").write_bytes(whole[:-5])
    with pytest.raises(InputError, match=r"dog\.npy: cut off"):
        corners(opened(tmp_path))
    (tmp_path / "dog.npy").write_bytes(whole[:5])
    with pytest.raises(InputError, match=r"dog\.npy: damaged"):
        opened(tmp_path)


def test_an_archive_of_several_arrays_is_ambiguous(tmp_path):
    np.savez(tmp_path / "dog.npz", a=stack(0, 1, 1), b=stack(0, 1, 1))
    with pytest.raises(InputError, match=r"dog\.npz: 2 arrays \(a\.npy, b\.npy"):
        opened(tmp_path)


def test_mixed_formats_are_refused(tmp_path):
    save_frames(tmp_path / "dog", stack(0, 1, 1), range(3))
    np.save(tmp_path / "dog/00000.npy", np.zeros(SIZE, bool))
    with pytest.raises(InputError, match=r"several files or formats \(1 \.npy, 3 \.png\)"):
        opened(tmp_path)


# --- 16 bits --------------------------------------------------------------------------------------


def test_sixteen_bit_masks_with_a_threshold_of_sixteen_bits(tmp_path):
    save_frames(tmp_path / "dog", stack(0, 40000, 60000, dtype=np.uint16), range(3))
    with pytest.raises(InputError, match=r"00001\.png: 16 bits per pixel"):
        corners(opened(tmp_path))
    assert corners(opened(tmp_path, threshold=50000)) == [0, 0, 1]


# --- label maps -----------------------------------------------------------------------------------


def write_pnm(path, values):
    path.parent.mkdir(parents=True, exist_ok=True)
    kind = b"P6" if values.ndim == 3 else b"P5"
    size = f"\n# by hand\n{values.shape[1]} {values.shape[0]}\n255\n".encode()
    path.write_bytes(kind + size + values.astype(np.uint8).tobytes())


def colour_maps(folder, frames=3):
    """A red object in every frame, a white one from frame 1 on."""
    for t in range(frames):
        picture = np.zeros((*SIZE, 3), np.uint8)
        picture[0, 0] = (200, 0, 0)
        if t:
            picture[1, 1] = (255, 255, 255)
        write_pnm(folder / f"{t:05}.ppm", picture)


def test_colours_become_ids_that_do_not_depend_on_the_frame_asked_for(tmp_path):
    colour_maps(tmp_path / "dog")
    clip = video(labelled=range(3))
    for order in ([0, 1, 2], [2, 1, 0]):
        masks = opened(tmp_path, FBMS, clip)
        found = {t: masks.ids[t] for t in order}
        assert [int(found[t][0, 0]) for t in range(3)] == [1, 1, 1]
        assert [int(found[t][1, 1]) for t in range(3)] == [0, 2, 2]
        assert not masks.partial
    assert masks.notes == ("colours read as objects, black as background",)


@pytest.mark.parametrize("protocol", [DAVIS16, BINARY])
def test_colours_are_one_foreground_where_one_counts(tmp_path, protocol):
    colour_maps(tmp_path / "dog")
    masks = opened(tmp_path, protocol, video(labelled=range(3)))
    assert [int(ids.sum()) for ids in masks.ids] == [1, 2, 2]
    assert max(int(ids.max()) for ids in masks.ids) == 1


def test_colours_do_not_say_which_given_object_is_meant(tmp_path):
    colour_maps(tmp_path / "dog")
    with pytest.raises(InputError, match="colours where object ids are needed"):
        opened(tmp_path, SEMI)
    with pytest.raises(InputError, match="colours where grey levels are needed"):
        opened(tmp_path, threshold=127)


@pytest.mark.parametrize("protocol", [DAVIS16, PROPOSED, BINARY])
def test_a_white_background_is_no_object(tmp_path, protocol):
    for t in range(3):
        picture = np.full((*SIZE, 3), 255, np.uint8)
        picture[0, 0] = (200, 0, 0)
        write_pnm(tmp_path / "dog" / f"{t:05}.ppm", picture)
    with pytest.raises(InputError, match=r"no pixel of the video is black, .* write black for white"):
        corners(opened(tmp_path, protocol, video(labelled=range(3))))


def test_the_official_measure_of_fbms_has_regions_of_any_colour(tmp_path):
    for t in range(3):
        picture = np.full((*SIZE, 3), 255, np.uint8)
        picture[0, 0] = (200, 0, 0)
        write_pnm(tmp_path / "dog" / f"{t:05}.ppm", picture)
    masks = opened(tmp_path, load_protocol("fbms-official"), video(labelled=range(3)))
    assert masks.ids[1].ravel().tolist() == [1] + [2] * (SIZE[0] * SIZE[1] - 1)


def test_grey_levels_of_fbms_are_labels_up_to_white(tmp_path):
    for t, mask in enumerate(stack(255, 127, 0)):
        write_pnm(tmp_path / "dog" / f"{t:05}.pgm", mask)
    assert corners(opened(tmp_path, FBMS, video(labelled=range(3)))) == [2, 1, 0]


def test_grey_levels_elsewhere_are_read_like_png(tmp_path):
    for t, mask in enumerate(stack(255, 0, 255)):
        write_pnm(tmp_path / "dog" / f"{t:05}.pgm", mask)
    masks = opened(tmp_path)
    assert corners(masks) == [1, 0, 1]
    assert masks.notes == ("0/255 masks read as background/foreground",)


def test_a_picture_is_no_label_map(tmp_path):
    picture = np.random.default_rng(0).integers(0, 256, (20, 20, 3))
    write_pnm(tmp_path / "dog/00000.ppm", picture)
    masks = opened(tmp_path, FBMS, video(1, labelled=[0], size=(20, 20)))
    with pytest.raises(InputError, match=r"00000\.ppm: more than 254 colours"):
        masks.ids[0]


@pytest.mark.parametrize("content", [b"", b"P6\n6 4\n255\n123", b"P6\n6 4\n65535\n", b"P3\n1 1\n255\n0 0 0"])
def test_damaged_label_maps_are_named(tmp_path, content):
    (tmp_path / "dog").mkdir()
    (tmp_path / "dog/00000.ppm").write_bytes(content)
    masks = opened(tmp_path, FBMS, video(1, labelled=[0]))
    with pytest.raises(InputError, match=r"00000\.ppm: "):
        masks.ids[0]


# --- tracks ---------------------------------------------------------------------------------------


def write_tracks(path, tracks, frames, separator="\n"):
    lines = [str(frames), str(len(tracks))]
    for label, points in tracks:
        lines.append(f"{label}{separator}{len(points)}")
        lines += [f"{x} {y} {t}" for x, y, t in points]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")


TRACKS = [(0, [(0, 0, 0), (1, 0, 1), (2.4, 0, 2)]), (3, [(5.5, 2.5, 1), (4.4, 2.6, 2)])]


@pytest.mark.parametrize("place", ["dog.dat", "dog/Tracks3.dat"])
@pytest.mark.parametrize("separator", ["\n", " "])
def test_tracks_are_drawn_where_they_pass(tmp_path, place, separator):
    write_tracks(tmp_path / place, TRACKS, 3, separator)
    masks = opened(tmp_path, FBMS, video(labelled=[0, 2]))
    expected = np.full(SIZE, 255)
    expected[0, 2], expected[3, 4] = 0, 3
    assert masks.partial
    assert np.array_equal(masks.ids[2], expected)
    assert masks.notes == ("tracks cover 6.2% of the pixels",)
    with pytest.raises(InputError, match="frame 1 is not evaluated"):
        masks.ids[1]


def test_points_outside_the_image_are_passed_over(tmp_path):
    write_tracks(tmp_path / "dog.dat", [(1, [(-0.6, 0, 0), (6, 1, 1), (2, -3, 2)])], 3)
    masks = opened(tmp_path, FBMS, video(labelled=[0, 1, 2]))
    # -0.6 + 0.5 is truncated to column 0, as in the released program
    assert [int((ids == 1).sum()) for ids in masks.ids] == [1, 0, 0]


def test_the_last_track_has_a_pixel_that_two_share(tmp_path):
    write_tracks(tmp_path / "dog.dat", [(1, [(0, 0, 0)]), (2, [(0, 0, 0)]), (2, [(0, 0, 0)])], 3)
    masks = opened(tmp_path, FBMS, video(labelled=[0]))
    assert masks.ids[0][0, 0] == 2
    assert "1 track points on a pixel of another label" in masks.notes[1]


def dense_tracks(ids):
    return [(int(ids[y, x]), [(x, y, 0)]) for y in range(ids.shape[0]) for x in range(ids.shape[1])]


def test_dense_tracks_are_masks_for_every_protocol(tmp_path):
    ids = np.random.default_rng(0).integers(0, 5, (40, 50)).astype(np.uint8)
    write_tracks(tmp_path / "dog.dat", dense_tracks(ids), 1)
    clip = video(1, labelled=[0], size=(40, 50))
    masks = opened(tmp_path, PROPOSED, clip)
    assert np.array_equal(masks.ids[0], ids)
    assert not masks.partial
    assert np.array_equal(opened(tmp_path, BINARY, clip).ids[0], ids > 0)


def test_pieces_of_a_long_track_file_are_joined(tmp_path, monkeypatch):
    random = np.random.default_rng(1)
    tracks = [
        (int(random.integers(0, 9)), [(*(random.uniform(0, 30, 2).round(3)), t) for t in range(length)])
        for length in random.integers(1, 5, 200)
    ]
    write_tracks(tmp_path / "dog.dat", tracks, 5)
    clip = video(5, labelled=range(5), size=(32, 32))
    whole = np.stack(list(opened(tmp_path, FBMS, clip).ids))
    monkeypatch.setattr("vosbench.evaluation.results.tracks._CHUNK", 64)
    assert np.array_equal(np.stack(list(opened(tmp_path, FBMS, clip).ids)), whole)
    expected = np.full((5, 32, 32), 255)
    for label, points in tracks:
        for x, y, t in points:
            expected[t, int(y + 0.5), int(x + 0.5)] = label
    assert np.array_equal(whole, expected)


@pytest.mark.parametrize("protocol", [PROPOSED, BINARY, DAVIS16, SEMI])
def test_sparse_tracks_need_the_official_measure(tmp_path, protocol):
    write_tracks(tmp_path / "dog.dat", TRACKS, 3)
    with pytest.raises(InputError, match=r"cover .* needs a prediction for every pixel.*fbms-official"):
        opened(tmp_path, protocol, video(labelled=range(3)))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("10\n0\n", "tracks of 10 frames for a video of 3"),
        ("3\n1\n255\n1\n0 0 0\n", "track label 255"),
        ("3\n1\n-1\n1\n0 0 0\n", "track label -1"),
        ("3\n1\n1\n7\n0 0 0\n", "a track of 7 points in 3 frames"),
        ("3\n2\n1\n1\n0 0 0\n", "ends too early"),
        ("3\n1\n1\n2\n0 0 0\n", "ends too early"),
        ("3\n1\n1\n1\n0 0 nan\n", "not finite"),
        ("", "ends too early"),
        ("Ground truth definition file; do not change!", "not a track file"),
        ("x" * 10000, "not a track file"),
    ],
)
def test_damaged_track_files_are_explained(tmp_path, text, words):
    (tmp_path / "dog.dat").write_text(text)
    with pytest.raises(InputError, match=rf"dog\.dat: .*{words}"):
        opened(tmp_path, FBMS, video(labelled=[0]))


def test_two_track_files_are_ambiguous(tmp_path):
    for name in ("dog.dat", "dog/Tracks3.dat"):
        write_tracks(tmp_path / name, TRACKS, 3)
    with pytest.raises(InputError, match="several files or formats"):
        opened(tmp_path, FBMS, video(labelled=[0]))


@pytest.mark.slow
def test_four_thousand_frames_take_the_memory_of_one(tmp_path):
    folder = tmp_path / "dog"
    folder.mkdir()
    first = folder / "00000.png"
    Image.fromarray(np.kron(np.eye(6, dtype=np.uint8), np.ones((80, 142), np.uint8))).save(first)
    for t in range(1, 4000):
        (folder / f"{t:05}.png").hardlink_to(first)
    code = f"""
import resource, sys
from pathlib import Path
import numpy as np
from vosbench.scoring.protocol import load_protocol
from vosbench.evaluation.results.reader import ResultFolder
from vosbench.video import LazySequence, Video
frame = np.zeros((480, 852, 3), np.uint8)
clip = Video("dog", LazySequence(lambda t: frame, 4000), tuple(f"{{t:05}}" for t in range(4000)))
masks = ResultFolder.open(Path({str(tmp_path)!r}), ["dog"], load_protocol("davis16-unsupervised")).read(clip)
assert sum(int(ids.any()) for ids in masks.ids) == 4000
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 100 * 1024


def test_where_files_lie_is_named_by_their_path(tmp_path):
    np.save(tmp_path / "dog.npy", stack(0, 90, 3))
    masks = opened(tmp_path)
    with pytest.raises(InputError, match=re.escape(str(tmp_path / "dog.npy"))):
        masks.ids[1]
