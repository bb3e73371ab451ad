"""The queue in the study: an item is whole or not there, answers are kept, a kill at any instant loses nothing."""

from __future__ import annotations

import stat
import threading

import pytest

from VQBEGALLib.delivery import outbox
from VQBEGALLib.errors import InputError, StorageError, StudyError
from VQBEGALLib.pacs.connection import Instance
from VQBEGALLib.storage import make_folder

ABOUT = {"case": "P1", "what": "prediction", "format": "seg", "round": 0}


def filled(count=3, size=10):
    def fill(folder):
        found = []
        for number in range(1, count + 1):
            path = folder / f"{number:05d}.dcm"
            path.write_bytes(b"0" * size)
            found.append(
                Instance(
                    path=path, sop_class_uid="1.2", sop_instance_uid=f"1.2.{number}", study_uid="1.3", series_uid="1.4"
                )
            )
        return found

    return fill


def put(study, **options):
    return outbox.put(study, filled(**options), about=ABOUT, server="A", address="https://a/dicom-web")


def test_what_is_put_waits_with_its_files(tmp_path):
    item = put(tmp_path)
    (found,) = outbox.waiting(tmp_path)
    assert found == item
    assert [each.path.read_bytes() for each in found.left] == [b"0" * 10] * 3
    assert not found.begun
    assert stat.S_IMODE(found.instances[0].path.parent.stat().st_mode) == 0o700


def test_answers_are_kept(tmp_path):
    item = put(tmp_path)
    outbox.begin(tmp_path, item)
    outbox.note(tmp_path, item, "1.2.1")
    outbox.note(tmp_path, item, "1.2.2", "refused")
    found = outbox.read(tmp_path, item.id)
    assert [each.sop_instance_uid for each in found.left] == ["1.2.2", "1.2.3"]
    assert found.problems == {"1.2.2": "refused"}
    assert found.last_problem == "refused"
    assert found.begun
    outbox.note(tmp_path, item, "1.2.2")
    assert not outbox.read(tmp_path, item.id).problems


def test_a_line_that_a_kill_tore_is_passed_over(tmp_path):
    item = put(tmp_path)
    outbox.note(tmp_path, item, "1.2.1")
    with (tmp_path / "outbox" / item.id / "sent.jsonl").open("ab") as stream:
        stream.write(b'{"uid": "1.2.')
    assert len(outbox.read(tmp_path, item.id).left) == 2
    outbox.note(tmp_path, item, "1.2.2")
    assert len(outbox.read(tmp_path, item.id).left) == 1


def test_a_kill_while_it_is_filled_leaves_nothing_that_waits_and_the_next_use_deletes_it(tmp_path):
    abandoned = tmp_path / "outbox" / ".tmp-20260101T000000-00000000"
    make_folder(abandoned)
    (abandoned / "00001.dcm").write_bytes(b"names a patient")
    assert outbox.waiting(tmp_path) == []
    put(tmp_path)
    assert not abandoned.exists()
    assert len(outbox.waiting(tmp_path)) == 1


def test_a_full_disk_leaves_the_queue_as_it_was(tiny_disk):
    put(tiny_disk)
    with pytest.raises((StorageError, OSError)):
        put(tiny_disk, size=200 << 10)
    assert len(outbox.waiting(tiny_disk)) == 1
    assert len(list((tiny_disk / "outbox").iterdir())) == 1


def test_an_item_that_is_removed_is_gone(tmp_path):
    item = put(tmp_path)
    outbox.remove(tmp_path, item.id)
    assert outbox.waiting(tmp_path) == []
    assert list((tmp_path / "outbox").iterdir()) == []


@pytest.mark.parametrize("name", ["nothing", "../outside", ".."])
def test_an_item_that_is_not_there_is_told(tmp_path, name):
    put(tmp_path)
    with pytest.raises((InputError, StudyError)):
        outbox.remove(tmp_path, name)
    assert len(outbox.waiting(tmp_path)) == 1


@pytest.mark.parametrize("text", ["{}", "[]", "", '{"instances": [{}]}', None])
def test_a_damaged_item_is_told_hides_no_other_and_can_be_removed(tmp_path, text):
    item, other = put(tmp_path), put(tmp_path)
    path = tmp_path / "outbox" / item.id / "item.json"
    path.unlink() if text is None else path.write_text(text)
    damaged = {each.id: each for each in outbox.waiting(tmp_path)}
    assert damaged[item.id].damaged
    assert "damaged" in damaged[item.id].last_problem
    assert damaged[other.id] == other
    outbox.remove(tmp_path, item.id)
    assert outbox.waiting(tmp_path) == [other]


def test_the_list_can_be_read_while_items_come_and_go(tmp_path):
    """As the panel does while a job sends."""
    done = threading.Event()
    problems: list[Exception] = []

    def look() -> None:
        while not done.is_set():
            try:
                assert not [item for item in outbox.waiting(tmp_path) if item.damaged]
            except Exception as error:
                problems.append(error)

    thread = threading.Thread(target=look)
    thread.start()
    for _ in range(30):
        outbox.remove(tmp_path, put(tmp_path).id)
    done.set()
    thread.join()
    assert not problems


def test_a_redirected_item_is_all_new_to_the_other_server(tmp_path):
    item = put(tmp_path)
    outbox.begin(tmp_path, item)
    outbox.note(tmp_path, item, "1.2.1")
    outbox.note_trouble(tmp_path, item, "It was slow.")
    assert outbox.read(tmp_path, item.id).last_problem == "It was slow."
    moved = outbox.redirect(tmp_path, item, server="B", address="https://b")
    assert (moved.server, moved.address, len(moved.left), moved.begun, moved.last_problem) == (
        *("B", "https://b"),
        *(3, False, ""),
    )
    outbox.note(tmp_path, item, "1.2.2")
    assert len(outbox.read(tmp_path, item.id).left) == 2


def test_a_name_in_the_item_cannot_lead_out_of_it(tmp_path):
    item = put(tmp_path)
    path = tmp_path / "outbox" / item.id / "item.json"
    path.write_text(path.read_text().replace("00001.dcm", "../../../etc/passwd"))
    assert outbox.read(tmp_path, item.id).instances[0].path.parent == path.parent
