"""SIGINT and SIGTERM as a wish that the loop reads between steps."""

import signal
import threading
import time
from types import FrameType, TracebackType

SAME_SIGNAL = 5.0
"""Seconds within which a signal that comes again to one of several processes is the same one, forwarded."""


class StopSignals:
    """Within the context the first SIGINT or SIGTERM only sets `received`; a second one interrupts at once.

    Outside the main thread signals cannot be caught, and nothing changes. What starts several processes
    forwards a signal that they may have had already.
    """

    def __init__(self, *, several: bool = False) -> None:
        self.received: signal.Signals | None = None
        self._again = SAME_SIGNAL if several else 0.0
        self._at = 0.0
        self._before: dict[signal.Signals, object] = {}

    def __enter__(self) -> "StopSignals":
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.received is None:
            self.received, self._at = signal.Signals(number), time.monotonic()
        elif number != self.received or time.monotonic() - self._at >= self._again:
            raise KeyboardInterrupt
