from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from seqdis.evaluation.report import Report, Score
from seqdis.report.figures import swap_grid
from seqdis.report.layout import tables
from seqdis.report.page import summary, write_page
from seqdis.report.picture import Picture

pytest.importorskip("matplotlib")
HOSTILE = "<script src='http://evil.example/x.js'>alert(1)</script>\"><img src=x onerror=alert(1)>&amp;"
PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010806000000"
    "1f15c4890000000d49444154789c63000100000500010d0a2db40000000049454e44ae426082"
)


class Tags(HTMLParser):
    def __init__(self):
        super().__init__()
        self.found, self.text, self.open = [], [], []

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))
        if tag not in ("meta", "img", "source"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open:
            self.text.append(data)


def read(path):
    parser = Tags()
    parser.feed(path.read_text(encoding="utf-8"))
    assert parser.open == []
    return parser


def words(parser):
    return " ".join(" ".join(parser.text).split())


@pytest.fixture(scope="module")
def page(tmp_path_factory, report, history, squares, video):
    path = tmp_path_factory.mktemp("page") / "out" / "page.html"
    write_page(
        path,
        "DBSE on moving squares",
        report,
        [*swap_grid(squares, video, [0, 1], [2, 3]), Picture("something_else", "Another figure.", PIXEL)],
        history,
        settings={"static_dim": 8, "training": {"lr": 0.001, "devices": None, "betas": [0.9, 0.99]}},
        provenance={"versions": {"torch": "2.13.0"}, "data": {"moving-squares/test": "0123abcd"}},
        command="seqdis fit dbse moving-squares",
    )
    return path


def test_content_stands_in_order(page):
    shown = words(read(page))
    order = (
        "DBSE on moving squares",
        "trained for 30 epochs in 45 s",
        "Scores",
        "latent leakage · moving-squares/test · corrected form",
        "Swapped codes",
        "Training",
        "More figures",
        "Settings",
        "training.lr 0.001",
        "Provenance",
        "versions.torch 2.13.0",
        "seqdis fit dbse moving-squares",
    )
    places = [shown.index(part) for part in order]
    assert places == sorted(places)
    assert "training.devices none" in shown
    assert "training.betas 0.9, 0.99" in shown


def test_scores_stand_beside_their_controls(page):
    shown = words(read(page))
    assert shown.index("0.981 ± 0.004") < shown.index("majority class") < shown.index("published [1]")
    assert "DBSE paper Tab. 2" in shown


def test_page_loads_nothing(page):
    html = page.read_text(encoding="utf-8")
    tags = read(page).found
    assert {tag for tag, _ in tags}.isdisjoint({"script", "link", "iframe", "object", "embed", "base", "form"})
    for tag, attributes in tags:
        for name in ("src", "srcset", "href", "poster", "background", "data"):
            assert attributes.get(name, "data:image/").startswith("data:image/"), (tag, attributes)
        assert not any(name.startswith("on") for name in attributes)
    assert not re.search(r"https?://|url\(|@import", html)
    policy = next(a["content"] for tag, a in tags if a.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'")


def test_moving_picture_has_a_still_form_for_print(page):
    tags = read(page).found
    at = next(i for i, (tag, _) in enumerate(tags) if tag == "picture")
    (source, still), (image, moving) = tags[at + 1 : at + 3]
    assert (source, image) == ("source", "img")
    assert "prefers-reduced-motion" in still["media"]
    assert "print" in still["media"]
    assert still["srcset"].startswith("data:image/png")
    assert moving["src"].startswith("data:image/gif")
    assert moving["alt"]
    assert sum(tag == "img" for tag, _ in tags) == 3  # swaps, losses, the other one


def test_page_follows_the_readers_light_and_screen(page):
    html = page.read_text(encoding="utf-8")
    assert "prefers-color-scheme: dark" in html
    assert 'name="viewport" content="width=device-width' in html


def test_hostile_strings_are_only_shown(tmp_path):
    score = Score(method=HOSTILE, dataset=HOSTILE, protocol=HOSTILE, metric=HOSTILE, factor=HOSTILE, value=1.0)
    published = Score(
        method="x", dataset=HOSTILE, protocol=HOSTILE, metric="m", value=1.0, role="published", source=HOSTILE
    )
    path = write_page(
        tmp_path / "page.html",
        HOSTILE,
        Report(scores=(score, published)),
        [Picture(HOSTILE, HOSTILE, PIXEL)],
        settings={HOSTILE: HOSTILE},
        provenance={HOSTILE: {HOSTILE: HOSTILE}},
        command=HOSTILE,
    )
    parser = read(path)
    assert not any(tag == "script" for tag, _ in parser.found)
    assert [a["src"][:10] for tag, a in parser.found if tag == "img"] == ["data:image"]
    assert not any(name.startswith("on") for _, attributes in parser.found for name in attributes)
    assert words(parser).count("alert(1)</script>") >= 9


def test_report_lends_its_settings_and_provenance(tmp_path, report):
    full = Report(scores=report.scores, settings={"judge": {"epochs": 7}}, provenance={"command": "abc"})
    shown = words(read(write_page(tmp_path / "p.html", "t", full)))
    assert "judge.epochs 7" in shown
    assert "command abc" in shown


def test_bare_page_says_what_is_missing(tmp_path):
    shown = words(read(write_page(tmp_path / "p.html", "t", Report(scores=()))))
    for part in ("The report holds no scores.", "No settings were given.", "No provenance was given."):
        assert part in shown


def test_failed_page_leaves_the_old_one(tmp_path, report, monkeypatch):
    path = write_page(tmp_path / "p.html", "old", report)
    monkeypatch.setattr("os.replace", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        write_page(path, "new", report)
    assert "<title>old</title>" in path.read_text(encoding="utf-8")


def test_summary_names_the_best_control(report, history):
    line = summary(tables(report), history).replace("\N{NO-BREAK SPACE}", " ")
    assert line == (
        "DBSE on moving-squares/test, trained for 30 epochs in 45 s: accuracy, colour from static, is 0.981 ± 0.004; "
        "the best control (untrained encoder) reaches 0.450 ± 0.021."
    )


def test_summary_prefers_a_score_with_a_control_and_minds_the_direction():
    shared = {"dataset": "d", "protocol": "p", "better": "lower"}
    scores = (
        Score(method="M", metric="alone", value=1.0, **shared),
        Score(method="M", metric="EER", value=0.1, **shared),
        Score(method="bad", metric="EER", value=0.5, role="control", **shared),
        Score(method="good", metric="EER", value=0.3, role="control", **shared),
    )
    assert summary(tables(Report(scores=scores))) == "M on d: EER is 0.100; the best control (good) reaches 0.300."
    bound = replace(scores[2], method="real", value=0.0, bound=True)
    assert "control (good)" in summary(tables(Report(scores=(*scores, bound))))
    nowhere = tuple(replace(score, better="") for score in scores)
    assert "; a control (bad) reaches 0.500." in summary(tables(Report(scores=nowhere)))
    sampled = tuple(replace(score, metric="sampled", form="published, sampled codes") for score in scores)
    assert "EER is" in summary(tables(Report(scores=sampled + scores)))
    printed = tuple(replace(score, metric="printed", form="published") for score in scores)
    assert "EER is" in summary(tables(Report(scores=printed + scores)))
    assert "no control was measured" in summary(tables(Report(scores=scores[:1])))
    assert summary(()) == "The report holds no scores."
    assert summary((), [{"epoch": 1, "seconds": 7200.0, "train": {}}]) == (
        "A model trained for 1 epoch in 2.0 h; the report holds no scores."
    )
