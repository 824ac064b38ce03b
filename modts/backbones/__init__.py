"""Backbones: what is pretrained and frozen. One table of rows, what each reads, PyPOTS's modules made fast, and their latents.

In: raw windows with gaps. Out: filled windows, states, latents, a checkpoint that rebuilds itself.
"""

from modts.rooms import door

__getattr__, __dir__, __all__ = door(
    __name__,
    {
        "table": "BACKBONES POOLINGS READINGS SCALINGS SIX classifier_settings options_of row_of ships_classifier sizes",
        "own": "error_words",
        "shipped": "core pypots",
        "backbone": "Backbone accelerate build",
        "card": "current remember_training warn_of_another_scale",
        "checkpoint": "filled load_backbone loading pack place read_model unpack write_model",
        "exchange": "from_pypots",
        "latents": "extract live pool read",
        "ends": "behind checked cut ends_on",
        "scaling": "Scaler quantiles",
        "graphs": "replay",
    },
)
