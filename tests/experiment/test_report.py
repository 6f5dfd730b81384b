import base64
import io
import re
import shutil
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import recall_score

from ganaug import ConditionalGAN, compare
from ganaug.errors import OutputExistsError
from ganaug.experiment.cells import Cell, FailedCell
from ganaug.experiment.comparison import Comparison
from ganaug.experiment.report import write_report
from ganaug.experiment.specimens import ColumnShares, Specimens, specimens_of
from ganaug.experiment.svg import VARIABLES, distinct_labels, plain_label

NASTY = (
    "<script>document.title = 'stolen'</script>",
    "\"quotes\" & 'ticks' $x^2$",
    "</style><img src=x onerror=\"document.title = 'stolen'\">",
    "مرحبا بالعالم",
    "🦊 {{ 7 * 7 }} {% raw %}",
    "w" * 200,
    "two\nlines\x07 \u202eturned",
    "日本語",
)
ATTRIBUTES = {"src", "href", "srcset", "poster", "data", "action", "xlink:href", "cite", "background"}


def comparison(
    n_classes=3, *, gain=0.1, names=None, arms=("nothing", "copies", "gan"), scores=True, reserve=False
):
    """Return a comparison in which controls are right in 60 % of 40 samples a class, an oracle in 80 %."""
    roles = {arm: "treatment" if arm == arms[-1] else "control" for arm in arms}
    roles |= {"reserve": "oracle"} if reserve else {}
    rng, cells = np.random.default_rng(0), []
    for seed in range(4):
        for arm in roles:
            y = np.repeat(np.arange(n_classes), 40)
            right = rng.random(len(y)) < 0.6 + gain * (arm == arms[-1]) + 0.2 * (arm == "reserve")
            predicted = np.where(right, y, (y + 1) % n_classes)
            y_score = np.full((len(y), n_classes), 0.3 / (n_classes - 1), dtype=np.float32)
            y_score[np.arange(len(y)), predicted] = 0.7
            added = 0 if arm == "nothing" else 30
            cells.append(Cell(arm, seed, y, predicted, y_score if scores else None, 30, added, 0.5, 1.5))
    return Comparison(
        cells=tuple(cells),
        roles=roles,
        twins={arms[-1]: arms[1]},
        learning_curve=("nothing", "reserve") if reserve else (),
        primary=arms[-1],
        metric="balanced_accuracy",
        overlap=0.0,
        class_names=names or tuple(f"class {k}" for k in range(n_classes)),
        settings={
            "classifier": "cnn",
            "n_train": 30,
            "n_test": 40 * n_classes,
            "splits": "each seed has its own training and test samples",
            "test_samples_in_training": 0,
            "gan": {"network": "mlp"},
            "versions": {"ganaug": "0.1"},
        },
        wall_seconds=3.0,
    )


def specimens(n_classes, *, kind, text="plain"):
    """Return made-up specimens with two samples of each class."""
    rng, k = np.random.default_rng(0), np.repeat(np.arange(min(10, n_classes)), 2)
    about = {
        "real_class": k,
        "synthetic_class": k,
        "nearest_class": (k + 1) % n_classes,
        "distance": np.full(len(k), 0.5),
        "typical_distance": 1.0,
        "n_searched": 30,
        "n_training": 30,
        "map": rng.normal(size=(80, 2)),
        "map_class": np.arange(80) % n_classes,
        "map_synthetic": np.arange(80) >= 40,
    }
    if kind == "image":
        pictures = rng.integers(0, 256, (len(k), 48, 48, 3), dtype=np.uint8)
        return Specimens(
            **about, real_pictures=pictures, synthetic_pictures=pictures, nearest_pictures=pictures
        )
    half = (50.0, 50.0)
    return Specimens(
        **about,
        column_names=(text, "b"),
        synthetic_rows=((text, "1"),) * len(k),
        nearest_rows=((text, "2"),) * len(k),
        columns=(
            ColumnShares(text, False, (text, "other"), half, half, (5.0, 0.0)),
            ColumnShares("b", True, ("0", "1"), half, half, (0.0, 0.0)),
        ),
    )


def with_specimens(result, shown):
    object.__setattr__(result, "specimens", shown)
    return result


