"""Damaged files for every reader: each ends as a value or one clear line, in bounded time and memory.

    python benchmarks/soak/hostile_files.py [--files 120000] [--seed 0] [--only record,suite] [--keep FOLDER]

A reader runs in a process of its own that may take 1 GiB more memory than it starts with (RLIMIT_AS) and 5
seconds of processor time for a file. Writes ``results/hostile_files.json`` for table.py. A lost file is
written to --keep, and its number makes it again.
"""

import argparse
import json
import os
import random
import re
import resource
import select
import signal
import struct
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

import yaml
from readers import Reader, readers

from vosbench.errors import InputError
from vosbench.files import write_text

RESULTS = Path(__file__).parent / "results" / "hostile_files.json"

MEMORY = 1 << 30
SECONDS = 5.0
PATIENCE = 300.0
"""Seconds without an answer after which a process counts as hanging, whatever else the machine does."""

_NUMBERS = (0, 1, 255, 2**15, 2**16 - 1, 2**24, 2**31 - 1, 2**31, 2**32 - 1, 40_000)
_DIGITS = (b"0", b"-1", b"-5", b"999999", b"99999999", b"9" * 5000, b"1e9", b"1e999", b"", b"\xb2", b"nan")


class TooLong(BaseException):
    """More than `SECONDS` for one file; no reader may take it for damage."""


@dataclass
class Tally:
    """Outcomes of a reader.

    Attributes:
        outcomes: ``read``, ``refused`` and ``lost`` -> files.
        lost: number of the file -> what happened.
        slowest: processor seconds of one file.
        peak: bytes that the process grew by.
    """

    outcomes: Counter[str] = field(default_factory=Counter)
    lost: dict[int, str] = field(default_factory=dict)
    slowest: float = 0.0
    peak: int = 0

    @property
    def files(self) -> int:
        return sum(self.outcomes.values())


def damaged(content: bytes, chance: random.Random, *, text: bool) -> bytes:
    """Return bytes with one to three damages.

    Args:
        content: of a sound file.
        chance: chooses them.
        text: whether the content is JSON or YAML: half of the damage is then to its parts.
    """
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        if text and chance.random() < 0.7:
            content = _other_parts(content, chance)
        elif content:
            content = chance.choice(_DAMAGES)(bytearray(content), chance)
    return content


def _place(data: bytearray, chance: random.Random) -> int:
    # half of all damage is where headers are
    return chance.randrange(len(data) if chance.random() < 0.5 else min(len(data), 64))


def _flip(data: bytearray, chance: random.Random) -> bytes:
    for _ in range(chance.choice((1, 1, 2, 8))):
        data[_place(data, chance)] ^= 1 << chance.randrange(8)
    return bytes(data)


def _field(data: bytearray, chance: random.Random) -> bytes:
    kind = chance.choice(("<H", ">H", "<I", ">I", "<Q"))
    value = chance.choice(_NUMBERS) % 2 ** (8 * struct.calcsize(kind))
    at = _place(data, chance)
    data[at : at + struct.calcsize(kind)] = struct.pack(kind, value)
    return bytes(data)


def _digits(data: bytearray, chance: random.Random) -> bytes:
    numbers = [match.span() for match in re.finditer(rb"[0-9]+", data)] or [(0, 0)]
    start, end = chance.choice(numbers)
    data[start:end] = chance.choice(_DIGITS)
    return bytes(data)


def _cut(data: bytearray, chance: random.Random) -> bytes:
    return bytes(data[: chance.randrange(len(data))])


def _remove(data: bytearray, chance: random.Random) -> bytes:
    at = _place(data, chance)
    del data[at : at + chance.randrange(1, 40)]
    return bytes(data)


def _repeat(data: bytearray, chance: random.Random) -> bytes:
    at = _place(data, chance)
    data[at:at] = data[at : at + chance.randrange(1, 200)] * chance.choice((1, 2, 50))
    return bytes(data)


def _noise(data: bytearray, chance: random.Random) -> bytes:
    at, length = _place(data, chance), chance.randrange(1, 40)
    data[at : at + chance.choice((0, length))] = chance.randbytes(length)
    return bytes(data)


def _swap(data: bytearray, chance: random.Random) -> bytes:
    one, other = sorted((_place(data, chance), _place(data, chance)))
    length = chance.randrange(1, 64)
    first, second = data[one : one + length], data[other : other + length]
    return bytes(data[:one] + second + data[one + length : other] + first + data[other + length :])


def _splice(data: bytearray, chance: random.Random) -> bytes:
    return bytes(data[: _place(data, chance)] + data[_place(data, chance) :])


_DAMAGES: tuple[Callable[[bytearray, random.Random], bytes], ...] = (
    *(_flip, _field, _digits, _cut, _remove, _repeat, _noise, _swap, _splice),
)


