"""The audit: copies are called copies, a collapsed class collapsed, noise poor, and real samples sound."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
from torch.utils.data import TensorDataset

import ganaug
from ganaug.auditing import measures, novelty_table
from ganaug.auditing.measures import REAL, Samples, class_measures
from ganaug.auditing.verdicts import findings, words
from ganaug.data.schema import Schema
from ganaug.errors import ConfigError, DataError, GanaugWarning
from ganaug.evaluation import novelty

K, D = 3, 6


@pytest.fixture(autouse=True)
def short(monkeypatch):
    """Let the classifiers of an audit learn for a moment only: clouds need no more."""
    monkeypatch.setattr(measures, "STEPS", 60)
    monkeypatch.setattr(novelty, "N_RELABELLED", 4999)


def clouds(n, seed, *, k=K, d=D, apart=3.0):
    """Return n samples of each of k classes, and their labels."""
    rng, y = np.random.default_rng(seed), np.repeat(np.arange(k), n)
    return rng.normal(size=(k * n, d)) + apart * np.eye(k, d)[y], y


X, Y = clouds(80, 0)
HELD = clouds(40, 1)
NEW = clouds(100, 2)


def audited(fake, y=NEW[1], *, holdout=HELD, train=(X, Y), seed=0, **settings):
    bank = ganaug.SampleBank(np.asarray(fake), np.asarray(y), Schema.fit(*train))
    return ganaug.audit(bank, *train, holdout=holdout, random_state=seed, **settings)


def verdicts(result):
    return result.table["verdict"].drop("overall").tolist()


# --- what each word means ---------------------------------------------------------------------------


def test_real_samples_that_were_held_out_are_sound():
    result = audited(NEW[0])
    assert result.verdict == "sound"
    assert verdicts(result) == ["sound"] * K
    (sentence, power) = result.sentences
    assert "each of the 3 classes resemble real ones" in sentence
    assert "120 held-out ones" in sentence
    assert "would be noticed if they were about" in power
    for measure in ("precision/random", "recall/classifier", "recognised", "accuracy"):
        row = result.table.loc["overall"]
        assert row[measure] == pytest.approx(row[measure + REAL], abs=0.12), measure


@pytest.mark.parametrize("noise", [0.0, 0.05])
@pytest.mark.parametrize("holdout", [HELD, None])
def test_copies_are_called_copies_also_with_noise_and_without_a_holdout(noise, holdout):
    result = audited(X + noise * clouds(80, 5)[0], Y, holdout=holdout)
    assert result.verdict == "copies"
    assert verdicts(result) == ["copies"] * K
    row = result.novelty.loc["overall"]
    assert row["near_duplicates"] > 0.95
    assert row["authenticity"] < 0.05
    assert row["identical"] == (noise == 0)
    assert "Copies of training samples" in result.sentences[0]
    assert "Do not hand these samples out" in result.sentences[0]
    if holdout is not None:
        assert row["C_T"] < -5
        assert row["copied"] > 0.95
        assert row["nearer_to_training"] > row["expected_high"]


def test_loose_copies_which_are_no_near_duplicates_are_found_by_the_holdout():
    train, held = clouds(80, 0, d=30), clouds(40, 1, d=30)
    loose = train[0] + 0.55 * clouds(80, 5, d=30, apart=0)[0]
    result = audited(loose, train[1], holdout=held, train=train)
    assert result.novelty.loc["overall", "near_duplicates"] < 0.4
    assert result.novelty.loc["overall", "C_T"] < -4
    assert result.verdict == "copies"


@pytest.mark.parametrize("noise", [0.0, 1e-6])
def test_exact_copies_of_one_row_among_new_samples_are_copies_with_a_holdout_too(noise):
    fake = NEW[0].copy()
    for k in range(K):
        fake[np.flatnonzero(NEW[1] == k)[:50]] = X[k == Y][0]
    held = (HELD[0][::2], HELD[1][::2])
    result = audited(fake + noise * clouds(100, 5)[0], holdout=held)
    assert verdicts(result) == ["copies"] * K
    assert result.verdict == "copies"
    assert result.novelty["p_holm"].min() > 0.05  # what the exchange of training and held-out samples knows
    assert "50 % exactly (of real ones 0 %)" in result.sentences[0]
    assert "no nearer" not in " ".join(result.sentences)


def test_exact_copies_of_six_rows_are_copies():
    fake = np.concatenate([X[k == Y][np.arange(100) % 6] for k in range(K)])
    held = (HELD[0][::2], HELD[1][::2])
    assert verdicts(audited(fake, holdout=held)) == ["copies"] * K


@pytest.mark.parametrize("with_holdout", [True, False])
def test_rows_of_few_values_which_real_ones_repeat_too_are_no_copies(with_holdout):
    train, held, fake = (
        (np.random.default_rng(seed).integers(0, 3, (K * n, 4)) + apart, y)
        for seed, n in enumerate((60, 30, 60))
        for y in [np.repeat(np.arange(K), n)]
        for apart in [4 * np.eye(K, 4, dtype=int)[y]]
    )
    result = audited(*fake, train=train, holdout=held if with_holdout else None)
    assert result.novelty.loc["overall", "identical"] > 0.3
    assert "copies" not in verdicts(result)


def test_one_class_of_copies_is_named_and_the_others_are_not():
    fake = NEW[0].copy()
    fake[NEW[1] == 1] = X[Y == 1][np.arange(100) % 80]
    result = audited(fake)
    assert verdicts(result) == ["sound", "copies", "sound"]
    assert result.sentences[0].startswith("Copies of training samples: 1, 100 % nearly")


@pytest.mark.parametrize("how", ["mean", "three"])
def test_a_collapsed_class_has_low_recall_and_is_named(how):
    fake = NEW[0].copy()
    of_class = X[Y == 2]
    others = clouds(3, 9)[0][6:]
    fake[NEW[1] == 2] = of_class.mean(0) if how == "mean" else others[np.arange(100) % 3]
    result = audited(fake)
    assert verdicts(result) == ["sound", "sound", "collapsed"]
    assert result.verdict == "collapsed"
    for space in measures.SPACES:
        assert result.table.loc["2", f"recall/{space}"] < 0.2
        assert result.table.loc["2", f"recall/{space}{REAL}"] > 0.8
        assert result.table.loc["0", f"recall/{space}"] > 0.8
    assert result.table.loc["2", "recognised"] > 0.5
    assert result.sentences[0].startswith("Too much alike: 2 (recall 0.0")


def test_classes_that_were_swapped_are_poor_and_taken_for_each_other():
    swapped = np.array([1, 0, 2])[NEW[1]]
    result = audited(NEW[0], swapped)
    assert verdicts(result) == ["poor", "poor", "sound"]
    assert result.table["mistaken_for"].tolist()[:2] == ["1", "0"]
    assert result.table.loc["0", "accuracy"] < 0.2 < 0.8 < result.table.loc["0", "accuracy/real"]
    assert "mostly taken for 1" in " ".join(result.sentences)
    assert "averaged over classes" in " ".join(result.sentences)


@pytest.mark.parametrize(("off", "word"), [(measures.SPACES, "poor"), (measures.SPACES[:1], "collapsed")])
def test_alike_samples_that_are_recognised_but_nowhere_among_real_ones_are_poor_and_not_collapsed(off, word):
    result = audited(NEW[0])
    table = result.table.drop("overall")
    for space in measures.SPACES:
        table.loc["1", [f"recall/{space}", f"spread_ratio/{space}"]] = 0.0
    table.loc["1", [f"precision/{space}" for space in off]] = 0.0
    assert words(findings(table, result.novelty))[:3] == ["sound", word, "sound"]


def test_noise_is_poor_and_no_copy():
    result = audited(6 * np.random.default_rng(0).normal(size=NEW[0].shape))
    assert verdicts(result) == ["poor"] * K
    assert result.table.loc["overall", "precision/random"] < 0.2
    assert result.novelty.loc["overall", "C_T"] > 5


def test_few_samples_cannot_be_told():
    few = (np.concatenate([HELD[0][:40], HELD[0][40:45]]), np.repeat([0, 1], [40, 5]))
    result = audited(NEW[0], holdout=few)
    assert verdicts(result) == ["sound", "cannot be told", "cannot be told"]
    assert result.verdict == "cannot be told"
    assert "Cannot be told of 1, 2: a class needs 10 training, held-out" in result.sentences[-1]
    assert result.novelty["C_T"].isna().tolist() == [False, True, True, False]


def test_without_a_holdout_no_class_is_sound_and_it_is_said_why():
    result = audited(NEW[0], holdout=None)
    assert verdicts(result) == ["cannot be told"] * K
    assert "C_T" not in result.novelty
    assert "ganaug fit DATA --holdout 0.2" in result.sentences[-1]
    assert result.table["n_holdout"].tolist() == [0] * 4
    assert result.table.loc["overall", f"precision/random{REAL}"] > 0.8  # of one half against the other


def test_a_holdout_of_another_time_accuses_nobody():
    X_late = np.column_stack([X, np.linspace(-1, 1, len(X))])
    moved = [
        np.column_stack([part[0], np.full(len(part[0]), level)]) for part, level in ((HELD, 4), (NEW, 0))
    ]
    result = audited(moved[1], train=(X_late, Y), holdout=(moved[0], HELD[1]))
    assert "copies" not in verdicts(result)
    assert "Hold samples out at random" in result.sentences[-1]
    assert result.novelty.loc["overall", "p_holm"] < 0.05  # what would have been said else


def test_real_samples_are_seldom_accused(monkeypatch):
    monkeypatch.setattr(measures, "STEPS", 30)
    wrong = 0
    for seed in range(12):
        parts = [clouds(n, 100 * seed + i, k=4, d=4, apart=2) for i, n in enumerate((40, 15, 60))]
        result = audited(parts[2][0], parts[2][1], train=parts[0], holdout=parts[1], seed=seed)
        wrong += result.verdict != "sound"
    assert wrong <= 3  # 5 % are promised: of 12, four or more in one case of 450


# --- numbers ----------------------------------------------------------------------------------------


def test_equal_clouds_give_equal_measures_beside_each_other():
    x, c = (torch.from_numpy(a) for a in clouds(60, 3))
    part, other = Samples(x.float(), c), Samples(*(torch.from_numpy(a) for a in clouds(40, 4)))
    table = class_measures(part, other, other, K)
    names = [name for name in table if name + REAL in table and not name.startswith("accuracy")]
    assert len(names) == 13
    for name in names:
        np.testing.assert_allclose(table[name], table[name + REAL], rtol=1e-9, err_msg=name)
    assert table["n_compared"].tolist() == [40] * K


def test_the_number_of_generated_samples_does_not_move_the_measures():
    few, many = (audited(*clouds(n, 2), samples=n).table.loc["overall"] for n in (40, 400))
    for name in ("recall/random", "coverage/random", "density/random"):
        assert few[name] == pytest.approx(many[name], abs=0.1)


def test_p_values_are_adjusted_for_all_classes_and_for_two_witnesses():
    table = audited(NEW[0]).novelty
    row = table.iloc[0]
    assert row["p_holm"] >= row["p_value"]
    assert table["p_holm"].min() == pytest.approx(min(1, 4 * table["p_value"].min()))
    assert novelty_table.ALPHA == 0.05


def test_a_seed_repeats_the_audit_and_leaves_random_numbers_alone():
    before = torch.get_rng_state()
    first, again = (audited(NEW[0], seed=3).to_dict() for _ in range(2))
    assert json.dumps(first) == json.dumps(again)
    assert torch.equal(torch.get_rng_state(), before)


def test_the_dictionary_is_json_with_none_for_no_number():
    result = audited(NEW[0], holdout=(HELD[0][:40], np.zeros(40, int)))
    text = json.dumps(result.to_dict(), allow_nan=False)
    rows = json.loads(text)["novelty"]
    assert [row["class"] for row in rows] == ["0", "1", "2", "overall"]
    assert rows[1]["C_T"] is None
    assert json.loads(text)["verdict"] == result.verdict
    assert str(result).startswith(f"{result.verdict}. ")


# --- what goes in -----------------------------------------------------------------------------------


def test_a_generator_is_asked_for_as_many_samples_and_knows_its_training_data(tiny, table):
    X, y = table
    gan = ganaug.ConditionalGAN(config=tiny, random_state=0).fit(X[::2], y[::2])
    held = (X[1::2], y[1::2])
    result = ganaug.audit(gan, X[::2], y[::2], holdout=held, samples=30, random_state=0)
    assert result.table.loc["no", ["n_train", "n_holdout", "n_generated"]].tolist() == [20, 20, 30]
    assert result.settings["training_data_recognised"] is True
    with pytest.warns(GanaugWarning, match="X is not the data that the generator was fitted to"):
        other = ganaug.audit(gan, X, y, holdout=held, samples=30, random_state=0)
    assert other.settings["training_data_recognised"] is False


def test_the_fingerprint_survives_saving(tiny, table, tmp_path):
    X, y = table
    ganaug.ConditionalGAN(config=tiny, random_state=0).fit(X, y).save(tmp_path / "gan")
    gan = ganaug.load(tmp_path / "gan")
    assert ganaug.audit(gan, X, y, samples=10).settings["training_data_recognised"] is True
    moved = X[::-1]
    with pytest.warns(GanaugWarning, match="not the data"):
        ganaug.audit(gan, moved, y, samples=10)


def test_mixed_tables_and_their_banks_are_audited_alike(tiny):
    rng = np.random.default_rng(0)
    n = 120
    frame = pd.DataFrame(
        {
            "age": rng.integers(20, 70, n),
            "income": np.where(rng.random(n) < 0.2, np.nan, rng.normal(50, 9, n).round(2)),
            "town": rng.choice(["Ulm", "Bonn", "Kiel"], n),
        }
    )
    y = pd.Series(np.where(frame["age"] > 45, "old", "young"), name="kind")
    gan = ganaug.ConditionalGAN(config=tiny, random_state=0).fit(frame[:80], y[:80])
    bank = ganaug.SampleBank.from_gan(gan, 20, random_state=0)
    held = (frame[80:], y[80:])
    for source in (gan, bank):
        result = ganaug.audit(source, frame[:80], y[:80], holdout=held, samples=20, random_state=0)
        assert result.verdict in ("poor", "collapsed", "cannot be told", "sound")
        assert list(result.table.index) == ["old", "young", "overall"]
        assert result.pairs.columns == ("age", "income", "town")
        assert {row[2] for row in result.pairs.nearest} <= {"Ulm", "Bonn", "Kiel"}
        with pytest.raises(DataError, match="a picture needs images"):
            result.picture()


def test_data_sets_and_tensors_are_taken_too(tiny, digits, monkeypatch):
    monkeypatch.setattr(measures, "STEPS", 5)
    X, y = (torch.from_numpy(a) for a in digits)
    train, held = TensorDataset(X[::2], y[::2]), TensorDataset(X[1::2], y[1::2])
    gan = ganaug.ConditionalGAN(config=tiny, random_state=0).fit(train)
    result = ganaug.audit(gan, train, holdout=held, samples=12, random_state=0)
    assert result.table["n_holdout"].tolist() == [15, 15, 15, 45]


def test_classes_with_odd_names_are_kept_apart():
    y = np.array(["overall", "a<b>", "c"])
    train, held = (X, y[Y]), (HELD[0], y[HELD[1]])
    schema = Schema.fit(*train)
    bank = ganaug.SampleBank(NEW[0], schema.encode_y(y[NEW[1]]).numpy(), schema)
    result = ganaug.audit(bank, *train, holdout=held, random_state=0)
    assert list(result.table.index) == ["a<b>", "c", "overall'", "overall"]
    assert result.verdict == "sound"


def test_errors_say_what_came():
    with pytest.raises(ConfigError, match="samples must be an integer of at least 10; got 5"):
        audited(NEW[0], samples=5)
    with pytest.raises(DataError, match="got 240 samples and 3 labels"):
        ganaug.audit(ganaug.SampleBank(*NEW, Schema.fit(X, Y)), X, Y[:3])
    with pytest.raises(DataError, match=r"labels seen in fit \(0, 1, 2\); got 7"):
        audited(NEW[0], holdout=(HELD[0], np.full(len(HELD[0]), 7)))
    with pytest.raises(DataError, match="need a label for each sample; got none"):
        audited(NEW[0], holdout=(HELD[0], None))
