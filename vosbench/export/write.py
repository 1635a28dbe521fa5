"""Export files: written, read again, and held against the network that they come from."""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vosbench import __version__
from vosbench.errors import InputError, check_name, error_line
from vosbench.export.networks import ExportedNetwork, TensorContract
from vosbench.files import atomic_path

FORMATS = {"torch": ".pt2", "onnx": ".onnx"}
"""Format -> suffix: a program of ``torch.export``, or ONNX. Both are data."""

TOLERANCE = 1e-4
"""Largest difference of a probability between the file and the network."""

METADATA = "vosbench.json"
"""Name of the contract in the metadata of a file."""

_FLOAT32 = 1
"""Number of float32 in ONNX."""

_INPUTS = 2
"""Random inputs that file and network are compared on."""


@dataclass(frozen=True)
class Exported:
    """File that was written.

    Attributes:
        path: of the file.
        contract: what the metadata of the file hold.
        difference: largest one to the network, on random inputs.
    """

    path: Path
    contract: Mapping[str, Any]
    difference: float


def export_network(network: ExportedNetwork, form: str, path: Path, described: Mapping[str, Any]) -> Exported:
    """Write a network with its contract, and compare the file, read again, with the network.

    Args:
        network: see `vosbench.export.networks.network_of`.
        form: one of `FORMATS`.
        path: file to write, with the suffix of the format; nothing is left there when the comparison fails.
        described: method, size, variant and weights, for the metadata.

    Raises:
        InputError: unknown format, another suffix, packages of the extra ``export`` are missing, the network
            cannot be traced, or the file differs from it.
    """
    check_name("format", form, tuple(FORMATS))
    if path.suffix != FORMATS[form]:
        raise InputError(f"{path}: write a file *{FORMATS[form]} for --format {form}")
    if form == "onnx":
        _require_onnx()
    contract = _contract(network, described)
    with atomic_path(path) as temporary, torch.no_grad(), _quiet():
        program = _traced(network)
        run = _WRITERS[form](program, network, temporary, json.dumps(contract, sort_keys=True))
        difference = max(_difference(network, run, seed) for seed in range(_INPUTS))
        # not a number is no small difference
        if not difference <= TOLERANCE:
            raise InputError(
                f"{path} was not kept: it differs from the network by {difference:.1e}, "
                f"at most {TOLERANCE:.0e}"
            )
    return Exported(path, contract, difference)


def read_contract(path: Path) -> dict[str, Any]:
    """Return the contract in the metadata of a file of `export_network`.

    Raises:
        InputError: the file has none.
    """
    try:
        if path.suffix == FORMATS["onnx"]:
            _require_onnx()
            import onnx

            model = onnx.load(path, load_external_data=False)
            text = next(item.value for item in model.metadata_props if item.key == METADATA)
        else:
            files = {METADATA: ""}
            torch.export.load(path, extra_files=files)
            text = files[METADATA]
        contract: dict[str, Any] = json.loads(text)
    except InputError:
        raise
    except Exception as error:  # readers of others' files fail in many ways
        raise InputError(f"{path}: no export of vosbench ({error_line(error)})") from None
    return contract


def example_inputs(network: ExportedNetwork, seed: int) -> tuple[Tensor, ...]:
    """Return random inputs: frames uniform in 0..255, flow of a few pixels."""
    generator = torch.Generator().manual_seed(seed)
    return tuple(_example(contract, generator, smaller=32 * seed) for contract in network.inputs)


def _example(contract: TensorContract, generator: torch.Generator, smaller: int) -> Tensor:
    """Return a random tensor; axes that may have another size than in the contract are `smaller`."""
    shape = [
        max(size - smaller, contract.dynamic[axis][0]) if axis in contract.dynamic else size
        for axis, size in enumerate(contract.shape)
    ]
    if contract.name == "flow":
        return 3 * torch.randn(shape, generator=generator)
    return 255 * torch.rand(shape, generator=generator)


Run = Callable[[Sequence[Tensor]], Tensor]


