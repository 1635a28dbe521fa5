"""Weights files: reading without running code, tensors that files share, download, hash."""

from __future__ import annotations

import hashlib
import json
import pickle
import re
import struct
import tarfile
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from vosbench.errors import InputError, one_line, shown
from vosbench.plain_data import parse_json

if TYPE_CHECKING:
    from torch import Tensor

SUFFIXES = (".pth", ".pt", ".ckpt", ".safetensors")

SHARED = "shared"
"""Key of the metadata of safetensors under which a file names those that hold tensors of its own."""

_NESTED = ("state_dict", "model", "model_state_dict")
"""Keys of checkpoints, of this and other programs, for the state dict."""

_LONGEST = 1_000_000
_MOST_BASES = 8
_MOST_PREFIXES = 1000
"""Limits of metadata, far above what packaged files have: characters, files, prefixes of a file."""

_BASE_NAME = re.compile(r"\w[\w.-]*\.safetensors", re.ASCII)
_SHA256 = re.compile(r"[0-9a-f]{64}")
_HASH = re.compile(r"-([0-9a-f]{8,})$")
UNREADABLE = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    pickle.UnpicklingError,
    struct.error,
    tarfile.TarError,
    zipfile.BadZipFile,
)
"""What PyTorch and safetensors raise for damaged files, besides the errors of their own."""


def is_file(weights: str | Path) -> bool:
    """Return whether `weights` means a file, there or not, and not a name of published weights."""
    path = Path(weights)
    return isinstance(weights, Path) or path.is_file() or "/" in weights or path.suffix in SUFFIXES


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read a state dict from a PyTorch file, a checkpoint (its ``state_dict`` or the like) or safetensors.

    No code in the file is run.

    Raises:
        InputError: missing, unreadable, or no state dict.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file of weights")
    if path.suffix == ".safetensors":
        return read_safetensors(path)[0]
    content = read_torch(path)
    if isinstance(content, dict):
        content = next((content[key] for key in _NESTED if key in content), content)
    return checked_state(path, content)


def read_torch(path: Path) -> Any:
    """Return the content of a PyTorch file of any version without running any code in it.

    Raises:
        InputError: damaged, or it holds more than data.
    """
    import torch

    try:
        _refuse_bomb(path)
        return torch.load(path, map_location="cpu", weights_only=True)
    except UNREADABLE as error:
        raise InputError(
            f"{path}: not a PyTorch file of weights that can be read safely: damaged, or it holds more than "
            f"data, which is never run; save weights alone, torch.save(network.state_dict(), FILE) "
            f"({one_line(error)})"
        ) from None


def checked_state(path: Path, content: Any) -> dict[str, Tensor]:
    """Return a state dict that a file holds.

    Raises:
        InputError: it is none, or a tensor has numbers that are not finite or not its own.
    """
    import torch

    if not isinstance(content, dict) or not all(
        isinstance(key, str) and isinstance(value, torch.Tensor) for key, value in content.items()
    ):
        raise InputError(f"{path}: not a state dict, which maps the names of layers to tensors")
    for key, value in content.items():
        if not _is_plain(value):
            raise InputError(f"{path}: {shown(key)} is a tensor without numbers of its own: get another file")
        if not _is_finite(value):
            raise InputError(
                f"{path}: {shown(key)} holds numbers that are not finite: get another file, or train again"
            )
    return dict(content)


def _is_plain(tensor: Tensor) -> bool:
    """Return whether a tensor holds every number once: a small file can spread one over terabytes."""
    import torch

    strided = tensor.layout is torch.strided and tensor.device.type == "cpu" and not tensor.is_quantized
    return strided and tensor.numel() * tensor.element_size() <= tensor.untyped_storage().nbytes()


def _is_finite(tensor: Tensor) -> bool:
    if not tensor.is_floating_point():
        return True
    # PyTorch has no tests for numbers of eight bits
    return bool((tensor if tensor.element_size() > 1 else tensor.float()).isfinite().all())


