"""Image folders: decoded once, never as they were before a change, never from elsewhere."""

import os
import subprocess
import sys
import time
import tracemalloc
import zlib
from pathlib import Path
from uuid import uuid4

import numpy as np
import pytest
from PIL import Image

from ganaug.data import image_folder, pixel_cache
from ganaug.data.image_folder import read_image_folder
from ganaug.data.sources import open_data, open_unlabelled
from ganaug.errors import ConfigError, DataError, GanaugWarning

RNG = np.random.default_rng(0)


def write(path: Path, size: tuple[int, int] = (12, 10), mode: str = "RGB", value: int | None = None) -> None:
    """Write an image of (width, height): noise, or one value."""
    path.parent.mkdir(parents=True, exist_ok=True)
    shape = (size[1], size[0], 3) if mode == "RGB" else size[::-1]
    pixels = RNG.integers(0, 256, shape) if value is None else np.full(shape, value)
    Image.fromarray(pixels.astype(np.uint8)).save(path)


def settle() -> None:
    """Let the files become older than the clock's grain."""
    time.sleep(image_folder.CLOCK_SECONDS + 0.02)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for i in range(4):
        write(tmp_path / "pets" / ("cat", "dog")[i % 2] / f"{i}.png")
    settle()
    return tmp_path / "pets"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GANAUG_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a list that names each file that is decoded from now on."""
    names: list[str] = []
    original = image_folder._pixels

    def seen(file: Path, image_size: int | None) -> np.ndarray:
        names.append(f"{file.parent.name}/{file.name}")
        return original(file, image_size)

    monkeypatch.setattr(image_folder, "_pixels", seen)
    return names


def kept(cache: Path) -> list[Path]:
    return sorted(cache.glob("*"))


# --- the cache ------------------------------------------------------------------------------------


def test_the_second_reading_decodes_nothing_and_gives_the_same(root, cache, decoded):
    first, labels = read_image_folder(root)
    assert set(decoded) == {"cat/0.png", "cat/2.png", "dog/1.png", "dog/3.png"}
    decoded.clear()
    again, labels_again = read_image_folder(root)
    assert decoded == []
    np.testing.assert_array_equal(first, again)
    assert labels.tolist() == labels_again.tolist() == ["cat", "cat", "dog", "dog"]
    assert isinstance(again.base, np.memmap)
    assert not again.flags.writeable
    by_hand = [np.asarray(Image.open(root / name)) for name in ("cat/0.png", "cat/2.png", "dog/1.png")]
    np.testing.assert_array_equal(again[:3], by_hand)


def rewrite(root):
    write(root / "cat" / "0.png", value=9)


def rewrite_with_the_same_size_and_time(root):
    file = root / "cat" / "0.png"
    about, pixels = file.stat(), bytearray(file.read_bytes())
    Image.fromarray(np.asarray(Image.open(file))[::-1]).save(file)
    file.write_bytes(file.read_bytes()[: len(pixels)].ljust(len(pixels), b"\0"))
    os.utime(file, ns=(about.st_atime_ns, about.st_mtime_ns))
    assert (file.stat().st_size, file.stat().st_mtime_ns) == (about.st_size, about.st_mtime_ns)


def add(root):
    write(root / "cat" / "9.png")


def remove(root):
    (root / "cat" / "0.png").unlink()


def rename(root):
    (root / "cat" / "0.png").rename(root / "cat" / "8.png")


def move_to_another_class(root):
    (root / "cat" / "0.png").rename(root / "dog" / "0.png")


def swap_two(root):
    for one, two in (("0", "x"), ("2", "0"), ("x", "2")):
        (root / "cat" / f"{one}.png").rename(root / "cat" / f"{two}.png")


@pytest.mark.parametrize(
    "change",
    [rewrite, rewrite_with_the_same_size_and_time, add, remove, rename, move_to_another_class, swap_two],
)
def test_what_changed_is_never_read_from_the_cache(root, cache, monkeypatch, change):
    read_image_folder(root)
    change(root)
    X, y = read_image_folder(root)
    monkeypatch.setenv("GANAUG_CACHE", "off")
    fresh, labels = read_image_folder(root)
    np.testing.assert_array_equal(X, fresh)
    assert y.tolist() == labels.tolist()


def test_a_file_that_changed_just_now_is_not_kept_as_it_could_change_again_unseen(root, cache, decoded):
    write(root / "cat" / "0.png")
    read_image_folder(root)
    assert kept(cache) == []
    settle()
    read_image_folder(root)
    assert len(kept(cache)) == 1


def test_a_folder_that_changes_while_it_is_read_is_no_data_set(root, cache, monkeypatch):
    original = image_folder._pixels

    def meddle(file, image_size):
        new = root.parent / f"{uuid4()}.png"  # whole at once, for files are read side by side
        write(new, value=3)
        os.replace(new, root / "dog" / "1.png")
        return original(file, image_size)

    monkeypatch.setattr(image_folder, "_pixels", meddle)
    for where in (str(cache), "off"):
        monkeypatch.setenv("GANAUG_CACHE", where)
        settle()
        with pytest.raises(DataError, match="pets changed while it was read"):
            read_image_folder(root)
    assert kept(cache) == []


def test_one_entry_is_kept_per_folder_and_size_and_old_ones_go(root, cache):
    read_image_folder(root)
    (old,) = kept(cache)
    add(root)
    settle()
    read_image_folder(root)
    (new,) = kept(cache)
    assert new != old
    read_image_folder(root, image_size=8)
    assert len(kept(cache)) == 2
    left = cache / f".{new.name[:16]}.ab12_cd9"  # of a process that was killed
    left.write_bytes(b"x")
    for file in (new, left):
        os.utime(file, (time.time() - pixel_cache.KEPT_SECONDS - 9,) * 2)
    add(root.parent / "others")
    settle()
    read_image_folder(root.parent / "others")
    assert new not in kept(cache)
    assert len(kept(cache)) == 2


def test_files_of_others_in_the_folder_of_the_cache_are_never_removed(root, cache):
    read_image_folder(root)
    (old,) = kept(cache)
    names = (".gitlab-ci.yml", ".pre-commit-config.yaml", ".env.local", "features-train.npy")
    theirs = [cache / name for name in (*names, f"{old.name[:16]}-mine.npy")]
    for file in theirs:
        file.write_bytes(b"x")
        os.utime(file, (0, 0))
    add(root)
    settle()
    read_image_folder(root)
    assert not old.exists()
    assert all(file.exists() for file in theirs)


@pytest.mark.parametrize(
    "damage", [lambda b: b[:-5], lambda b: b + b"x", lambda b: b"", lambda b: b"x" * 200]
)
def test_a_damaged_entry_is_read_anew(root, cache, damage):
    first, _ = read_image_folder(root)
    first = first.copy()
    (file,) = kept(cache)
    file.write_bytes(damage(file.read_bytes()))
    np.testing.assert_array_equal(read_image_folder(root)[0], first)


def test_pixels_are_for_their_owner_only(root, cache):
    read_image_folder(root)
    (file,) = kept(cache)
    assert (cache.stat().st_mode & 0o077, file.stat().st_mode & 0o077) == (0, 0)


def test_a_full_or_unwritable_cache_only_warns(root, cache, monkeypatch):
    whole = read_image_folder(root)[0].copy()
    (file,) = kept(cache)
    file.unlink()
    monkeypatch.setattr(pixel_cache, "_free_bytes", lambda _: 1000)
    with pytest.warns(GanaugWarning, match=r"cannot be kept in .*cache.* 0\.0 GB free.*GANAUG_CACHE"):
        full, _ = read_image_folder(root)
    np.testing.assert_array_equal(full, whole)
    monkeypatch.setenv("GANAUG_CACHE", str(root / "cat" / "0.png" / "no"))
    with pytest.warns(GanaugWarning, match=r"cannot be kept in .*Not a directory"):
        unwritable, _ = read_image_folder(root)
    np.testing.assert_array_equal(unwritable, whole)
    assert kept(cache) == []


def test_a_disk_that_fills_up_while_pixels_are_written_loses_nothing(root, cache):
    program = (
        "import resource, signal, sys, warnings; from pathlib import Path\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (500, 500))\n"
        "warnings.simplefilter('ignore')\n"
        "from ganaug.data.image_folder import read_image_folder\n"
        "X, y = read_image_folder(Path(sys.argv[1])); print(X.shape, int(X.sum()))"
    )
    shown = subprocess.run([sys.executable, "-c", program, root], capture_output=True, text=True, check=True)
    whole, _ = read_image_folder(root)
    assert shown.stdout.split("\n")[0] == f"{whole.shape} {int(whole.sum())}"
    assert len(kept(cache)) == 1


def test_two_processes_may_read_at_once(root, cache):
    program = (
        "import sys; from pathlib import Path; from ganaug.data.image_folder import read_image_folder\n"
        "X, y = read_image_folder(Path(sys.argv[1])); print(int(X.sum()))"
    )
    with subprocess.Popen([sys.executable, "-c", program, root], stdout=subprocess.PIPE, text=True) as other:
        sums = set()
        while other.poll() is None:
            sums.add(f"{int(read_image_folder(root)[0].sum())}\n")
            (file,) = cache.glob("[!.]*")
            file.unlink()
        sums.add(other.communicate()[0])
    assert len(sums) == 1
    read_image_folder(root)
    assert len(kept(cache)) == 1


def test_memory_never_holds_the_data_twice(tmp_path, cache, monkeypatch):
    for i in range(300):
        write(tmp_path / "big" / "ab"[i % 2] / f"{i}.png", size=(64, 64))
    settle()
    peaks = {}
    for where in (str(cache), "off"):
        monkeypatch.setenv("GANAUG_CACHE", where)
        tracemalloc.start()
        X, _ = read_image_folder(tmp_path / "big")
        peaks[where] = tracemalloc.get_traced_memory()[1] / X.nbytes
        tracemalloc.stop()
    assert peaks[str(cache)] < 0.9  # pieces on their way to the file
    assert peaks["off"] < 1.8


def test_progress_is_told_up_to_the_end(root):
    told = []
    read_image_folder(root, on_image=lambda done, total: told.append((done, total)))
    assert told[-1] == (4, 4)


# --- sizes ----------------------------------------------------------------------------------------


def test_images_of_any_size_become_squares_from_their_middle(tmp_path):
    for name, size in (("a/wide.png", (90, 30)), ("b/tall.png", (30, 90))):
        file = tmp_path / name
        file.parent.mkdir()
        third = np.zeros(size[::-1], np.uint8)
        third[:30, :30] = 50
        third[-30:, -30:] = 250
        middle = (slice(None), slice(30, 60)) if size[0] == 90 else (slice(30, 60), slice(None))
        third[middle] = 150
        Image.fromarray(third).save(file)
    X, _ = read_image_folder(tmp_path, image_size=10)
    assert X.shape == (2, 10, 10)
    assert abs(X.astype(int) - 150).max() < 10  # the ends are 50 and 250


def test_shrinking_averages_instead_of_picking_pixels(tmp_path):
    file = tmp_path / "a" / "0.png"
    file.parent.mkdir()
    Image.fromarray(np.indices((64, 64)).sum(axis=0).astype(np.uint8) % 2 * 255).save(file)
    X, _ = read_image_folder(tmp_path, image_size=8)
    assert abs(X.astype(float) - 127.5).max() < 3


def test_a_photo_is_shrunk_as_if_it_were_decoded_whole(tmp_path):
    y, x = np.mgrid[0:600, 0:800]
    photo = np.stack([x / 4, y / 3, (x + y) / 6], axis=2).astype(np.uint8)
    (tmp_path / "a").mkdir()
    Image.fromarray(photo).save(tmp_path / "a" / "0.jpg", quality=95)
    Image.fromarray(photo).save(tmp_path / "a" / "1.png")
    jpg, png = read_image_folder(tmp_path, image_size=32)[0].astype(float)
    assert abs(jpg - png).mean() < 2


@pytest.mark.parametrize("size", [7, 129, 10.5, True])
def test_a_size_out_of_range_is_refused(root, size):
    with pytest.raises(ConfigError, match="image_size must be an integer of at least 8 and at most 128"):
        read_image_folder(root, image_size=size)


def test_other_sizes_and_too_large_ones_name_the_option(root, tmp_path):
    write(root / "dog" / "9.png", size=(13, 10))
    with pytest.raises(DataError, match=r"12 x 10 and .*dog/9\.png is 13 x 10.*--image-size 64"):
        read_image_folder(root)
    write(tmp_path / "photos" / "a" / "0.jpg", size=(640, 480))
    with pytest.raises(DataError, match=r"a/0\.jpg is 640 x 480.*--image-size 64"):
        read_image_folder(tmp_path / "photos")
    with pytest.raises(DataError, match=r"image_size is for image folders; digits is none"):
        open_data("digits", image_size=16)


def test_a_colour_image_among_grey_ones_colours_all_of_them(tmp_path, cache):
    for i in range(3):
        write(tmp_path / "x" / "a" / f"{i}.png", mode="L", value=i)
    write(tmp_path / "x" / "b" / "0.png")
    settle()
    for _ in range(2):
        X, _ = read_image_folder(tmp_path / "x")
        assert X.shape == (4, 10, 12, 3)
        assert (X[2] == 2).all()


# --- what is not an image of the folder -----------------------------------------------------------


def test_hidden_files_are_left_out_and_images_of_other_kinds_are_counted(root):
    (root / "cat" / "._0.png").write_bytes(b"a resource fork")
    (root / "cat" / ".DS_Store").write_bytes(b"")
    (root / "cat" / "readme.txt").write_bytes(b"")
    assert len(read_image_folder(root)[0]) == 4
    (root / "dog" / "7.webp").write_bytes(b"")
    with pytest.warns(GanaugWarning, match=r"1 images of .*pets are left out.*7\.webp"):
        assert len(read_image_folder(root)[0]) == 4


@pytest.mark.parametrize("what", ["file", "class"])
def test_a_link_that_leaves_the_folder_is_refused_and_one_within_is_followed(root, tmp_path, what):
    secret = tmp_path / "elsewhere" / "private" / "0.png"
    write(secret)
    (root / "cat" / "8.png").symlink_to(root / "dog" / "1.png")
    (root / "bird").symlink_to(root / "dog")
    assert len(read_image_folder(root)[0]) == 7
    link = root / "cat" / "9.png" if what == "file" else root / "wolf"
    link.symlink_to(secret if what == "file" else secret.parent)
    with pytest.raises(DataError, match=rf"{link.name} is a link to .*private.*, which is not in the folder"):
        read_image_folder(root)
    link.unlink()
    (root / "cat" / "loop.png").symlink_to(root / "cat" / "loop.png")
    with pytest.raises(DataError, match=r"loop\.png"):
        read_image_folder(root)


def test_a_pipe_and_a_folder_that_call_themselves_images_are_named(root):
    os.mkfifo(root / "cat" / "pipe.png")
    with pytest.raises(DataError, match=r"pipe\.png must be an image; got no file"):
        read_image_folder(root)
    (root / "cat" / "pipe.png").unlink()
    (root / "cat" / "folder.png").mkdir()
    with pytest.raises(DataError, match=r"folder\.png must be an image; got no file"):
        read_image_folder(root)


def test_folders_within_classes_and_images_without_class_are_told(tmp_path):
    write(tmp_path / "deep" / "pets" / "cat" / "0.png")
    with pytest.raises(
        DataError, match=r"pets must hold .*; it holds folders \('cat'\), which are not looked"
    ):
        read_image_folder(tmp_path / "deep")
    write(tmp_path / "flat" / "0.png")
    with pytest.raises(DataError, match=r"one folder per class .*; its 1 images lie beside each other"):
        read_image_folder(tmp_path / "flat")


def test_a_chunk_that_says_it_is_longer_than_memory_is_named(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    file = tmp_path / "a" / "1.png"
    Image.fromarray(np.zeros((16, 16), np.uint8)).save(file)
    content = file.read_bytes()
    start = content.index(b"IDAT") - 4
    file.write_bytes(content[:start] + b"\x7f\xff\xff\xff" + content[start + 4 :])
    code = f"""