class Page(HTMLParser):
    """What an HTML file holds: tags, addresses, headings, text outside of styles."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.addresses, self.headings, self.images, self.drawings = [], [], [], [], []
        self.text, self.titles, self._inside = "", "", []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        values = dict(attrs)
        self.addresses += [v for k, v in attrs if k in ATTRIBUTES]
        self._inside.append(tag)
        if re.fullmatch("h[1-6]", tag):
            self.headings.append(int(tag[1]))
        if tag == "img":
            self.images.append(values)
        if tag == "svg":
            self.drawings.append(values)
        assert not any(k.startswith("on") for k in values)

    def handle_endtag(self, tag):
        while self._inside and self._inside.pop() != tag:
            pass

    def handle_data(self, data):
        if "title" in self._inside:
            self.titles += data
        elif "style" not in self._inside:
            self.text += data


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """Return a function that writes a report and returns its text and what it holds."""

    def written(result):
        path = write_report(result, tmp_path_factory.mktemp("report") / "report.html")
        text = path.read_text(encoding="utf-8")
        return text, Page(text)

    return written


@pytest.fixture(scope="module")
def pictured(page):
    """Return a comparison with pictures of three classes, its text and what it holds."""
    result = with_specimens(comparison(), specimens(3, kind="image"))
    return result, *page(result)


def words(text):
    return " ".join(text.split())


# --- the file -------------------------------------------------------------------------------------


def test_a_report_replaces_an_older_one_and_leaves_nothing_beside_it(tmp_path):
    path = tmp_path / "new" / "report.html"
    assert write_report(comparison(), str(path)) == path
    first = path.read_bytes()
    assert write_report(comparison(gain=-0.3), path) == path
    assert path.read_bytes() != first
    write_report(comparison(), path)
    assert path.read_bytes() == first
    assert [p.name for p in path.parent.iterdir()] == ["report.html"]


def test_a_folder_is_refused(tmp_path):
    with pytest.raises(OutputExistsError, match="must be a file to write the report to; got a folder"):
        write_report(comparison(), tmp_path)


def test_a_report_that_fails_leaves_the_older_one(tmp_path):
    path = tmp_path / "report.html"
    path.write_text("older")
    broken = replace(comparison(), settings={})
    with pytest.raises(Exception, match="classifier"):
        write_report(broken, path)
    assert path.read_text() == "older"
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]


def test_a_report_of_ten_classes_is_self_contained_and_small(page):
    text, found = page(with_specimens(comparison(10), specimens(10, kind="image")))
    assert len(text.encode()) < 3_000_000
    assert "script" not in found.tags
    assert "link" in found.tags  # the icon, empty, lest a browser asks for one
    assert [a for a in found.addresses if not a.startswith(("data:", "#"))] == []
    assert not re.search(r"url\((?!#)|@import|@font-face", text)
    outside = set(re.findall(r"https?://[^\"'\s<)]*", text))
    assert outside <= {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}


# --- what it says ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("gain", "verdict"), [(0.3, "helps"), (0.0, "no evidence"), (-0.4, "hurts")])
def test_the_verdict_comes_first_with_its_figures_and_its_limits(page, gain, verdict):
    result = comparison(gain=gain)
    assert result.verdict == verdict
    _, found = page(result)
    said = words(found.text)
    assert found.titles == f"{verdict}: gan (balanced accuracy)"
    assert said.index(result.sentence.partition(": ")[2]) < said.index("What was compared")
    meaning = {"helps": "above 0", "no evidence": "cannot tell a gain from none", "hurts": "below 0"}
    assert [k for k, m in meaning.items() if m in said] == [verdict]


def test_all_arms_seeds_classes_and_settings_are_there(pictured):
    result, text, found = pictured
    said = words(found.text)
    for row in result.table.to_dict(orient="records"):
        assert row["over best control"] in said
    for cell in result.cells:
        row = f"<bdi>{cell.arm}</bdi></th><td>{cell.seed}</td><td>{100 * cell.score('balanced_accuracy'):.2f}"
        assert row in text
    firsts = ["difference", "low", "high", "p_holm", "harmed", result.primary, result.best_control]
    others = [column for column in result.per_class if column not in firsts]
    for name, recalls in result.per_class[[*firsts, *others]].iterrows():
        cells = "".join(f"<td>{'' if v is False else f'{v:.2f}'}</td>" for v in recalls)
        assert f"<bdi>{name}</bdi></th>{cells}" in text
    assert "versions.ganaug" in said
    assert "gan.network" in said


def test_figures_are_put_into_words(pictured):
    result, _, found = pictured
    assert all(d["role"] == "img" and len(d["aria-label"]) > 20 for d in found.drawings)
    gain = result.gain_over("gan", "nothing")
    assert (
        f"gan against nothing: {gain.mean:+.2f}, {gain.low:+.2f} to {gain.high:+.2f}"
        in (found.drawings[0]["aria-label"])
    )
    recalls = {
        arm: np.mean(
            [recall_score(c.y_true, c.y_pred, average=None) for c in result.cells if c.arm == arm], axis=0
        )
        for arm in ("gan", result.best_control)
    }
    change = 100 * (recalls["gan"] - recalls[result.best_control])
    assert "; ".join(f"class {k} {v:+.1f}" for k, v in enumerate(change)) in found.drawings[2]["aria-label"]
    shares = ", ".join(f"class {k} {100 * v:.0f}" for k, v in enumerate(recalls[result.best_control]))
    assert found.drawings[3]["aria-label"].endswith(f"on the diagonal: {shares}.")


def test_figures_take_the_colours_of_the_page_and_need_none_of_them(pictured):
    _, text, _ = pictured
    drawings = "".join(re.findall("(?s)<svg .*?</svg>", text))
    assert not re.search("|".join(f": {colour}" for colour in VARIABLES), drawings)
    assert {f"var(--{name})" for name in VARIABLES.values()} == set(re.findall(r"var\([^)]*\)", drawings))
    assert "<pattern" in drawings  # what became rarer is hatched
    assert re.search(">−[0-9]", drawings)


def test_labels_that_would_be_cut_to_the_same_leave_out_what_they_share():
    assert distinct_labels(["cat", "dog"], 9) == ["cat", "dog"]
    names = [f"a name that all share, {k} and on it goes" for k in range(3)]
    assert distinct_labels(names, 11) == ["…0 and …oes", "…1 and …oes", "…2 and …oes"]
    assert len(plain_label("w" * 200, 26)) == 26
    assert plain_label("two\nlines\x07 \u202eturned") == "two lines turned"


def test_headings_are_in_order_and_the_page_is_fit_for_readers(pictured):
    _, text, found = pictured
    assert found.headings.count(1) == 1
    assert found.headings[0] == 1
    assert all(after - before <= 1 for before, after in zip(found.headings, found.headings[1:], strict=False))
    assert '<html lang="en">' in text
    assert '<meta name="viewport" content="width=device-width, initial-scale=1">' in text
    assert all(image["alt"] for image in found.images)


def test_specimens_are_shown_as_they_are(pictured):
    result, text, found = pictured
    shown = result.specimens
    pictures = [
        np.array(Image.open(io.BytesIO(base64.b64decode(image["src"].partition(",")[2]))))
        for image in found.images
    ]
    assert len(pictures) == 18
    assert np.array_equal(pictures[0], shown.real_pictures[0])
    assert text.count("0.5 ×") == 6
    assert "This page holds real samples" in words(found.text)


def test_a_table_shows_columns_and_pairs_of_rows(page):
    _, found = page(with_specimens(comparison(), specimens(3, kind="table", text="rent, monthly")))
    said = words(found.text)
    assert found.images == []
    assert said.count("nearest real") >= 6
    assert "rent, monthly, missing: 5.0 % real, 0.0 % synthetic" in said


def test_the_gain_over_the_twin_is_told_drawn_and_listed(page):
    result = comparison(10, gain=0.3)
    _, found = page(result)
    said, gain = words(found.text), result.gain_over_twin("gan")
    assert said.index(result.twin_sentence) < said.index("What was compared")
    assert f"gan / copies against their twins: {gain.mean:+.2f}" in found.drawings[1]["aria-label"]
    assert said.count(f"{gain.mean:+.2f} [{gain.low:+.2f}, {gain.high:+.2f}]") >= 1


def test_oracles_are_no_treatments_and_show_what_real_samples_would_do(page, pictured):
    result = comparison(10, reserve=True)
    _, found = page(result)
    said = words(found.text)
    assert "Treatments, with samples that were generated ( gan ), have" in said.replace("(gan)", "( gan )")
    assert "Oracles (reserve) add real samples" in said
    assert said.index(result.worth_sentence) < said.index("What was compared")
    assert str(result.worth) in said
    gain = result.gain_over("reserve", "nothing")
    assert any(f"30: {gain.mean:+.2f}, {gain.low:+.2f}" in d["aria-label"] for d in found.drawings)
    assert "Worth in real samples" not in pictured[2].text
    assert "Oracles" not in pictured[2].text


def test_names_with_commas_stand_apart_in_lists(page):
    text, _ = page(comparison(arms=("nothing", "copies, mine", "gan, mine")))
    assert '<b class="arm"><bdi>nothing</bdi></b>, <b class="arm"><bdi>copies, mine</bdi></b>' in text


@pytest.mark.parametrize(
    ("fields", "luck"),
    [
        ({}, "luck in splits and training"),
        ({"given_test": True}, "luck in training samples, test samples and training"),
        ({"given_test": True, "one_training_set": True}, "luck in test samples and training"),
    ],
)
def test_what_the_interval_allows_for_is_said_as_it_is(page, fields, luck):
    assert f"by more than {luck} explains" in words(page(replace(comparison(gain=0.3), **fields))[1].text)


def test_without_scores_there_is_no_calibration_and_without_specimens_no_samples(page, pictured):
    with_all = words(pictured[2].text)
    without = words(page(comparison(scores=False))[1].text)
    assert "Calibration" in with_all
    assert "nearest real" in with_all
    assert "Calibration" not in without
    assert "nearest real" not in without


def test_scores_that_are_no_probabilities_are_not_called_confidence(page):
    result = comparison()
    cells = tuple(replace(c, y_score=5 * c.y_score - 2) for c in result.cells)
    assert "Calibration" not in page(replace(result, cells=cells))[1].text


def test_doses_are_drawn_where_an_arm_tried_some(page, pictured):
    result = comparison()
    assert "Gain against dose" not in pictured[2].text
    for cell in result.cells:
        if cell.arm == "gan":
            object.__setattr__(cell, "tried", ((0.0, 0.5), (0.5, 0.6 + cell.seed / 10), (1.0, 0.55)))
    _, found = page(result)
    assert "Gain against dose" in found.text
    assert any("0: 50.0, 0.5: 75.0, 1: 55.0" in d["aria-label"] for d in found.drawings)


def test_failures_and_shared_test_samples_are_said_at_the_top(page):
    result = comparison()
    result = replace(
        result,
        failed=(FailedCell("gan", 4, "ValueError: <b>bad</b>"),),
        settings={**result.settings, "test_samples_in_training": 7},
    )
    said = words(page(result)[1].text)
    assert said.index("1 run failed") < said.index("What was compared")
    assert said.index("7 test samples are training samples too") < said.index("What was compared")
    assert "ValueError: <b>bad</b>" in said


def test_the_most_changed_of_many_classes_are_drawn_and_all_are_listed(page):
    result = comparison(30)
    text, found = page(result)
    assert "20 classes that differ most, of 30" in words(found.text)
    assert all(f"<bdi>class {k}</bdi>" in text for k in range(30))
    change = result.per_class["gan"] - result.per_class[result.best_control]
    assert f"{change.abs().idxmax()} {change[change.abs().idxmax()]:+.1f}" in found.drawings[2]["aria-label"]


def test_a_class_that_is_never_tested_is_said_to_be_so(page):
    result = comparison()
    cells = tuple(
        replace(c, y_true=c.y_true[:80], y_pred=c.y_pred[:80], y_score=c.y_score[:80]) for c in result.cells
    )
    text, _ = page(replace(result, cells=cells))
    assert "not tested" in text
    assert ">nan<" not in text


def test_names_are_text_whatever_they_hold(page):
    arms = ("nothing", *NASTY[:3], NASTY[3])
    result = comparison(len(NASTY), names=NASTY, arms=arms)
    shown = specimens(len(NASTY), kind="table", text=NASTY[0])
    text, found = page(with_specimens(result, shown))
    assert "script" not in found.tags
    assert "img" not in found.tags
    assert found.tags.count("style") == 1
    for name in NASTY[:5]:
        assert name in found.text
    assert "49 {%" not in found.text
    assert "<script" not in text


def test_a_comparison_as_it_comes_can_be_written(page, digits, tiny):
    X, y = digits
    result = compare(
        X, y, classifier="logistic", arms=["nothing", "oversampling", "gan"], seeds=3, config=tiny
    )
    gan = ConditionalGAN(config=tiny, random_state=0).fit(X, y)
    _, found = page(with_specimens(result, specimens_of(gan, X, y, seed=0)))
    assert result.sentence.partition(": ")[2] in words(found.text)
    assert len(found.images) == 3 * 3 * 6


# --- in a browser ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def browser():
    """Return a headless Chromium that finds no other machine and notes what it asks for."""
    webdriver = pytest.importorskip("selenium.webdriver")
    chromium, driver = (
        next(filter(None, map(shutil.which, names)), None)
        for names in (("chromium", "chromium-browser", "google-chrome"), ("chromedriver",))
    )
    if chromium is None or driver is None:
        pytest.skip("needs chromium and chromedriver: apt-get install chromium chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in ("headless=new", "no-sandbox", "disable-dev-shm-usage", "disable-gpu"):
        options.add_argument(f"--{flag}")
    options.add_argument("--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    found = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    yield found
    found.quit()


CASES = {
    "images": lambda: with_specimens(comparison(10, reserve=True), specimens(10, kind="image")),
    "table": lambda: with_specimens(comparison(2), specimens(2, kind="table")),
    "nasty names": lambda: with_specimens(
        comparison(len(NASTY), names=NASTY, arms=("nothing", *NASTY)),
        specimens(len(NASTY), kind="table", text=NASTY[5]),
    ),
    "many classes": lambda: comparison(24),
}


@pytest.mark.parametrize("case", CASES)
def test_a_browser_shows_the_report_on_a_phone_and_on_a_desk_and_asks_for_nothing(browser, case, tmp_path):
    result = CASES[case]()
    path = write_report(result, tmp_path / "report.html")
    browser.get_log("performance")
    for width in (360, 1200):
        browser.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 500},
        )
        browser.get(path.as_uri())
        browser.execute_script("document.querySelectorAll('details').forEach(d => d.open = true)")
        assert browser.execute_script("return document.documentElement.scrollWidth") <= width
        assert browser.find_element("tag name", "h1").is_displayed()
        sentence = words(result.sentence.partition(": ")[2])
        assert sentence.replace("\x07", "\ufffd") in words(browser.find_element("tag name", "h1").text)
        assert browser.title == words(f"{result.verdict}: {result.primary} (balanced accuracy)")
        drawn = browser.execute_script(
            "return [...document.querySelectorAll('svg, img')].map(e => e.getBoundingClientRect().width)"
        )
        assert min(drawn) > 20
    assert [line for line in browser.get_log("browser") if line["level"] != "INFO"] == []
    asked = [line["message"] for line in browser.get_log("performance")]
    addresses = [
        found[1] for m in asked if "requestWillBeSent" in m and (found := re.search(r'"url":"([^"]*)', m))
    ]
    assert path.as_uri() in addresses
    assert [a for a in addresses if not a.startswith(("file:", "data:", "about:", "chrome"))] == []


def test_on_paper_nothing_is_cut_off_and_folded_parts_are_open(browser, tmp_path):
    arms = ("nothing", "class weights", "oversampling", "classic", "tuned oversampling", "gan + classic")
    result = comparison(24, arms=arms, reserve=True)
    path = write_report(result, tmp_path / "report.html")
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": 688, "height": 1000, "deviceScaleFactor": 1, "mobile": False},  # A4 less its margins
    )
    try:
        browser.get(path.as_uri())
        boxes = {
            selector: browser.execute_script(
                f"return [...document.querySelectorAll('{selector}')].map(e => e.getBoundingClientRect())"
            )
            for selector in ("table", "details table")
        }
    finally:
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
    assert max(box["right"] for box in boxes["table"]) <= 688
    assert min(box["height"] for box in boxes["details table"]) > 100
