"""Errors carry a sentence, a remedy and an exit code of their own; the README lists the codes as they are."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

from VQBEGALLib import errors
from VQBEGALLib.errors import CancelledError, InputError, StorageError, StudyError, StudyLockedError, VQBEGALError

README = Path(__file__).parents[2] / "README.md"
CLASSES = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if kind.__module__ == errors.__name__]


def test_text_is_problem_then_remedy():
    assert str(InputError("The file is empty.", "Export it again.")) == "The file is empty. Export it again."


def test_text_without_remedy_has_no_trailing_space():
    assert str(StudyError("The study is damaged.")) == "The study is damaged."


def test_problem_and_remedy_stay_apart_for_the_panel():
    error = StorageError("The disk is full.", "Free some space.")
    assert (error.problem, error.remedy) == ("The disk is full.", "Free some space.")


def test_cancelled_says_so_without_being_told():
    assert "Cancelled" in str(CancelledError())


def test_a_locked_study_is_caught_as_a_study_error():
    with pytest.raises(StudyError):
        raise StudyLockedError("Another process writes to the study.")


def test_every_class_derives_from_the_base_and_has_its_own_exit_code():
    assert all(issubclass(kind, VQBEGALError) for kind in CLASSES)
    codes = [kind.exit_code for kind in CLASSES]
    assert len(set(codes)) == len(codes)


def test_exit_codes_stay_clear_of_success_usage_and_signals():
    for kind in CLASSES:
        assert kind.exit_code not in (0, 2), "0 is success, 2 is argparse's wrong usage"
        assert kind.exit_code < 128 or kind is CancelledError


def test_the_readme_lists_exactly_these_exit_codes():
    rows = re.findall(r"^\| (\d+) \|", README.read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert sorted(map(int, rows)) == sorted([0, 2, *(kind.exit_code for kind in CLASSES)])