_DEEP = b"[" * 2000 + b"]" * 2000

_VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, -5, 255, 10**12, 2**63, 10**40, -0.5, 1e308, float("inf"), float("nan")),
    *("", " ", "x", "x" * 300, "x" * 100_000, "../../x", "/etc/passwd", "..", "-x", "=1+1", "a\nb", "a\0b"),
    *("<script>alert(1)</script>", "${oc.env:HOME}", "${HOME}", "{0.__class__}", "[/x]", "%s%n", "\x1b[2J"),
    *("\ud800", "\u202e", "ééé", "日本語", "null", "1", "1e999", "2001-99-99", "!!python/name:os.system"),
    *([], [[]], [None], [1, "a"], {}, {"": ""}, {"a": {"a": {}}}, {"__class__": 1}, "DEEP"),
    *(list(range(3000)), {str(index): index for index in range(1000)}),
)


def _other_parts(content: bytes, chance: random.Random) -> bytes:
    """Return JSON or YAML with a part replaced, removed, doubled, renamed or put elsewhere."""
    is_json = content[:1] in (b"{", b"[")
    try:
        value = json.loads(content) if is_json else yaml.load(content, _LOADER)  # noqa: S506 the safe one
    except (yaml.YAMLError, ValueError, RecursionError):
        return content
    places = list(_places(value))
    if not places:
        return content
    owner, key = chance.choice(places)
    kind = chance.choice(("value", "value", "value", "remove", "other", "rename"))
    if kind == "value":
        owner[key] = chance.choice(_VALUES)
    elif kind == "remove":
        del owner[key]
    elif kind == "other":
        other, there = chance.choice(places)
        # in YAML an alias, perhaps of what it is in
        owner[key] = other[there]
    elif isinstance(owner, dict):
        owner[chance.choice(("x", "../x", "a.b", "<b>", "", "x" * 5000))] = owner.pop(key)
    try:
        if is_json:
            return json.dumps(value).encode().replace(b'"DEEP"', _DEEP)
        text = yaml.dump(value, Dumper=_DUMPER, allow_unicode=True)
        return text.encode("utf-8", "surrogatepass").replace(b"DEEP", _DEEP)
    except (ValueError, RecursionError, yaml.YAMLError):
        return content


_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_DUMPER: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


def _places(value: Any, depth: int = 0) -> Iterator[tuple[Any, Any]]:
    keys = value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for key in list(keys)[:200]:
        yield value, key
        if depth < 20:
            yield from _places(value[key], depth + 1)


def attempt(reader: Reader, path: Path, content: bytes) -> tuple[str, str]:
    """Read a damaged file; return its outcome, and what happened to a lost one."""
    path.write_bytes(content)
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        reader.read(path)
        return "read", ""
    except InputError as error:
        return _judged(f"{error}", path)
    except TooLong:
        return "lost", f"more than {SECONDS:g} s"
    except BaseException as error:
        return "lost", f"{type(error).__name__}: {error}"[:300]
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


def _judged(message: str, path: Path) -> tuple[str, str]:
    """A refusal is one line of a bounded length that names the file."""
    if "\n" in message or len(message) > 4000:
        return "lost", f"a message of {len(message)} characters: {message[:200]}"
    names = (path.name, path.parent.name, path.stem if len(path.stem) > 1 else path.name)
    if not any(name in message for name in names):
        return "lost", f"a message without the file: {message[:200]}"
    return "refused", message[:200]


def run(name: str, reader: Reader, count: int, seed: int, keep: Path | None = None) -> Tally:
    """Read damaged files in processes of their own.

    Args:
        name: of the reader, which is part of the seed.
        reader: it.
        count: of files.
        seed: of all damage.
        keep: folder for lost files.
    """
    tally = Tally()
    with tempfile.TemporaryDirectory(dir=_memory_folder()) as folder:
        path = Path(folder) / reader.file
        reader.write(path)
        sound = path.read_bytes()
        start = 0
        while start < count:
            start = _run_process(name, reader, path, sound, range(start, count), seed, tally, keep)
    return tally


def content_of(name: str, sound: bytes, number: int, seed: int, *, text: bool) -> bytes:
    """Return the content of a damaged file; number 0 is the sound one."""
    return sound if number == 0 else damaged(sound, random.Random(f"{seed} {name} {number}"), text=text)


