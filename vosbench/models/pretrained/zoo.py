"""Zoo: weights of the package, their provenance, and methods loaded by name."""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast, get_args

from vosbench.errors import InputError, error_line, unknown_name
from vosbench.files import atomic_path, write_text
from vosbench.method import Precision
from vosbench.method_files import MethodFile, unknown_method
from vosbench.models import METHODS, SIZES, build, is_network, method_class, other_methods
from vosbench.models.pretrained.own_methods import check_method, own_weights
from vosbench.models.pretrained.weight_files import DESCRIBED, part_of, read_state, training_beside
from vosbench.plain_data import parse_yaml, read_json
from vosbench.tensor_files import SHARED, sha256, write_safetensors

if TYPE_CHECKING:
    import torch
    from pytorch_lightning import LightningModule
    from torch import Tensor

    from vosbench.method import Method
    from vosbench.models.layers.precision import Autocast
    from vosbench.plugins import Plugin

ZOO = "zoo"
"""Stands for the weights of the package, in place of a file."""

WEIGHTS = Path(str(files("vosbench.models") / "weights"))


def method_names() -> tuple[str, ...]:
    """Return the names of everything that `load_method` may load: baselines, networks, plug-ins."""
    from vosbench.models.baselines import BASELINES

    return (*sorted(BASELINES), *sorted(METHODS), *other_methods())


def load_method(
    name: str,
    size: str | None = None,
    checkpoint: Path | None = None,
    settings: Mapping[str, Any] | None = None,
) -> tuple[Method, dict[str, Any]]:
    """Return a method ready to segment, and the provenance of its weights.

    Args:
        name: a network or a baseline.
        size: by default the largest the zoo has weights for; baselines have none.
        checkpoint: a Lightning checkpoint or safetensors file to use instead of the zoo.
        settings: switches to change for inference, e.g. ``{"threshold": 0.4}``; see `accepts`. A
            switch that the class lists in ``replaceable`` (switch -> prefix of the names of the
            weights it loads) puts other weights into that part of the network.

    Returns:
        The method and its provenance: ``weights`` (file name, or ``none`` for a baseline),
        ``sha256``, ``size``, ``variant``; ``training``, what it was trained and selected on, as far as the
        checkpoint or the file that `export` wrote beside it states it; ``parts``, see `part_of`, of the
        weights that switches put in; and ``defaults``, what switches that were left out stand for, which
        another version may have changed.

    Raises:
        InputError: unknown name, size or switch, no weights in the zoo, a damaged or foreign
            checkpoint, a switch that makes another network of it.
    """
    from vosbench.models.baselines import BASELINES

    if name not in method_names():
        raise unknown_method(name, method_names())
    if size is not None and size not in SIZES:
        raise unknown_name("size", size, SIZES)
    changed = dict(settings or {})
    if name in BASELINES:
        if checkpoint is not None:
            raise InputError(f"{name} is a baseline without weights: leave the checkpoint out")
        if changed:
            raise InputError(f"{name} is a baseline: it has no switch '{next(iter(changed))}'")
        return BASELINES[name](), {"weights": "none"}
    method = method_class(name)
    if not is_network(method):
        return _without_weights(name, method, checkpoint, changed)
    path = checkpoint or _zoo_file(name, size)
    provenance = training_beside(path) if checkpoint else _zoo_provenance(path)
    state, described = read_state(path)
    described = {"name": name, "size": size or "full", "variant": {}} | described
    if described["name"] != name:
        raise InputError(f"{path}: weights of {described['name']}, not of {name}")
    if size is not None and described["size"] != size:
        raise InputError(f"{path}: weights of size {described['size']}, not {size}")
    described["variant"] = described["variant"] | changed
    module = build(name, described["size"], **described["variant"])
    try:
        module.load_state_dict(_without_replaced(module, state, changed))
    except RuntimeError:
        raise InputError(_misfit(path, name, described["size"], changed)) from None
    module.eval()
    provenance |= described | {"weights": path.name, "sha256": sha256(path)} | _code_of(name)
    beside = {"defaults": dict(getattr(module, "defaults", {})), "parts": _parts_put_in(module, changed)}
    return cast("Method", module), provenance | {name: value for name, value in beside.items() if value}


