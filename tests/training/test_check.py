"""`cinesent data check`: every finding has a set that has it, and a set without it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sentiment.cli import main
from sentiment.taxonomy import Taxonomy, load_taxonomy
from training.check import Checked, check, read_splits
from training.example import DatasetError
from training.requirements import Judged, Requirements, read_requirements

SEATING = {"labels": [{"dimension": "seating", "sentiment": "negative", "evidence": "腰疼"}], "overall": "negative"}


@pytest.fixture(scope="module")
def taxonomy() -> Taxonomy:
    return load_taxonomy()


def row(number: int, text: str, author: str = "a", **more: Any) -> dict[str, Any]:
    return {"id": f"{author}-{number}", "text": text, "author": author, "labels": [], "intent": "review"} | more


def write(folder: Path, **splits: list[dict[str, Any]]) -> list[Path]:
    paths = []
    for name, rows in splits.items():
        paths.append(folder / f"{name}.jsonl")
        paths[-1].write_text("".join(json.dumps(r, ensure_ascii=False) + "\n" for r in rows), "utf-8")
    return paths


def checked(folder: Path, taxonomy: Taxonomy, required: Requirements | None = None, **splits: Any) -> Checked:
    return check(read_splits(write(folder, **splits), taxonomy), taxonomy, required or Requirements())


def test_check_finds_nothing_wrong_with_a_clean_set(tmp_path: Path, taxonomy: Taxonomy) -> None:
    found = checked(
        tmp_path, taxonomy, train=[row(1, "座位坐得腰疼", **SEATING)], dev=[row(1, "散场后卫生间很干净", "b")]
    )
    assert found.errors == []
    assert found.counts["all"]["texts"] == 2
    assert found.counts["train"]["mentions"]["seating"] == {"positive": 0, "neutral": 0, "negative": 1}
    assert found.counts["dev"]["mentions"]["seating"] == {"positive": 0, "neutral": 0, "negative": 0}


def test_check_names_a_near_duplicate_within_and_across_splits(tmp_path: Path, taxonomy: Taxonomy) -> None:
    text = "今天的影厅冷得像冰窖，看完整场嘴唇都紫了"
    (error,) = checked(tmp_path, taxonomy, train=[row(1, text)], dev=[row(1, text + "！！", "b")]).errors
    assert "dev, row 1 (b-1): near-duplicate" in error and "train, row 1 (a-1)" in error
    (error,) = checked(tmp_path, taxonomy, train=[row(1, text), row(2, text + "哦")]).errors
    assert "train, row 2" in error


def test_check_names_an_author_of_a_judged_split_elsewhere(tmp_path: Path, taxonomy: Taxonomy) -> None:
    splits = {"train": [row(1, "爆米花太甜")], "dev": [row(2, "停车场找了半小时")]}
    assert checked(tmp_path, taxonomy, **splits).errors == ["author a: expected in one split, found in dev, train"]
    splits = {"train": [row(1, "爆米花太甜")], "more": [row(2, "停车场找了半小时")]}
    assert checked(tmp_path, taxonomy, **splits).errors == []


def test_check_names_an_id_twice(tmp_path: Path, taxonomy: Taxonomy) -> None:
    (error,) = checked(tmp_path, taxonomy, train=[row(1, "爆米花太甜"), row(1, "停车场找了半小时")]).errors
    assert error == "train, row 2 (a-1): expected an id of its own, found that of train, row 1 (a-1)"


def test_check_wants_two_annotators_whose_labels_fit(tmp_path: Path, taxonomy: Taxonomy) -> None:
    required = Requirements(judged=Judged(annotators=2))
    good = row(1, "座位坐得腰疼", **SEATING, annotators=[SEATING, {"labels": []}])
    assert checked(tmp_path, taxonomy, required, dev=[good], test=[row(1, "爆米花太甜", "b")]).errors == [
        "test, row 1 (b-1): expected labels of 2 annotators, found 0"
    ]
    bad = good | {"annotators": [SEATING, {"labels": [{"dimension": "popcorn", "sentiment": "negative"}]}]}
    (error,) = checked(tmp_path, taxonomy, required, dev=[bad], test=[]).errors
    assert "annotators" in error and "popcorn" in error


def test_check_wants_annotators_of_different_names(tmp_path: Path, taxonomy: Taxonomy) -> None:
    required = Requirements(judged=Judged(annotators=2))
    other = {"labels": [], "overall": "negative"}
    named = [SEATING | {"annotator": "甲"}, other | {"annotator": "乙"}]
    same = [SEATING | {"annotator": "甲"}, other | {"annotator": "甲"}]
    for annotators, expected in (
        (named, []),
        ([SEATING, other], []),
        (same, ["dev, row 1 (a-1): expected annotators of different names, found '甲' 2 times"]),
    ):
        rows = [row(1, "座位坐得腰疼", **SEATING, annotators=annotators)]
        assert checked(tmp_path, taxonomy, required, dev=rows, test=[]).errors == expected


def test_check_tells_a_copied_labelling_from_a_second_one(tmp_path: Path, taxonomy: Taxonomy) -> None:
    required = Requirements(judged=Judged(annotators=2))
    reordered = {"overall": "negative", "labels": SEATING["labels"], "annotator": "乙"}
    copied = [
        row(1, "座位坐得腰疼", **SEATING, annotators=[SEATING | {"annotator": "甲"}, reordered]),
        row(2, "前排坐得腰疼，后排也是", **SEATING, annotators=[SEATING, SEATING]),
    ]
    assert checked(tmp_path, taxonomy, required, dev=copied, test=[]).errors == [
        "dev: expected labellings that differ, found copies of one in all 2 rows"
    ]
    longer = {"labels": [SEATING["labels"][0] | {"evidence": "坐得腰疼"}], "overall": "negative"}
    one_differs = [copied[0], copied[1] | {"annotators": [SEATING, longer]}]
    assert checked(tmp_path, taxonomy, required, dev=one_differs, test=[]).errors == []
    assert checked(tmp_path, taxonomy, Requirements(), dev=copied).errors == []


def test_check_names_a_kind_that_the_labels_contradict(tmp_path: Path, taxonomy: Taxonomy) -> None:
    film = {"labels": [{"dimension": "film", "sentiment": "positive", "evidence": "好看"}], "escalation": False}
    right = [
        row(1, "爆米花电影，好看", **film, kind="decoy"),
        row(2, "差点就打12315了", escalation=False, kind="near_miss"),
        row(3, "座位坐得腰疼", **SEATING, escalation=True),
    ]
    required = Requirements(no_service=("decoy",), no_escalation=("near_miss",))
    assert checked(tmp_path, taxonomy, required, train=right).errors == []
    wrong = [
        row(1, "座位坐得腰疼", **SEATING, kind="decoy"),
        row(2, "已经打了12315", escalation=True, kind="near_miss"),
        row(3, "差点就打12315了", kind="near_miss"),
    ]
    end = "; correct the label or the kind"
    assert checked(tmp_path, taxonomy, required, train=wrong).errors == [
        f"train, row 1 (a-1): expected no service label in a decoy, found seating{end}",
        f"train, row 2 (a-2): expected escalation false in a near_miss, found true{end}",
        f"train, row 3 (a-3): expected escalation false in a near_miss, found none{end}",
    ]
    assert checked(tmp_path, taxonomy, train=wrong).errors == []


@pytest.mark.parametrize(
    ("required", "expected"),
    [
        (Requirements(texts=2), "texts: expected at least 2, found 1"),
        (Requirements(intents={"complaint": 1}), "intent complaint: expected at least 1, found 0"),
        (Requirements(escalations=1), "escalations: expected at least 1, found 0"),
        (Requirements(kinds={"decoy": 1}), "kind decoy: expected at least 1, found 0"),
        (Requirements(traditional=1.0), "texts in Traditional characters: expected at least 1, found 0"),
        (Requirements(characters=(2, 5)), "train, row 1 (a-1): expected 2 to 5 characters, found 6"),
        (Requirements(judged=Judged(("dev",), texts=1)), "expected a split dev, found none"),
    ],
)
def test_check_counts_against_requirements(
    tmp_path: Path, taxonomy: Taxonomy, required: Requirements, expected: str
) -> None:
    assert checked(tmp_path, taxonomy, required, train=[row(1, "座位坐得腰疼", **SEATING)]).errors == [expected]


def test_check_counts_mentions_of_every_dimension(tmp_path: Path, taxonomy: Taxonomy) -> None:
    rows = [row(1, "座位坐得腰疼", **SEATING)]
    errors = checked(tmp_path, taxonomy, Requirements(mentions=1), train=rows).errors
    assert len(errors) == len(taxonomy.keys) - 1 and not any("seating" in error for error in errors)
    errors = checked(tmp_path, taxonomy, Requirements(sentiments=1), train=rows).errors
    assert len(errors) == 3 * len(taxonomy.keys) - 1
    required = Requirements(judged=Judged(("train",), mentions=1))
    assert len(checked(tmp_path, taxonomy, required, train=rows).errors) == len(taxonomy.keys) - 1


def test_check_shortens_long_lists(tmp_path: Path, taxonomy: Taxonomy) -> None:
    rows = [row(1, chr(0x4E00 + 7 * i) * 3 + chr(0x5E00 + 11 * i) * 4) for i in range(30)]
    errors = checked(tmp_path, taxonomy, train=rows).errors
    assert len(errors) == 21 and errors[-1] == "9 more ids that are not unique"


def test_read_requirements_of_this_project_and_of_nonsense(tmp_path: Path) -> None:
    path = Path(__file__).parents[2] / "data" / "cinema" / "requirements.yaml"
    required = read_requirements(path)
    assert required.judged.splits == ("dev", "test") and required.intents["complaint"] >= 900
    assert required.no_service == ("decoy",) and required.no_escalation == ("near_miss",)
    assert required.standoff.rows >= 6000 and required.standoff.second >= 0.1 and required.pairs.pairs >= 300
    assert required.standoff.folder is not None and (required.standoff.folder / "second.jsonl").is_file()
    assert required.pairs.folder is not None and (required.pairs.folder / "mainland.jsonl").is_file()
    path = tmp_path / "requirements.yaml"
    for text in (
        "popcorn: 3", "[1, 2]", "judged: {popcorn: 3}", "standoff: {popcorn: 3}", "pairs: 3", "no_service: decoy",
    ):  # fmt: skip
        path.write_text(text, "utf-8")
        with pytest.raises(DatasetError, match="expected a mapping with the keys texts"):
            read_requirements(path)


def test_data_check_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "set"
    folder.mkdir()
    write(folder, train=[row(1, "座位坐得腰疼", **SEATING)])
    with pytest.raises(SystemExit) as ended:
        main(["data", "check", str(folder), "--json", str(tmp_path / "counts.json")])
    assert ended.value.code == 0
    shown = capsys.readouterr()
    assert "seating" in shown.out and "0 / 0 / 1" in shown.out and "nothing is wrong" in shown.err
    assert json.loads((tmp_path / "counts.json").read_text("utf-8"))["counts"]["train"]["texts"] == 1

    (folder / "requirements.yaml").write_text("texts: 2\n", "utf-8")
    with pytest.raises(SystemExit) as ended:
        main(["data", "check", str(folder)])
    assert ended.value.code == 3
    assert "texts: expected at least 2, found 1" in capsys.readouterr().err

    (folder / "requirements.yaml").write_text("pairs: {folder: ../pairs, pairs: 1}\n", "utf-8")
    with pytest.raises(SystemExit) as ended:
        main(["data", "check", str(folder)])
    assert ended.value.code == 3
    assert "pairs of wordings: expected at least 1, found 0 in " in capsys.readouterr().err
    (tmp_path / "pairs").mkdir()
    write(tmp_path / "pairs", traditional=[row(1, "爆谷幾好食")], mainland=[row(1, "爆米花挺好吃")])
    with pytest.raises(SystemExit) as ended:
        main(["data", "check", str(folder)])
    assert ended.value.code == 0 and "pairs: 1" in capsys.readouterr().out

    (folder / "train.jsonl").write_text('{"text": "座位", "labels": [{"dimension": "popcorn"}]}\n', "utf-8")
    with pytest.raises(SystemExit) as ended:
        main(["data", "check", str(folder)])
    error = capsys.readouterr().err
    assert ended.value.code == 2 and "train.jsonl, row 1, column labels.dimension" in error and error.count("\n") == 1


def test_data_check_command_holds_to_the_file_required(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "set"
    folder.mkdir()
    write(folder, train=[row(1, "座位坐得腰疼", **SEATING)])
    (folder / "requirements.yaml").write_text("texts: 1\n", "utf-8")
    (tmp_path / "more.yaml").write_text("texts: 9\n", "utf-8")
    for options, code in (((), 0), (("--require", str(tmp_path / "more.yaml")), 3)):
        with pytest.raises(SystemExit) as ended:
            main(["data", "check", str(folder), *options])
        assert (ended.value.code or 0) == code
    assert "texts: expected at least 9, found 1" in capsys.readouterr().err


def test_data_check_command_reads_the_label_space_named(
    tmp_path: Path, own_taxonomy: Taxonomy, capsys: pytest.CaptureFixture[str]
) -> None:
    sour = {"text": "面包发酸", "labels": [{"dimension": "bread", "sentiment": "negative"}]}
    (data,) = write(tmp_path, train=[sour])
    (tmp_path / "own.yaml").write_text(json.dumps(own_taxonomy.to_dict()), "utf-8")
    for options, code in (((), 2), (("--taxonomy", str(tmp_path / "own.yaml")), 0)):
        with pytest.raises(SystemExit) as ended:
            main(["data", "check", str(data), *options])
        assert (ended.value.code or 0) == code
    shown = capsys.readouterr().out
    assert "opening_hours" in shown and "seating" not in shown


def test_data_check_of_an_empty_folder_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["data", "check", str(tmp_path)])
    assert ended.value.code == 2
    assert "expected labelled .jsonl files, found none" in capsys.readouterr().err
