"""The client matrix: one row a client, one column a feature, filled in by the tests that ran."""

from pathlib import Path

from . import clients

HEADER = """# Client matrix

Written by the tests in `tests/clients` (`tests/clients/run --matrix docs/clients.md`): every cell is a test that
drove the real client against the real broker. `yes`: passed. `no`: failed. `-`: the client cannot do it.

"""


class Recorder:
    """A pytest plugin; with several workers it runs in the one that gathers the reports."""

    def __init__(self, path):
        self.path, self.cells = path, {}

    def pytest_runtest_logreport(self, report):
        for key, cell in report.user_properties:
            if key != "cell" or report.skipped:
                continue
            self.cells[tuple(cell)] = self.cells.get(tuple(cell), True) and not report.failed

    def pytest_sessionfinish(self, session):
        if self.path and not hasattr(session.config, "workerinput"):
            Path(self.path).write_text(table(self.cells))


def table(cells):
    """The page. A cell whose test did not run says so, so that a partial run cannot pass for a whole one."""
    rows = [["client", *clients.FEATURES.values()]]
    for client in clients.CLIENTS:
        row = [client.name]
        for feature in clients.FEATURES:
            if feature not in client.can:
                row.append("-")
            else:
                row.append({True: "yes", False: "no", None: "not run"}[cells.get((client.name, feature))])
        rows.append(row)
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths)) + " |" for row in rows]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return HEADER + "\n".join(lines) + "\n"
