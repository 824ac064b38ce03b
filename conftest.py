"""Settings of every test: notebooks (nbval) and tests work in a folder of their own, never in the user's."""

import os
import shutil
import tempfile


def pytest_configure(config):
    """One folder a session, shared by pytest's workers, so that a notebook finds what another one has made, and a book is built once."""
    if not hasattr(config, "workerinput"):  # the process that starts the workers; they inherit its environment
        config._modts_shared = os.environ["MODTS_TESTS"] = tempfile.mkdtemp(prefix="modts-test-")
        os.environ["MODTS_WORK"] = os.path.join(config._modts_shared, "work")


def pytest_unconfigure(config):
    if hasattr(config, "_modts_shared"):
        shutil.rmtree(config._modts_shared, ignore_errors=True)


def pytest_collectstart(collector):
    """nbval compares what a cell prints, not its stderr: progress bars and time stamps differ on each run."""
    if getattr(collector, "skip_compare", None) is not None and collector.path.suffix == ".ipynb":
        collector.skip_compare = (*collector.skip_compare, "stderr")
