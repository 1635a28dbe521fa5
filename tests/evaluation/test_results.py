import numpy as np
import pytest
from PIL import Image

from vosbench.errors import InputError
from vosbench.evaluation.results.reader import ResultFolder
from vosbench.formats.png import davis_palette
from vosbench.scoring.protocol import load_protocol
from vosbench.video import LazySequence, Video

DAVIS16 = load_protocol("davis16-unsupervised")
SEMI = load_protocol("davis17-semi-supervised")
SIZE = (4, 6)


def video(name="dog", frames=3):
    empty = np.zeros((*SIZE, 3), np.uint8)
    names = tuple(f"{t:05}" for t in range(frames))
    return Video(name, LazySequence(lambda t: empty, frames), names)


def mask(*values, size=SIZE):
    ids = np.zeros(size, np.uint8)
    ids.flat[: len(values)] = values
    return ids


def save(folder, masks, palette=None, start=0):
    folder.mkdir(parents=True, exist_ok=True)
    for t, ids in enumerate(masks, start):
        image = Image.fromarray(ids)
        if palette is not None:
            image.putpalette(palette)
        image.save(folder / f"{t:05}.png")


class Read:
    """All frames read; the notes after that."""

    def __init__(self, masks):
        self.ids = np.stack(list(masks.ids))
        self.notes = masks.notes
        self.partial = masks.partial


def read(path, protocol=DAVIS16, **options):
    return Read(ResultFolder.open(path, ["dog"], protocol, **options).read(video()))


def test_zero_one_masks_are_read_as_they_are(tmp_path):
    save(tmp_path / "dog", [mask(), mask(1), mask(1, 1)])
    masks = read(tmp_path)
    assert masks.ids.shape == (3, *SIZE)
    assert masks.ids.sum(axis=(1, 2)).tolist() == [0, 1, 2]
    assert masks.notes == ()


def test_palette_images_are_read_as_indices(tmp_path):
    save(tmp_path / "dog", [mask(1)] * 3, palette=[0, 0, 0, 128, 0, 0])
    assert read(tmp_path).ids.max() == 1


def test_a_palette_in_another_order_is_read_by_its_colours_with_a_note(tmp_path):
    palette = davis_palette()[[2, 1, 0]].tobytes()
    save(tmp_path / "dog", [2 - mask(1, 2)] * 3, palette=palette)
    masks = read(tmp_path, SEMI)
    assert np.array_equal(masks.ids[0], mask(1, 2))
    assert masks.notes == ("palette in another order: read the ids of its DAVIS colours",)
    assert np.array_equal(read(tmp_path).ids[0], mask(1, 1))


def test_a_threshold_cuts_the_grey_levels_behind_a_palette(tmp_path):
    levels = [[200] * 3, [100] * 3, [0] * 3]
    save(tmp_path / "dog", [2 - mask(1, 2)] * 3, palette=np.uint8(levels).tobytes())
    with pytest.raises(InputError, match="3 grey levels up to 200"):
        read(tmp_path)
    assert np.array_equal(read(tmp_path, threshold=127).ids[0], mask(0, 1))


def test_zero_255_masks_are_foreground_with_a_note(tmp_path):
    save(tmp_path / "dog", [mask(255, 0, 255)] * 3)
    masks = read(tmp_path)
    assert masks.ids[0].sum() == 2
    assert masks.notes == ("0/255 masks read as background/foreground",)


def test_small_ids_are_merged_with_a_note_where_one_foreground_counts(tmp_path):
    save(tmp_path / "dog", [mask(1, 2, 3)] * 3)
    masks = read(tmp_path)
    assert masks.ids[0].sum() == 3
    assert masks.notes == ("several ids read as one foreground",)


def test_small_ids_are_kept_where_objects_are_told_apart(tmp_path):
    save(tmp_path / "dog", [mask(1, 2, 3)] * 3)
    assert read(tmp_path, SEMI).ids[0].max() == 3


@pytest.mark.parametrize("values", [(0, 38), (3, 90, 200), (1, 255)])
def test_soft_masks_are_refused_without_a_threshold(tmp_path, values):
    save(tmp_path / "dog", [mask(*values)] * 3)
    with pytest.raises(InputError, match=r"00000\.png: . grey levels up to .* threshold"):
        read(tmp_path)


def test_a_threshold_cuts_soft_masks(tmp_path):
    save(tmp_path / "dog", [mask(127, 128, 255)] * 3)
    masks = read(tmp_path, threshold=127)
    assert masks.ids[0].sum() == 2
    assert masks.notes == ("foreground where grey > 127",)