def _code_of(name: str) -> dict[str, str]:
    """Return the code of a network in a file of the user, which may change while its weights do not."""
    plugin = other_methods().get(name)
    return plugin.provenance() if isinstance(plugin, MethodFile) else {}


def load(
    name: str, size: str | None = None, checkpoint: str | Path | None = None, **settings: Any
) -> LightningModule:
    """Return a trained network, ready for `Trainer.test` and `Trainer.predict`.

    Args:
        name: of a method with weights.
        size: by default the largest the zoo has weights for.
        checkpoint: a Lightning checkpoint or safetensors file to use instead of the zoo.
        settings: switches to change for inference, e.g. ``threshold=0.4``.

    Raises:
        InputError: as `load_method`, or the method has no weights.
    """
    method, provenance = load_method(name, size, None if checkpoint is None else Path(checkpoint), settings)
    if not is_network(type(method)):
        raise InputError(f"{name} has no weights, so Lightning cannot test it: use vosbench compare")
    if checkpoint is None:
        # the hash of weights of the zoo leads to their training
        provenance.pop("training", None)
    module: Any = method
    module.provenance = provenance
    return cast("LightningModule", module)


def _without_weights(
    name: str, kind: type[Any], checkpoint: Path | None, changed: Mapping[str, Any]
) -> tuple[Method, dict[str, Any]]:
    """Build a method of another package or a file by its class alone; its code stands for weights."""
    for switch in changed:
        if not accepts(name, switch):
            raise unknown_name(f"switch of {name}", switch, inspect.signature(kind).parameters)
    plugin = other_methods()[name]
    method = _built(plugin, kind, changed)
    described = own_weights(method, checkpoint) | plugin.provenance()
    return method, described | ({"variant": dict(changed)} if changed else {})


def _built(plugin: Plugin, kind: type[Any], changed: Mapping[str, Any]) -> Method:

    try:
        method = kind(**changed)
    except InputError:
        raise
    except Exception as error:  # the code of others may fail in every way there is
        raise InputError(f"{plugin.where}: {plugin.path} cannot be built ({error_line(error)})") from None
    check_method(method, f"{plugin.where}: {plugin.path}")
    return cast("Method", method)


def accepts(name: str, switch: str) -> bool:
    """Return whether a method has a switch that `load_method` may change: an argument of its class."""
    if name not in METHODS and name not in other_methods():
        return False
    return switch in set(inspect.signature(method_class(name).__init__).parameters) - {"self", "size"}


def parse_settings(lines: Sequence[str], option: str = "--set") -> dict[str, Any]:
    """Return the settings that ``KEY=VALUE`` lines mean, values as in YAML.

    Args:
        lines: of the user.
        option: what the user wrote them after.

    Raises:
        InputError: a line without a key or without ``=``, a key given twice, a value that is no YAML.
    """
    example = "threshold=0.4" if option == "--set" else "partition=gpu"
    settings: dict[str, Any] = {}
    for line in lines:
        key, equals, value = (part.strip() for part in line.partition("="))
        if not equals or not key:
            raise InputError(f"{option} {line}: write KEY=VALUE, e.g. {option} {example}")
        if key in settings:
            raise InputError(f"{option} {line}: '{key}' is given twice")
        try:
            settings[key] = parse_yaml(value, option)
        except InputError:
            raise InputError(f"{option} {line}: cannot read the value '{value}'") from None
    return settings


def _without_replaced(
    module: LightningModule, state: dict[str, Tensor], changed: Mapping[str, Any]
) -> dict[str, Tensor]:
    """Return the state to load: parts that a switch filled from another file keep what they have."""
    replaceable: Mapping[str, str] = getattr(module, "replaceable", {})
    prefixes = tuple(replaceable[switch] for switch in _replacing(module, changed))
    if not prefixes:
        return state
    kept = {key: value for key, value in module.state_dict().items() if key.startswith(prefixes)}
    return {key: value for key, value in state.items() if not key.startswith(prefixes)} | kept


