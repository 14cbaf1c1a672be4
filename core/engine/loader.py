"""Loads a model in the worker's process. Only the call imports torch."""

from importlib import import_module

from core.engine.options import LoadOptions, Report
from core.engine.worker import Runner


class Loader(LoadOptions):
    """Picklable options that load their model when called."""

    def __call__(self, report: Report) -> Runner:
        report("starting the engine")
        runner: Runner = import_module("core.engine.nn.model_runner").load_model(self, report)
        return runner