@pytest.mark.parametrize("threshold", [-1, 255, 0.5])
def test_a_threshold_is_a_grey_level(tmp_path, threshold):
    save(tmp_path / "dog", [mask()] * 3)
    with pytest.raises(InputError, match=r"grey level 0\.\.254"):
        read(tmp_path, threshold=threshold)


def test_a_threshold_makes_no_sense_where_objects_are_told_apart(tmp_path):
    with pytest.raises(InputError, match="needs object ids"):
        read(tmp_path, SEMI, threshold=127)


def test_a_binary_mask_is_no_id_map(tmp_path):
    save(tmp_path / "dog", [mask(255)] * 3)
    with pytest.raises(InputError, match="values 0 and 255 are a binary mask"):
        read(tmp_path, SEMI)


def test_void_cannot_be_predicted(tmp_path):
    save(tmp_path / "dog", [mask(1, 255)] * 3)
    with pytest.raises(InputError, match="id 255 means void"):
        read(tmp_path, SEMI)


def test_colour_masks_are_refused(tmp_path):
    save(tmp_path / "dog", [np.zeros((*SIZE, 3), np.uint8)] * 3)
    with pytest.raises(InputError, match=r"00000\.png.*RGB"):
        read(tmp_path)


def test_a_missing_frame_is_named(tmp_path):
    save(tmp_path / "dog", [mask()])
    with pytest.raises(InputError, match=r"sequence dog lacks frame 00001 .* and 1 more; .*missing=empty$"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("kept", "words"),
    [([0, 1], "the last frame"), ([1, 2], "the first frame"), ([1], "the first and the last frame")],
)
def test_frames_that_are_not_evaluated_may_be_missing_with_a_note(tmp_path, kept, words):
    for t in kept:
        save(tmp_path / "dog", [mask(1)], start=t)
    masks = ResultFolder.open(tmp_path, ["dog"], DAVIS16).read(video())
    assert masks.ids[1].sum() == 1
    assert masks.unproven
    assert masks.notes == (f"no mask of {words}, which davis16-unsupervised does not evaluate",)


def test_with_all_frames_evaluated_none_may_be_missing(tmp_path):
    save(tmp_path / "dog", [mask(1)] * 2)
    with pytest.raises(InputError, match=r"lacks frame 00002 \(00002\.png\); add it"):
        read(tmp_path, load_protocol("davis17-unsupervised"))


def test_beside_extra_files_no_frame_may_be_missing(tmp_path):
    # one of them may be the mask of the frame that seems to be missing
    save(tmp_path / "dog", [mask(1)] * 2, start=1)
    Image.fromarray(mask(1)).save(tmp_path / "dog" / "00009.png")
    with pytest.raises(InputError, match=r"lacks frame 00000.*not evaluated by davis16-unsupervised"):
        read(tmp_path)


def test_missing_frames_may_count_as_empty(tmp_path):
    save(tmp_path / "dog", [mask(1)] * 2)
    masks = read(tmp_path, missing="empty")
    assert masks.ids.sum(axis=(1, 2)).tolist() == [1, 1, 0]
    assert masks.notes == ("1 missing frames counted as empty (00002)",)


def test_missing_is_error_or_empty(tmp_path):
    with pytest.raises(InputError, match="choose error or empty"):
        read(tmp_path, missing="skip")


def test_extra_frames_are_ignored_with_a_note(tmp_path):
    save(tmp_path / "dog", [mask()] * 5)
    masks = read(tmp_path)
    assert len(masks.ids) == 3
    assert masks.notes == ("2 extra frames ignored (00003, 00004)",)


def test_a_sequence_folder_without_png_is_explained(tmp_path):
    (tmp_path / "dog").mkdir()
    (tmp_path / "dog" / "00000.jpg").touch()
    with pytest.raises(InputError, match=r"dog: no PNG mask in it, expected 00000\.png"):
        read(tmp_path)


def test_another_size_is_refused_naming_both(tmp_path):
    save(tmp_path / "dog", [mask(size=(2, 3))] * 3)
    with pytest.raises(InputError, match=r"00000\.png: the mask is 3x2, the data set 6x4"):
        read(tmp_path)


def test_a_truncated_file_is_named(tmp_path):
    save(tmp_path / "dog", [mask(1)] * 3)
    file = tmp_path / "dog" / "00001.png"
    file.write_bytes(file.read_bytes()[:-20])
    with pytest.raises(InputError, match=r"00001\.png"):
        read(tmp_path)


