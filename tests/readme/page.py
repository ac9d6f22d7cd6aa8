"""The README as a list of blocks, and what an expected line of output matches."""

import dataclasses
import re
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
README = REPOSITORY / "README.md"
FENCE = re.compile(r"^```(?P<info>[^\n`]*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?!https?://|#)([^)#]+)")


@dataclasses.dataclass(frozen=True)
class Block:
    """A fenced block. `walk` is empty for those that are not run."""

    line: int
    language: str
    walk: str
    stays: bool
    text: str

    @property
    def where(self):
        return f"README.md:{self.line}"


def blocks():
    """All fenced blocks, in order."""
    page = README.read_text()
    return [block(page, match) for match in FENCE.finditer(page)]


def block(page, match):
    language, walk, stays, *more = [*match["info"].split(), "", "", ""][:4]
    line = page.count("\n", 0, match.start()) + 1
    assert stays in ("", "stays") and not any(more), f"README.md:{line}: unknown words in '{match['info']}'"
    return Block(line, language, walk, stays == "stays", match["text"])


def dead_links():
    """Every path that a page of this repository links to and that is not there, with the page."""
    pages = [README, *REPOSITORY.glob("docs/*.md"), *REPOSITORY.glob("tests/*/README.md")]
    found = [(page, path) for page in pages for path in LINK.findall(page.read_text())]
    return [f"{page.name}: {path}" for page, path in found if not (page.parent / path).exists()]


def tidy(line):
    return " ".join(line.split())


def pattern(expected):
    """What an expected line matches: `…` is anything."""
    return re.compile(".*".join(re.escape(part) for part in tidy(expected).split("…")).replace(r"\ .*", r"\s?.*"))
