"""Schema: labels and containers come back as they came, and bad data is named."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.sparse import csr_array

from ganaug.data.schema import Schema, kind_of, stack, take
from ganaug.errors import ConfigError, DataError

X = np.arange(24.0).reshape(8, 3)
IMAGES = np.arange(8 * 64, dtype=np.float32).reshape(8, 8, 8)

LABELS = [
    np.array(["cat", "dog"] * 4),
    np.array(["cat", "dog"] * 4, dtype=object),
    np.array([7, -2] * 4),
    np.array([3, 200] * 4, dtype=np.uint8),
    np.array([True, False] * 4),
    np.array([1.0, 5.0] * 4),
    np.array([4, 9] * 4, dtype=object),
]


@pytest.mark.parametrize("y", LABELS, ids=lambda y: f"{y.dtype}")
def test_labels_come_back_in_their_own_dtype_also_after_json(y: np.ndarray) -> None:
    schema = Schema.fit(X, y)
    saved = Schema.from_dict(json.loads(json.dumps(schema.to_dict())))
    for each in (schema, saved):
        back = each.decode_y(each.encode_y(y))
        assert back.dtype == y.dtype
        assert back.tolist() == y.tolist()
    assert sorted(set(schema.encode_y(y).tolist())) == [0, 1]


def test_a_list_of_labels_is_taken() -> None:
    schema = Schema.fit(X.tolist(), ["b", "a"] * 4)
    assert schema.decode_y([1, 0]).tolist() == ["b", "a"]


@pytest.mark.parametrize(
    ("images", "dtype"), [(IMAGES, torch.float32), (IMAGES.astype(np.uint8), torch.uint8), (X, torch.float64)]
)
def test_tensors_in_give_tensors_out(images: np.ndarray, dtype: torch.dtype) -> None:
    tensor, y = torch.from_numpy(images), torch.tensor([3, 5] * 4)
    schema = Schema.fit(tensor, y)
    back, labels = schema.decode_X(schema.codec.encode(images)), schema.decode_y([1, 0])
    assert back.dtype == dtype
    torch.testing.assert_close(back, tensor)
    assert torch.equal(labels, torch.tensor([5, 3]))


def test_frame_and_series_in_give_frame_and_series_out() -> None:
    frame = pd.DataFrame({"a": range(8), "b": np.linspace(0, 1, 8)})
    y = pd.Series(["no", "yes"] * 4, name="answer", index=range(10, 18))
    schema = Schema.fit(frame, y)
    pd.testing.assert_frame_equal(schema.decode_X(schema.encode_X(frame)), frame, check_exact=False)
    expected = pd.Series(["yes", "no"], name="answer")
    pd.testing.assert_series_equal(schema.decode_y([1, 0]), expected)


def test_training_data_is_float32_in_range() -> None:
    for data, shape in ((X, (8, 3)), (IMAGES, (8, 1, 8, 8))):
        schema = Schema.fit(data, [0, 1] * 4)
        x = schema.encode_X(data)
        assert x.dtype == torch.float32
        assert x.shape == shape
        assert x.abs().max() <= 1


@pytest.mark.parametrize("data", [X, pd.DataFrame(X), IMAGES, torch.from_numpy(IMAGES), IMAGES.tolist()])
def test_packed_data_unpacks_to_the_encoded_data(data) -> None:
    schema = Schema.fit(data, [0, 1] * 4)
    assert torch.equal(schema.unpack_X(schema.pack_X(data)), schema.encode_X(data))


@pytest.mark.parametrize(
    "y",
    [
        pd.Series(pd.Categorical(["no", "yes"] * 4, categories=["yes", "no", "never"], ordered=True)),
        pd.Series(pd.Categorical([2, 1] * 4)),
        pd.Series([2, 1] * 4, dtype="Int64"),
        pd.Series([True, False] * 4, dtype="boolean"),
        pd.Series(["no", "yes"] * 4, dtype="string"),
        pd.Series(["no", "yes"] * 4, dtype=object),
        pd.Series([2, 1] * 4, dtype="int8"),
    ],
    ids=lambda y: str(y.dtype),
)
def test_a_series_of_labels_keeps_its_dtype_also_after_json(y: pd.Series) -> None:
    schema = Schema.fit(X, y)
    saved = Schema.from_dict(json.loads(json.dumps(schema.to_dict())))
    for each in (schema, saved):
        pd.testing.assert_series_equal(each.decode_y(each.encode_y(y)), y)


@pytest.mark.parametrize("kind", [np.bool_, np.int64, np.float32, np.str_])
def test_labels_may_be_scalars_of_numpy_among_objects(kind: type) -> None:
    y = pd.Series([kind(i % 2) for i in range(8)], dtype=object)
    schema = Schema.from_dict(json.loads(json.dumps(Schema.fit(X, y).to_dict())))
    assert schema.labels.tolist() == [kind(0).item(), kind(1).item()]
    assert [schema.class_index(label) for label in y[:2]] == [0, 1]
    pd.testing.assert_series_equal(schema.decode_y(schema.encode_y(y)), y)


@pytest.mark.parametrize("name", ["kind", 7, 1.5, True, None, ("a", 1), np.nan])
def test_the_name_of_a_series_of_labels_stays_what_it_is(name: object) -> None:
    schema = Schema.fit(X, pd.Series([0, 1] * 4, name=name))
    for each in (schema, Schema.from_dict(json.loads(json.dumps(schema.to_dict())))):
        assert (type(each.y_name), repr(each.decode_y([0]).name)) == (type(name), repr(name))


MIXED = pd.DataFrame(
    {
        "size": [1.5, np.nan, 2.5, 9.0] * 2,
        "colour": pd.Categorical(["red", None, "blue", "red"] * 2, categories=["blue", "red", "green"]),
        "name": ["a", "b", "c", None] * 2,
        "day": pd.date_range("2020", periods=8),
    }
)


def test_mixed_tables_come_back_also_after_json() -> None:
    schema = Schema.fit(MIXED, pd.Series(["no", "yes"] * 4))
    saved = Schema.from_dict(json.loads(json.dumps(schema.to_dict())))
    assert saved.blocks == schema.blocks == (1, 2, 3, 4, 1)
    assert Schema.fit(IMAGES, [0, 1] * 4).blocks is None
    for each in (schema, saved):
        pd.testing.assert_frame_equal(each.decode_X(each.encode_X(MIXED)), MIXED)
        assert torch.equal(each.unpack_X(each.pack_X(MIXED)), each.encode_X(MIXED))


def test_missing_cells_are_filled_where_asked() -> None:
    schema = Schema.fit(MIXED, [0, 1] * 4, missing="fill")
    assert not schema.decode_X(torch.randn(50, *schema.codec.shape)).isna().any().any()
    with pytest.raises(ConfigError, match="missing must be one of 'keep', 'fill'; got 'fil'"):
        Schema.fit(MIXED, [0, 1] * 4, missing="fil")


def test_numbers_in_a_list_of_rows_with_text_stay_numbers() -> None:
    rows = [["a", 1, 0.5], ["b", 20, 1.5]] * 4
    schema = Schema.fit(rows, [0, 1] * 4)
    assert schema.decode_X(schema.encode_X(rows)).tolist() == rows


def test_stacked_frames_keep_their_dtypes() -> None:
    frame = MIXED.assign(n=pd.array([1, None] * 4, dtype="Int64"), zone=MIXED["day"].dt.tz_localize("UTC"))
    schema = Schema.fit(frame, [0, 1] * 4)
    both = stack(frame, schema.decode_X(torch.randn(5, *schema.codec.shape)))
    assert both.dtypes.equals(frame.dtypes)
    pd.testing.assert_frame_equal(both.iloc[:8], frame)


def test_two_dimensions_are_a_table_and_more_are_images() -> None:
    assert Schema.fit(X, [0, 1] * 4).kind == "table"
    assert Schema.fit(IMAGES, [0, 1] * 4).kind == "image"


def test_ragged_rows_are_of_no_kind() -> None:
    with pytest.raises(DataError, match="arrays of one shape"):
        kind_of([[1, 2], [3]])


def test_a_class_is_found_by_label_text_and_name() -> None:
    schema = Schema.fit(X, [7, 3] * 4, names=["three", "seven"])
    assert {schema.class_index(key) for key in (7, "7", "seven", np.int64(7))} == {1}
    assert {schema.class_index(key) for key in (3, "3", "three", np.int8(3))} == {0}


def test_a_label_wins_over_the_name_of_another_class() -> None:
    schema = Schema.fit(X, ["a", "b"] * 4, names=["b", "a"])
    assert schema.class_index("a") == 0


def test_names_may_be_those_of_a_longer_list_that_the_labels_index() -> None:
    assert Schema.fit(X, [2, 0] * 4, names=["zero", "one", "two"]).names == ("zero", "two")
    with pytest.raises(DataError, match=r"one entry per class \(2\); got 3"):
        Schema.fit(X, ["a", "b"] * 4, names=["x", "y", "z"])


def test_an_unknown_class_is_a_key_error_with_the_nearest_one() -> None:
    schema = Schema.fit(X, ["cat", "dog"] * 4)
    with pytest.raises(KeyError, match=r"no class 'cst'; the classes are 'cat', 'dog'. Did you mean 'cat'\?"):
        schema.class_index("cst")
    with pytest.raises(KeyError):
        schema.class_index(True)


def test_true_is_not_the_class_one() -> None:
    with pytest.raises(KeyError):
        Schema.fit(X, [0, 1] * 4).class_index(True)


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (None, "y must hold a label per sample; got None"),
        (csr_array([[1], [0]]), r"must be dense; got a sparse csr_array. Densify it with .toarray\(\)"),
        ([None] * 8, "8 labels are missing"),
        (["a", None] * 4, "4 labels are missing"),
        ([1.0, np.nan] * 4, "4 labels are missing"),
        (pd.Series(["a", "b", None, "b"] * 2), "2 labels are missing"),
        (pd.Series(["a", pd.NA] * 4, dtype="string"), "4 labels are missing"),
        (pd.Series([1, pd.NA] * 4, dtype="Int64"), "4 labels are missing"),
        (["a"] * 8, "at least two classes; got 1 class: 'a'"),
        ([0] * 7 + [1], "each class must have at least 2 samples; 1 has 1"),
        ([0.5, 1.0] * 4, "class labels; got fractional numbers"),
        (np.array([0.5, 1.0] * 4, dtype=object), "class labels; got fractional numbers"),
        (np.array(["a", 1] * 4, dtype=object), "labels must be of one type; got 'int', 'str'"),
        (pd.Series(pd.cut(np.arange(8), 2)), "labels must be numbers, booleans or text; got 'Interval'"),
        ([0, 1] * 3, "one label for each of the 8 samples"),
        (np.eye(8), r"one label for each of the 8 samples; got shape \(8, 8\)"),
        ("target", r"got the text 'target'.* pass X.drop\(columns='target'\) and X\['target'\]"),
    ],
)
def test_bad_labels_are_named(y: object, message: str) -> None:
    with pytest.raises(DataError, match=message):
        Schema.fit(X, y)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (np.arange(8), r"got shape \(8,\)"),
        (np.zeros((8, 1, 1, 8, 8)), r"got shape \(8, 1, 1, 8, 8\)"),
        (np.where(X == 5, np.inf, X), r"column 2 must be finite; got 1 infinite values of 8"),
        (np.where(IMAGES == 70, np.inf, IMAGES), r"got 1 NaN.* of 512, the first at index \(1, 0, 6\)"),
        ([[1, 2], [3]] * 4, "arrays of one shape"),
        (
            np.array([["a", 1], [2, 3]] * 4, dtype=object),
            "column 0 must hold cells of one type; got 'int', 'str'",
        ),
    ],
)
def test_bad_samples_are_named(data: object, message: str) -> None:
    with pytest.raises(DataError, match=message):
        Schema.fit(data, [0, 1] * 4)


@pytest.mark.parametrize(
    ("fitted", "other"), [(["a", "b"], ["a", "z"]), ([1, 2], [1, 9]), (["a", "b"], [1, 2])]
)
def test_a_label_that_fit_did_not_see_is_named(fitted: list, other: list) -> None:
    with pytest.raises(DataError, match=f"seen in fit .*; got .*{other[1]!r}"):
        Schema.fit(X, np.array(fitted * 4)).encode_y(np.array(other))


@pytest.mark.parametrize("container", [np.asarray, torch.tensor, pd.DataFrame])
def test_rows_are_taken_and_stacked_in_their_container(container) -> None:
    data = container(X.tolist())
    both = stack(take(data, np.array([5, 0])), take(data, np.array([1])))
    assert type(both) is type(data)
    assert np.asarray(both).tolist() == X[[5, 0, 1]].tolist()


def test_a_name_comes_before_the_text_of_another_label():
    schema = Schema.fit(X[:6], np.repeat([0, 1, 2], 2), names=["1", "2", "9"])
    assert [schema.class_index(k) for k in ("1", "2", "9", "0", 1, 2)] == [0, 1, 2, 0, 1, 2]


def test_float_labels_are_found_by_integers():
    schema = Schema.fit(X[:4], np.repeat([3.0, 7.0], 2))
    assert schema.class_index(7) == 1
    with pytest.raises(KeyError, match="no class True"):
        schema.class_index(True)


def test_a_table_with_other_columns_is_refused():
    frame = pd.DataFrame({"a": [1.0, 2, 3, 4], "b": [5.0, 6, 7, 8]})
    schema = Schema.fit(frame, [0, 0, 1, 1])
    with pytest.raises(DataError, match=r"columns must be 'a', 'b' as in fit; got 'b', 'a'"):
        schema.encode_X(frame[["b", "a"]])
