"""Devices of this machine, each with a small computation as a check."""

from __future__ import annotations

import platform
from dataclasses import dataclass


@dataclass(frozen=True)
class Device:
    """A device that networks can run on.

    Attributes:
        name: of ``--device``, e.g. ``"cuda:0"``.
        model: as its maker calls it.
        memory: in bytes; None where it is not known.
        trouble: what went wrong with a small computation; ``""`` when it came out right.
    """

    name: str
    model: str
    memory: int | None
    trouble: str


def find_devices() -> tuple[Device, ...]:
    """Return the CPU and every CUDA device."""
    try:
        import torch
    except (ImportError, OSError) as error:
        return (Device("cpu", platform.processor(), None, f"torch cannot be imported: {_line(error)}"),)
    devices = [Device("cpu", f"{torch.get_num_threads()} threads", None, _compute("cpu"))]
    for index in range(torch.cuda.device_count()):
        name, about = f"cuda:{index}", torch.cuda.get_device_properties(index)
        devices.append(Device(name, about.name, about.total_memory, _compute(name)))
    return tuple(devices)


def _compute(device: str) -> str:
    """Return the fault of a small computation with torch and torchvision; ``""`` for none."""
    try:
        import torch
        from torchvision.ops import nms  # type: ignore[import-untyped]

        ones = torch.ones(1, 3, 8, 8, device=device)
        total = float(torch.nn.functional.conv2d(ones, ones).sum())
        kept = nms(torch.tensor([[0.0, 0, 4, 4], [0, 0, 4, 3]], device=device), ones[0, 0, 0, :2], 0.5)
    except (ImportError, OSError, RuntimeError, AttributeError) as error:
        return f"torch and torchvision do not work: {_line(error)}"
    if total != 192 or kept.tolist() != [0]:
        return f"computes wrongly: a convolution gives {total} instead of 192, suppression {kept.tolist()}"
    return ""


def _line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0]
