"""Networks as files that run without vosbench, with the contract of their inputs."""

from vosbench.export.networks import ExportedNetwork, TensorContract, network_of
from vosbench.export.write import FORMATS, Exported, export_network, read_contract

__all__ = [
    "FORMATS",
    "Exported",
    "ExportedNetwork",
    "TensorContract",
    "export_network",
    "network_of",
    "read_contract",
]
