"""The columns of the tables in results/ that a benchmark writes, and which columns of all tables are numbers."""

from modts.study import SEARCH_COLUMNS

NUMBERS = {
    "value",
    "low",
    "high",
    "n_test",
    "label_fraction",
    "p50_ms",
    "p99_ms",
    "batch",
    "repeats",
    "difference",
    "p",
    "p_holm",
    "n_splits",
    "n_draws",
    "ours",
    "theirs",
    "ratio",
    "target",
    "rounds",
    "capped",
    *("trial", "auroc", "auroc_few", "mae"),
    *("gflop", "gigabytes", "operations", "seconds", "best", "peak_gflops", "gigabytes_per_s", "start_us"),
}
ROOFLINE = (
    "name", "peer", "gflop", "gigabytes", "operations", "seconds", "best", "peak_gflops", "gigabytes_per_s", "start_us", "hardware", "run",
)  # fmt: skip
BENCHMARKS = (
    "part", "name", "peer", "ours", "theirs", "ratio", "low", "high", "unit", "target", "rounds", "note", "hardware", "run",
)  # fmt: skip
CHOICES = (
    "cohort", "backbone", "seed", "rate", "criterion", "clip", "schedule", "scaling", "mae", "mae_cut", "head_100", "head_10", "head_metric",
    "epochs", "best_epoch", "capped", "seconds", "code", "hardware",
)  # fmt: skip
CARELESS = ("cohort", "backbone", "seed", "ways", "validation", "test", "steps", "seconds", "code", "hardware")
ROWS_AGAIN = 10  # that benchmarks/again.py draws, each on a split of its own and on a new one
AGAIN = (
    "cohort", "variant", "task", "backbone", "arm", "head", "pooling", "label_fraction", "pattern", "test", "metric", "source", "run", "seed",
    "kind", "published", "mean", "low", "high", "value", "difference", "inside", "seconds", "code", "hardware",
)  # fmt: skip
BEST = (
    "label_fraction", "test", "metric", "recipe", "backbones", "value", "low", "high", "difference", "low_difference", "high_difference", "p",
    "splits", "draws", "runs", "code",
)  # fmt: skip
MISSINGNESS = (
    "cohort", "backbone", "seed", "trained", "scored", "rate", "hidden", "metric", "value", "epochs", "capped", "seconds", "code", "hardware",
)  # fmt: skip
LONG = (
    "cohort", "backbone", "steps", "parameters", "seconds_epoch", "epochs", "capped", "peak_gb", "latents_ms", "mae", "line_mae", "head_mae",
    "ridge_mae", "stopped", "minutes", "gigabytes", "seconds", "code", "hardware",
)  # fmt: skip
MEMORY = ("windows", "steps", "features", "backbone", "file_gb", "peak_gb", "limit_gb", "seconds", "code", "hardware")
MOVES = (
    "source", "cohort", "backbone", "seed", "shared", "overlap", "missing", "source_size", "mae", "line_mae", "code", "hardware",
)  # fmt: skip
DRIFT = ("cohort", "seed", "what", "name", "part", "value", "epochs", "capped", "seconds", "code", "hardware")

TABLES = {  # results/<name>.csv, and the field of `Results` that holds it
    "benchmarks": BENCHMARKS, "roofline": ROOFLINE, "drift": DRIFT, "careless": CARELESS, "again": AGAIN, "best": BEST, "long": LONG,
    "missingness": MISSINGNESS, "moves": MOVES, "memory": MEMORY, "choices": CHOICES, "search": SEARCH_COLUMNS,
}  # fmt: skip
