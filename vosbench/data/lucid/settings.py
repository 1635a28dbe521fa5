"""Settings of lucid dreams: what may change between the annotated frame and a dreamt one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from vosbench.data.lucid.inpaint import Filling

Range = tuple[float, float]


@dataclass(frozen=True)
class LucidSettings:
    """Settings of a dream. Numbers are those of STCNN's released code unless marked.

    Probabilities are per dream: all frames of a pair or clip share what is drawn, and only motion
    differs between them.

    Attributes:
        foreground: ``"some"`` moves a random non-empty subset of the objects, of random size;
            ``"all"`` moves every one. With one object they are the same.
        keep_others: probability that objects that are not moved stay in the background, with their
            ids; otherwise they are removed.
        mirror_background: probability of a background with left and right swapped.
        background_illumination, illumination: probability of other light on the background, and
            after that on everything.
        gain, gamma, offset: ranges of a, b, c in ``a x^b + c`` for saturation and value, x in [0, 1].
        relocate: probability that objects are put at a uniformly random place; 1 in the code.
        object_scale: range of the size of an object.
        object_rotation: degrees, either way; 0 in the code, 30 in Khoreva et al.
        deform: probability of a thin-plate deformation.
        deformation: displacement of its control points, fraction of the object's box.
        control_points: how many of them, on the outline. The code draws them freely; here one comes from
            each of as many sectors, and no deformation is so strong that it folds [ours].
        turn: probability that the whole picture turns, zoomed so that nothing outside is seen.
        view_rotation: degrees, either way; the code draws even numbers and stretches the picture
            slightly, here the zoom keeps the aspect [ours].
        flip: probability that the whole picture is mirrored.
        step_shift: motion of an object from the first frame to the last, fraction of its box.
        step_rotation, step_scale: the same in degrees and as a range; none in the code [ours].
        step_deformation: the same of the control points.
        camera_shift: motion of the background from the first frame to the last, fraction of the frame.
        camera_rotation, camera_scale: the same in degrees and as a range; the code scales x and y
            apart, which no camera does [ours].
        min_visible: least visible part of a moved object in every frame, as far as the frame border
            and, in the first frame, other objects hide it [ours].
        keep_truncated: objects cut by the frame border stay cut by it, so that no straight cut is
            seen inside [ours].
        filling: how the background behind objects is made, see `vosbench.data.lucid.inpaint.fill`; the
            code uses patches, too.
        grow: pixels around an object that are filled as well, where its colours bleed [ours; 2 in
            the code].
        feather: pixels of soft rim of a pasted object; 0 pastes hard. The code clones the rim with
            Poisson's equation; here its colours come from inside the object, so that nothing of the
            old background shows [ours: as clean, and more than ten times as fast as ``cv2.seamlessClone``].
    """

    foreground: Literal["some", "all"] = "some"
    keep_others: float = 0.5
    mirror_background: float = 0.5
    background_illumination: float = 0.5
    illumination: float = 0.5
    gain: Range = (0.97, 1.03)
    gamma: Range = (0.8, 1.2)
    offset: Range = (-0.05, 0.05)
    relocate: float = 1.0
    object_scale: Range = (0.85, 1.15)
    object_rotation: float = 0.0
    deform: float = 0.5
    deformation: float = 0.05
    control_points: int = 5
    turn: float = 0.5
    view_rotation: float = 30.0
    flip: float = 0.5
    step_shift: float = 0.05
    step_rotation: float = 3.0
    step_scale: Range = (0.95, 1.05)
    step_deformation: float = 0.05
    camera_shift: float = 0.05
    camera_rotation: float = 3.0
    camera_scale: Range = (0.95, 1.05)
    min_visible: float = 0.5
    keep_truncated: bool = True
    filling: Filling = "patches"
    grow: int = 4
    feather: float = 1.0

    def __post_init__(self) -> None:
        if self.control_points < 3:
            raise ValueError(f"control_points is {self.control_points}, but a plate bends from 3 on")
        if not 0 < self.min_visible <= 1:
            raise ValueError(f"min_visible is {self.min_visible}, but it is a fraction above 0")
