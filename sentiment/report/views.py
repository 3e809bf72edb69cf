"""The report as tables, drawn by page and workbook alike: what stands in which column, nothing of how it looks."""

from __future__ import annotations

from collections.abc import Iterable

from sentiment.report.model import Report
from sentiment.report.view_parts import Cell, Column, View, ViewParts
from sentiment.report.views_action import action_views
from sentiment.report.views_changes import changes_views
from sentiment.report.views_indices import lens_views, performance_views
from sentiment.report.views_priorities import priorities_views
from sentiment.report.views_voices import voices_views


def views(report: Report) -> dict[str, View]:
    """All tables of the report by id; a table without rows is left out."""
    parts = ViewParts(report)
    made = [
        *performance_views(parts),
        *priorities_views(parts),
        *changes_views(parts),
        *action_views(parts),
        *lens_views(parts),
        *voices_views(parts),
        *_input_views(parts),
    ]
    return {view.id: view for view in made if view.rows}


def _input_views(parts: ViewParts) -> Iterable[View]:
    meta, t = parts.report.meta, parts.t
    files: list[list[Cell]] = [[f.name, f.rows, f.rejected, f.scored_here] for f in meta.inputs]
    columns = [parts.text("file"), *parts.counts("rows", "rejected"), Column(t("scored_here"), "flag")]
    yield View("files", "input", t("files"), columns, files)
    roles = ("text", "id", "date", "cinema", "rating", "customer", "reply")
    used: list[list[Cell]] = [[t(f"role_{role}"), getattr(meta.columns, role) or t("none_found")] for role in roles]
    yield View("columns", "input", t("columns"), [parts.text("used_for"), parts.text("column")], used)