@pytest.mark.parametrize("nesting", ["davis16", "480p", "davis16/480p", "Annotations/480p"])
def test_sequences_are_found_below_the_folder_given(tmp_path, nesting):
    save(tmp_path / nesting / "dog", [mask()] * 3)
    folder = ResultFolder.open(tmp_path, ["dog"], DAVIS16)
    assert folder.path == tmp_path / nesting
    assert folder.notes == (f"masks found in {tmp_path / nesting}",)


def test_several_result_sets_are_ambiguous(tmp_path):
    for method in ("first", "second"):
        save(tmp_path / method / "dog", [mask()] * 3)
    with pytest.raises(InputError, match=r"holds 2 result sets \(first, second\)"):
        ResultFolder.open(tmp_path, ["dog"], DAVIS16)


def test_a_missing_sequence_is_named(tmp_path):
    save(tmp_path / "dog", [mask()] * 3)
    with pytest.raises(InputError, match="no results for 1 of 2 sequences: camel"):
        ResultFolder.open(tmp_path, ["camel", "dog"], DAVIS16)


def test_an_empty_folder_says_what_was_expected(tmp_path):
    with pytest.raises(
        InputError, match=r"holds none of the 1 sequences to score; expected .*dog/<frame>.png"
    ):
        ResultFolder.open(tmp_path, ["dog"], DAVIS16)


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ([], r"; it is empty"),
        (["DOG/00000.png"], r"; 'DOG' is there: is it 'dog'\?"),
        (["dogs/00000.png"], r"; 'dogs' is there: is it 'dog'\?"),
        (["dog_1/00000.png", "dog_2/00000.png"], r"; dog_1, dog_2 look like one folder per object"),
        (["dog_00000.png"], r"; 'dog_00000.png' is there: move the frames of every sequence into a folder"),
        (["dog.mp4"], r"; 'dog.mp4' is a video, whose compression mixes the ids"),
        (["a/b/c/dog/00000.png"], r"; it holds a"),
    ],
)
def test_without_any_sequence_it_says_what_is_there_instead(tmp_path, files, words):
    for file in files:
        (tmp_path / "masks" / file).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(mask()).save(tmp_path / "masks" / file, format="PNG")
    (tmp_path / "masks").mkdir(exist_ok=True)
    with pytest.raises(InputError, match=r"masks: holds none of the 1 sequences.*and so on" + words):
        ResultFolder.open(tmp_path / "masks", ["dog"], DAVIS16)


def test_the_folder_of_one_sequence_is_not_that_of_all(tmp_path):
    save(tmp_path / "dog", [mask()] * 3)
    with pytest.raises(
        InputError, match="this is one sequence: give the folder above it and --sequences dog"
    ):
        ResultFolder.open(tmp_path / "dog", ["dog"], DAVIS16)


def test_a_missing_sequence_may_be_misspelt(tmp_path):
    save(tmp_path / "bmx-tree", [mask()] * 3)
    save(tmp_path / "dog", [mask()] * 3)
    with pytest.raises(InputError, match=r"bmx-trees \(is it 'bmx-tree'\?\); add them"):
        ResultFolder.open(tmp_path, ["bmx-trees", "dog"], DAVIS16)


@pytest.mark.parametrize(
    ("files", "words"),
    [
        (["dog/00000.jpg"], r"masks are JPEG files; Image\.open\(file\)\.convert\('L'\).*--threshold 127"),
        (["dog/00000.bmp"], r"masks are BMP files; Image\.open\(file\)\.save"),
        (["dog/all.mp4"], "masks are a video file; write one PNG per frame"),
        (["dog/1/00000.png", "dog/2/00000.png"], r"one folder per object \(1, 2\); write one map of ids"),
        (["dog/masks/00000.png"], "one folder deeper, in 'masks'; move them up"),
        (["dog/notes.txt"], r"files of another kind \(\.txt\)"),
    ],
)
def test_a_sequence_without_masks_says_what_is_there_instead(tmp_path, files, words):
    for file in files:
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).touch()
    with pytest.raises(
        InputError, match=r"dog: no PNG mask in it, expected 00000\.png and 2 more; .*" + words
    ):
        read(tmp_path)


def test_no_folder(tmp_path):
    with pytest.raises(InputError, match="nothing: no such folder"):
        ResultFolder.open(tmp_path / "nothing", ["dog"], DAVIS16)
