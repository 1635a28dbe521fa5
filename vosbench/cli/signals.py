"""Interruption by signals: an exception that runs every clean-up, and the status a shell expects."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_NAMES = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated"}


class Stopped(BaseException):
    """Raised wherever the program is when a signal arrives; no handler of ordinary errors catches it."""


class Interruption:
    """Signal that has arrived, if any.

    Attributes:
        number: of the signal; None without one.
    """

    def __init__(self) -> None:
        self.number: signal.Signals | None = None

    @property
    def status(self) -> int:
        """Exit status of a program that ends by the signal; 0 without one."""
        return 0 if self.number is None else 128 + self.number

    @property
    def message(self) -> str:
        """Line for the user."""
        return "" if self.number is None else _NAMES[self.number]


@contextmanager
def signals_raise() -> Iterator[Interruption]:
    """Raise `Stopped` in the block at the first SIGINT or SIGTERM; a second one ends the process at once."""
    interruption = Interruption()
    process = os.getpid()

    def stop(number: int, _: FrameType | None) -> None:
        if os.getpid() != process:
            # a forked worker: the parent reports
            os._exit(128 + number)
        interruption.number = signal.Signals(number)
        for known in _NAMES:
            signal.signal(known, signal.SIG_DFL)
        raise Stopped

    if threading.current_thread() is not threading.main_thread():
        yield interruption
        return
    before = {number: signal.signal(number, stop) for number in _NAMES}
    try:
        yield interruption
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
