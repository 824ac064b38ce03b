"""Serving: from raw windows to answers, one at a time, many at once, or more than fit into memory; and the clock beside it.

In: a pretrained backbone and trained heads. Out: predictions, latents on disk, milliseconds.
"""

from modts.rooms import door

__getattr__, __dir__, __all__ = door(
    __name__,
    {
        "predictor": "Predictor",
        "saved": "PaddedPredictor load_predictor",
        "streaming": "stream",
        "latency": "ENOUGH TOTAL late measure times",
    },
)
