"""Situations of a user's first hour: what is there, and what the user types."""

import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from vosbench.data.mini import write_mini

SIZE = (64, 96)
"""Height and width of the frames."""

FRAMES = 5

FIT = "vosbench fit model=mpnet size=tiny recipe=mpnet_tiny recipe.A.flow=[dis] recipe.A.augment.crop=[48,64]"
"""A training that ends in seconds."""

SMALL = "recipe.A.batch_size=2 trainer.max_epochs=1 workers=0"

QUIET = "trainer.enable_progress_bar=false trainer.accelerator=cpu"

TRAIN_LVO = (
    "vosbench fit model=lvo size=tiny stage=memory recipe=lvo_tiny model.appearance=none data=davis16 "
    "recipe.memory.clip.length=3 recipe.memory.clip.per_video=false recipe.memory.mixing=none "
    f"recipe.memory.epoch_length=null data.scale=1.0 data_root=data workers=0 trainer.max_epochs=1 {QUIET}"
)

METHOD = """\
import numpy as np
import torch

from vosbench.video import Segmentation


class Mine(torch.nn.Module):
    task = "unsupervised"
    needs_flow = False

    def __init__(self):
        super().__init__()
        self.network = torch.nn.Conv2d(3, 1, 1)

    @torch.inference_mode()
    def masks(self, video):
        for frame in video.frames:
            pixels = torch.from_numpy(np.array(frame)).permute(2, 0, 1)[None]
            yield (self.network(pixels / 255)[0, 0] > 0).numpy().astype(np.uint8)

    def segment(self, video, first_mask=None):
        return Segmentation(self.masks(video), len(video))
"""


@dataclass(frozen=True)
class Situation:
    """A situation.

    Attributes:
        title: what the user wants, or what is different about the user's files.
        typed: lines of the shell, one after the other, in the home folder.
        make: writes the files that the user has into the home folder.
    """

    title: str
    typed: tuple[str, ...]
    make: Callable[[Path], None] = lambda home: None


def _davis(folder: Path, *, scenes: int = 2) -> None:
    """Write a data set in the layout of DAVIS 2016 as a folder of any name."""
    _render("davis16", folder, scenes)


def _render(name: str, folder: Path, scenes: int) -> None:
    with tempfile.TemporaryDirectory() as place:
        made = write_mini(name, Path(place), scenes=scenes, size=SIZE, frames=FRAMES)
        # nothing here says any longer that it was rendered
        (made / "MINI.json").unlink()
        shutil.copytree(made, folder)


def _clips(home: Path) -> None:
    """Write ``clips/{JPEGImages,Annotations}/SEQ``, and masks of another program."""
    _davis(home / "whole")
    for kind in ("JPEGImages", "Annotations"):
        shutil.move(home / "whole" / kind / "480p", home / "clips" / kind)
    shutil.rmtree(home / "whole")
    _masks(home / "clips" / "Annotations", home / "masks")


def _masks(annotations: Path, masks: Path) -> None:
    """Write ground truth moved by two pixels."""
    for path in sorted(annotations.rglob("*.png")):
        target = masks / path.relative_to(annotations)
        target.parent.mkdir(parents=True, exist_ok=True)
        with Image.open(path) as image:
            Image.fromarray((np.roll(np.asarray(image), 2, 1) > 0).astype(np.uint8)).save(target)


def _videos(home: Path) -> None:
    """Write a folder of clips, one of which is no video."""
    _clips(home)
    shutil.move(home / "clips" / "JPEGImages", home / "videos")
    (home / "videos" / "broken.mp4").write_bytes(b"no video at all")


def _method(home: Path) -> None:
    import torch

    _davis(home / "data" / "davis16")
    (home / "mine.py").write_text(METHOD, encoding="utf-8")
    torch.manual_seed(0)
    torch.save({"network.weight": torch.randn(1, 3, 1, 1), "network.bias": torch.zeros(1)}, home / "mine.pth")


def _davis_at_home(home: Path) -> None:
    _davis(home / "DAVIS")
    _masks(home / "DAVIS" / "Annotations" / "480p", home / "masks")


def _fbms_at_home(home: Path) -> None:
    _render("fbms", home / "FBMS59", 1)


def _davis_in_a_folder(home: Path) -> None:
    _davis(home / "videos" / "davis_480")


