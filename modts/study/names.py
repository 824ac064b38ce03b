"""What a person reads for what a row says: one table of names, for the tables, figures and sentences of the book and for the notebooks."""

from __future__ import annotations

ARM_NAMES = {  # in the order of a table's columns
    "untrained": "Untrained",
    "frozen": "Frozen",
    "transfer": "Transferred",
    "norm": "Normalisation tuned",
    "last_block": "Last block tuned",
    "lora": "LoRA",
    "finetune": "Fine-tuned",
    "transfer_finetune": "Transferred, fine-tuned",
    "e2e": "End to end",
    "e2e_shipped": "End to end as shipped",
    "fusion": "Fusion",
    "stacked": "Stacked",
}
HEAD_NAMES = {"simple": "Simple", "complex": "Complex"}
TIMED_NAMES = {
    **ARM_NAMES,
    "frozen": "Modular",
    "predictor": "Predictor, traced at batch 1",
}  # where the clock compares ways to serve, not arms
STAGE_NAMES = {"inputs": "Inputs", "backbone": "Backbone", "head": "Head", "total": "Total"}
METRIC_NAMES = {"auroc": "AUROC", "auprc": "AUPRC", "accuracy": "Accuracy", "mae": "MAE", "mse": "MSE"}


def arm_name(arm: str, head: str = "", pooling: str = "", backbone: str = "") -> str:
    """The words for one arm; a pooling other than the paper's is named.

    >>> arm_name("frozen", "simple"), arm_name("e2e_shipped"), arm_name("baseline", backbone="LightGBM")
    ('Frozen + Simple', 'End to end as shipped', 'LightGBM')
    """
    if arm == "baseline":
        return backbone
    words = ARM_NAMES.get(arm) or arm.replace("_", " ").capitalize()
    if head and arm != "e2e_shipped":  # that one brings its own
        words += f" + {HEAD_NAMES.get(head) or head.capitalize()}"
    return words if pooling in ("", "paper") else f"{words} ({pooling} pooling)"


def arm_order(arm: str, head: str) -> tuple[int, int]:
    """The place of an arm among the columns; unknown ones go last."""
    arms, heads = list(ARM_NAMES), ["", *HEAD_NAMES]
    return arms.index(arm) if arm in arms else len(arms), heads.index(head) if head in heads else len(heads)


def question_name(question: str) -> str:
    """The words for a difference between two arms.

    >>> question_name("frozen - e2e_shipped"), question_name("frozen - LightGBM")
    ('Frozen minus end to end as shipped', 'Frozen minus LightGBM')
    """
    a, b = (ARM_NAMES.get(side) or HEAD_NAMES.get(side) or side[0].upper() + side[1:] for side in question.split(" - "))
    return f"{a} minus {b if b[1:] != b[1:].lower() else b.lower()}"