def _replacing(module: LightningModule, changed: Mapping[str, Any]) -> list[str]:
    """Return the switches that put weights of other files into a network."""
    replaceable: Mapping[str, str] = getattr(module, "replaceable", {})
    return [switch for switch in replaceable if changed.get(switch) is not None]


def _parts_put_in(module: LightningModule, changed: Mapping[str, Any]) -> list[dict[str, Any]]:
    packaged: Mapping[str, Path] = getattr(module, "packaged_weights", {})
    files = {key: packaged.get(key, Path(str(changed[key]))) for key in _replacing(module, changed)}
    return [part_of(key, file) for key, file in files.items() if file.is_file()]


def _misfit(path: Path, name: str, size: str, changed: Mapping[str, Any]) -> str:
    """Return the reason why weights do not fit: a changed switch, if they fit without it."""
    foreign = f"{path}: not weights of {name} (size {size})"
    if not changed:
        return foreign
    try:
        load_method(name, size, path)
    except InputError:
        return foreign
    switches = ", ".join(f"{key}={value}" for key, value in changed.items())
    return f"{path}: its weights do not fit a network with {switches}; train one like that"


def move_to(method: Method, device: str, precision: Precision = "32") -> Method:
    """Move a network to a device, and choose what it computes in; a baseline has nothing to move.

    Args:
        method: from `load_method`.
        device: ``"auto"`` (CUDA when there is one, else the CPU), ``"cpu"``, ``"cuda"``, ``"cuda:1"``.
        precision: ``"32"`` (float32), or autocast to ``"bf16"`` (bfloat16) or, on CUDA, ``"16"`` (float16).
            Masks are then nearly the same; what a method learns from a video is learnt in float32 still.

    Raises:
        InputError: there is no such device here, the device does not compute in the precision, or there is no
            network that would.
    """
    if precision not in get_args(Precision):
        raise unknown_name("precision", precision, get_args(Precision))
    if precision != "32" and not is_network(type(method)):
        raise InputError(f"precision '{precision}' is for networks, and this method is none: leave it out")
    if device == "auto" and not is_network(type(method)):
        return method
    import torch

    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        # what fails without the device is the first tensor on it, not the name
        known = torch.zeros(0, device=device).device
    except (RuntimeError, AssertionError):
        raise InputError(f"device '{device}' is not available here: choose auto, cpu or cuda") from None
    if not isinstance(method, torch.nn.Module):
        return method
    method.to(known)
    vars(method).pop("computing", None)
    if precision != "32":
        # attributes of modules are tensors or modules to mypy
        setattr(method, "computing", _autocast(known, precision))  # noqa: B010
    return cast("Method", method)


def _autocast(device: torch.device, precision: Precision) -> Autocast:
    import torch

    from vosbench.models.layers.precision import Autocast

    on_cuda = device.type == "cuda"
    there = {"16": on_cuda, "bf16": torch.cuda.is_bf16_supported() if on_cuda else device.type == "cpu"}
    if not there[precision]:
        others = " or ".join(["32", *(name for name, known in there.items() if known)])
        raise InputError(f"precision '{precision}' is not available on {device}: choose {others}")
    return Autocast(device.type, torch.bfloat16 if precision == "bf16" else torch.float16)


def shipped() -> list[dict[str, Any]]:
    """Return the provenance of every weights file of the zoo, by name.

    Raises:
        InputError: a file does not have the hash its provenance states.
    """
    return [_zoo_provenance(path) for path in sorted(WEIGHTS.glob("*.safetensors"))]


