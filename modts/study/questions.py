"""The questions: differences between two arms, few and named beforehand (see effects). Further ones explain; they stand in no main picture."""

from __future__ import annotations

BASELINE = "baseline"
LEADING = {  # (arm, head) a and b, of one backbone, or a baseline; all at the paper's pooling
    "frozen - e2e": (("frozen", "simple"), ("e2e", "simple")),
    "frozen - e2e_shipped": (("frozen", "simple"), ("e2e_shipped", "")),
    "frozen - finetune": (("frozen", "simple"), ("finetune", "simple")),
    "frozen - untrained": (("frozen", "simple"), ("untrained", "simple")),
    "frozen - LightGBM": (("frozen", "simple"), (BASELINE, "LightGBM")),
    "complex - simple": (("frozen", "complex"), ("frozen", "simple")),
    "fusion - LightGBM": (("fusion", "simple"), (BASELINE, "LightGBM")),
}
FURTHER = {
    "norm - frozen": (("norm", "simple"), ("frozen", "simple")),
    "last_block - frozen": (("last_block", "simple"), ("frozen", "simple")),
    "lora - frozen": (("lora", "simple"), ("frozen", "simple")),
    "frozen - GRU": (("frozen", "simple"), (BASELINE, "GRU")),
    "frozen - MiniRocket": (("frozen", "simple"), (BASELINE, "MiniRocket")),
}
QUESTIONS = LEADING | FURTHER
TRANSFERS = {  # asked of a pair of cohorts: a starts from the source's backbone, b is the target's own
    "transfer - frozen": (("transfer", "simple"), ("frozen", "simple")),
    "transfer - e2e": (("transfer", "simple"), ("e2e", "simple")),
    "transfer - untrained": (("transfer", "simple"), ("untrained", "simple")),
    "transfer - LightGBM": (("transfer", "simple"), (BASELINE, "LightGBM")),
    "transfer_finetune - finetune": (("transfer_finetune", "simple"), ("finetune", "simple")),
    "transfer_finetune - e2e": (("transfer_finetune", "simple"), ("e2e", "simple")),
}
ASKED = QUESTIONS | TRANSFERS  # in the order of the table
MOVED = tuple(dict.fromkeys(a for (a, _), _ in TRANSFERS.values()))  # arms that start from another cohort's backbone
