"""What doctor advises works in score, and score refuses nothing that doctor finds no fault with."""

import re
import shutil

import numpy as np
import pytest
from PIL import Image

from vosbench.errors import InputError
from vosbench.evaluation import score
from vosbench.evaluation.doctor.diagnose import diagnose
from vosbench.formats.png import davis_palette, write_ids

HEIGHT, WIDTH, FRAMES = 32, 48, 7
SEQUENCES = ("bear", "cow")

CONTENT = ("every", "inverted", "shifted", "ids swapped", "one merged mask", "masks cover", "empty masks")
"""How findings begin that say nothing about whether the files can be read."""


def truth(t):
    ids = np.zeros((HEIGHT, WIDTH), np.uint8)
    ids[4:12, 4 + t : 14 + t] = 1
    ids[20:28, 10 + 2 * t : 20 + 2 * t] = 2
    return ids


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Two sequences as DAVIS 2016 and as DAVIS 2017."""
    root = tmp_path_factory.mktemp("data")
    pairs = []
    for name in SEQUENCES:
        for t in range(FRAMES):
            mask, frame = f"Annotations/480p/{name}/{t:05}.png", f"JPEGImages/480p/{name}/{t:05}.jpg"
            pairs.append(f"/{frame} /{mask}")
            write_ids(root / "davis17" / mask, truth(t))
            write_ids(root / "davis16" / mask, (truth(t) > 0) * np.uint8(255))
            for dataset in ("davis16", "davis17"):
                (root / dataset / frame).parent.mkdir(parents=True, exist_ok=True)
                Image.new("RGB", (WIDTH, HEIGHT)).save(root / dataset / frame)
    for file, lines in (("davis16/ImageSets/480p", pairs), ("davis17/ImageSets/2017", SEQUENCES)):
        (root / file).mkdir(parents=True)
        (root / file / "val.txt").write_text("\n".join(lines) + "\n")
    return root


def frames(convert, suffix=".png", chosen=range(FRAMES), **options):
    def write(folder):
        for name in SEQUENCES:
            (folder / name).mkdir(parents=True)
            for t in chosen:
                convert(truth(t)).save(folder / name / f"{t:05}{suffix}", **options)

    return write


def arrays(convert, chosen=range(FRAMES)):
    def write(folder):
        folder.mkdir()
        for name in SEQUENCES:
            np.save(folder / f"{name}.npy", np.stack([convert(truth(t)) for t in chosen]))

    return write


def folder_per_object(folder):
    for index in (1, 2):
        for name in SEQUENCES:
            (folder / name / str(index)).mkdir(parents=True)
            for t in range(FRAMES):
                binary = (truth(t) == index) * np.uint8(255)
                Image.fromarray(binary).save(folder / name / str(index) / f"{t:05}.png")


def without_cow(folder):
    frames(Image.fromarray)(folder)
    shutil.rmtree(folder / "cow")


def colours(ids):
    return Image.fromarray(davis_palette()[ids])


def white(ids):
    return Image.fromarray((ids > 0) * np.uint8(255))


def soft(ids):
    return white(ids).resize((WIDTH // 2, HEIGHT // 2), Image.Resampling.BILINEAR).resize((WIDTH, HEIGHT))


INPUTS = {
    "ids": frames(Image.fromarray),
    "0/255": frames(white),
    "soft": frames(soft),
    "soft behind a palette": frames(lambda ids: soft(ids).quantize(16)),
    "white first": frames(lambda ids: white(ids).quantize(2)),
    "DAVIS colours, sorted": frames(lambda ids: colours(ids).quantize()),
    "DAVIS colours behind black": frames(lambda ids: colours(ids).quantize(method=Image.Quantize.FASTOCTREE)),
    "web palette": frames(lambda ids: colours(ids).convert("P")),
    "no black": frames(lambda ids: colours(ids + 1).quantize()),
    "pictures": frames(colours),
    "grey pictures": frames(lambda ids: white(ids).convert("RGB")),
    "16 bits": frames(lambda ids: Image.fromarray((ids > 0) * np.uint16(65535))),
    "16 bits, few levels": frames(lambda ids: Image.fromarray((ids > 0) * np.uint16(300))),
    "JPEG": frames(white, ".jpg"),
    "JPEG by another name": frames(white, format="JPEG"),
    "BMP": frames(Image.fromarray, ".bmp"),
    "TIFF": frames(Image.fromarray, ".tif"),
    "WebP": frames(white, ".webp"),
    "PPM": frames(colours, ".ppm"),
    "PPM on white": frames(lambda ids: Image.eval(colours(ids), lambda v: 255 - v), ".ppm"),
    "PGM": frames(Image.fromarray, ".pgm"),
    "a folder per object": folder_per_object,
    "no last frame": frames(Image.fromarray, chosen=range(FRAMES - 1)),
    "no frame in the middle": frames(Image.fromarray, chosen=[0, 1, 3, 4, 5, 6]),
    "a missing sequence": without_cow,
    "extra frames": frames(Image.fromarray, chosen=range(FRAMES + 2)),
    "arrays": arrays(lambda ids: ids),
    "bool": arrays(lambda ids: ids > 0),
    "float ids": arrays(lambda ids: ids.astype(np.float32)),
    "probabilities": arrays(lambda ids: np.where(ids > 0, 0.8, 0.1)),
    "scores": arrays(lambda ids: np.where(ids > 0, 2.0, -7.5)),
    "background -1": arrays(lambda ids: ids.astype(int) - 1),
    "levels of an int16": arrays(lambda ids: (ids > 0) * np.int16(400)),
    "not a number": arrays(lambda ids: np.where(ids > 0, np.nan, 0)),
    "infinite": arrays(lambda ids: np.where(ids > 0, np.inf, 0)),
    "one frame less": arrays(lambda ids: ids, range(FRAMES - 1)),
    "a channel": arrays(lambda ids: ids[None]),
}


def options_of(fix):
    """The options of score that a fix names."""
    found = re.search(r"vosbench score \.\.\. (--(?:threshold|missing|sequences)) (\S+)", fix)
    if found is None:
        return None
    value = found[2].rstrip(",;")
    kinds = {"--threshold": float, "--missing": str, "--sequences": lambda text: text.split(",")}
    return {found[1].removeprefix("--"): kinds[found[1]](value)}


def scored(results, dataset, root, **options):
    return score(results, dataset, data_root=root, metrics=("j",), workers=1, **options).overall["J_mean"]


@pytest.mark.parametrize("dataset", ["davis16", "davis17"])
@pytest.mark.parametrize("name", INPUTS)
def test_doctor_and_score_agree(tmp_path, root, name, dataset):
    results = tmp_path / "results"
    INPUTS[name](results)
    findings = diagnose(results, dataset, data_root=root)
    errors = [each for each in findings if each.severity == "error" and not each.problem.startswith(CONTENT)]
    if errors:
        with pytest.raises(InputError):
            scored(results, dataset, root)
    else:
        scored(results, dataset, root)
    for fix in {each.fix for each in errors}:
        python = re.match(r"Image\.open\(file\).*?\.png'\)\)", fix)
        if python is not None:
            for file in list(results.glob("*/*.*")):
                exec(python[0], {"Image": Image, "file": file})
                file.unlink()
        options = options_of(fix)
        if options is not None or python is not None:
            # all of these are the ground truth in some other form
            assert scored(results, dataset, root, **(options or {})) > 0.75, fix
