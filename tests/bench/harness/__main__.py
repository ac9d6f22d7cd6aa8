"""The command line: which rows, how long, where to."""

import argparse
import json
import re
import sys
from pathlib import Path

from . import client, report, servers, wire
from .plan import QUICK, Plan
from .rows import ROWS
from .runner import Runner

OUT = servers.REPOSITORY / "target/bench"


def arguments():
    parser = argparse.ArgumentParser(prog="tests/bench/run", description=__doc__)
    parser.add_argument("--rows", metavar="REGEX", help="only rows whose group and title contain this")
    parser.add_argument("--list", action="store_true", help="names the rows")
    parser.add_argument("--quick", action="store_true", help="everything, briefly")
    parser.add_argument("--rounds", type=int, help="times that each row is measured with each server")
    parser.add_argument("--steady", type=int, metavar="SECONDS", help="length of the load at 100 MB/s (300)")
    parser.add_argument("--without-kafka", action="store_true", help="Milena alone, though Kafka is there")
    parser.add_argument("--write", action="store_true", help="puts the results into docs/")
    parser.add_argument("--keep", action="store_true", help="adds to the results of the last run")
    parser.add_argument("--dir", type=Path, metavar="DIR", help="where servers keep their data (/var/tmp)")
    parser.add_argument("--port", type=int, help="first port; Kafka's are 50 further on")
    return parser.parse_args()


def main():
    options = arguments()
    wanted = [row for row in ROWS if re.search(options.rows or "", f"{row.group}: {row.title}", re.IGNORECASE)]
    if options.list:
        print(*(f"{row.group}: {row.title}" for row in wanted), sep="\n")
        return 0
    plan = QUICK if options.quick else Plan()
    plan.rounds = options.rounds or plan.rounds
    plan.steady_seconds = options.steady or plan.steady_seconds
    client.build()
    kinds = [servers.Milena]
    if servers.KAFKA_TOOLS and not options.without_kafka:
        kinds.append(servers.Kafka)
    saved = OUT / "results.json"
    results = json.loads(saved.read_text()) if options.keep and saved.exists() else {}
    home = options.dir or Path("/var/tmp")
    runner = Runner(kinds, plan, home, options.port or wire.free_port(), results)
    try:
        runner.run(wanted)
    finally:
        runner.close()
        OUT.mkdir(parents=True, exist_ok=True)
        saved.write_text(json.dumps(results))
        text = report.page(results, plan, home)
        print(text)
        (OUT / "benchmarks.md").write_text(text)
        report.write(results, text, servers.REPOSITORY / "docs" if options.write else OUT)
    return 1 if runner.failures else 0


if __name__ == "__main__":
    sys.exit(main())
