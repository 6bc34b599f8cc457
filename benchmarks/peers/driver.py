"""A library at work in a process of its own: orders go in, answers come back, and whatever it does is survived."""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from peers.exchange import PeerFailed

__all__ = ["Peer"]

_WORKER = Path(__file__).with_name("worker.py")
# One thread for everybody: seconds then mean the same, and systems can be asked side by side.
_ONE_THREAD = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL", "LK", "RAYON")}
_LAST_LINES = 3


class Peer:
    """One worker process.

    Parameters
    ----------
    python : Path
        The interpreter that has the library.
    file : Path
        The library's file.
    log : Path
        What it prints is added here.
    limit : float
        Seconds that one order may take.
    """

    def __init__(self, python: Path, file: Path, log: Path, limit: float) -> None:
        self.file, self.log, self.limit = file, log, limit
        log.parent.mkdir(parents=True, exist_ok=True)
        self._errors = log.open("ab")
        # -P: what lies beside the worker does not shadow the library of the same name.
        self._process = subprocess.Popen(
            [str(python), "-P", str(_WORKER), str(file)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            cwd=log.parent,
            env={**os.environ, **_ONE_THREAD, "PYTHONPATH": ""},
            start_new_session=True,
        )
        self._read = b""

    def __enter__(self) -> Peer:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    @property
    def alive(self) -> bool:
        """Whether it can be asked."""
        return self._process.poll() is None

    def ask(self, do: str, **order: Any) -> dict[str, Any]:
        """Give one order and wait for the answer.

        Raises
        ------
        PeerFailed
            When it raises, dies, takes too long, or answers with what is no answer.
        """
        line = json.dumps({"do": do, **{name: str(v) if isinstance(v, Path) else v for name, v in order.items()}})
        stdin = self._process.stdin
        assert stdin is not None
        try:
            stdin.write(line.encode() + b"\n")
            stdin.flush()
        except OSError:
            raise PeerFailed(self._died(do)) from None
        answer = self._line(do)
        try:
            told = json.loads(answer)
        except ValueError:
            told = None
        if isinstance(told, dict) and isinstance(told.get("ok"), dict):
            return dict(told["ok"])
        if isinstance(told, dict) and isinstance(told.get("error"), str):
            raise PeerFailed(f"{do}: {told['error']} ({self.log})")
        self.close()
        raise PeerFailed(f"{do}: answered {answer[:80].decode(errors='replace')!r}, which is no answer ({self.log})")

    def _line(self, do: str) -> bytes:
        stdout = self._process.stdout
        assert stdout is not None
        until = time.monotonic() + self.limit
        with selectors.DefaultSelector() as selector:
            selector.register(stdout, selectors.EVENT_READ)
            while b"\n" not in self._read:
                if not selector.select(max(0.0, until - time.monotonic())):
                    self.close()
                    raise PeerFailed(f"{do}: took longer than {self.limit:.0f} s and was stopped ({self.log})")
                part = os.read(stdout.fileno(), 65536)
                if not part:
                    raise PeerFailed(self._died(do))
                self._read += part
        line, _, self._read = self._read.partition(b"\n")
        return line

    def _died(self, do: str) -> str:
        code = self._process.wait()
        self._errors.flush()
        said = [line for line in self.log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
        how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        return f"{do}: its process ended ({how}): {' / '.join(said[-_LAST_LINES:]) or 'it said nothing'} ({self.log})"

    def close(self) -> None:
        """End the process and what it started."""
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                with suppress(OSError):  # what was not sent to a process that is dead
                    stream.close()
        if self.alive:
            try:
                self._process.wait(1)
            except subprocess.TimeoutExpired:
                os.killpg(self._process.pid, signal.SIGKILL)
                self._process.wait()
        self._errors.close()
