"""What ganaug runs on: versions, device, memory, disk, MLflow; and what to do about each problem."""

import os
import platform
import shutil
import sqlite3
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import asdict, dataclass
from functools import partial
from importlib.metadata import PackageNotFoundError, metadata, requires, version
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit
from urllib.request import urlopen

__all__ = ["CHECKS", "Finding", "examine"]

LOW_MEMORY_BYTES = 1 << 30
LOW_DISK_BYTES = 1 << 30
MAX_BFLOAT16_ERROR = 0.05
"""Share of the norm; rounding to 8 bits of mantissa gives about 0.005."""
SERVER_SECONDS = 3.0
WORKER_SECONDS = 60.0
RIVALS = {
    "albumentationsx": "AlbumentationsX takes the place of albumentations, under another licence",
    "opencv-python": "two OpenCV packages overwrite each other's files",
    "opencv-contrib-python": "two OpenCV packages overwrite each other's files",
}
"""Packages that install themselves over ones that ganaug needs."""


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at; `problem` is empty where it is as it should be."""

    name: str
    found: str
    problem: str = ""
    mend: str = ""
    note: str = ""  # good to know, and no problem


def examine(on_check: Callable[[int, int], None] | None = None) -> list[Finding]:
    """Look at everything; a check that fails with an error is a problem itself.

    Parameters
    ----------
    on_check : callable or None
        Called with (checks done, checks in all).

    Returns
    -------
    list of Finding

    Examples
    --------
    >>> [f.name for f in python_version()]
    ['python']
    """
    findings: list[Finding] = []
    for done, (name, check) in enumerate(CHECKS.items()):
        try:
            findings += check()
        except Exception as error:
            told = " ".join(f"{type(error).__name__}: {error}".split())[:300]
            findings.append(Finding(name, "not known", f"looking at it failed with {told}", "See the error."))
        if on_check is not None:
            on_check(done + 1, len(CHECKS))
    return findings


def as_dict(findings: list[Finding]) -> dict[str, Any]:
    """Return plain values for JSON."""
    return {
        "problems": sum(bool(f.problem) for f in findings),
        "findings": [{k: v for k, v in asdict(f).items() if v} for f in findings],
    }


def python_version() -> Iterator[Finding]:
    """Look at Python."""
    from packaging.specifiers import SpecifierSet

    wanted, found = str(metadata("ganaug")["Requires-Python"]), platform.python_version()
    good = SpecifierSet(wanted).contains(found, prereleases=True)
    yield Finding(
        "python",
        f"{found}, {sys.executable}",
        "" if good else f"ganaug needs Python {wanted}",
        "" if good else "Make a new environment with such a Python.",
    )


def packages() -> Iterator[Finding]:
    """Look at the versions of what ganaug needs, against the ranges it declares."""
    from packaging.requirements import Requirement

    yield Finding("ganaug", version("ganaug"))
    for line in requires("ganaug") or []:
        requirement = Requirement(line)
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        wanted = f"{requirement.name}{requirement.specifier}"
        try:
            found = version(requirement.name)
        except PackageNotFoundError:
            yield Finding(requirement.name, "not installed", f"ganaug needs {wanted}", _install(wanted))
            continue
        good = requirement.specifier.contains(found, prereleases=True)
        problem = "" if good else f"ganaug needs {wanted}"
        yield Finding(requirement.name, found, problem, "" if good else _install(wanted))


def rival_packages() -> Iterator[Finding]:
    """Look for packages that install themselves over ones that ganaug needs."""
    for name, why in RIVALS.items():
        try:
            found = version(name)
        except PackageNotFoundError:
            continue
        kept = "albumentations" if name == "albumentationsx" else "opencv-python-headless"
        try:
            version(kept)
        except PackageNotFoundError:
            if name != "albumentationsx":
                continue  # the only OpenCV that is there
        yield Finding(
            name,
            found,
            why,
            f"pip uninstall {name}; then pip install --force-reinstall --no-deps {kept}=={_version_of(kept)}",
        )


def device() -> Iterator[Finding]:
    """Look at the accelerator and the threads."""
    import torch

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    threads = torch.get_num_threads()
    few = (
        ""
        if threads >= cores
        else f"{cores} processors are there: unset OMP_NUM_THREADS to use them in `fit`"
    )
    yield Finding("processor", f"{_processor()}, {cores} processors, {threads} threads in torch", note=few)
    if torch.cuda.is_available():
        names = {torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())}
        yield Finding("accelerator", f"CUDA {torch.version.cuda}: {', '.join(sorted(names))}")
    elif torch.backends.mps.is_available():
        yield Finding("accelerator", "MPS", note="`--device mps` uses it; `auto` does not")
    else:
        built = torch.version.cuda
        note = f"this torch is built for CUDA {built}, and sees no GPU: look at the driver" if built else ""
        yield Finding("accelerator", "none, training runs on the processor", note=note)


def bfloat16() -> Iterator[Finding]:
    """Compare convolutions and their gradients in bfloat16 with those in float32, on the device used."""
    from ganaug.training.state import LEAST_BFLOAT16, torch_device, uses_bfloat16

    where = torch_device("auto")
    used = uses_bfloat16("auto", where, LEAST_BFLOAT16)
    worst, name = max(bfloat16_errors(where))
    right = worst <= MAX_BFLOAT16_ERROR
    found = (
        f"{'used' if used else 'not used'} on this {where.type}; largest error {100 * worst:.2g} % ({name})"
    )
    wrong = f"{name} in bfloat16 is off by {100 * worst:.0f} % here, which is no rounding"
    mend = "Train with --gan '{precision: float32}', and try another version of torch."
    if right:
        yield Finding("bfloat16", found)
    elif used:
        yield Finding("bfloat16", found, wrong, mend)
    else:
        yield Finding("bfloat16", found, note=f"{wrong}: leave precision at auto")


def bfloat16_errors(where: Any) -> list[tuple[float, str]]:
    """Return the relative error of each kind of sum in bfloat16, and of its gradients, with its name."""
    import torch
    from torch.nn import functional as F

    stream = torch.Generator().manual_seed(0)
    errors: list[tuple[float, str]] = []
    operation: Any
    for name, channels, kernel, side, operation in (
        ("a linear layer", 128, 0, 0, F.linear),
        *((f"a {k}x{k} convolution", c, k, s, partial(F.conv2d, padding=k // 2))
          for c in (3, 32, 64) for k in (1, 3) for s in (4, 16)),
        ("a 4x4 convolution of stride 2", 32, 4, 16, partial(F.conv2d, stride=2, padding=1)),
        ("a transposed convolution", 32, 4, 8, partial(F.conv_transpose2d, stride=2, padding=1)),
    ):  # fmt: skip
        shape = (64, channels, side, side) if kernel else (64, channels)
        x = torch.randn(shape, generator=stream).to(where)
        w = torch.randn((32, channels, kernel, kernel) if kernel else (32, channels), generator=stream).to(
            where
        )
        weight = w.transpose(0, 1) if "transposed" in name else w
        results = []
        for low in (False, True):
            a, b = (v.clone().detach().requires_grad_() for v in (x, weight))
            if kernel:
                a = x.to(memory_format=torch.channels_last).detach().requires_grad_()
            with torch.autocast(where.type, torch.bfloat16, enabled=low):
                y = operation(a, b)
            target = torch.linspace(-1, 1, y.numel(), device=where).reshape(y.shape).sin()
            (y.float() * target).sum().backward()
            results.append((y.detach().float(), a.grad, b.grad))
        for part, exact, rounded in zip(
            ("", "the input gradient of ", "the weight gradient of "), *results, strict=True
        ):
            assert exact is not None
            assert rounded is not None
            errors.append((float((exact - rounded).norm() / exact.norm()), part + name))
    return errors


def memory() -> Iterator[Finding]:
    """Look at free memory."""
    import psutil

    free = psutil.virtual_memory()
    low = free.available < LOW_MEMORY_BYTES
    yield Finding(
        "memory",
        f"{free.available / 1e9:.1f} of {free.total / 1e9:.1f} GB free",
        "a training needs about a gigabyte beside the data" if low else "",
        "End other programs, or lower batch_size and --jobs." if low else "",
    )


def disk() -> Iterator[Finding]:
    """Look at free disk, and whether it can be written to, where ganaug writes."""
    from ganaug.data.pixel_cache import cache_folder

    cache = cache_folder()
    places = {"working folder": Path.cwd(), "temporary folder": Path(tempfile.gettempdir())}
    for name, folder in places.items():
        yield _disk(name, folder, mend="Free some, or change to another folder.")
    if cache is None:
        yield Finding("cache", "off (GANAUG_CACHE=off): image folders are decoded each time")
        return
    kept = [f.stat().st_size for f in cache.glob("*.npy")] if cache.is_dir() else []
    mend = "Name another folder in GANAUG_CACHE, or say GANAUG_CACHE=off."
    finding = _disk("cache", cache, mend=mend)
    note = f"holds the pixels of {len(kept)} image folders, {sum(kept) / 1e9:.1f} GB; it may be deleted"
    yield Finding(**{**asdict(finding), "note": note if kept else ""})


def mlflow_store() -> Iterator[Finding]:
    """Look at the store that MLflow would write to, and at what it tells others."""
    import mlflow

    uri = mlflow.get_tracking_uri()
    yield _store(uri, urlsplit(uri).scheme)
    silent = [
        n
        for n in ("MLFLOW_DISABLE_TELEMETRY", "DO_NOT_TRACK")
        if os.environ.get(n, "").lower() in ("true", "1")
    ]
    on = "on: MLflow sends usage statistics; MLFLOW_DISABLE_TELEMETRY=true ends that"
    yield Finding("MLflow telemetry", f"off ({silent[0]})" if silent else "on", note="" if silent else on)


def data_loader() -> Iterator[Finding]:
    """Start a worker of a DataLoader, and get a batch from it."""
    import torch
    from torch.utils.data import DataLoader, TensorDataset

    loader = DataLoader(TensorDataset(torch.arange(4)), batch_size=4, num_workers=1, timeout=WORKER_SECONDS)
    try:
        ((batch,),) = list(loader)
        problem = "" if batch.tolist() == [0, 1, 2, 3] else f"a batch came back as {batch.tolist()}"
    except RuntimeError as error:
        problem = " ".join(str(error).split())[:200]
    mend = "Use num_workers=0; in a container, give more shared memory (docker run --shm-size=1g)."
    yield Finding("DataLoader workers", "start" if not problem else "fail", problem, mend if problem else "")


def _store(uri: str, scheme: str) -> Finding:
    name = "MLflow store"
    if scheme in ("http", "https"):
        try:
            with urlopen(f"{uri.rstrip('/')}/health", timeout=SERVER_SECONDS) as answer:
                return Finding(name, f"{_without_password(uri)} answers {answer.status}")
        except OSError as error:
            mend = "Start the server, or unset MLFLOW_TRACKING_URI to write to a local store."
            return Finding(name, _without_password(uri), f"the server does not answer: {error}", mend)
    if scheme != "sqlite":
        return Finding(name, _without_password(uri), note="whether it can be reached was not tried")
    path = Path(unquote(urlsplit(uri).path)[1:])
    if not path.is_file():
        return Finding(name, f"{path}, made by the first record")
    there, newest = _schema_of(path), _newest_schema()
    if there == newest:
        return Finding(name, f"{path}, up to date")
    mend = f"Keep a copy of the file, then: mlflow db upgrade {uri}"
    return Finding(name, str(path), f"it was made by another version of MLflow ({there}, not {newest})", mend)


def _schema_of(path: Path) -> str:
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as store:
        try:
            found = store.execute("select version_num from alembic_version").fetchone()
        except sqlite3.DatabaseError as error:
            return f"no store: {error}"
    return str(found[0]) if found else "no version"


def _newest_schema() -> str:
    """Return the version of stores that this MLflow makes."""
    import mlflow
    from alembic.script import ScriptDirectory

    folder = Path(mlflow.__file__).parent / "store" / "db_migrations"
    return str(ScriptDirectory(str(folder)).get_current_head())


def _disk(name: str, folder: Path, *, mend: str) -> Finding:
    """Return how much is free, after writing a file."""
    nearest = next(p for p in (folder.absolute(), *folder.absolute().parents) if p.exists())
    found = f"{folder}, {shutil.disk_usage(nearest).free / 1e9:.1f} GB free"
    if shutil.disk_usage(nearest).free < LOW_DISK_BYTES:
        return Finding(name, found, "less than 1 GB is free", mend)
    try:
        with tempfile.TemporaryFile(dir=nearest):
            return Finding(name, found)
    except OSError as error:
        return Finding(name, found, f"it cannot be written to: {error.strerror}", mend)


def _install(wanted: str) -> str:
    return f"pip install '{wanted}'"


def _version_of(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "2.0.8"


def _processor() -> str:
    import torch

    capabilities: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    return str(capabilities.get("cpu_name") or platform.processor() or platform.machine())


def _without_password(uri: str) -> str:
    parsed = urlsplit(uri)
    if not parsed.password:
        return uri
    return parsed._replace(netloc=f"{parsed.username}:***@{parsed.hostname}:{parsed.port or ''}").geturl()


CHECKS: dict[str, Callable[[], Iterator[Finding]]] = {
    "python": python_version,
    "packages": packages,
    "rival packages": rival_packages,
    "device": device,
    "bfloat16": bfloat16,
    "memory": memory,
    "disk": disk,
    "MLflow": mlflow_store,
    "DataLoader workers": data_loader,
}