import resource
from pathlib import Path
from uuid import uuid4
import PIL.PngImagePlugin
from ganaug.data.image_folder import read_image_folder
size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (size + 2**30, resource.RLIM_INFINITY))
try:
    read_image_folder(Path({str(tmp_path)!r}))
except Exception as error:
    print(type(error).__name__, error)
"""
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.startswith(f"DataError {file} cannot be read as an image")


def test_whatever_the_decoder_raises_is_named(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    file = tmp_path / "a" / "1.png"
    Image.fromarray(np.zeros((16, 16), np.uint8)).save(file)
    content = file.read_bytes()
    header = b"IHDR" + content[16:28]  # a byte short
    crc = zlib.crc32(header).to_bytes(4, "big")
    file.write_bytes(content[:8] + (12).to_bytes(4, "big") + header + crc + content[33:])
    with pytest.raises(DataError, match=rf"{file} cannot be read as an image: Truncated IHDR"):
        read_image_folder(tmp_path)


def test_images_without_labels_may_lie_beside_each_other(tmp_path):
    for k in range(3):
        write(tmp_path / "flat" / f"{k}.png", value=40 * k)
    X = open_unlabelled(tmp_path / "flat")
    assert X.shape[:3] == (3, 10, 12)
    assert [int(x.max()) for x in X] == [0, 40, 80]
    write(tmp_path / "sorted" / "any" / "0.png", value=5)
    assert open_unlabelled(tmp_path / "sorted").shape[0] == 1
    with pytest.raises(DataError, match="one folder per class"):
        read_image_folder(tmp_path / "flat")