def _refuse_bomb(path: Path) -> None:
    """Refuse a file of today's format whose parts are compressed: PyTorch stores them as they are."""
    if not zipfile.is_zipfile(path):
        return
    with zipfile.ZipFile(path) as archive:
        if sum(part.file_size for part in archive.infolist()) > path.stat().st_size:
            raise ValueError("its parts unpack to more than the file")


class Base(NamedTuple):
    """File that holds tensors of another one beside it.

    Attributes:
        file: its name.
        sha256: of its bytes.
        prefixes: of the names of tensors: in the other file -> in this one. All tensors of this file under
            such a prefix belong to the other one, too.
    """

    file: str
    sha256: str
    prefixes: dict[str, str]


def read_safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read the tensors of a safetensors file, those that files beside it hold included, and its metadata.

    Raises:
        InputError: not such a file, or a file beside it is missing or another one than when it was written.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            metadata: dict[str, str] = file.metadata() or {}
            tensors: dict[str, Tensor] = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118, not a dict
    except (SafetensorError, *UNREADABLE) as error:
        raise InputError(f"{path}: not a safetensors file ({one_line(error)})") from None
    tensors = checked_state(path, tensors)
    for base in _bases(path, metadata):
        restored = _restored(path, base)
        if not restored or restored.keys() & tensors.keys():
            raise _damaged(path)
        tensors |= restored
    return tensors, metadata


def metadata_value(path: Path, metadata: Mapping[str, str], key: str, default: Any) -> Any:
    """Return the JSON that metadata of a safetensors file hold under a key.

    Raises:
        InputError: it is none, or not of the type of `default`.
    """
    text = metadata.get(key)
    if text is None:
        return default
    try:
        value = parse_json(text, path) if len(text) <= _LONGEST else None
    except InputError:
        value = None
    if not isinstance(value, type(default)):
        raise _damaged(path)
    return value


def write_safetensors(
    path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str], bases: Sequence[Path] = ()
) -> list[Base]:
    """Write a safetensors file without the tensors that other files hold already.

    Left out are modules (all tensors under a prefix that ends in a dot) that a base has with the same names,
    types, shapes and bytes, under any prefix; `read_safetensors` puts them back.

    Args:
        path: replaced if it is there.
        tensors: name -> tensor.
        metadata: written as they are.
        bases: files in the folder of `path`, where they must be when it is read.

    Returns:
        The bases that hold a part of it.

    Raises:
        InputError: a base cannot be read.
    """
    own = {key: value.contiguous() for key, value in tensors.items()}
    shared: list[Base] = []
    for base in bases:
        prefixes = _equal_modules(own, read_tensors(base))
        if prefixes:
            shared.append(Base(base.name, sha256(base), prefixes))
            own = {key: value for key, value in own.items() if not key.startswith(tuple(prefixes))}
    described = {SHARED: json.dumps([base._asdict() for base in shared])} if shared else {}
    save_tensors(path, own, {**metadata, **described})
    _sort_metadata(path)
    return shared


def save_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write tensors, contiguous ones, into a safetensors file.

    Raises:
        OSError: the file cannot be written.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    try:
        save_file(dict(tensors), path, metadata=dict(metadata))
    except SafetensorError as error:
        raise OSError(str(error)) from None


def _sort_metadata(path: Path) -> None:
    """Order the metadata of a safetensors file, which its library writes in random order."""
    with path.open("r+b") as file:
        length = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(length))
        header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
        file.seek(8)
        file.write(json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode().ljust(length))


