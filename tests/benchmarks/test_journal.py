from __future__ import annotations

from pathlib import Path

from benchmarks.journal import Journal

FACTS = {"hash": "00", "texts": 20}


def test_journal_measures_each_name_once_over_sittings(tmp_path: Path) -> None:
    path, asked = tmp_path / "work" / "rounds.jsonl", []

    def measured(value: object) -> object:
        asked.append(value)
        return value

    first = Journal(path, FACTS)
    assert first.once("a", lambda: measured(1.5)) == 1.5 == first.once("a", lambda: measured(9))
    assert (first.once("长文", lambda: measured({"total": 2})), first.sittings) == ({"total": 2}, 1)
    later = Journal(path, FACTS)
    assert later.once("a", lambda: measured(9)) == 1.5 and later.once("长文", lambda: measured(9)) == {"total": 2}
    assert later.once("b", lambda: measured(3)) == 3 and later.sittings == 2
    assert Journal(path, FACTS).sittings == 3
    assert asked == [1.5, {"total": 2}, 3]
    later.close()
    assert not path.exists()


def test_journal_of_other_facts_begins_anew(tmp_path: Path) -> None:
    path = tmp_path / "rounds.jsonl"
    Journal(path, FACTS).once("a", lambda: 1)
    other = Journal(path, FACTS | {"texts": 40})
    assert other.once("a", lambda: 2) == 2 and other.sittings == 1


def test_journal_drops_a_line_cut_in_two_and_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "rounds.jsonl"
    journal = Journal(path, FACTS)
    journal.once("a", lambda: 1)
    journal.once("b", lambda: 2)
    path.write_text(path.read_text("utf-8")[:-6], "utf-8")
    later = Journal(path, FACTS)
    assert later.once("a", lambda: 8) == 1 and later.once("b", lambda: 3) == 3
    assert Journal(path, FACTS).once("b", lambda: 4) == 3


def test_journal_without_a_path_keeps_nothing() -> None:
    journal = Journal(None, FACTS)
    assert journal.once("a", lambda: 1) == 1 == journal.once("a", lambda: 2)
    journal.close()
