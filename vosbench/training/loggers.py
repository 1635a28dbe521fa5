"""Logs of training and comparisons: tables, curves and pictures in files, TensorBoard or Weights & Biases."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

import cv2
import numpy as np

from vosbench.errors import unknown_name
from vosbench.files import write_text
from vosbench.formats.image import write_frame
from vosbench.inference.overlay import overlay
from vosbench.video import VOID, Frame, IdMap

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter
    from wandb import Run

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What formulas begin with, in programs that open CSV files."""

LOGGERS = ("csv", "tensorboard", "wandb")
PROJECT = "vosbench"
"""Project of Weights & Biases, unless ``WANDB_PROJECT`` names another."""

_WIDTH = 320
"""Pixels a panel of a sheet is wide."""
_FONT = cv2.FONT_HERSHEY_SIMPLEX

Cell = str | float | int | None


@dataclass(frozen=True)
class LoggedFrame:
    """Frame, and the masks to draw over it.

    Attributes:
        name: caption of the frame.
        frame: (H, W, 3) uint8 RGB.
        masks: ``"ground truth"``, ``"prediction"`` or a method -> (H, W) uint8 ids; 255 is not drawn.
    """

    name: str
    frame: Frame
    masks: Mapping[str, IdMap]


class Log(Protocol):
    """Log of pictures, tables and curves."""

    def pictures(self, title: str, frames: Sequence[LoggedFrame], step: int | None = None) -> None:
        """Keep frames, of every step if there are any; the frames of a title have the same masks."""

    def table(self, title: str, columns: Sequence[str], rows: Sequence[Sequence[Cell]]) -> None:
        """Keep a table."""

    def curves(self, title: str, lines: Mapping[str, Sequence[float | None]]) -> None:
        """Keep lines by name, value after value."""

    def close(self) -> None:
        """Write the rest and end the log."""


def open_log(kind: str, folder: Path, name: str) -> Log:
    """Return a log that writes into a folder.

    Args:
        kind: one of `LOGGERS`.
        folder: made when something is logged.
        name: of the run, where runs have names.

    Raises:
        InputError: unknown kind.
    """
    if kind == "csv":
        return FolderLog(folder)
    if kind == "tensorboard":
        from torch.utils.tensorboard import SummaryWriter

        return TensorBoardLog(SummaryWriter(folder))
    if kind != "wandb":
        raise unknown_name("logger", kind, LOGGERS)
    import wandb

    folder.mkdir(parents=True, exist_ok=True)
    mode: Literal["offline"] | None = "offline" if wandb_is_offline() else None
    return WandbLog(
        wandb.init(project=wandb_project(), name=name, dir=folder, mode=mode, reinit="create_new")
    )


def wandb_project() -> str:
    """Return the project that runs of Weights & Biases belong to."""
    return os.environ.get("WANDB_PROJECT") or PROJECT


def wandb_is_offline() -> bool:
    """Return True if runs are written to files only, the default unless ``WANDB_MODE`` is set."""
    return os.environ.get("WANDB_MODE", "offline") in ("offline", "dryrun")


def sheet(frames: Sequence[LoggedFrame]) -> Frame:
    """Return one picture: a row per frame with the frame, then every mask over it.

    Args:
        frames: at least one, with masks of the same names.

    Returns:
        (h, w, 3) uint8 RGB.
    """
    return np.concatenate([_row(frame) for frame in frames])


def _row(frame: LoggedFrame) -> Frame:
    drawn = {"frame": frame.frame}
    for name, ids in frame.masks.items():
        drawn[name] = overlay(frame.frame, without_void(ids))
    return np.concatenate([_panel(name, picture) for name, picture in drawn.items()], axis=1)


def without_void(ids: IdMap) -> IdMap:
    """Return ids, (H, W) uint8, with background where they were void."""
    return np.where(ids == VOID, 0, ids).astype(np.uint8)


def _panel(caption: str, picture: Frame) -> Frame:
    height = max(1, round(picture.shape[0] * _WIDTH / picture.shape[1]))
    way = cv2.INTER_AREA if picture.shape[1] > _WIDTH else cv2.INTER_NEAREST
    panel: Frame = cv2.resize(picture, (_WIDTH, height), interpolation=way).astype(np.uint8)
    (wide, high), below = cv2.getTextSize(caption, _FONT, 0.5, 1)
    panel[: high + below + 4, : wide + 8] //= 4
    cv2.putText(panel, caption, (4, high + 2), _FONT, 0.5, (255, 255, 255), 1, cv2.LINE_AA)
    return panel


