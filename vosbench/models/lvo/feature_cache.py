"""Maps of frozen streams, computed once and kept on disk while the memory is trained."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from vosbench.files import atomic_path

Compute = Callable[[Tensor], Tensor]


class FeatureCache:
    """Maps of pictures or flow fields by the network that computes them and by their content.

    Maps are rounded to float16, computed or read, so that training does not depend on the state of the cache.

    Args:
        root: folder, see `vosbench.data.roots.cache_root`.
        network: frozen; its weights are part of what a map is found by.
        settings: everything else that changes its maps.
    """

    def __init__(self, root: Path, network: nn.Module, settings: Mapping[str, object]) -> None:
        digest = hashlib.blake2b(repr(sorted(settings.items())).encode(), digest_size=16)
        for name, value in sorted(network.state_dict().items()):
            digest.update(name.encode())
            digest.update(_bytes(value))
        self._folder = root / "features" / digest.hexdigest()

    @torch.no_grad()
    def maps(self, inputs: Tensor, compute: Compute) -> Tensor:
        """Return the maps of N inputs, (N, C, h, w) float32.

        Args:
            inputs: (N, ...) pictures or flow.
            compute: gives (1, C, h, w) of (1, ...).

        Raises:
            InputError: the cache cannot be written.
        """
        return torch.cat([self._one(each[None], compute) for each in inputs]).to(inputs.device)

    def _one(self, single: Tensor, compute: Compute) -> Tensor:
        key = hashlib.blake2b(_bytes(single), digest_size=16)
        key.update(str(tuple(single.shape)).encode())
        path = self._folder / key.hexdigest()[:2] / f"{key.hexdigest()}.npy"
        stored = _read(path)
        if stored is None:
            stored = compute(single).half().cpu().numpy()
            _write(path, stored)
        return torch.from_numpy(stored).float()


def _bytes(value: Tensor) -> memoryview:
    return value.detach().cpu().contiguous().numpy().data.cast("B") if value.numel() else memoryview(b"")


def _read(path: Path) -> np.ndarray[tuple[int, ...], np.dtype[np.float16]] | None:
    try:
        found: np.ndarray[tuple[int, ...], np.dtype[np.float16]] = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    return found


def _write(path: Path, values: np.ndarray[tuple[int, ...], np.dtype[np.float16]]) -> None:
    with atomic_path(
        path, "set VOSBENCH_CACHE to another folder, or model.cache_features=false"
    ) as temporary:
        np.save(temporary, values)
