"""Settings of CIML."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from VQBEGALLib.errors import InputError
from VQBEGALLib.settings import Section, setting


@dataclass(frozen=True, kw_only=True)
class CIMLSettings(Section):
    """CIML, complementary information mutual learning (Shen et al., 2024); used with ``architecture = ciml``."""

    primary_tasks: str = setting(
        "",
        "Organs that the primary's segmentor is trained and trusted for, with commas between; empty is all. Any other "
        "is read off the auxiliary, and needs registered volumes of each patient.",
    )
    auxiliary_tasks: str = setting(
        "", "Organs that the auxiliary's segmentor is trained and trusted for, with commas between; empty is all."
    )
    beta: float = setting(1e-3, "Weight of the bottleneck's KL divergence after warm-up.", low=0, high=1000)
    kl_warm_up: float = setting(
        0.3, "Share of a round's steps over which that weight rises from 0, linearly.", low=0, high=1
    )

    def task_map(self, organs: Sequence[str]) -> tuple[tuple[bool, ...], tuple[bool, ...]]:
        """Return which of a study's organs the primary's segmentor has, and which the auxiliary's.

        Raises:
            InputError: a task is no organ of the study, or an organ is nobody's task.
        """
        first, second = (_chosen(getattr(self, name), name, organs) for name in ("primary_tasks", "auxiliary_tasks"))
        nobody = [organ for organ, one, other in zip(organs, first, second, strict=True) if not one and not other]
        if nobody:
            raise InputError(
                f"No segmentor has {', '.join(nobody)} among its tasks.",
                "Add it to primary_tasks or auxiliary_tasks, or leave one of them empty: then it has all organs.",
            )
        return first, second

    def weight(self, progress: float) -> float:
        """Return the weight of the KL divergence at a share of a round's steps, 0 to 1."""
        return self.beta * (min(1.0, progress / self.kl_warm_up) if self.kl_warm_up else 1.0)


def _chosen(text: str, name: str, organs: Sequence[str]) -> tuple[bool, ...]:
    if not text.strip():
        return (True,) * len(organs)
    tasks = {part.strip() for part in text.split(",")}
    unknown = sorted(tasks - set(organs))
    if unknown:
        raise InputError(
            f"{name} names {', '.join(map(repr, unknown))}, which the study does not segment.",
            f"Choose among {', '.join(organs)}, with commas between.",
        )
    return tuple(organ in tasks for organ in organs)