SITUATIONS: tuple[Situation, ...] = (
    Situation(
        "What would a training do, and what can be chosen?",
        ("vosbench fit model=stcnn --cfg", "vosbench list recipes"),
    ),
    Situation("A training without its data", ("vosbench fit model=stcnn stage=all",)),
    Situation(
        "A key by its last part", ("vosbench fit model=mpnet lr=0.1", "vosbench fit model=mpnet crop=[64,64]")
    ),
    Situation(
        "Keys of other programs",
        (
            "vosbench fit model=mpnet trainer.gpus=8",
            "vosbench fit model=mpnet epochs=5",
            "vosbench fit model=mpnet batch_size=4",
        ),
    ),
    Situation("A logger where other programs have it", ("vosbench fit model=mpnet trainer.logger=wandb",)),
    Situation(
        "One data set where the recipe has a list",
        (f"{FIT} recipe.A.data=davis16 {SMALL} {QUIET} data.scale=1.0 data_root=data",),
        lambda home: _davis(home / "data" / "davis16"),
    ),
    Situation("The recipe of another method", ("vosbench fit model=mpnet recipe=lvo",)),
    Situation(
        "Early stopping",
        (
            f"{FIT} data=davis16 {SMALL} {QUIET} data.scale=1.0 data_root=data trainer.max_epochs=9 "
            "callbacks='[{class: EarlyStopping, patience: 1, min_delta: 0.9}]'",
        ),
        lambda home: _davis(home / "data" / "davis16"),
    ),
    Situation(
        "Data of one's own",
        (
            "vosbench score masks --dataset ~/clips --metrics j,f",
            "vosbench compare --models centre_box,flow_threshold --dataset ~/clips --workers 1",
            "vosbench predict --dataset ~/clips --model mpnet --out found",
            f"{FIT} {SMALL} {QUIET} data.scale=1.0 --dataset ~/clips",
        ),
        _clips,
    ),
    Situation(
        "A folder of clips, one of them damaged, and once more",
        (
            "vosbench predict videos --model flow_threshold --out found",
            "vosbench predict videos --model flow_threshold --out found",
        ),
        _videos,
    ),
    Situation(
        "A trained network of one's own beside those of the package",
        (
            "vosbench compare --models centre_box,mpnet,mine.py:Mine:mine.pth --datasets davis16 --workers 1",
            "vosbench compare --models mine.py:Mime --datasets davis16",
        ),
        _method,
    ),
    Situation(
        "A new method to train",
        (
            "vosbench new method my_net",
            f"vosbench fit model=my_net/my_net/module.py:MyNet size=tiny {QUIET} trainer.max_epochs=1 "
            "workers=0 data.scale=1.0 data_root=data data=davis16 recipe.A.batch_size=2",
        ),
        lambda home: _davis(home / "data" / "davis16"),
    ),
    Situation(
        "DAVIS as its archive leaves it, in the home folder",
        (
            "vosbench score masks --dataset davis16 --data-root ~ --metrics j,f",
            "vosbench doctor --data-root ~ | head -12",
        ),
        _davis_at_home,
    ),
    Situation(
        "FBMS-59 as its archive leaves it",
        ("vosbench compare --models centre_box --datasets fbms --data-root ~ --workers 1",),
        _fbms_at_home,
    ),
    Situation(
        "Data somewhere else, under another name",
        (
            "vosbench compare --models centre_box --datasets davis16 --data-root videos",
            "vosbench fit model=mpnet recipe=mpnet_davis data_root=videos",
            "vosbench doctor --data-root videos | tail -12",
        ),
        _davis_in_a_folder,
    ),
    Situation(
        "How long until something is said?",
        (
            "vosbench compare --datasets all --dry-run",
            "vosbench data mini davis17 --scenes 2 --data-root data",
        ),
    ),
    Situation(
        "One device, and two",
        tuple(
            f"{TRAIN_LVO} run=on{devices} recipe.memory.batch_size={2 // devices} "
            f"trainer.devices={devices} trainer.strategy={strategy}"
            for devices, strategy in ((1, "auto"), (2, "ddp"))
        ),
        lambda home: _davis(home / "data" / "davis16", scenes=4),
    ),
    Situation(
        "A network for another program",
        (
            "vosbench export mpnet --out mpnet.pt2 --height 96 --width 128",
            "vosbench export lvo --out lvo.pt2",
        ),
    ),
    Situation(
        "The version, and completion of names",
        (
            "vosbench -V",
            '_VOSBENCH_COMPLETE=complete_bash COMP_WORDS="vosbench predict --model st" COMP_CWORD=3 vosbench',
            '_VOSBENCH_COMPLETE=complete_bash COMP_WORDS="vosbench fit recipe=mp" COMP_CWORD=2 vosbench',
        ),
    ),
    Situation(
        "A link to a frame, and a table as CSV",
        (
            "vosbench compare --models centre_box,all_foreground --datasets davis16 --workers 1 > tables.md",
            "grep -o 'Link to this frame' results/leaderboard.html",
            "grep -o 'Download as CSV' results/leaderboard.html",
        ),
        lambda home: _davis(home / "data" / "davis16"),
    ),
)
"""In the order of the log, which numbers them from 1."""
