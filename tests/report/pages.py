"""Pages as tests read them."""

from html.parser import HTMLParser

from likewise.report.options import ReportOptions
from likewise.report.page import report
from likewise.testing.artifacts import draft, publish

RECIPE = {
    "name": "small",
    "seed": 3,
    "ingest": {"kind": "pairs", "path": "data.csv", "marks": None},
    "train": {"loss": {"kind": "infonce"}},
}
STAGES = [
    {"stage": "ingest", "seconds": 1.5, "peak_memory_bytes": 300_000_000},
    {"stage": "train", "seconds": 150.0, "peak_memory_bytes": 900_000_000},
    {"stage": "evaluate", "seconds": 3.0, "peak_memory_bytes": 0},
]
VOID = {"meta", "img", "br", "link", "input", "hr"}


class Elements(HTMLParser):
    """Every element of a page, and what its text says; fails where tags do not nest."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.open, self.text, self.ids, self.attributes = [], [], [], [], []
        self.feed(page)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        self.ids += [value for name, value in attrs if name == "id"]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        self.ids += [value for name, value in attrs if name == "id"]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] != "style":
            self.text.append(data)

    @property
    def words(self):
        return " ".join(" ".join(self.text).split())


def page_of(folder, finished, *, options=None, recipe=RECIPE, stages=STAGES):
    out = draft(folder, "report")
    report(out, options or ReportOptions(), recipe=recipe, finished=finished, stages=stages)
    return publish(out).file("report.html").read_text(encoding="utf-8")
