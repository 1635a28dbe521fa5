"""Tables of what `run.sh` measured.

    python benchmarks/gpu/tables.py OUT [--results benchmarks/gpu/results]

Copies the JSON files of OUT and writes ``gpu.md`` beside them; steps without a file are named.
"""

import argparse
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
Item = Mapping[str, Any]


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([f"| {' | '.join(head)} |", "|".join(["", *("---" for _ in head), ""]), *lines]) + "\n"


def number(item: Item, key: str, form: str = ".3g") -> str:
    """Return a number, or nothing where there is none."""
    value = item.get(key)
    return "" if value is None else format(value, form)


def parity(items: Sequence[Item]) -> str:
    """Return methods and metrics, GPU beside CPU."""
    methods = [
        (
            item["method"],
            item["weights"],
            number(item, "equal_pixels", ".2%"),
            number(item, "foreground", ".1%"),
        )
        for item in items
        if "equal_pixels" in item
    ]
    metrics = [(item["metric"], number(item, "difference", ".1e")) for item in items if "difference" in item]
    return "\n".join(
        [
            table(("method", "weights", "equal pixels, GPU and CPU", "foreground"), methods),
            table(("metric", "largest difference, GPU and CPU"), metrics),
        ]
    )


def throughput(items: Sequence[Item]) -> str:
    """Return frames per second and memory, both precisions side by side."""
    found: dict[str, dict[str, Item]] = {}
    for item in items:
        if "frames_per_second" in item:
            found.setdefault(item["method"], {})[item["precision"]] = item
    rows = []
    for method, kinds in found.items():
        cells = [method]
        for precision in ("fp32", "bf16"):
            item = kinds.get(precision, {})
            cells += [number(item, "frames_per_second"), number(item, "peak_mb", ".0f")]
        rows.append(cells)
    return table(("method", "fp32, frames/s", "MiB", "bf16, frames/s", "MiB"), rows)


def compiled(items: Sequence[Item]) -> str:
    """Return milliseconds of networks with and without torch.compile."""
    rows = [
        (
            item["method"],
            item["precision"],
            number(item, "plain_ms"),
            number(item, "compiled_ms"),
            f"{item['plain_ms'] / item['compiled_ms']:.2f}",
            number(item, "compiled_first_seconds", ".0f"),
            number(item, "difference", ".1e"),
        )
        for item in items
        if "compiled_ms" in item
    ]
    return table(("network", "precision", "ms", "compiled, ms", "faster", "compiling, s", "difference"), rows)


def online(items: Sequence[Item]) -> str:
    """Return seconds per frame of STCNN by steps of online training."""
    return "\n".join(
        f"A step takes {item['seconds_per_step']:.3f} s, a frame without training "
        f"{item['seconds_per_frame_without']:.3f} s.\n\n"
        + table(
            ("online steps", "s per frame", "paper, table 4"),
            [
                (steps, f"{value:.2f}", number(item["paper"], steps, ".2f"))
                for steps, value in item["seconds_per_frame"].items()
            ],
        )
        for item in items
        if "seconds_per_step" in item
    )


def rates(items: Sequence[Item]) -> str:
    """Return steps per second of trainings, and what the validations gave."""
    rows = [
        (
            item["method"],
            str(item["steps"]),
            number(item, "steps_per_second"),
            number(item, "of_network_alone", ".2f"),
            ", ".join(f"{value:.3f}" for value in item["validation"]),
        )
        for item in items
        if "steps_per_second" in item
    ]
    head = ("method", "steps", "steps/s", "of the rate without waiting for data", "J of validations")
    return table(head, rows)


SECTIONS: Mapping[str, tuple[str, Callable[[Sequence[Item]], str]]] = {
    "parity": ("The same on the GPU and the CPU", parity),
    "throughput": ("Frames per second and peak memory", throughput),
    "compile": ("torch.compile", compiled),
    "online": ("Online training of STCNN", online),
    "loading": ("Trainings with two loader processes", rates),
    "training": ("MP-Net on rendered scenes", rates),
}


def to_markdown(reports: Mapping[str, Mapping[str, Any]]) -> str:
    """Return all steps as Markdown.

    Args:
        reports: step -> content of its file.
    """
    parts = ["# On a GPU\n"]
    for step, (title, section) in SECTIONS.items():
        parts.append(f"## {title}\n")
        if step not in reports:
            parts.append("Not measured.\n")
            continue
        report = reports[step]
        parts += [_described(report), section(report["items"])]
        failed = [item for item in report["items"] if "error" in item]
        parts += [f"- {_name(item)}: {item['error']}" for item in failed]
    return "\n".join(parts).rstrip() + "\n"


def _name(item: Item) -> str:
    keys = ("method", "metric", "weights", "precision")
    return " ".join(str(item[key]) for key in keys if key in item)


def _described(report: Mapping[str, Any]) -> str:
    found = report["machine"]
    versions = ", ".join(f"{name} {number_}" for name, number_ in found["versions"].items())
    size = "tiny networks and pictures, a test of the steps" if report["small"] else "full size, 854 x 480"
    return f"{found['date']}, {found['device']}, {versions}, commit {found['commit'][:12]}. {size}.\n"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("out", type=Path, help="folder that run.sh has filled")
    parser.add_argument("--results", type=Path, default=HERE / "results")
    options = parser.parse_args(arguments)
    files = [options.out / f"{step}.json" for step in SECTIONS]
    there = [file for file in files if file.is_file()]
    if not there:
        raise SystemExit(f"{options.out}: no results of run.sh")
    options.results.mkdir(parents=True, exist_ok=True)
    reports = {file.stem: json.loads(file.read_text(encoding="utf-8")) for file in there}
    (options.results / "gpu.md").write_text(to_markdown(reports), encoding="utf-8")
    for file in there:
        shutil.copyfile(file, options.results / file.name)


if __name__ == "__main__":
    main()
