"""Draws docs/score.svg, the picture in the READMEs: what `cinesent score` really says about data/samples/reviews.csv.

Run it with `python -m benchmarks.readme_picture`, from the project's folder.
"""

from __future__ import annotations

import csv
import io
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
    result.add_column("review", ratio=3)
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


def main() -> None:
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
    print(PICTURE)


if __name__ == "__main__":
    main()
