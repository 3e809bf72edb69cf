"""4. Who must act? put together: the urgent texts, departments, repeats, single failures, silent dissatisfaction."""

from __future__ import annotations

import numpy as np

from sentiment.report import action
from sentiment.report.model import Action, FailureRow, RepeatRow
from sentiment.report.quotes import URGENT
from sentiment.report.work import Work


def build_action(work: Work) -> Action:
    """Question 4; to be built first, so that the most urgent texts are sure of their place among the quoted ones."""
    scored, notes = work.scored, work.notes
    replies, customers = bool(work.roles.get("reply")), bool((scored.customer >= 0).any())
    urgent_rows = np.flatnonzero(scored.escalation)
    urgency = scored.urgency[urgent_rows] + 0.1 * work.facts.complaint[urgent_rows]
    urgent = work.quotes.add("urgent", urgent_rows, urgency, URGENT)
    if work.options.as_of is not None:
        late = int((scored.date > np.datetime64(work.options.as_of, "D")).sum())
        if late:
            notes.add("after_as_of", n=late, day=str(work.options.as_of))
    owners = action.owner_rows(scored, work.facts, work.quotes, replies=replies)
    if not owners:
        notes.add("no_complaints")
    repeats: list[RepeatRow] | None = None
    if not customers:
        notes.add("no_customer")
    if not replies:
        notes.add("no_reply")
    if customers and replies:
        repeats = action.repeat_rows(scored, work.facts, work.quotes)
    failures: list[FailureRow] = []
    at_most = only_praise = None
    if work.outcome_kind is not None:
        known = work.outcome[np.isfinite(work.outcome)]
        at_most = float(known.min() + (known.max() - known.min()) / 4)
        failures, only_praise = action.failure_rows(
            scored, work.facts, work.outcome, at_most, work.service, work.quotes
        )
        if failures and work.outcome_kind == "overall":
            notes.add("failures_by_overall")
    silent = None
    if len(scored):
        silent = action.silent_dissatisfaction(scored, work.facts, work.service, len(scored), work.quotes)
    return Action(
        owners, int(work.facts.complaint.sum()), len(urgent_rows), urgent, repeats, failures,
        work.outcome_kind if failures else None, at_most if failures else None, only_praise, silent,
    )  # fmt: skip