def _run_process(
    name: str,
    reader: Reader,
    path: Path,
    sound: bytes,
    numbers: range,
    seed: int,
    tally: Tally,
    keep: Path | None,
) -> int:
    """Let a process read files until it ends, or has to be ended; return the number to go on with."""
    receiving, sending = os.pipe()
    child = os.fork()
    if not child:
        os.close(receiving)
        _read_all(name, reader, path, sound, numbers, seed, sending)
    os.close(sending)
    at, buffer, alive = numbers.start, b"", True
    while alive:
        ready, _, _ = select.select([receiving], [], [], PATIENCE)
        chunk = os.read(receiving, 1 << 16) if ready else b""
        alive = bool(chunk)
        *lines, buffer = (buffer + chunk).split(b"\n")
        for line in lines:
            outcome, seconds, peak, what = json.loads(line)
            _count(name, sound, at, seed, reader, (outcome, what), tally, keep)
            tally.slowest, tally.peak = max(tally.slowest, seconds), max(tally.peak, peak)
            at += 1
    if at < numbers.stop:
        os.kill(child, signal.SIGKILL)
        _count(name, sound, at, seed, reader, ("lost", "the process ended or hung"), tally, keep)
        at += 1
    os.waitpid(child, 0)
    os.close(receiving)
    return at


def _count(
    name: str,
    sound: bytes,
    number: int,
    seed: int,
    reader: Reader,
    result: tuple[str, str],
    tally: Tally,
    keep: Path | None,
) -> None:
    outcome, what = result
    tally.outcomes[outcome] += 1
    if outcome != "lost":
        return
    tally.lost[number] = what
    if keep is not None:
        keep.mkdir(parents=True, exist_ok=True)
        content = content_of(name, sound, number, seed, text=reader.text)
        (keep / f"{re.sub(r'[^a-z0-9]+', '-', name.lower())}-{number}-{reader.file}").write_bytes(content)


def _read_all(
    name: str, reader: Reader, path: Path, sound: bytes, numbers: range, seed: int, sending: int
) -> None:
    warnings.simplefilter("ignore")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    resource.setrlimit(resource.RLIMIT_AS, (_address_space() + MEMORY,) * 2)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGPROF, _too_long)
    before = _peak()
    for number in numbers:
        content = content_of(name, sound, number, seed, text=reader.text)
        started = time.process_time()
        outcome, what = attempt(reader, path, content)
        if number == 0 and outcome != "read":
            outcome, what = "lost", f"the sound file is not read: {what}"
        line = json.dumps([outcome, time.process_time() - started, _peak() - before, what])
        os.write(sending, f"{line}\n".encode())
    os._exit(0)


def _too_long(number: int, frame: FrameType | None) -> None:
    raise TooLong


def _address_space() -> int:
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * resource.getpagesize()


def _peak() -> int:
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _memory_folder() -> str | None:
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108 a folder of our own in it


def content_of_results(
    tallies: Mapping[str, Tally], command: str, earlier: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Return the figures as table.py reads them.

    Args:
        tallies: of the readers.
        command: that makes them again.
        earlier: figures of an earlier run, of which those of other readers and the command are kept.
    """
    kept = {row["subject"]: row for row in (earlier or {}).get("rows", ())}
    rows = {
        name: {
            "subject": name,
            "fault": f"damaged file (at most {tally.slowest:.1f} s, {tally.peak >> 20} MiB)",
            "tried": tally.files,
            "survived": tally.files - tally.outcomes["lost"],
            "lost": tally.outcomes["lost"],
        }
        for name, tally in tallies.items()
    }
    command = (earlier or {}).get("command", command)
    return {"title": "Hostile files", "command": command, "rows": list({**kept, **rows}.values())}


def main(words: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=120_000, help="damaged files, over all readers")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", help="renew the figures of these readers, separated by semicolons")
    parser.add_argument("--keep", type=Path, help="folder for lost files")
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args(words)
    known = readers()
    chosen = options.only.split(";") if options.only else list(known)
    shares = sum(reader.share for reader in known.values())
    command = f"python benchmarks/soak/hostile_files.py --files {options.files} --seed {options.seed}"
    renewed = options.only and options.out.is_file()
    earlier = json.loads(options.out.read_text(encoding="utf-8")) if renewed else None
    tallies = {}
    # PyTorch is imported last: the others have less memory of their own without it
    for name in sorted(chosen, key=lambda name: known[name].torch):
        count = max(1, round(options.files * known[name].share / shares))
        tallies[name] = tally = run(name, known[name], count, options.seed, options.keep)
        sys.stdout.write(
            f"{name}: {dict(tally.outcomes)}, slowest {tally.slowest:.2f} s, {tally.peak >> 20} MiB\n"
        )
        for number, what in list(tally.lost.items())[:10]:
            sys.stdout.write(f"  {number}: {what}\n")
        sys.stdout.flush()
        # a run that is ended leaves the figures of the readers before
        write_text(options.out, json.dumps(content_of_results(tallies, command, earlier), indent=1) + "\n")
    return 1 if any(tally.lost for tally in tallies.values()) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
