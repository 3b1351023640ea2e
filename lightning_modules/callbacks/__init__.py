"""What a run shows while it trains: pictures, tables, numbers, and a safety stop.

Everything is written by rank zero into the run's own TensorBoard log; without one, nothing is.
"""

from lightning_modules.callbacks.charts import LogCharts
from lightning_modules.callbacks.dictionary_text import LogDictionary
from lightning_modules.callbacks.end_together import EndTogether
from lightning_modules.callbacks.hparams import LogHyperparameters
from lightning_modules.callbacks.predictions import LogPredictions
from lightning_modules.callbacks.projector import LogValueEmbeddings
from lightning_modules.callbacks.stop_on_nan import StopOnNaN
from lightning_modules.callbacks.throughput import Throughput

__all__ = [
    "EndTogether",
    "LogCharts",
    "LogDictionary",
    "LogHyperparameters",
    "LogPredictions",
    "LogValueEmbeddings",
    "StopOnNaN",
    "Throughput",
]
