"""Nothing calls out: every attempt to reach another machine is refused and written down."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

WATCH = """
import socket, sys, traceback

def refuse(what):
    def refused(*args, **_):
        target = next((a for a in args if isinstance(a, (str, bytes, tuple))), None)
        host = target[0] if isinstance(target, tuple) else target
        if isinstance(host, bytes): host = host.decode()
        if host in (None, "", "localhost", "127.0.0.1", "::1") or str(host).startswith("/"):
            return originals[what](*args, **_)
        ours = any("/ganaug/" in frame.filename for frame in traceback.extract_stack())
        print("CALL", host, "ours" if ours else "theirs", file=sys.stderr, flush=True)
        raise OSError(f"the network is cut: {host}")
    return refused

originals = {name: getattr(socket.socket, name) for name in ("connect", "connect_ex", "sendto")}
for name in originals: setattr(socket.socket, name, refuse(name))
for name in ("getaddrinfo", "gethostbyname", "gethostbyname_ex"):
    originals[name] = getattr(socket, name)
    setattr(socket, name, refuse(name))
"""

EVERYTHING = """
import importlib, os, pkgutil, tempfile, warnings
warnings.simplefilter("ignore")
import ganaug
for module in pkgutil.walk_packages(ganaug.__path__, "ganaug."):
    if not module.name.endswith(("__main__", "_model")):  # those run something when they are imported
        importlib.import_module(module.name)
import numpy as np
from sklearn.datasets import load_digits
X, y = load_digits(return_X_y=True)
X, y = X[y < 3].reshape(-1, 8, 8)[:90], y[y < 3][:90]
config = ganaug.GANConfig(network="mlp", width=4, z_dim=4, batch_size=16, train_images=64)
os.chdir(tempfile.mkdtemp())
gan = ganaug.ConditionalGAN(config=config, random_state=0).fit(X, y, out="run")
ganaug.SampleBank.from_gan(ganaug.load("run"), 4, path="bank").export("files")
result = ganaug.compare(X, y, classifier="logistic", arms=["nothing", "classic", "gan"], seeds=3,
                        labelled_per_class=5, config=config, tracking="mlflow")
result.report("report.html")
print("done")
"""

QUIET = {"MLFLOW_DISABLE_TELEMETRY": "true", "NO_ALBUMENTATIONS_UPDATE": "1"}
LOUD = (*QUIET, "DO_NOT_TRACK", "CI", "PYTEST_CURRENT_TEST", "PYTEST_VERSION")


def calls(code: str, folder: Path, *, quiet: bool, before: tuple[str, ...] = ()) -> list[str]:
    """Run code in a process of its own, and return whom it called."""
    own = {k: v for k, v in os.environ.items() if k not in LOUD and not k.startswith("MLFLOW_")}
    env = {
        **own,
        **(QUIET if quiet else {}),
        "HOME": str(folder),
        "MLFLOW_TRACKING_URI": f"sqlite:///{folder}/m.db",
    }
    command = [*before, sys.executable, "-c", WATCH + code]
    run = subprocess.run(command, capture_output=True, text=True, env=env, cwd=folder)
    assert run.stdout.endswith("done\n"), run.stderr[-3000:]
    return [line for line in run.stderr.splitlines() if line.startswith("CALL")]


def test_the_watch_sees_who_calls(tmp_path: Path) -> None:
    code = """
import urllib.request
try: urllib.request.urlopen("http://example.org", timeout=1)
except OSError: pass
print("done")
"""
    assert calls(code, tmp_path, quiet=True) == ["CALL example.org theirs"]


def test_with_the_switches_set_no_import_and_no_step_calls_anyone(tmp_path: Path) -> None:
    assert calls(EVERYTHING, tmp_path, quiet=True) == []


@pytest.mark.slow
def test_without_them_albumentations_asks_for_updates_and_ganaug_asks_nobody(tmp_path: Path) -> None:
    found = calls("import albumentations\nprint('done')", tmp_path, quiet=False)
    assert {line.split()[2] for line in found} == {"theirs"}
    assert (
        calls(
            "import ganaug, ganaug.cli\nfrom ganaug import ConditionalGAN\nprint('done')",
            tmp_path,
            quiet=False,
        )
        == []
    )


@pytest.mark.slow
def test_all_works_where_there_is_no_network_at_all(tmp_path: Path) -> None:
    cut = ("unshare", "-n")
    if shutil.which("unshare") is None or subprocess.run([*cut, "true"], capture_output=True).returncode:
        pytest.skip("needs `unshare -n`, which only root may call")
    calls("import albumentations\n" + EVERYTHING, tmp_path, quiet=False, before=cut)
