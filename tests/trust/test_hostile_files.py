"""Files made to harm, with digests that are right: refused before anything is built, nothing else touched."""

import json
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from targets import COMPARISON, TARGETS, TINY, drawn, gan, images

from ganaug import ConditionalGAN, SampleBank, compare, load
from ganaug.errors import CheckpointError, GanaugWarning
from ganaug.networks import NETWORKS, TABLE_NETWORKS, RowHead
from ganaug.training.checkpoint import load_tensors, save_tensors

Change = Callable[[dict[str, Any], dict[str, torch.Tensor]], Any]


def changed(name: str, value: Any) -> Change:
    """Return a change of one value of a description, by a dotted name."""

    def change(about: dict[str, Any], _: dict[str, torch.Tensor]) -> None:
        *above, last = name.split(".")
        for key in above:
            about = about[key]
        about[last] = value

    return change


def a_huge_pack(about: dict[str, Any], _: dict[str, torch.Tensor]) -> None:
    about["config"] |= {"pack": 10**9, "batch_size": 10**9}


LIES: dict[str, tuple[Change, str]] = {
    "a network of 32 terabytes": (changed("config.width", 10**6), "weights do not fit the network"),
    "noise of 4 gigabytes": (changed("config.z_dim", 10**9), "weights do not fit the network"),
    "a pack of a billion for a D that nobody asked for": (a_huge_pack, ""),
    "an image of a terapixel": (changed("schema.codec.shape", [1, 10**6, 10**6]), "no images such as"),
    "pixels of a gigabyte": (changed("schema.codec.dtype", "|V1000000000"), "dtypes must be"),
    "labels of a gigabyte": (changed("schema.label_dtype", "<U100000000"), "dtypes must be"),
    "labels that are objects": (changed("schema.labels", [[0], {}, 1]), "was changed"),
    "labels that are not sorted": (changed("schema.labels", [2, 1, 0]), "sorted"),
    "a class without a name": (changed("schema.names", ["a", "b"]), "3 texts"),
    "a network that is code": (changed("config.network", {"type": "os:system"}), "own network, os:system"),
    "a network that is a file": (changed("config.network", "../../evil"), "network must be one of"),
    "a history that is none": (changed("history", [{"images_seen": "x"}]), "was changed"),
    "a description that is a list": (lambda about, _: about.clear(), "was changed"),
    "a snapshot that is not there": (lambda _, t: t["snapshots.choice"].fill_(7), "snapshots do not serve"),
    "snapshots that nothing asked for": (changed("config.snapshot", "last"), "keeps none of"),
    "weights that are no numbers": (lambda _, t: t["G.out.bias"].fill_(torch.nan), "not finite"),
    "a method in the place of a tensor": (
        lambda _, t: t.update({"snapshots.offer": torch.zeros(1)}),
        "no 'offer'",
    ),
}


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("saved")
    gan("images").save(folder)
    return folder


@pytest.mark.parametrize("lie", LIES)
def test_a_lie_with_a_right_digest_is_refused_by_name(saved: Path, tmp_path: Path, lie: str) -> None:
    tensors, about = load_tensors(saved / "generator.safetensors")
    change, told = LIES[lie]
    change(about, tensors)
    save_tensors(tmp_path / "generator.safetensors", tensors, about)
    if not told:  # what is not needed does no harm
        assert drawn(load(tmp_path)) == drawn(load(saved))
        return
    with pytest.raises(CheckpointError, match=told) as caught:
        load(tmp_path)
    assert str(tmp_path / "generator.safetensors") in str(caught.value)


@pytest.mark.parametrize("network", NETWORKS)
def test_a_network_is_measured_without_memory(network: str) -> None:
    shapes = [((3, 16, 16), {})] + ([((6,), {"blocks": (1, 2, 3)})] if network in TABLE_NETWORKS else [])
    for shape, blocks in shapes:
        build = {"shape": shape, "n_classes": 3, "z_dim": 8, "width": 8, **blocks}
        with torch.device("meta"):
            measured, _ = NETWORKS[network](**build)
            NETWORKS[network](**{**build, "width": 10**6, "z_dim": 10**6})
        real, _ = NETWORKS[network](**build)
        assert all(value.is_meta for value in measured.state_dict().values())
        assert {k: v.shape for k, v in measured.state_dict().items()} == {
            k: v.shape for k, v in real.state_dict().items()
        }


