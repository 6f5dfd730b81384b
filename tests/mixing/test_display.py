"""What a notebook shows of an estimator: its parameters, and no HTML but that of scikit-learn."""

from html.parser import HTMLParser

import pytest
from imblearn.pipeline import make_pipeline
from sklearn.linear_model import LogisticRegression
from sklearn.utils import estimator_html_repr

from ganaug import AugmentedClassifier, ConditionalGAN, GANConfig, GANOverSampler, SyntheticSwap
from ganaug.experiment.preprocessing import TableFrame

CONFIG = GANConfig(width=8, train_images=64, loss="hinge")


class Shown(HTMLParser):
    """Texts and tags of a page."""

    def __init__(self, page):
        super().__init__()
        self.texts, self.tags = [], []
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)

    def handle_data(self, data):
        self.texts.append(data.strip())


@pytest.mark.parametrize(
    "estimator",
    [
        ConditionalGAN(config=CONFIG),
        GANOverSampler(config=CONFIG),
        SyntheticSwap(config=CONFIG),
        AugmentedClassifier(LogisticRegression(), config=CONFIG),
        AugmentedClassifier(LogisticRegression(), SyntheticSwap(config=CONFIG)),
        make_pipeline(GANOverSampler(config=CONFIG), TableFrame(), LogisticRegression()),
    ],
    ids=lambda e: type(e).__name__,
)
def test_parameters_are_shown(estimator):
    for page in (estimator_html_repr(estimator), estimator._repr_html_()):
        shown = Shown(page)
        assert estimator.get_params(deep=False).keys() <= set(shown.texts)
        assert any("GANConfig(width=8, train_images=64)" in text for text in shown.texts)


@pytest.mark.parametrize("make", [ConditionalGAN, GANOverSampler, SyntheticSwap])
def test_no_parameter_is_taken_for_html(make):
    hostile = "</td><script>alert(1)</script>"

    class Loss:
        def __repr__(self):
            return hostile

    plain = Shown(estimator_html_repr(make(device="cpu!", config=CONFIG)))
    shown = Shown(estimator_html_repr(make(device=hostile, config=GANConfig(loss=Loss(), width=8))))
    assert shown.tags == plain.tags
    assert any(hostile in text for text in shown.texts)


def test_a_config_shows_what_is_not_the_default():
    assert repr(GANConfig()) == "GANConfig()"
    assert repr(CONFIG) == "GANConfig(width=8, train_images=64)"
    assert eval(repr(CONFIG)) == CONFIG
