"""What `cinesent score` tells: how an input would be read, the progress, the summary. Never a text."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING, Any

from sentiment.cli import say, unheard

if TYPE_CHECKING:
    from sentiment.batch import Tick
    from sentiment.parts import Summary
    from sentiment.tables import Table
    from sentiment.taxonomy import Taxonomy

DRY_ROWS = 1000


def tell_dry_run(table: Table, model: str, runtime: str, output: str | None) -> None:
    from sentiment.blocks import row_text
    from sentiment.tables import Row

    rows = blank = rejected = 0
    samples: list[str] = []
    for item in islice(table, DRY_ROWS):
        if not isinstance(item, Row):
            rejected += 1
            continue
        rows += 1
        text = row_text(item, table.text_column)
        if not text.strip():
            blank += 1
        elif len(samples) < 3:
            where = f"row {item.number}" + (f" of {item.source}" if len(table.readers) > 1 else "")
            samples.append(f"{where} ({len(text)} characters)")
    say(f"columns: {', '.join(table.columns)}")
    say(f"texts: column {table.text_column!r}, for example {'; '.join(samples) or 'none that is not blank'}")
    say(f"identifiers: {'the row number' if table.id_column is None else f'column {table.id_column!r}'}")
    say(f"first rows: {rows} read, {blank} blank, {rejected} rejected")
    if table.size is not None:
        say(f"rows: {table.size}")
    say(f"checkpoint: {model}")
    say(f"runtime: {runtime}")
    say(f"output: {output or 'none named'}; nothing was written")


@contextmanager
def show_progress(table: Table) -> Iterator[Callable[[Tick], None] | None]:
    """Rate and remaining time on a terminal; nothing in a pipe."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}%", markup=False),
        TextColumn("{task.fields[note]}", markup=False),
        TimeElapsedColumn(),
    )
    console = Console(file=sys.stderr, highlight=False)
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("score", total=1.0, note="")
        started = time.monotonic()
        skipped: float | None = None  # the part of the input that an earlier run had finished

        def show(tick: Tick) -> None:
            nonlocal skipped
            elapsed = time.monotonic() - started
            done = tick.position / tick.size if tick.size else 1.0
            if tick.phase == "score":
                done = tick.rows / table.size if table.size else max(done, tick.rows / (table.limit or float("inf")))
            done = min(done, 1.0)
            note = f"{tick.rows:,} rows"
            if tick.phase == "score" and not tick.scored:
                skipped = done
            if tick.phase == "score" and tick.scored:
                share = done - (skipped or 0.0)
                left = elapsed * (1.0 - done) / share if share > 0 else 0.0
                note += f"  {tick.scored / max(elapsed, 1e-9):,.0f} texts/s  {_duration(left)} left"
            bar.update(task, description=tick.phase, completed=done, note=note)

        yield show


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"


def tell_summary(summary: Summary, taxonomy: Taxonomy, runtime: str, lang: str) -> None:
    """The summary on standard error: what was scored, and how often each label was found. Never a text."""
    from rich.console import Console
    from rich.table import Table as RichTable

    from sentiment.tables.flat import VALUES

    class Patient(Console):
        def on_broken_pipe(self) -> None:  # Rich would end the command, and with 1
            self.quiet = True

    zh = lang == "zh"

    def value(label: str) -> str:
        return VALUES.get(label, label) if zh else label

    def counts(counter: Any, labels: tuple[str, ...]) -> str:
        names = [*labels, *sorted(set(counter) - set(labels))]
        return "  ".join(f"{value(name)} {counter[name]:,}" for name in names if counter[name]) or "-"

    rate = summary.scored / summary.elapsed if summary.elapsed > 0 else 0.0
    facts = [
        ("rows", "行数", f"{summary.rows:,}"),
        ("different texts", "不同文本", f"{summary.texts:,}"),
        ("rejected", "拒收", f"{summary.rejected:,}" + (f" → {summary.rejects}" if summary.rejects else "")),
        ("status", "状态", counts(summary.statuses, ("ok", "empty", "not_chinese"))),
        ("overall", "整体情感", counts(summary.overall, ("negative", "neutral", "positive"))),
        ("intent", "诉求类型", counts(summary.intents, taxonomy.intents)),
        ("escalation", "需升级处理", f"{summary.escalations:,}"),
        ("uncertain", "需人工复核", f"{summary.uncertain:,}"),
        ("texts cut off", "截断文本", f"{summary.truncated:,}"),
        ("cells cut", "截断单元格", f"{summary.cut:,}"),
        ("checkpoint", "模型", f"{summary.model} ({summary.hash})"),
        ("runtime", "推理引擎", runtime),
        ("output", "输出", summary.output),
        ("time", "用时", f"{_duration(summary.elapsed)}, {rate:,.0f} {'条/秒' if zh else 'texts/s'}"),
    ]
    table = RichTable(box=None, show_header=False, pad_edge=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for en, chinese, fact in facts:
        table.add_row(chinese if zh else en, fact)
    dimensions = RichTable(box=None, pad_edge=False)
    dimensions.add_column("服务维度" if zh else "dimension", no_wrap=True)
    for label in ("negative", "neutral", "positive"):
        dimensions.add_column(value(label), justify="right")
    for key in taxonomy.keys:
        found = summary.dimensions.get(key)
        if found:
            name = taxonomy[key].zh if zh else taxonomy[key].en
            dimensions.add_row(name, *(f"{found[label]:,}" for label in ("negative", "neutral", "positive")))
    console = Patient(
        file=sys.stderr, markup=False, highlight=False, width=None if sys.stderr.isatty() else 120, soft_wrap=False
    )
    with unheard():
        console.print(table)
        if summary.dimensions:
            console.print()
            console.print(dimensions)