def test_a_head_of_scalars_takes_no_memory_of_the_square_of_its_width() -> None:
    head = RowHead([1] * 49_152)
    assert sum(buffer.numel() for buffer in head.buffers()) < 3 * 49_152
    assert head(torch.zeros(2, 49_152)).shape == (2, 49_152)


@pytest.fixture
def patience() -> Iterator[None]:
    """Give up on what waits for a writer of a named pipe."""

    def give_up(*_: object) -> None:
        pytest.fail("waited")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(30)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.usefixtures("patience")
@pytest.mark.parametrize("name", ["generator", "bank", "bank, its manifest", "npz", "csv"])
def test_a_named_pipe_in_the_place_of_a_file_is_refused_not_waited_for(name: str, tmp_path: Path) -> None:
    target = TARGETS[name]
    target.make(tmp_path)
    for file in list(tmp_path.glob(target.files)):
        whole = file.read_bytes()
        file.unlink()
        os.mkfifo(file)
        with pytest.raises(target.errors, match=str(tmp_path)):
            target.open(tmp_path)
        file.unlink()
        file.write_bytes(whole)


def test_a_bank_of_another_schema_reads_nothing_outside_its_folder(tmp_path: Path) -> None:
    bank = SampleBank.from_gan(gan("images"), 2, path=tmp_path / "bank", random_state=0)
    (tmp_path / "outside.npy").write_bytes((tmp_path / "bank" / "samples-00000.npy").read_bytes())
    manifest = json.loads((tmp_path / "bank" / "manifest.json").read_text())
    manifest["sha256"]["../outside.npy"] = manifest["sha256"].pop("samples-00000.npy")
    (tmp_path / "bank" / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(CheckpointError, match="the manifest lists"):
        SampleBank.open(tmp_path / "bank")
    assert len(bank) == 6


def test_a_run_that_is_resumed_writes_through_no_link(tmp_path: Path) -> None:
    own = tmp_path / "own.txt"
    own.write_text("mine")
    TARGETS["run"].make(tmp_path / "run")
    for name in ("history.jsonl", "curves.png", "generator.safetensors"):
        (tmp_path / "run" / name).unlink(missing_ok=True)
        (tmp_path / "run" / name).symlink_to(own)
    TARGETS["run"].open(tmp_path / "run")
    assert own.read_text() == "mine"
    assert not (tmp_path / "run" / "history.jsonl").is_symlink()


def test_a_comparison_that_is_resumed_removes_nothing_behind_a_link(tmp_path: Path) -> None:
    folder, own = tmp_path / "comparison", tmp_path / "own"
    compare(*images(), **COMPARISON, out=folder)
    own.mkdir()
    (own / "thesis.txt").write_text("mine")
    shutil.rmtree(folder / "generators" / "0001")
    (folder / "generators" / "0001").symlink_to(own)
    (folder / "cells" / "0001-01.safetensors").unlink()
    compare(*images(), **COMPARISON, out=folder, resume=True)
    assert (own / "thesis.txt").read_text() == "mine"
    assert [p.name for p in own.iterdir()] == ["thesis.txt"]


def test_a_cell_under_the_name_of_another_is_run_again(tmp_path: Path) -> None:
    result = compare(*images(), **COMPARISON, out=tmp_path)
    cells = sorted((tmp_path / "cells").iterdir())
    cells[0].write_bytes(cells[1].read_bytes())
    again = compare(*images(), **COMPARISON, out=tmp_path, resume=True)
    assert [(c.arm, c.seed) for c in again.cells] == [(c.arm, c.seed) for c in result.cells]


def test_a_run_goes_on_where_only_the_state_to_go_back_to_is_damaged(tmp_path: Path) -> None:
    whole = drawn(ConditionalGAN(config=TINY, random_state=0).fit(*images(), out=tmp_path / "whole"))
    TARGETS["run"].make(tmp_path / "run")
    first = tmp_path / "run" / "checkpoints" / "000000000.safetensors"
    first.write_bytes(first.read_bytes()[:-9])
    with pytest.warns(GanaugWarning, match=r"000000000\.safetensors .* can no longer be gone back to"):
        assert TARGETS["run"].open(tmp_path / "run") == whole