def export(
    checkpoint: Path,
    training: dict[str, Any],
    folder: Path = WEIGHTS,
    *,
    variant: dict[str, Any] | None = None,
    half: bool = False,
    bases: Sequence[str] = (),
) -> Path:
    """Write a checkpoint's weights and their provenance as zoo files.

    Args:
        checkpoint: of a run, or safetensors.
        training: how it was trained and what it measures; goes into the provenance.
        folder: where ``<name>-<size>.safetensors`` and ``.json`` are written.
        variant: switches of inference to change, e.g. the threshold.
        half: write floating-point tensors as float16; networks are float32 when they have read them.
        bases: weights files of `folder`, e.g. ``"mpnet-tiny"``. Modules that are equal in a base are left
            out and read from there, see `vosbench.tensor_files.write_safetensors`; what the base was trained
            on is added to ``parts``.

    Returns:
        The safetensors file.

    Raises:
        InputError: the checkpoint or a base cannot be read, or values are beyond the range of float16.
    """
    state, described = read_state(checkpoint)
    described.pop("training", None)  # `training` has all of it
    described["variant"] |= variant or {}
    path = folder / f"{described['name']}-{described['size']}.safetensors"
    files = [folder / f"{base}.safetensors" for base in bases]
    if path in files:
        raise InputError(f"{path} cannot be a base of itself")
    tensors = {key: _halved(key, value) if half else value for key, value in state.items()}
    metadata = {DESCRIBED: json.dumps(described, sort_keys=True)}
    with atomic_path(path) as temporary:
        shared = write_safetensors(temporary, tensors, metadata, files)
    training = _with_parts(training, [part_of(SHARED, folder / base.file) for base in shared])
    provenance = described | {"sha256": sha256(path), "training": training}
    write_text(path.with_suffix(".json"), json.dumps(provenance, indent=1, sort_keys=True) + "\n")
    return path


def _with_parts(training: dict[str, Any], parts: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return a training with parts added that it does not have yet, by the hash of their file."""
    stated = training.get("parts", [])
    known = {part["sha256"] for part in stated}
    added = [part for part in parts if part["sha256"] not in known]
    return training | {"parts": [*stated, *added]} if added else training


def _halved(name: str, value: Tensor) -> Tensor:
    if not value.is_floating_point():
        return value
    result = value.half()
    if not result.isfinite().all():
        raise InputError(f"{name} has values beyond the range of float16: write them as they are")
    return result


def packaged(name: str, size: str) -> Path:
    """Return where the package keeps the weights of a network; no file is there where it has none."""
    return WEIGHTS / f"{name}-{size}.safetensors"


def trainings() -> dict[str, Mapping[str, Any]]:
    """Return SHA-256 of every weights file of the zoo -> how the weights were trained and selected."""
    files = map(read_json, sorted(WEIGHTS.glob("*.json")))
    return {provenance["sha256"]: provenance["training"] for provenance in files}


def packaged_sizes(name: str) -> dict[str, Path]:
    """Return size -> weights file of every size that a method comes with weights of, the largest first."""
    plugin = other_methods().get(name)
    folder = plugin.folder / "weights" if plugin is not None and plugin.folder else WEIGHTS
    files = {size: folder / f"{name}-{size}.safetensors" for size in SIZES}
    return {size: path for size, path in files.items() if path.is_file()}


def _zoo_file(name: str, size: str | None) -> Path:
    there = packaged_sizes(name)
    if there and (size is None or size in there):
        return there[size] if size else next(iter(there.values()))
    wanted = f"{name} ({size})" if size else name
    others = f"leave the size out for size {next(iter(there))}, or " if there else ""
    raise InputError(
        f"the zoo has no weights of {wanted}: {others}train it with vosbench fit and give its checkpoint"
    )


def _zoo_provenance(path: Path) -> dict[str, Any]:
    described = path.with_suffix(".json")
    try:
        provenance = read_json(described)
    except InputError:
        raise InputError(f"{described}: missing or damaged; install vosbench again") from None
    if provenance.get("sha256") != sha256(path):
        raise InputError(f"{path}: its hash is not the one in {described.name}; install vosbench again")
    return provenance
