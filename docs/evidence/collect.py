"""Collect the validation and test scores of studies into one JSON file: ``collect.py OUT NAME=STUDY …``."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from VQBEGALLib.study import Study


def scores(study: Study) -> list[dict[str, Any]]:
    """Return what each trained round reached, by patient, and what codebook and discriminator did."""
    rows = []
    for round_ in study.rounds():
        if round_.trained:
            diagnosis = dict(round_.figures.get("diagnosis", {}))
            codebook = diagnosis.pop("codebook", None)
            used = {name: value for name, value in (codebook or {}).items() if not name.startswith("counts")}
            rows.append(
                {
                    "round": round_.index,
                    "strategy": round_.strategy,
                    "labelled": round_.figures["labelled"],
                    "pool": round_.figures["pool"],
                    "metrics": round_.metrics,
                    "diagnosis": {**diagnosis, **({"codebook": used} if used else {})},
                }
            )
    return rows


def main() -> None:
    """Write the file."""
    out, *named = sys.argv[1:]
    found = {}
    for text in named:
        name, _, folder = text.partition("=")
        study = Study.open(Path(folder))
        found[name] = {"config": study.config.to_json(), "rounds": scores(study)}
    Path(out).write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
