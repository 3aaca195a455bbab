"""Executes one notebook as Kaggle does, from its working folder; run by the Python of the imitated image.

``python kaggle_execute.py IN.ipynb OUT.ipynb``. The kernel talks through files: the namespace has no network interface.
"""

import sys
import tempfile

import papermill
from traitlets.config import Config

with tempfile.TemporaryDirectory(prefix="kernel-") as sockets:
    papermill.execute_notebook(
        sys.argv[1],
        sys.argv[2],
        kernel_name="python3",
        progress_bar=False,
        extra_arguments=["--log-level=CRITICAL"],
        config=Config({"KernelManager": {"transport": "ipc", "ip": f"{sockets}/kernel"}}),
    )
