"""Without a network everything works, and nothing of ganaug asks for one."""

import json
import os
import subprocess
import sys

CUT_OFF = """
import socket, threading

asked = []

def cut(real, host_of):
    def call(*args, **settings):
        host = host_of(args)
        if host not in (None, "127.0.0.1", "localhost", "::1"):
            asked.append(str(host))
            raise OSError("the network is cut")
        return real(*args, **settings)
    return call

socket.getaddrinfo = cut(socket.getaddrinfo, lambda args: args[0])
socket.socket.connect = cut(
    socket.socket.connect, lambda args: args[1][0] if isinstance(args[1], tuple) else None
)
"""

WORK = """
import json, numpy as np
import ganaug.albumentations, ganaug.mlflow
at_import = list(asked)
import mlflow
mlflow.set_tracking_uri("sqlite:///mlflow.db")
ganaug.mlflow.autolog(log_models=False)
X = np.random.default_rng(0).normal(size=(40, 3))
ganaug.ConditionalGAN(train_images=64).fit(X, np.repeat([0, 1], 20))
(run,) = mlflow.search_runs(output_format="list")
for thread in threading.enumerate():
    if "elemetry" in thread.name:
        thread.join(5)
by_mlflow = [host for host in asked if host not in at_import]
from albumentations.check_version import check_for_updates
check_for_updates()
print(json.dumps([at_import, by_mlflow, asked[-1], run.info.status]))
"""


def test_only_mlflows_own_statistics_ask_for_the_network(tmp_path):
    """MLFLOW_DISABLE_TELEMETRY=true turns those off; albumentations' look for a new version is off."""
    switches = {"MLFLOW_DISABLE_TELEMETRY", "NO_ALBUMENTATIONS_UPDATE", "DO_NOT_TRACK", "CI"}
    bare = {k: v for k, v in os.environ.items() if k not in switches and not k.startswith("MLFLOW_")}
    told = subprocess.run(
        [sys.executable, "-c", CUT_OFF + WORK], env=bare, cwd=tmp_path, capture_output=True, text=True
    )
    assert told.returncode == 0, told.stderr
    at_import, by_mlflow, looked_for, status = json.loads(told.stdout.splitlines()[-1])
    assert at_import == []
    assert set(by_mlflow) <= {"config.mlflow-telemetry.io"}
    assert status == "FINISHED"
    assert looked_for == "pypi.org"  # the cut is real: this is what albumentations would have asked