def _difference(network: ExportedNetwork, run: Run, seed: int) -> float:
    inputs = example_inputs(network, seed)
    return float((run(inputs) - network.graph(*inputs)).abs().max())


def _traced(network: ExportedNetwork) -> Any:
    bounds: dict[str, Any] = {}

    def axes(contract: TensorContract) -> dict[int, Any]:
        for axis, (least, most) in contract.dynamic.items():
            name = ("height", "width")[axis - len(contract.shape) + 2]
            bounds.setdefault(name, torch.export.Dim(name, min=least, max=most))
        names = {axis: ("height", "width")[axis - len(contract.shape) + 2] for axis in contract.dynamic}
        return {axis: bounds[name] for axis, name in names.items()}

    shapes = (tuple(axes(contract) for contract in network.inputs),)
    try:
        return torch.export.export(
            network.graph, example_inputs(network, 0), dynamic_shapes=shapes, strict=False
        )
    except Exception as error:  # the tracer fails in many ways
        raise InputError(f"torch.export cannot trace this network: {error_line(error)}") from None


def _write_torch(program: Any, network: ExportedNetwork, path: Path, contract: str) -> Run:
    torch.export.save(program, path, extra_files={METADATA: contract})
    loaded = torch.export.load(path).module()
    return lambda inputs: loaded(*inputs)


def _write_onnx(program: Any, network: ExportedNetwork, path: Path, contract: str) -> Run:
    import onnxruntime

    names = [item.name for item in network.inputs]
    model = torch.onnx.export(
        program,
        (),
        input_names=names,
        output_names=[network.output.name],
        custom_translation_table=_translations(),
        dynamo=True,
        verbose=False,
    )
    assert model is not None
    model.model.metadata_props[METADATA] = contract
    model.save(path)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])

    def run(inputs: Sequence[Tensor]) -> Tensor:
        given = {name: values.numpy() for name, values in zip(names, inputs, strict=True)}
        return torch.from_numpy(session.run(None, given)[0])

    return run


def _translations() -> dict[Any, Callable[..., Any]]:
    """Return operators in which flow is encoded as ONNX has them: no ``hypot``, no ``atan`` of float64."""
    from onnxscript import opset18 as op

    def hypot(x: Any, y: Any) -> Any:
        return op.Sqrt(op.Add(op.Mul(x, x), op.Mul(y, y)))

    def atan2(y: Any, x: Any) -> Any:
        up, right = (op.Cast(values, to=_FLOAT32) for values in (y, x))
        none, half = op.Constant(value_float=0.0), op.Constant(value_float=math.pi)
        angle = op.Atan(op.Div(up, right))
        turned = op.Where(op.Less(up, none), op.Sub(angle, half), op.Add(angle, half))
        angle = op.Where(op.Less(right, none), turned, angle)
        nowhere = op.And(op.Equal(up, none), op.Equal(right, none))
        return op.CastLike(op.Where(nowhere, none, angle), y)

    return {torch.ops.prims.hypot.default: hypot, torch.ops.aten.atan2.default: atan2}


_WRITERS: Mapping[str, Callable[[Any, ExportedNetwork, Path, str], Run]] = {
    "torch": _write_torch,
    "onnx": _write_onnx,
}


def _contract(network: ExportedNetwork, described: Mapping[str, Any]) -> dict[str, Any]:
    def plain(contract: TensorContract) -> dict[str, Any]:
        return asdict(contract) | {
            "shape": list(contract.shape),
            "dynamic": {str(axis): list(bounds) for axis, bounds in contract.dynamic.items()},
        }

    return {
        **described,
        "inputs": [plain(contract) for contract in network.inputs],
        "output": plain(network.output),
        "notes": list(network.notes),
        "versions": {"vosbench": __version__, "torch": torch.__version__},
    }


def _require_onnx() -> None:
    missing = [name for name in ("onnx", "onnxruntime", "onnxscript") if find_spec(name) is None]
    if missing:
        raise InputError(f"--format onnx needs {', '.join(missing)}: pip install 'vosbench[export]'")


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep remarks of the tracers, which are about their own code, from the user."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
