"""5. Through whose eyes? Dimensions grouped by each lens of the taxonomy, and the customer-value ledger."""

from __future__ import annotations

from collections.abc import Callable

from sentiment.report.index import Sums
from sentiment.report.intervals import Floats, percentile_interval
from sentiment.report.model import Figure, Label, Ledger, LedgerLine
from sentiment.taxonomy import LENS_VALUES, Taxonomy, load_taxonomy

SHOWN_LENSES = ("group", "stage", "form", "quality", "servqual", "owner")
# Kotler's delivered value: what the customer gets, and what it costs him.
VALUE = ("product", "service", "personnel", "image")
COST = ("money", "time", "energy", "mind")


def lens_sets(taxonomy: Taxonomy, lens: str, service: list[int]) -> list[tuple[str, list[int]]]:
    """Lens values in the order of the taxonomy with the service dimensions of each; "none" is no value."""
    sets: dict[str, list[int]] = {}
    for d in service:
        value = getattr(taxonomy.dimensions[d], lens)
        if value and value != "none":
            sets.setdefault(value, []).append(d)
    return list(sets.items())


def value_names(taxonomy: Taxonomy) -> dict[str, Label]:
    """The names of all lens values, by value: the taxonomy's own English ones, else those of the packaged taxonomy."""
    english = {**load_taxonomy().names, **taxonomy.names}
    values = {getattr(d, lens): None for d in taxonomy.dimensions for lens in (*SHOWN_LENSES, "ledger")}
    return {value: Label(LENS_VALUES.get(value, value), english.get(value, value)) for value in values if value}


def ledger(
    sums: Sums,
    taxonomy: Taxonomy,
    service: list[int],
    names: dict[str, tuple[str, str]],
    quoted: Callable[[str, list[int]], str | None] = lambda prefix, dimensions: None,
) -> Ledger:
    """The customer-value ledger (total customer value − total customer cost: Kotler, Marketing Management).

    Amounts are mentions per 100 texts: (Σp⁺ − Σp⁻) on the value lines, (Σp⁻ − Σp⁺) on the cost lines, each with its
    bootstrap interval; balance = value − cost. The film is apart. `names`: zh and en of each line; `quoted` quotes the
    texts about dimensions under a prefix and gives the key.
    """
    lines: list[LedgerLine] = []
    sets = lens_sets(taxonomy, "ledger", service)
    for line, chosen in sets:
        if line in VALUE or line in COST:
            zh, en = names.get(line, (line, line))
            sign = 1 if line in VALUE else -1
            lines.append(
                LedgerLine(
                    line, zh, en, "value" if sign > 0 else "cost",
                    _amount(sums, chosen, [sign] * len(chosen)), [taxonomy.keys[d] for d in chosen],
                    quoted(f"ledger/{line}", chosen),
                )
            )  # fmt: skip
    value = [d for line, chosen in sets if line in VALUE for d in chosen]
    cost = [d for line, chosen in sets if line in COST for d in chosen]
    film = [d for d in range(len(taxonomy.keys)) if d not in service]
    sides = {"value": value, "cost": cost, "balance": value + cost, "apart": film}
    quotes = {name: key for name, chosen in sides.items() if (key := quoted(f"ledger/{name}", chosen)) is not None}
    return Ledger(
        lines,
        _amount(sums, value, [1] * len(value)),
        _amount(sums, cost, [-1] * len(cost)),
        _amount(sums, value + cost, [1] * len(value + cost)),
        _amount(sums, film, [1] * len(film)) if film else None,
        quotes,
    )


def _amount(sums: Sums, chosen: list[int], signs: list[int]) -> Figure:
    """Signed net mentions per 100 texts; −cost being what praise outweighs, value − cost is one sum over both."""
    if sums.texts < 1:
        return Figure(None, reason="no_texts")
    net: Floats = sums.mentions[chosen, 2] - sums.mentions[chosen, 0]
    replicates: Floats = sums.replicates[:, chosen, 2] - sums.replicates[:, chosen, 0]
    value = float(100 * (net * signs).sum() / sums.texts)
    found = percentile_interval(100 * (replicates * signs).sum(1) / sums.replicate_texts, sums.units)
    n = float(sums.mentions[chosen].sum())
    if found is None:
        return Figure(value, None, None, n, "one_unit")
    return Figure(value, min(found[0], value), max(found[1], value), n)
