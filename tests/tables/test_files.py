"""find_files: folders behind links, local addresses, names."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sentiment.tables import ReadOptions, TableError, open_tables
from sentiment.tables.files import find_files


def _write(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("编号,评论\n1,座位很舒服\n", "utf-8")
    return path


@pytest.mark.skipif(os.name == "nt", reason="Windows lets few make links")
def test_files_in_folders_behind_links_are_found_each_once(tmp_path: Path) -> None:
    place = tmp_path / "place"
    for name in ("place/d/a.csv", "place/d/sub/b.csv", "far/c.csv", "place/beside.csv"):
        _write(tmp_path / name)
    links = {"d/0again": "d/sub", "d/link": "../far", "d/link/back": "d", "d/link/more": "../more", "d/link/up": ".."}
    _write(tmp_path / "more/e.csv")
    for name, target in links.items():
        (place / name).symlink_to((place / target).resolve(), target_is_directory=True)
    notes: list[str] = []
    assert [file.name for file in find_files([place / "d"], notes)] == [
        "a.csv", "link/c.csv", "link/more/e.csv", "sub/b.csv",
    ]  # fmt: skip
    assert notes == [f"{place / 'd/link/up'}: a link to a folder further up; not followed"]


@pytest.mark.skipif(os.name == "nt", reason="Windows lets few make links")
@pytest.mark.parametrize("target", ["d", "."])
def test_files_links_to_a_folder_that_holds_them_are_told_and_not_followed(tmp_path: Path, target: str) -> None:
    _write(tmp_path / "d/a.csv")
    _write(tmp_path / "beside.csv")
    (tmp_path / "d/loop").symlink_to(tmp_path / target, target_is_directory=True)
    notes: list[str] = []
    assert [file.name for file in find_files([tmp_path / "d"], notes)] == ["a.csv"]
    assert notes == [f"{tmp_path / 'd/loop'}: a link to a folder further up; not followed"]


@pytest.mark.skipif(os.name == "nt", reason="Windows lets few make links")
def test_files_a_link_that_is_given_is_searched_wherever_it_leads(tmp_path: Path) -> None:
    _write(tmp_path / "a.csv")
    (tmp_path / "d").mkdir()
    (tmp_path / "d/up").symlink_to(tmp_path, target_is_directory=True)
    assert [file.name for file in find_files([tmp_path / "d/up"], [])] == ["a.csv"]


def test_files_names_that_meet_are_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("b/x.csv", "d/b/x.csv", "e/b/x.csv"):
        _write(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    assert [file.name for file in find_files(["d", "b/x.csv", "e"], [])] == ["b/x.csv", "b/x.csv (2)", "e/b/x.csv"]
    table = open_tables(["d", "b/x.csv"], ReadOptions())
    assert [item.source for item in table] == ["b/x.csv", "b/x.csv (2)"]


def test_files_a_local_address_is_the_path_itself(tmp_path: Path) -> None:
    path, notes = _write(tmp_path / "评论 1%20#.csv"), list[str]()
    (file,) = find_files([path.as_uri(), path, path.as_uri().replace("file:///", "FILE://localhost/")], notes)
    assert (file.path, file.name) == (path, str(path))
    assert len(notes) == 2 and all(note.endswith(f": the same file as {path}; read once") for note in notes)
    (reader,) = open_tables([path.as_uri()], ReadOptions()).readers
    assert reader.path.samefile(path)  # so that no output replaces it
    assert [file.name for file in find_files([tmp_path.as_uri()], [])] == [path.name]


def test_files_a_local_address_that_names_nothing_here_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TableError, match=r"found nothing at .*gone\.csv; check the path"):
        find_files([(tmp_path / "gone.csv").as_uri()], [])
    with pytest.raises(TableError, match=r"expected file:/// and a path on this machine, found file://far/a\.csv"):
        find_files(["file://far/a.csv"], [])
