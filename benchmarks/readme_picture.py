"""Renews what the READMEs show of the program: the picture docs/score.svg, outputs of Python blocks, the record.

The picture is what `cinesent score` really says about data/samples/reviews.csv. Run it from the project's folder, with
`python -m benchmarks.readme_picture`.
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.table import Table
from rich.terminal_theme import MONOKAI
from rich.text import Text

from sentiment import Analysis, Analyzer

ROOT = Path(__file__).parent.parent
READMES = ("README.md", "README.zh.md")
SAMPLE = "data/samples/reviews.csv"
PICTURE = ROOT / "docs" / "score.svg"
WIDTH = 120
SHOWN = 6
COLOURS = {"positive": "green", "neutral": "yellow", "negative": "red"}


def command_output() -> str:
    """What the command prints, with the name of the output as a user would have it."""
    with tempfile.TemporaryDirectory() as scratch:
        output = Path(scratch) / "scored.csv"
        command = [sys.executable, "-c", "from sentiment.cli import main; main()", "score", SAMPLE, "-o", str(output)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, encoding="utf-8", check=True)
        return done.stderr.replace(str(output), "scored.csv")


def marked(text: str, analysis: Analysis) -> Text:
    """The text with the evidence in the colour of its sentiment."""
    shown = Text(text)
    for mention in analysis.dimensions:
        shown.stylize(f"bold {COLOURS[mention.sentiment]}", mention.start, mention.end)
    return shown


def reviews() -> list[str]:
    """The first reviews of the sample that are of a length to be shown."""
    rows = csv.DictReader(io.StringIO((ROOT / SAMPLE).read_text("utf-8-sig"), newline=""))
    return [row["评论"] for row in rows if 30 <= len(row["评论"]) <= 90 and "\n" not in row["评论"]][:SHOWN]


def table() -> Table:
    texts = reviews()
    result = Table(box=None, pad_edge=False, padding=(0, 2, 1, 0))
    result.add_column("review", ratio=3, overflow="fold")
    result.add_column("overall", no_wrap=True)
    result.add_column("intent", no_wrap=True)
    result.add_column("dimensions", ratio=1)
    for text, analysis in zip(texts, Analyzer.load().analyze_many(texts), strict=True):
        mentions = Text("\n").join(
            Text.assemble((mention.dimension, COLOURS[mention.sentiment]), f" {mention.confidence:.2f}")
            for mention in analysis.dimensions
        )
        overall = Text(str(analysis.overall), COLOURS.get(str(analysis.overall), ""))
        intent = Text(str(analysis.intent) + ("\nescalation" if analysis.escalation else ""))
        result.add_row(marked(text, analysis), overall, intent, mentions)
    return result


def with_outputs(text: str) -> str:
    """The README with what its Python blocks print now, and the record of the text that they analyse."""
    names: dict[str, object] = {}
    printed = ""

    def renew(match: re.Match[str]) -> str:
        nonlocal printed
        if match["python"] is not None:
            with contextlib.redirect_stdout(io.StringIO()) as stream:
                exec(match["python"], names)
            printed = stream.getvalue()
            return match[0]
        if match["output"] is not None:
            return f"<!-- output -->\n```text\n{printed}```"
        analysis = names["analysis"]
        assert isinstance(analysis, Analysis)
        return f"```json\n{_laid_out(analysis)}\n```"

    blocks = (
        r"<!-- test -->\n```python\n(?P<python>.*?)```",
        r"<!-- output -->\n```text\n(?P<output>.*?)```",
        r"```json\n.*?```",
    )
    return re.sub("|".join(blocks), renew, text, flags=re.DOTALL)


def _laid_out(analysis: Analysis) -> str:
    """The record as JSON, a member a line and a mention a line."""

    def dump(value: object) -> str:
        return json.dumps(value, ensure_ascii=False)

    lines = []
    for key, value in analysis.to_dict().items():
        shown = dump(value)
        if key == "dimensions":
            shown = "[\n" + ",\n".join(f"    {dump(mention)}" for mention in value) + "\n  ]"
        lines.append(f'  "{key}": {shown}')
    return "{\n" + ",\n".join(lines) + "\n}"


def draw() -> None:
    """Writes the picture."""
    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    console.print(f"[bold green]$[/] cinesent score {SAMPLE} -o scored.csv", highlight=False)
    console.print(Text(command_output().rstrip()))
    console.print()
    console.print(table())
    # The fonts that rich names would be fetched from elsewhere.
    style = re.sub(r"@font-face \{\{.*?\}\}\s*", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)
    style = style.replace("Fira Code, monospace", "Menlo, Consolas, 'DejaVu Sans Mono', monospace")
    svg = console.export_svg(title="cinesent", theme=MONOKAI, code_format=style, unique_id="cinesent")
    PICTURE.parent.mkdir(exist_ok=True)
    PICTURE.write_text(re.sub(r"[ \t]+$", "", svg, flags=re.MULTILINE), "utf-8")


def main() -> None:
    draw()
    for name in READMES:
        path = ROOT / name
        path.write_text(with_outputs(path.read_text("utf-8")), "utf-8", newline="\n")


if __name__ == "__main__":
    main()
