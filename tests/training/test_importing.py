"""Every kind of file that people label, read into judgements; what does not fit is rejected and loses nothing else."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from word_scorer import score_file

from sentiment.cli import main
from sentiment.taxonomy import Taxonomy, load_taxonomy
from training.example import DatasetError
from training.importing import Imported, Importer, ImportOptions, changed
from training.labelled_files import read_labelled
from training.merging import example, merge, sha256

TEXT = "😀座椅坏，票价好"
SEATING = {"dimension": "seating", "sentiment": "negative", "start": 1, "end": 4}
PRICE = {"dimension": "price", "sentiment": "positive", "start": 5, "end": 8}


def lines(path: Path, *rows: Any) -> Path:
    shown = (row if isinstance(row, str) else json.dumps(row, ensure_ascii=False) for row in rows)
    path.write_text("".join(f"{row}\n" for row in shown), "utf-8")
    return path


def read(taxonomy: Taxonomy, *paths: Path, texts: dict[str, str] | None = None, **options: Any) -> Imported:
    importer = Importer(taxonomy, ImportOptions(**options), texts)
    importer.read(paths)
    return importer.found


def region(name: str, start: int, end: int, key: str, sentiment: str) -> list[dict[str, Any]]:
    place = {"start": start, "end": end, "text": TEXT.encode("utf-16-le")[2 * start : 2 * end].decode("utf-16-le")}
    return [
        {"id": name, "from_name": "mentions", "type": "labels", "value": {**place, "labels": [key]}},
        {"id": name, "from_name": "sentiment", "type": "choices", "value": {**place, "choices": [sentiment]}},
    ]


def test_importing_reads_utf16_spans_and_keeps_the_good_annotations_of_a_task(
    tmp_path: Path, taxonomy: Taxonomy
) -> None:
    good = {"id": 1, "completed_by": 7, "created_at": "2026-01-01", "result": region("a", 2, 5, "座椅视野", "负面")}
    bad = {"id": 2, "completed_by": 8, "result": region("a", 2, 5, "popcorn", "负面")}
    export = tmp_path / "export.json"
    export.write_text(
        json.dumps(
            [{"id": 1, "data": {"text": TEXT, "id": "r1"}, "annotations": [good, bad]},
             {"id": 2, "data": {"text": "没标"}, "annotations": []},
             {"id": 3, "data": {"other": "x"}, "annotations": [good]}]
        ), "utf-8",
    )  # fmt: skip
    found = read(taxonomy, export)
    (judgement,) = found.judgements
    assert (judgement.by, judgement.id, judgement.labels["labels"]) == ("7", "r1", [SEATING])
    assert found.rows == {"Label Studio": 3} and found.silent == 1
    assert [(r.number, r.reason.split(":")[0]) for r in found.rejects] == [
        (1, "annotation 2"), (3, "expected the text as data.text, found other; name it with --text-col"),
    ]  # fmt: skip


def test_importing_reads_labelled_files_of_every_format(tmp_path: Path, taxonomy: Taxonomy) -> None:
    rows = [
        {"text": TEXT, "labels": [SEATING], "overall": "negative", "author": "w1", "rating": 2},
        {"text": TEXT, "labels": [{**SEATING, "evidence": "没有的话", "start": None}]},
        {"text": "只有文本"},
        {"text": "评分", "rating": 4},
        "{broken",
    ]
    found = read(taxonomy, lines(tmp_path / "a.jsonl", *rows))
    assert next((r.number, r.reason) for r in found.rejects) == (
        2, "labels.evidence (seating): expected words of the text, found others; quote the evidence exactly",
    )  # fmt: skip
    assert len(found.rejects) == 2 and json.loads(found.rejects[0].raw) == rows[1] and found.silent == 1
    first, rated = found.judgements
    assert first.more == {"author": "w1", "rating": 2} and first.by == "a.jsonl" and rated.more == {"rating": 4}

    table = tmp_path / "b.csv"
    with table.open("w", encoding="gb18030", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["评论", "seating", "price", "overall"])
        writer.writerows([["座椅坏", "-1", "", "-1"], ["'=票价贵", "", "5", ""], ["", "1", "", ""]])
    found = read(taxonomy, table, text_column="评论", mapping={"-1": "negative"})
    (judgement,) = found.judgements
    assert judgement.labels["annotated"] == ["seating"] and judgement.labels["overall"] == "negative"
    assert [r.number for r in found.rejects] == [2, 3] and "found '5'" in found.rejects[0].reason


def test_importing_takes_signed_rows_of_a_scored_file(tmp_path: Path, taxonomy: Taxonomy) -> None:
    dump = tmp_path / "dump.csv"
    dump.write_text("评论,复核\n座椅坏,王\n票价好,\n=座椅好,李\n", "utf-8")
    scored = score_file(dump, tmp_path / "scored.csv", lang="zh")
    found = read(taxonomy, scored, checked="复核")
    assert [(j.by, j.text) for j in found.judgements] == [("王", "座椅坏"), ("李", "=座椅好")]
    assert found.silent == 1 and not any("--checked" in note for note in found.notes)
    assert example(found.judgements[1], taxonomy).labels == {"seating": ("positive", 1, 4)}
    everything = read(taxonomy, scored, dimensions=("seating",))
    assert len(everything.judgements) == 3 and any("--checked" in note for note in everything.notes)
    assert example(everything.judgements[0], taxonomy).annotated == {"seating"}
    with pytest.raises(DatasetError, match="expected a column nobody"):
        read(taxonomy, scored, checked="nobody")


def test_importing_feedback_finds_its_text_in_any_file(tmp_path: Path, taxonomy: Taxonomy) -> None:
    before = {"labels": [SEATING, PRICE], "overall": "negative", "intent": "review", "escalation": False}
    after = {**before, "labels": [PRICE], "overall": "neutral"}
    row = {"sha256": sha256(TEXT), "before": before, "after": after, "by": "desk", "at": "2026-01-02"}
    feedback = lines(tmp_path / "a-feedback.jsonl", row, {**row, "sha256": "0" * 64}, {"after": 3, "text": TEXT})
    labelled = lines(tmp_path / "b.jsonl", {"text": TEXT})
    found = read(taxonomy, feedback, labelled, texts={sha256(TEXT): TEXT})
    (judgement,) = found.judgements
    assert (judgement.text, judgement.by, judgement.at) == (TEXT, "desk", "2026-01-02")
    assert judgement.labels == {"overall": "neutral", "annotated": ["seating"], "labels": []}
    assert ["--texts" in r.reason for r in found.rejects] == [True, False]
    (judgement,) = read(taxonomy, feedback, texts={sha256(TEXT): TEXT}, confirmed=True).judgements
    assert judgement.labels == after


def test_importing_keeps_every_correction_that_the_page_sends(tmp_path: Path, taxonomy: Taxonomy) -> None:
    """The page sends one correction after another: `before` has those before, `after` what was judged so far."""
    model = {"labels": [SEATING, PRICE], "overall": "negative", "intent": "review", "escalation": False}
    neutral = {**SEATING, "sentiment": "neutral"}
    corrected = {**model, "labels": [neutral, PRICE]}
    row = {"sha256": sha256(TEXT), "text": TEXT, "by": None}
    rows = [
        {**row, "before": model, "after": {"labels": [neutral], "annotated": ["seating"]}, "at": "2026-01-01"},
        {
            **row, "before": corrected, "at": "2026-01-02",
            "after": {"labels": [neutral], "annotated": ["seating"], "overall": "neutral"},
        },
    ]  # fmt: skip
    (record,) = merge(read(taxonomy, lines(tmp_path / "feedback.jsonl", *rows)).judgements, taxonomy).records
    assert record["annotated"] == ["seating"] and record["labels"][0]["sentiment"] == "neutral"
    assert record["overall"] == "neutral" and "intent" not in record


def test_importing_changed_is_what_a_correction_says(taxonomy: Taxonomy) -> None:
    before = {"labels": [SEATING], "overall": "negative"}
    assert changed(before, dict(before), taxonomy) == before  # nothing changed: all confirmed
    other = {**before, "labels": [{**SEATING, "sentiment": "neutral"}, PRICE]}
    found = changed(before, other, taxonomy)
    assert found == {"annotated": ["seating", "price"], "labels": other["labels"]}
    assert changed(before, {"overall": "positive"}, taxonomy) == {"overall": "positive"}
    placeless = {"labels": [{"dimension": "seating", "sentiment": "negative"}], "overall": "neutral"}
    assert changed(before, placeless, taxonomy) == {"overall": "neutral"}
    moved = {"labels": [{**SEATING, "end": 3}], "overall": "negative"}
    assert changed(before, moved, taxonomy) == {"annotated": ["seating"], "labels": moved["labels"]}


def test_data_import_command(tmp_path: Path, capsys: pytest.CaptureFixture[str], taxonomy: Taxonomy) -> None:
    one = lines(tmp_path / "one.jsonl", {"text": TEXT, "labels": [SEATING], "overall": "negative"}, {"text": 3})
    two = lines(tmp_path / "two.jsonl", {"text": TEXT, "labels": [SEATING, PRICE], "overall": "negative"})
    output = tmp_path / "labels.jsonl"

    def run(*arguments: object) -> tuple[int, str]:
        with pytest.raises(SystemExit) as ended:
            main(["data", "import", *map(str, arguments)])
        return int(ended.value.code or 0), capsys.readouterr().err

    code, said = run(one, two, "-o", output, "--json", tmp_path / "counts.json")
    assert code == 1 and "1 texts, from rows: 3 labelled" in said and "one.jsonl, row 2 rejected" in said
    assert "agreement over 1 pairs on 1 texts: mention F1 0.667, joint F1 0.667" in said and TEXT not in said
    (record,) = [json.loads(line) for line in output.read_text("utf-8").splitlines()]
    assert record["labels"] == [{**SEATING, "evidence": "座椅坏"}] and "price" not in record["annotated"]
    assert [entry["annotator"] for entry in record["annotators"]] == ["one.jsonl", "two.jsonl"]
    (loaded,) = read_labelled([output], taxonomy)
    assert loaded.overall == "negative" and len(loaded.annotated) == len(taxonomy.keys) - 1
    (reject,) = (tmp_path / "labels.jsonl.rejects.jsonl").read_text("utf-8").splitlines()
    assert json.loads(reject)["row"] == 2
    assert run(two, "-o", output)[0] == 2
    assert run(two, "-o", output, "--overwrite")[0] == 0 and not (tmp_path / "labels.jsonl.rejects.jsonl").exists()
    # What was imported can be imported again: several have been heard, so it is settled.
    assert run(output, one, "-o", tmp_path / "again.jsonl")[0] == 1
    assert len(json.loads((tmp_path / "again.jsonl").read_text("utf-8"))["labels"]) == 2
    code, said = run("-o", tmp_path / "none.jsonl")
    assert code == 2 and said.count("\n") == 1


def test_data_import_command_keeps_what_was_checked_and_judged(tmp_path: Path) -> None:
    dump, output = tmp_path / "dump.csv", tmp_path / "labels.jsonl"
    dump.write_text("评论,复核人\n座椅坏，票价好,王\n座椅坏，停车好,\n", "utf-8")
    scored = score_file(dump, tmp_path / "scored.csv")
    with pytest.raises(SystemExit) as ended:
        main(["data", "import", str(scored), "--checked", "复核人", "--dimensions", "seating，parking",
              "-o", str(output)])  # fmt: skip
    assert not ended.value.code
    (record,) = [json.loads(line) for line in output.read_text("utf-8").splitlines()]
    assert record["text"] == "座椅坏，票价好" and record["annotated"] == ["seating", "parking"]
    assert [label["dimension"] for label in record["labels"]] == ["seating"]


def test_data_import_command_hands_every_option_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[Any, ...]] = []

    class Spy(Importer):
        def __init__(self, taxonomy: Taxonomy, options: ImportOptions, texts: dict[str, str]) -> None:
            asked.append((taxonomy.keys, options, texts))
            super().__init__(taxonomy, options, texts)

    monkeypatch.setattr("training.importing.Importer", Spy)
    one = lines(tmp_path / "one.jsonl", {"text": TEXT, "原文": TEXT, "labels": []})
    texts = tmp_path / "texts.csv"
    texts.write_text("评论,原文\n甲,座椅坏\n", "utf-8")
    own = load_taxonomy().to_dict()
    own["dimensions"] = [entry for entry in own["dimensions"] if entry["key"] in ("seating", "parking", "price")]
    space = tmp_path / "own.yaml"
    space.write_text(json.dumps(own), "utf-8")
    more = ["--text-col", "原文", "--checked", "复核人", "--dimensions", "seating, price,", "--confirmed"]
    more += ["--map", "1=positive,-2=none", "--texts", str(texts), "--taxonomy", str(space)]
    for number, options in enumerate((more, ["--blank", "none"], [])):
        with pytest.raises(SystemExit) as ended:
            main(["data", "import", str(one), "-o", str(tmp_path / f"{number}.jsonl"), *options])
        assert not ended.value.code
    (keys, full, known), (_, blank, _), defaults = asked
    assert full == ImportOptions(
        text_column="原文", checked="复核人", dimensions=("seating", "price"), confirmed=True,
        mapping={"1": "positive", "-2": "none"},
    )  # fmt: skip
    assert set(keys) == {"seating", "parking", "price"} and known == {sha256("座椅坏"): "座椅坏"}
    assert blank == ImportOptions(blank_none=True)
    assert defaults == (load_taxonomy().keys, ImportOptions(), {})


def test_importing_dimensions_that_nobody_judged_bring_no_mentions(tmp_path: Path, taxonomy: Taxonomy) -> None:
    dump = tmp_path / "dump.csv"
    dump.write_text("评论\n座椅坏，票价好\n", "utf-8")
    for name in ("scored.csv", "scored.jsonl"):
        scored = score_file(dump, tmp_path / name)
        assert set(example(read(taxonomy, scored).judgements[0], taxonomy).labels) == {"seating", "price"}
        (judgement,) = read(taxonomy, scored, dimensions=("seating",)).judgements
        found = example(judgement, taxonomy)
        assert set(found.labels) == found.annotated == {"seating"}


def test_importing_feedback_finds_its_text_in_a_labelled_file(tmp_path: Path, taxonomy: Taxonomy) -> None:
    feedback = lines(tmp_path / "a.jsonl", {"sha256": sha256(TEXT), "before": {}, "after": {"overall": "neutral"}})
    found = read(taxonomy, feedback, lines(tmp_path / "b.jsonl", {"text": TEXT, "intent": "review"}))
    assert [judgement.text for judgement in found.judgements] == [TEXT, TEXT] and not found.rejects
