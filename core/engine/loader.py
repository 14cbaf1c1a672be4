"""What to load, and how. Travels to the worker's process and is called there; only that call imports torch."""

from importlib import import_module

from core.engine.options import LoadOptions, Report
from core.engine.worker import Runner


class Loader(LoadOptions):
    """Loads the model of its options in the process that calls it."""

    def __call__(self, report: Report) -> Runner:
        report("starting the engine")
        runner: Runner = import_module("core.engine.nn.model_runner").load_model(self, report)
        return runner
