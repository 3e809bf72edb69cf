"""How much of a report its page shows, and so for how much texts are kept: workbook and JSON have all figures."""

from __future__ import annotations

MOST_ROWS = 200  # of a table
MOST_PERIODS = 1500  # rows of the table of the trend: six years of months and some cinemas
MOST_SERIES = 50  # of single cinemas in the trend
MOST_POINTS = 600  # periods of all these together: each is a cell with a button
LEAST_SERIES = 6  # however long the time is
LEAGUE_ENDS = 20  # cinemas at either end of the league that its chart draws


def shown_series(periods: int) -> int:
    """How many series of single cinemas a page shows where each has so many periods."""
    return max(LEAST_SERIES, min(MOST_SERIES, MOST_POINTS // max(1, periods)))