def _equal_modules(own: Mapping[str, Tensor], base: Mapping[str, Tensor]) -> dict[str, str]:
    """Return the prefixes of the largest modules of `own` that `base` has -> their prefixes there."""
    alike: dict[frozenset[str], list[str]] = {}
    for prefix in sorted(_modules(base)):
        alike.setdefault(frozenset(_below(base, prefix)), []).append(prefix)
    found: dict[str, str] = {}
    for prefix in sorted(_modules(own)):
        if prefix.startswith(tuple(found)):
            continue
        names = _below(own, prefix)
        for other in alike.get(frozenset(names), ()):
            if all(_same_bytes(own[prefix + name], base[other + name]) for name in names):
                found[prefix] = other
                break
    return found


def _modules(names: Iterable[str]) -> set[str]:
    """Return every prefix that ends in a dot, and the empty one."""
    return {""} | {name[: dot.end()] for name in names for dot in re.finditer(r"\.", name)}


def _below(names: Iterable[str], prefix: str) -> list[str]:
    return [name.removeprefix(prefix) for name in names if name.startswith(prefix)]


def _same_bytes(one: Tensor, other: Tensor) -> bool:
    import torch

    if one.dtype != other.dtype or one.shape != other.shape:
        return False
    first, second = (tensor.contiguous().reshape(-1).view(torch.uint8) for tensor in (one, other))
    return torch.equal(first, second)


def _bases(path: Path, metadata: Mapping[str, str]) -> list[Base]:
    """Return the files that hold tensors of another one, as it names them: files beside it, by their hash."""
    items = metadata_value(path, metadata, SHARED, [])
    if len(items) > _MOST_BASES or not all(map(_is_base, items)):
        raise _damaged(path)
    return [Base(**item) for item in items]


def _is_base(item: Any) -> bool:
    if not isinstance(item, dict) or set(item) != set(Base._fields):
        return False
    prefixes = item["prefixes"]
    return (
        _BASE_NAME.fullmatch(str(item["file"])) is not None
        and _SHA256.fullmatch(str(item["sha256"])) is not None
        and isinstance(prefixes, dict)
        and len(prefixes) <= _MOST_PREFIXES
        and all(isinstance(there, str) for there in prefixes.values())
    )


def _restored(path: Path, base: Base) -> dict[str, Tensor]:
    file = path.parent / base.file
    if not file.is_file():
        raise InputError(f"{path}: some of its tensors are in {base.file}: keep the two files in one folder")
    # before the file is read: files that name each other in a circle cannot have hashes that agree
    if sha256(file) != base.sha256:
        raise InputError(
            f"{path}: some of its tensors are in {base.file}, and the file of this name beside it is another "
            "one, by its hash: keep files together that were made together"
        )
    tensors = read_safetensors(file)[0]
    return {
        own + key.removeprefix(there): value
        for own, there in base.prefixes.items()
        for key, value in tensors.items()
        if key.startswith(there)
    }


def _damaged(path: Path) -> InputError:
    return InputError(f"{path}: its metadata are damaged: get the file again")


def downloaded(url: str, what: str, instead: str) -> Path:
    """Return the file of torch.hub's cache with this address, downloaded when it is not there yet.

    The first digits of its SHA-256, which torchvision puts into the name, are compared before that.

    Args:
        url: where it is.
        what: what the weights are of, for the message.
        instead: how a file is given instead, for the message.

    Raises:
        InputError: it cannot be downloaded, or is damaged.
    """
    import torch

    path = Path(torch.hub.get_dir()) / "checkpoints" / url.rpartition("/")[2]
    if path.is_file():
        return path
    hashed = _HASH.search(path.stem)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(url, str(path), hashed and hashed[1], progress=False)
    except (OSError, RuntimeError) as error:
        raise InputError(
            f"{path.name}: {what} weights cannot be downloaded ({_reason(error)}); put the file into "
            f"{path.parent}, or give a file you have: {instead}"
        ) from None
    return path


def sha256(path: Path) -> str:
    """Return the hash of a file's bytes, as hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _reason(error: Exception) -> str:
    return str(getattr(error, "reason", error)).replace("\n", " ")[:120]
