"""What a person or a program sees of a job: progress bars and sentences, or one JSON object a line."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TextIO

from VQBEGALLib.errors import VQBEGALError
from VQBEGALLib.events import Event, json_lines, plural


@dataclass(frozen=True)
class Result:
    """What a command found: JSON-ready data, the same as text for a person, and the exit code."""

    data: Mapping[str, Any]
    text: str = ""
    code: int = 0


class Output(Protocol):
    """Where events, the result and an error go."""

    def listen(self, event: Event) -> None:
        """Take an event."""

    def result(self, result: Result) -> None:
        """Take the command's result."""

    def error(self, error: VQBEGALError) -> None:
        """Take the error that ended the command."""

    def close(self) -> None:
        """Leave the terminal in order."""


class JsonOutput:
    """One JSON object a line on standard output; the last is a result or an error."""

    def __init__(self, stream: TextIO) -> None:
        self.listen = json_lines(stream)

    def result(self, result: Result) -> None:
        """Write an event of kind ``result``."""
        self.listen({"event": "result", **result.data})

    def error(self, error: VQBEGALError) -> None:
        """Write an event of kind ``error`` with exit code, problem and remedy."""
        self.listen({"event": "error", "code": error.exit_code, "problem": error.problem, "remedy": error.remedy})

    def close(self) -> None:
        """Do nothing: every line is flushed."""


@dataclass
class TextOutput:
    """Bars with time left on a terminal, plain lines elsewhere; the result alone goes to standard output."""

    out: TextIO
    err: TextIO
    _bars: dict[str, Any] = field(default_factory=dict)

    def listen(self, event: Event) -> None:
        """Draw a bar or write a line."""
        kind = event["event"]
        if kind == "stage":
            self._begin(event)
        elif kind == "progress":
            self._advance(event)
        elif kind == "round":
            dice = event["dice"]["mean"]
            self._line(
                f"Round {event['round']}: {plural(event['labelled'], 'slice')} annotated, validation Dice {dice:.3f}."
            )
        elif kind in ("message", "warning"):
            self._line(("Warning: " if kind == "warning" else "") + event["text"])

    def result(self, result: Result) -> None:
        """Write the text, or the data as JSON where asked for."""
        self.close()
        text = result.text or json.dumps(result.data, indent=2, ensure_ascii=False)
        self.out.write(text.rstrip("\n") + "\n")
        self.out.flush()

    def error(self, error: VQBEGALError) -> None:
        """Write the sentences to standard error."""
        self.close()
        self.err.write(f"vqbegal: {error}\n")

    def close(self) -> None:
        """Close open bars."""
        for bar in self._bars.values():
            bar.close()
        self._bars = {}

    def _begin(self, event: Event) -> None:
        if not self.err.isatty():
            return
        from tqdm import tqdm  # only a person at a terminal needs it

        if event["stage"] in self._bars:
            self._bars.pop(event["stage"]).close()
        self._bars[event["stage"]] = tqdm(
            total=event["total"],
            initial=event["done"],
            desc=event["stage"],
            unit=f" {event['unit']}",
            file=self.err,
            leave=False,
            dynamic_ncols=True,
        )

    def _advance(self, event: Event) -> None:
        bar = self._bars.get(event["stage"])
        if bar is None:
            return
        bar.update(event["done"] - bar.n)
        figures = {name: event[name] for name in ("seg", "dice") if name in event}
        if figures:
            bar.set_postfix(figures, refresh=False)
        if event["done"] >= event["total"]:
            self._bars.pop(event["stage"]).close()

    def _line(self, text: str) -> None:
        if self.err.isatty():
            from tqdm import tqdm

            tqdm.write(text, file=self.err)
        else:
            self.err.write(text + "\n")
            self.err.flush()
