"""Files are replaced in one step or not at all; errors say what to do; nothing leads out of a folder."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from VQBEGALLib.errors import StorageError, StudyError, StudyLockedError
from VQBEGALLib.storage import append_line, inside, read_json, read_lines, sha256, write_bytes, write_file, write_json
from VQBEGALLib.study.locking import HOLDER, StudyLock

ROOT = Path(__file__).parents[2]


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_json_comes_back_unchanged_in_its_order(tmp_path):
    data = {"b": [1, 2.5, None], "a": "Größe 肝臓"}
    write_json(tmp_path / "x.json", data)
    assert read_json(tmp_path / "x.json") == data
    assert list(read_json(tmp_path / "x.json")) == ["b", "a"]
    assert "肝臓" in (tmp_path / "x.json").read_text(encoding="utf-8")


def test_json_takes_no_nan_and_leaves_the_old_file(tmp_path):
    write_json(tmp_path / "x.json", 1)
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "x.json", {"dice": float("nan")})
    assert read_json(tmp_path / "x.json") == 1


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EIO])
@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_an_error_while_writing_leaves_the_old_file_and_no_other(tmp_path, monkeypatch, code, call):
    write_bytes(tmp_path / "x", b"old")

    def fail(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(*((os, "fsync") if call == "fsync" else (Path, "replace")), fail)
    with pytest.raises(StorageError) as caught:
        write_bytes(tmp_path / "x", b"new")
    monkeypatch.undo()
    assert caught.value.remedy
    assert ("full" in caught.value.problem) == (code in (errno.ENOSPC, errno.EDQUOT))
    assert names(tmp_path) == {"x"}
    assert (tmp_path / "x").read_bytes() == b"old"


def test_a_writer_that_fails_half_way_leaves_the_old_file_and_no_other(tmp_path):
    write_bytes(tmp_path / "x", b"old")

    def half(path: Path) -> None:
        path.write_bytes(b"ne")
        raise KeyError

    with pytest.raises(KeyError):
        write_file(tmp_path / "x", half)
    assert names(tmp_path) == {"x"}
    assert (tmp_path / "x").read_bytes() == b"old"


def test_the_file_is_flushed_before_it_is_renamed_and_the_folder_after(tmp_path, monkeypatch):
    order = []
    fsync, replace = os.fsync, Path.replace
    monkeypatch.setattr(os, "fsync", lambda handle: (order.append("flush"), fsync(handle))[1])
    monkeypatch.setattr(Path, "replace", lambda self, to: (order.append("rename"), replace(self, to))[1])
    write_bytes(tmp_path / "x", b"new")
    assert order == (["flush", "rename", "flush"] if os.name == "posix" else ["flush", "rename"])


def test_a_writer_sees_the_suffix_it_needs(tmp_path):
    seen = []
    write_file(tmp_path / ("a" * 200 + ".nii.gz"), lambda path: (seen.append(path.name), path.touch())[1])
    assert seen[0].endswith(".nii.gz")
    assert len(seen[0]) < 60


def test_a_full_disk_keeps_the_old_file(tiny_disk):
    write_bytes(tiny_disk / "x", b"old")
    with pytest.raises(StorageError, match="full"):
        write_bytes(tiny_disk / "x", bytes(1 << 20))
    assert names(tiny_disk) == {"x"}
    assert (tiny_disk / "x").read_bytes() == b"old"


def test_a_full_disk_tears_at_most_the_last_line(tiny_disk):
    log = tiny_disk / "log.jsonl"
    append_line(log, {"n": 0})
    with pytest.raises(StorageError, match="full"):
        append_line(log, {"n": 1, "text": "x" * (1 << 20)})
    assert read_lines(log) == [{"n": 0}]


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="the superuser may write everywhere")
def test_a_folder_without_permission_is_named(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(StorageError, match="permission"):
        write_bytes(tmp_path / "x", b"new")


@pytest.mark.parametrize("content", [b"", b'{"a": 1', b"\xff\xfe\x00", b"[" * 100_000])
def test_damaged_json_is_a_study_error(tmp_path, content):
    (tmp_path / "x.json").write_bytes(content)
    with pytest.raises(StudyError, match="damaged"):
        read_json(tmp_path / "x.json")


def test_missing_json_and_a_folder_in_its_place_are_study_errors(tmp_path):
    with pytest.raises(StudyError, match="missing"):
        read_json(tmp_path / "x.json")
    with pytest.raises(StudyError, match="cannot be read"):
        read_json(tmp_path)


def test_lines_survive_a_torn_last_one(tmp_path):
    log = tmp_path / "log.jsonl"
    assert read_lines(log) == []
    append_line(log, {"n": 1})
    log.write_bytes(log.read_bytes() + b'{"n": 2, "te')
    assert read_lines(log) == [{"n": 1}]
    append_line(log, {"n": 3})
    assert read_lines(log) == [{"n": 1}, {"n": 3}]


@pytest.mark.parametrize(
    "relative", ["", "/etc/passwd", "../x", "a/../../x", "C:/x", "C:x", "\\x", "..\\x", "\\\\host\\share\\x", "a\0b"]
)
def test_paths_out_of_the_folder_are_refused(tmp_path, relative):
    with pytest.raises(StudyError, match="inside"):
        inside(tmp_path, relative)


def test_links_out_of_the_folder_are_refused_and_links_within_are_not(tmp_path):
    folder = tmp_path / "study"
    folder.mkdir()
    (tmp_path / "secret").touch()
    (folder / "in").touch()
    try:
        (folder / "out").symlink_to(tmp_path / "secret")
        (folder / "up").symlink_to(tmp_path, target_is_directory=True)
        (folder / "link").symlink_to(folder / "in")
        (folder / "loop").symlink_to(folder / "loop")
    except OSError:
        pytest.skip("this system makes no symbolic links here")
    for relative in ("out", "up/secret"):
        with pytest.raises(StudyError, match="inside"):
            inside(folder, relative)
    assert inside(folder, "link").exists()
    assert inside(folder, "Größe/肝臓.nii.gz") == folder / "Größe" / "肝臓.nii.gz"
    assert inside(folder, "a..b") == folder / "a..b"


def test_a_folder_reached_by_a_link_is_a_folder_like_any_other(tmp_path):
    (tmp_path / "real").mkdir()
    try:
        (tmp_path / "link").symlink_to(tmp_path / "real", target_is_directory=True)
    except OSError:
        pytest.skip("this system makes no symbolic links here")
    assert inside(tmp_path / "link", "x") == tmp_path / "link" / "x"


def test_sha256_is_the_known_one(tmp_path):
    (tmp_path / "x").write_bytes(b"abc")
    assert sha256(tmp_path / "x") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    with pytest.raises(StudyError, match="cannot be read"):
        sha256(tmp_path / "y")


def test_a_lock_is_free_again_after_its_block(tmp_path):
    lock = StudyLock(tmp_path, "train")
    for _ in range(2):
        with lock:
            assert lock.held
            assert read_json(tmp_path / HOLDER)["pid"] == os.getpid()
        assert not lock.held
        assert not (tmp_path / HOLDER).exists()


def test_the_same_process_cannot_take_a_lock_twice(tmp_path):
    lock = StudyLock(tmp_path, "train")
    with lock:
        for second in (lock, StudyLock(tmp_path)):
            with pytest.raises(StudyLockedError, match=rf"process {os.getpid()} .*train"):
                second.__enter__()
        assert lock.held


def test_an_error_in_the_block_frees_the_lock(tmp_path):
    with pytest.raises(KeyError), StudyLock(tmp_path):
        raise KeyError
    with StudyLock(tmp_path):
        pass


def test_a_holder_that_has_not_said_its_name_yet_is_another_process(tmp_path):
    with StudyLock(tmp_path):
        (tmp_path / HOLDER).write_text("{")
        with pytest.raises(StudyLockedError, match="another process"):
            StudyLock(tmp_path).__enter__()


def test_a_second_process_is_refused_by_name_and_a_dead_holder_locks_nobody_out(tmp_path):
    code = (
        "import sys; from pathlib import Path; from VQBEGALLib.study.locking import StudyLock\n"
        "with StudyLock(Path(sys.argv[1]), 'train round 3'):\n    print('held', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline().strip() == b"held"
        with pytest.raises(StudyLockedError, match=rf"process {holder.pid} on .*train round 3"):
            StudyLock(tmp_path).__enter__()
        holder.kill()
    assert (tmp_path / HOLDER).exists()
    with StudyLock(tmp_path, "next"):
        assert read_json(tmp_path / HOLDER)["what"] == "next"
