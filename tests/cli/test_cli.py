"""The group of verbs: help, unknown verbs, missing modules."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from score_runs import one_line, run

from sentiment.checkpoint import load_checkpoint
from sentiment.cli import VERBS
from sentiment.engine import BYTES_PER_TOKEN, TOKEN_BUDGET


def test_cli_help_loads_no_library() -> None:
    code = (
        "import sys\nfrom sentiment.cli import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit as end:\n    assert end.code == 0\n"
        "heavy = {'pyarrow', 'onnxruntime', 'numpy', 'rich', 'openpyxl', 'tokenizers', 'torch'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, timeout=20)
    assert done.returncode == 0, done.stderr
    assert b"Usage: cinesent [OPTIONS] COMMAND" in done.stdout


def test_cli_lists_the_verbs_that_are_there() -> None:
    shown = run("--help").stdout.partition("Verbs:")[2]
    listed = re.findall(r"^  (\w+)  +\S", shown, re.M)
    assert listed == ["score", "report", "serve", "train", "evaluate", "export", "taxonomy", "data", "queue"]
    for verb in listed:
        assert VERBS[verb] in shown
        command = run(verb, "--help")
        assert command.exit_code == 0 and f"Usage: cinesent {verb} " in command.stdout


def test_cli_help_of_score_explains_every_option() -> None:
    result = run("score", "--help")
    assert result.exit_code == 0
    names = (
        "text-col id-col sheet no-header encoding input-format layout lang dimensions threshold probabilities model "
        "taxonomy batch-size threads max-memory runtime engine workers ray-address shard resume overwrite limit "
        "dry-run output"
    )
    for name in names.split():
        assert f"--{name}" in result.stdout
    for told in ("Examples:", "Exit codes:", "OUT.partial", "OUT.rejects.jsonl"):
        assert told in result.stdout


def test_cli_help_of_score_bounds_texts_at_once_by_what_the_engine_has() -> None:
    shown = " ".join(run("score", "--help").stdout.split())
    least, most = (tokens * BYTES_PER_TOKEN / 1e6 for tokens in (load_checkpoint().max_tokens, TOKEN_BUDGET))
    assert f"as many as {TOKEN_BUDGET:,} tokens hold" in shown
    assert f"{least:.0f} to {most:.0f}, which is the default" in shown


def test_cli_unknown_verb_and_no_verb() -> None:
    one_line(run("scor"), 2, "No such command 'scor'")
    assert run().exit_code == 2


@pytest.mark.parametrize(
    "arguments",
    [
        "score IN -o ADDRESS",
        "report IN -o ADDRESS",
        "train --data IN -o ADDRESS",
        "evaluate --data IN -o ADDRESS",
        "evaluate --data IN --json ADDRESS",
        "export IN --dev IN -o ADDRESS",
        "data check IN --json ADDRESS",
        "data import IN -o ADDRESS",
        "data import IN -o out.jsonl --json ADDRESS",
        "queue IN -o ADDRESS",
        "queue IN -o out.json --config ADDRESS",
        "serve --data-dir ADDRESS",
        "serve migrate --data-dir ADDRESS",
        "serve keys add desk --keys ADDRESS",
    ],
)
def test_cli_writes_to_no_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: str) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in.csv").write_text("评论\n座位太挤了\n", "utf-8")
    given = {"IN": "in.csv", "ADDRESS": "s3://bucket/out.parquet?region=x"}
    result = run(*(given.get(word, word) for word in arguments.split()))
    one_line(result, 2, "expected a local path, found the address s3://bucket/out.parquet; write it here and copy it")
    assert f"'{arguments.split()[-2]}'" in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["in.csv"]


@pytest.mark.parametrize(
    ("name", "code", "told"),
    [
        ("torch.nn", 2, 'this needs an extra: pip install "cinesent[train]"'),
        ("fastapi", 2, 'this needs an extra: pip install "cinesent[serve]"'),
        ("openvino", 2, 'this needs an extra: pip install "cinesent[int8]"'),
        ("ray", 2, 'this needs an extra: pip install "cinesent[ray]"'),
        ("pyarrow", 2, "the module pyarrow is missing or broken"),
        ("sentiment.tables", 4, "internal error"),
    ],
)
def test_cli_missing_module_is_one_line(monkeypatch: pytest.MonkeyPatch, name: str, code: int, told: str) -> None:
    def missing(*args: Any) -> Any:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    monkeypatch.setattr("sentiment.taxonomy.load_taxonomy", missing)
    one_line(run("taxonomy"), code, told)
