"""What an audit shows: pairs of a generated and a real sample, and one file that holds everything."""

import re
from html.parser import HTMLParser

import numpy as np
import pytest
from sklearn.datasets import load_digits

import ganaug
from ganaug.auditing import measures
from ganaug.auditing.pairs import GAP, N_PAIRS
from ganaug.data.schema import Schema
from ganaug.errors import OutputExistsError

SIDE = 32


@pytest.fixture(scope="module")
def images():
    """Return two classes of digits in three parts: training, held out, and as if generated."""
    source = load_digits()
    rows = np.concatenate([np.flatnonzero(source.target == k)[:120] for k in (2, 6)])
    X, y = source.images[rows].astype(np.uint8), source.target[rows]
    return [(X[part::3], y[part::3]) for part in range(3)]


@pytest.fixture(scope="module")
def copied(images):
    """Return an audit of class 2 from a generator that copies, and of class 6 from one that does not."""
    (X, y), held, (new, c) = images
    fake = new.copy()
    fake[c == 2] = X[y == 2][: (c == 2).sum()]
    before, measures.STEPS = measures.STEPS, 30
    try:
        schema = Schema.fit(X, y)
        bank = ganaug.SampleBank(fake, schema.encode_y(c).numpy(), schema)
        return ganaug.audit(bank, X, y, holdout=held, random_state=0)
    finally:
        measures.STEPS = before


def tiles(picture, row):
    """Return the tiles of a row of the picture, (n, height, width)."""
    pixels = np.asarray(picture)
    pair, below = divmod(row, 2)
    top = GAP + pair * (2 * SIDE + 3 * GAP) + below * SIDE
    lefts = [GAP + j * (SIDE + GAP) for j in range(N_PAIRS)]
    return np.stack([pixels[top : top + SIDE, left : left + SIDE] for left in lefts])


def test_the_picture_of_copies_shows_pairs_that_are_identical_and_of_others_pairs_that_are_not(copied):
    assert copied.table["verdict"].tolist() == ["copies", "sound", "copies"]
    picture = copied.picture()
    assert picture.size == (N_PAIRS * (SIDE + GAP) + GAP, 2 * (2 * SIDE + 3 * GAP))
    np.testing.assert_array_equal(tiles(picture, 0), tiles(picture, 1))
    others = np.abs(tiles(picture, 2).astype(int) - tiles(picture, 3)).mean((1, 2))
    assert (others > 5).all()


def test_pairs_are_real_neighbours_with_the_most_suspicious_first(copied, images):
    (X, _), *_ = images
    pairs = copied.pairs
    known = {(image * 255.0 / 16).round().astype(np.uint8).tobytes() for image in X}
    assert {p.tobytes() for p in pairs.nearest} <= known
    assert pairs.ratio[pairs.class_index == 0].tolist() == [0] * N_PAIRS
    new = pairs.ratio[pairs.class_index == 1]
    assert (np.diff(new) >= 0).all()
    assert new[0] > 0.3


def test_the_report_is_one_file_that_says_the_verdict_and_asks_for_nothing(copied, tmp_path):
    page = copied.report(tmp_path / "sub" / "report.html").read_text(encoding="utf-8")
    assert "<strong>Copies</strong>" in page
    assert "Copies of training samples: 2, 100 %" in page
    assert page.count("data:image/png;base64,") == 1
    assert not re.search(r"https?://|<script|@import|url\(", page)
    assert all(f"<bdi>{name}</bdi>" in page for name in ("2", "6", "overall", "C T", "p holm"))
    with pytest.raises(OutputExistsError, match="must be a file to write the report to"):
        copied.report(tmp_path)


class Tags(HTMLParser):
    """Collects the tags of a page."""

    def __init__(self):
        super().__init__()
        self.found = []

    def handle_starttag(self, tag, attrs):
        self.found.append(tag)


def test_names_and_cells_are_text_in_a_report_of_a_table(tmp_path, monkeypatch):
    monkeypatch.setattr(measures, "STEPS", 5)
    rng = np.random.default_rng(0)
    y = np.repeat(["<img src=x>", "b"], 30)
    X, held, new = rng.normal(size=(3, 60, 3))
    schema = Schema.fit(X, y)
    bank = ganaug.SampleBank(new, schema.encode_y(y).numpy(), schema)
    result = ganaug.audit(bank, X, y, holdout=(held, y), random_state=0)
    page = result.report(tmp_path / "report.html").read_text(encoding="utf-8")
    tags = Tags()
    tags.feed(page)
    assert "img" not in tags.found
    assert "&lt;img src=x&gt;" in page
    assert page.count("nearest real</th>") == 2 * N_PAIRS
    assert result.pairs.generated[0][0] in page
