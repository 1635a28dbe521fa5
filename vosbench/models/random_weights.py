"""Check for random weights that a stage uses without training them."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from vosbench.errors import InputError

_SAMPLE = 8


class RandomWeights:
    """Record of the random weights of a new network, to find the weights that nothing has replaced since.

    Biases, scales and statistics start at constants and are not looked at.

    Args:
        network: as built.
    """

    def __init__(self, network: nn.Module) -> None:
        self._drawn = {name: _sample(weights) for name, weights in _weights(network).items()}

    def left(self, network: nn.Module, prefix: str) -> list[str]:
        """Return the names with a prefix of the weights that are as they were drawn."""
        return [
            name
            for name, weights in _weights(network).items()
            if name.startswith(prefix) and name in self._drawn and self._drawn[name].equal(_sample(weights))
        ]

    def refuse(self, network: nn.Module, kept: Mapping[str, str], stage: str) -> None:
        """Refuse a stage that builds on random weights without training them.

        Args:
            network: ready to be trained.
            kept: prefix of the names of weights that the stage uses and leaves as they are, or whose
                normalisation it does -> what fills them.
            stage: name, for the message.

        Raises:
            InputError: a part is random; names its weights and what fills them.
        """
        for prefix, remedy in kept.items():
            names = self.left(network, prefix)
            if names:
                shown = f"{', '.join(names[:3])}{f' and {len(names) - 3} more' if len(names) > 3 else ''}"
                raise InputError(f"stage {stage} keeps weights that are random ({shown}): {remedy}")


def _weights(network: nn.Module) -> dict[str, Tensor]:
    return {name: weights for name, weights in network.named_parameters() if weights.dim() > 1}


def _sample(values: Tensor) -> Tensor:
    return values.detach()[0].reshape(-1)[:_SAMPLE].cpu().clone()
