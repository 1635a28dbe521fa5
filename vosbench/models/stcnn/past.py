"""Past frames of the temporal branch of STCNN, and the scaling of their pixels."""

from __future__ import annotations

from torch import Tensor

from vosbench.models.stcnn.generator import DELTA

STARTS = ("paper", "code")


def past_indices(t: int, delta: int = DELTA, start: str = "paper") -> list[int]:
    """Return the numbers of the frames before frame `t`, the oldest first.

    Args:
        t: from 0 on.
        delta: how many.
        start: where there are too few. ``"paper"``: frame 0 is repeated in front. ``"code"``: the same,
            but with frame `t` itself at the end, as the released online training does.

    Raises:
        ValueError: `t` is negative.
    """
    if t < 0:
        raise ValueError(f"there is no frame {t}")
    end = t + 1 if start == "code" and t < delta else t
    return [max(0, number) for number in range(end - delta, end)]


def stack_past(clip: Tensor, t: int, delta: int = DELTA, start: str = "paper") -> Tensor:
    """Return the frames before frame `t` of a clip (B, T, C, H, W) as (B, delta * C, H, W)."""
    return clip[:, past_indices(t, delta, start)].flatten(1, 2)


def scale_past(frames: Tensor) -> Tensor:
    """Return pixels 0..255 as -1..1; the type of floating frames stays, others become float32."""
    pixels = frames if frames.is_floating_point() else frames.float()
    return pixels / 127.5 - 1
