"""The table: medians and spread, ratios to Kafka, and whether each bound is held."""

import datetime
import re
import statistics

from . import machine, plot
from .rows import ROWS

BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"


def page(results, plan, home):
    """What was measured, as Markdown."""
    date = datetime.datetime.now(datetime.UTC).strftime("%d %B %Y").lstrip("0")
    lines = [
        f"Measured on {date} by `tests/bench/run`: {machine.describe(home)}. Medians of {plan.rounds} alternating "
        f"rounds, with the smallest and the largest value; {plan.large / 1e9:.1f} GB a round of 1 KB records and "
        f"{plan.small / 1e9:.1f} GB of 100 B; {plan.steady_seconds} s at 100 MB/s. Kafka was warmed up with "
        f"{plan.warm / 1e9:.0f} GB. A GB is 10^9 bytes of records.",
        "",
        "| | Milena | Apache Kafka | Milena / Kafka | to reach | |",
        "|---|---|---|---|---|---|",
    ]
    group = None
    for row in ROWS:
        found = results.get(f"{row.group}: {row.title}")
        if not found:
            continue
        if row.group != group:
            group = row.group
            lines.append(f"| **{group}** | | | | | |")
        for quantity in row.quantities:
            lines.append(line(row, quantity, found))
    if series_of(results):
        lines += ["", "![End-to-end latency over time](latency.svg)"]
    return "\n".join(lines) + "\n"


def line(row, quantity, found):
    ours, theirs = (values(found, name, quantity.key) for name in ("Milena", "Kafka"))
    ratio = None
    if ours and theirs and statistics.median(theirs) > 0:
        ratio = statistics.median(ours) / statistics.median(theirs)
    cells = [
        f"{row.title}: {quantity.title}, {quantity.unit}",
        shown(ours),
        shown(theirs),
        "" if ratio is None else f"{ratio:.2f}",
        wanted(quantity.bound),
        verdict(quantity.bound, statistics.median(ours), ratio) if ours else "",
    ]
    return f"| {' | '.join(cells)} |"


def values(found, server, key):
    return [entry[key] for entry in found.get(server, []) if entry.get(key) is not None]


def shown(found):
    """The median, and the spread where there is one."""
    if not found:
        return ""
    middle = number(statistics.median(found))
    return middle if len(found) == 1 else f"{middle} ({number(min(found))}–{number(max(found))})"


def number(value):
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def wanted(bound):
    if bound is None:
        return ""
    sign = "≥" if bound.more else "≤"
    least = number(bound.least) if bound.outright else f"{bound.least:.2g} of Kafka's"
    outright = bound.outright or bound.aim_outright
    aim = number(bound.aim) if outright else f"{bound.aim:.2g}"
    floor = f"; floor {bound.floor}" if bound.floor else ""
    return f"{sign} {least}, aim {aim}{floor}"


def verdict(bound, ours, ratio):
    """Whether the aim, the least or neither is reached."""
    if bound is None:
        return ""

    def reached(limit, outright):
        value = ours if outright else ratio
        return value is not None and (value >= limit if bound.more else value <= limit)

    said = []
    if reached(bound.aim, bound.outright or bound.aim_outright):
        said.append("aim")
    elif reached(bound.least, bound.outright):
        said.append("reached")
    elif bound.outright or ratio is not None:
        said.append("**missed**")
    if bound.floor:
        said.append(f"{ours / bound.floor:.2f} of the floor")
    return ", ".join(said)


def write(results, text, folder):
    """Puts the table between the marks of benchmarks.md, and draws the plot, where it was measured."""
    file = folder / "benchmarks.md"
    old = file.read_text() if file.exists() else ""
    if BEGIN in old and END in old:
        block = f"{BEGIN}\n{text}{END}"
        file.write_text(re.sub(f"{BEGIN}.*{END}", lambda _: block, old, flags=re.DOTALL))
    else:
        file.write_text(text)
    series = series_of(results)
    if series:
        (folder / "latency.svg").write_text(plot.latency(series))


def series_of(results):
    """Latency by the second, by server."""
    series = {}
    for row in ROWS:
        for name, rounds in results.get(f"{row.group}: {row.title}", {}).items():
            if rounds[-1].get("series"):
                series[name] = rounds[-1]["series"]
    return series
