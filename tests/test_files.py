"""Files and directories appear whole or not at all."""

import pytest

from seqclv.files import whole_directory, whole_file


class WritingError(Exception):
    """What goes wrong while writing."""


def names(directory):
    return sorted(path.name for path in directory.iterdir())


def test_a_file_appears_with_its_content_when_the_block_ends(tmp_path):
    target = tmp_path / "deep" / "out.txt"
    with whole_file(target) as staging:
        staging.write_text("new")
        assert not target.exists()
        assert staging.parent == target.parent  # the same file system: moving it is one step
    assert target.read_text() == "new"
    assert names(target.parent) == ["out.txt"]
    assert target.stat().st_mode & 0o777 == 0o644


def test_a_file_replaces_an_older_one(tmp_path):
    target = tmp_path / "out.txt"
    target.write_text("old")
    with whole_file(target) as staging:
        staging.write_text("new")
        assert target.read_text() == "old"
    assert target.read_text() == "new"


@pytest.mark.parametrize("existing", [False, True])
def test_a_failure_leaves_no_new_file_and_keeps_the_old_one(tmp_path, existing):
    target = tmp_path / "out.txt"
    if existing:
        target.write_text("old")

    def write():
        with whole_file(target) as staging:
            staging.write_text("half")
            raise WritingError

    with pytest.raises(WritingError):
        write()
    assert names(tmp_path) == (["out.txt"] if existing else [])
    assert not existing or target.read_text() == "old"


def test_a_directory_appears_filled_when_the_block_ends(tmp_path):
    target = tmp_path / "deep" / "model"
    with whole_directory(target) as staging:
        (staging / "a").write_text("1")
        assert not target.exists()
    assert names(target) == ["a"]
    assert names(target.parent) == ["model"]
    assert target.stat().st_mode & 0o777 == 0o755


def test_a_directory_replaces_an_older_one_as_a_whole(tmp_path):
    target = tmp_path / "model"
    (target / "nested").mkdir(parents=True)
    (target / "stale").write_text("old")
    with whole_directory(target) as staging:
        (staging / "a").write_text("1")
        assert names(target) == ["nested", "stale"]
    assert names(target) == ["a"]
    assert names(tmp_path) == ["model"]


@pytest.mark.parametrize("existing", [False, True])
def test_a_failure_leaves_no_new_directory_and_keeps_the_old_one(tmp_path, existing):
    target = tmp_path / "model"
    if existing:
        target.mkdir()
        (target / "a").write_text("old")

    def write():
        with whole_directory(target) as staging:
            (staging / "a").write_text("half")
            raise WritingError

    with pytest.raises(WritingError):
        write()
    assert names(tmp_path) == (["model"] if existing else [])
    assert not existing or (target / "a").read_text() == "old"


def test_a_directory_that_cannot_be_moved_into_place_leaves_the_old_one(tmp_path):
    target = tmp_path / "model"
    target.mkdir()
    (target / "a").write_text("old")

    def write():
        with whole_directory(target) as staging:
            staging.rmdir()  # the last step finds nothing to move

    with pytest.raises(FileNotFoundError):
        write()
    assert names(tmp_path) == ["model"]
    assert (target / "a").read_text() == "old"


def test_several_writers_do_not_meet_in_one_staging_place(tmp_path):
    target = tmp_path / "out.txt"
    with whole_file(target) as first, whole_file(target) as second:
        assert first != second
        first.write_text("1")
        second.write_text("2")
    assert target.read_text() == "1"
    assert names(tmp_path) == ["out.txt"]
