"""Report of timed runs as Markdown: medians, ratios within rounds, targets, agreement of values."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

WHOLE, KERNEL = "whole program", "kernel"
JF, JFT = "J+F", "J+F+T"
OURS, PEER = "vosbench", "vos-benchmark"
AGREE = 1e-6

Key = tuple[str, str, int]
"""Program, measures, processes."""


@dataclass(frozen=True)
class Run:
    """One run of one program.

    Attributes:
        program, what, measures, workers: which one.
        round: counted from 1.
        seconds: from start to end of the process.
        cpu_seconds: of the process and those it started.
        peak_mb: resident memory in MiB of the largest of its processes.
        kernel: measure -> seconds for all frames, for kernels.
    """

    program: str
    what: str
    measures: str
    workers: int
    round: int
    seconds: float
    cpu_seconds: float
    peak_mb: float
    kernel: Mapping[str, float] | None = None


def ratios(runs: Iterable[Run], above: Key, below: Key, *, cpu: bool = False) -> list[float]:
    """Ratio of the seconds of two programs, or of their CPU seconds, in every round that has both."""
    rounds: dict[int, dict[Key, float]] = {}
    for run in runs:
        if run.what == WHOLE:
            key = run.program, run.measures, run.workers
            rounds.setdefault(run.round, {})[key] = run.cpu_seconds if cpu else run.seconds
    return [times[above] / times[below] for times in rounds.values() if above in times and below in times]


def per_frame(runs: Iterable[Run], program: str, measure: str, frames: int) -> float | None:
    """Median seconds per frame of a kernel; None when it did not run."""
    times = [run.kernel[measure] for run in runs if run.program == program and run.kernel is not None]
    return median(times) / frames if times else None


def disagreements(report: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """Program -> measure -> largest difference from vosbench over the sequences, where above `AGREE`."""
    return {
        program: {measure: gap for measure, gap in gaps.items() if not gap <= AGREE}
        for program, gaps in differences(report["values"]).items()
        if any(not gap <= AGREE for gap in gaps.values())
    }


def differences(values: Mapping[str, Mapping[str, Mapping[str, float]]]) -> dict[str, dict[str, float]]:
    """Program -> measure -> largest difference from vosbench; infinite when sequences differ."""
    ours = values[OURS]
    found = {}
    for program, theirs in values.items():
        if program == OURS:
            continue
        same = ours.keys() == theirs.keys()
        found[program] = {
            measure: max(abs(ours[name][measure] - theirs[name][measure]) for name in ours)
            if same
            else float("inf")
            for measure in ("J", "F")
        }
    return found


def to_markdown(report: Mapping[str, Any]) -> str:
    """Return the report as Markdown."""
    runs = [Run(**item) for item in report["runs"]]
    frames = {name: sum(sizes.values()) for name, sizes in report["frames"].items()}
    cores = max(run.workers for run in runs)
    sections = [
        "# Speed of the metrics\n",
        _setting(report, frames["full"], len({run.round for run in runs})),
        "## What is asked of it\n",
        _targets(runs, frames, cores),
        "## Whole programs\n",
        "From the start of the process to its end, as a user runs it. Ratios are medians of the rounds "
        "(smallest to largest), against vosbench J+F with as many processes. Memory is that of the "
        "largest process.\n",
        _whole(runs, frames["full"]),
        "## Kernels alone\n",
        f"Masks in memory, one process, {frames['sample']} frames, CPU time; trackeval starts from run "
        "lengths.\n",
        _kernels(runs, frames["sample"]),
        "## Values\n",
        _agreement(report),
        *([f"Command: `{report['command']}`.\n"] if "command" in report else []),
    ]
    return "\n".join(sections)


def _setting(report: Mapping[str, Any], frames: int, rounds: int) -> str:
    machine = report["machine"]
    versions = "; ".join(
        f"{side}: " + ", ".join(f"{name} {number}" for name, number in found.items())
        for side, found in machine["versions"].items()
    )
    changed = " with changes" if machine["changed"] else ""
    return (
        f"{report['masks']}, {len(report['frames']['full'])} sequences, {frames} evaluated frames, "
        f"predictions: {report['predictions']}. {rounds} rounds, all programs in turns in each "
        "(slow ones in the first rounds only).\n\n"
        f"{machine['date']}, {machine['processor']}, {machine['cores']} cores, {machine['system']}, "
        f"load before {machine['load_before']}, commit {machine['commit'][:12]}{changed}. {versions}.\n"
    )


def _targets(runs: Sequence[Run], frames: Mapping[str, int], cores: int) -> str:
    rows = []
    for workers, target in {cores: 4.5, 1: 5.5}.items():
        # one process: CPU time, which a busy machine changes least
        faster = median(ratios(runs, (PEER, JF, workers), (OURS, JF, workers), cpu=workers == 1))
        how = "single process, CPU time" if workers == 1 else f"{workers} processes each"
        rows.append((f"{PEER} / {OURS}, J+F, {how}", f"{faster:.2f}", f">= {target}", faster >= target))
    stability = per_frame(runs, OURS, "T", frames["sample"])
    peer = per_frame(runs, PEER, JF, frames["sample"])
    if stability is not None and peer is not None:
        share = stability / peer
        rows.append(
            (f"{OURS} T / {PEER} J+F, per frame, kernels, CPU time", f"{share:.2f}", "<= 0.9", share <= 0.9)
        )
    both = ratios(runs, (OURS, JFT, 1), (PEER, JF, 1), cpu=True)
    alone = ratios(runs, (OURS, JF, 1), (PEER, JF, 1), cpu=True)
    extra = median(a - b for a, b in zip(both, alone, strict=True))
    rows.append(
        (
            f"{OURS} J+F+T less J+F / {PEER} J+F, whole programs, CPU time",
            f"{extra:.2f}",
            "<= 0.9",
            extra <= 0.9,
        )
    )
    peak = max(run.peak_mb for run in runs if run.program == OURS and run.what == WHOLE)
    rows.append((f"{OURS}, peak memory of a process", f"{peak:.0f} MiB", "< 300", peak < 300))
    lines = [
        f"| {what} | {value} | {target} | {'yes' if met else 'no'} |" for what, value, target, met in rows
    ]
    floor = median(ratios(runs, (OURS, JF, 1), ("decode", "-", 1)))
    return (
        _table(("", "measured", "target", "met"), lines)
        + f"\n{OURS} J+F takes {floor:.2f} times as long as reading the masks alone (`decode`), single "
        f"process. The released program for T is said to take 52 times {PEER}'s J+F time per frame; "
        "that figure is quoted, not measured here.\n"
    )


def _whole(runs: Sequence[Run], frames: int) -> str:
    groups: dict[Key, list[Run]] = {}
    for run in runs:
        if run.what == WHOLE:
            groups.setdefault((run.program, run.measures, run.workers), []).append(run)
    lines = []
    for key, group in sorted(
        groups.items(), key=lambda item: (item[0][2], median(r.seconds for r in item[1]))
    ):
        seconds, cpu = median(run.seconds for run in group), median(run.cpu_seconds for run in group)
        against = ratios(runs, key, (OURS, JF, key[2]))
        ratio = f"{median(against):.2f} ({min(against):.2f} to {max(against):.2f})"
        lines.append(
            f"| {key[0]} | {key[1]} | {key[2]} | {len(group)} | {seconds:.2f} | "
            f"{1000 * seconds / frames:.2f} | {frames / seconds:.0f} | {cpu:.2f} | "
            f"{max(run.peak_mb for run in group):.0f} | {ratio} |"
        )
    head = (
        "program",
        "measures",
        "processes",
        "runs",
        "seconds",
        "ms/frame",
        "frames/s",
        "CPU s",
        "MiB",
        "ratio",
    )
    return _table(head, lines)


def _kernels(runs: Sequence[Run], frames: int) -> str:
    pairs = {(run.program, measure): None for run in runs if run.kernel is not None for measure in run.kernel}
    ours = per_frame(runs, OURS, JF, frames)
    lines = []
    for program, measure in pairs:
        seconds = per_frame(runs, program, measure, frames)
        if seconds is not None and ours is not None:
            lines.append(f"| {program} | {measure} | {1000 * seconds:.2f} | {seconds / ours:.2f} |")
    return _table(("program", "measures", "ms/frame", f"ratio to {OURS} J+F"), lines)


def _agreement(report: Mapping[str, Any]) -> str:
    values = report["values"]
    means = {
        program: {
            measure: sum(item[measure] for item in found.values()) / len(found) for measure in ("J", "F")
        }
        for program, found in values.items()
    }
    gaps = differences(values)
    lines = []
    for program, mean in means.items():
        gap = gaps.get(program)
        text = "| |" if gap is None else f"| {gap['J']:.1e} | {gap['F']:.1e} |"
        lines.append(f"| {program} | {mean['J']:.6f} | {mean['F']:.6f} {text}")
    odd = ", ".join(disagreements(report))
    verdict = f"Values of {odd} differ by more than {AGREE:g}." if odd else f"All agree within {AGREE:g}."
    head = ("program", "J", "F", f"largest J difference from {OURS}", "of F, per sequence")
    return _table(head, lines) + f"\n{verdict}\n"


def _table(head: Sequence[str], lines: Sequence[str]) -> str:
    rule = "|".join("---" for _ in head)
    return "\n".join([f"| {' | '.join(head)} |", f"|{rule}|", *lines]) + "\n"