class FolderLog:
    """Files: ``TITLE.csv`` of tables and curves, ``TITLE.png`` or ``TITLE-STEP.png`` of pictures."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def pictures(self, title: str, frames: Sequence[LoggedFrame], step: int | None = None) -> None:
        """Write a sheet."""
        if frames:
            file = self._folder / (f"{title}.png" if step is None else f"{title}-{step:06d}.png")
            file.parent.mkdir(parents=True, exist_ok=True)
            write_frame(file, sheet(frames))

    def table(self, title: str, columns: Sequence[str], rows: Sequence[Sequence[Cell]]) -> None:
        """Write a table; what is not known is empty."""
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(
            [_as_text(cell) for cell in row] for row in (columns, *rows)
        )
        write_text(self._folder / f"{title}.csv", text.getvalue())

    def curves(self, title: str, lines: Mapping[str, Sequence[float | None]]) -> None:
        """Write a table with a column per line."""
        self.table(title, ["index", *lines], _columns(lines))

    def close(self) -> None:
        """Do nothing: everything is written at once."""


def _as_text(cell: Cell) -> Cell:
    """Mark a text that spreadsheets would take for a formula as a text."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULA) else cell


class TensorBoardLog:
    """Event files: tables as text, a scalar per line of a curve, sheets as images."""

    def __init__(self, writer: SummaryWriter) -> None:
        self._writer: Any = writer

    def pictures(self, title: str, frames: Sequence[LoggedFrame], step: int | None = None) -> None:
        """Add a sheet as an image."""
        if frames:
            self._writer.add_image(title, sheet(frames), step, dataformats="HWC")

    def table(self, title: str, columns: Sequence[str], rows: Sequence[Sequence[Cell]]) -> None:
        """Add a table as text."""
        lines = [columns, ["---"] * len(columns), *([_text(cell) for cell in row] for row in rows)]
        self._writer.add_text(title, "\n".join(f"| {' | '.join(line)} |" for line in lines))

    def curves(self, title: str, lines: Mapping[str, Sequence[float | None]]) -> None:
        """Add a scalar per value, whose step is its index."""
        for name, values in lines.items():
            for step, value in enumerate(values):
                if value is not None:
                    self._writer.add_scalar(f"{title}/{name}", value, step)

    def close(self) -> None:
        """Write the rest."""
        self._writer.close()


class WandbLog:
    """A run of Weights & Biases: tables, line charts, pictures with masks to switch on and off."""

    def __init__(self, run: Run) -> None:
        self._run = run

    def pictures(self, title: str, frames: Sequence[LoggedFrame], step: int | None = None) -> None:
        """Log a picture per frame; the step is that of training, ``trainer/global_step``."""
        import wandb

        images = [
            wandb.Image(
                frame.frame,
                caption=frame.name,
                masks={name: _wandb_mask(ids) for name, ids in frame.masks.items()},
            )
            for frame in frames
        ]
        self._run.log({title: images} | ({} if step is None else {"trainer/global_step": step}))

    def table(self, title: str, columns: Sequence[str], rows: Sequence[Sequence[Cell]]) -> None:
        """Log a table."""
        import wandb

        self._run.log({title: wandb.Table(columns=list(columns), data=[list(row) for row in rows])})

    def curves(self, title: str, lines: Mapping[str, Sequence[float | None]]) -> None:
        """Log a chart with a line each; undefined values are left out."""
        import wandb

        known = {
            name: [(step, value) for step, value in enumerate(values) if value is not None]
            for name, values in lines.items()
        }
        chart = wandb.plot.line_series(
            xs=[[step for step, _ in points] for points in known.values()],
            ys=[[value for _, value in points] for points in known.values()],
            keys=list(known),
            title=title,
            xname="frame",
        )
        self._run.log({title: chart})

    def close(self) -> None:
        """End the run, so that what comes next does not write into it."""
        self._run.finish()


def _wandb_mask(ids: IdMap) -> dict[str, Any]:
    shown = without_void(ids)
    labels = {int(i): f"object {i}" if i else "background" for i in np.unique(shown)}
    return {"mask_data": shown, "class_labels": labels}


def _columns(lines: Mapping[str, Sequence[float | None]]) -> list[list[Cell]]:
    """Return rows of the index and every line's value there, None after the end of a line."""
    longest = max((len(values) for values in lines.values()), default=0)
    return [
        [index, *(values[index] if index < len(values) else None for values in lines.values())]
        for index in range(longest)
    ]


def _text(cell: Cell) -> str:
    if cell is None:
        return "-"
    return f"{cell:.4g}" if isinstance(cell, float) else str(cell)
