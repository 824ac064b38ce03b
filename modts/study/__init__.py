"""The study: the grid of notebooks over cohorts and backbones, and what their runs say together.

In: strict parameters, from a notebook or a profile. Out: one whole result file a run, the tables joined from them, the command line.
"""

from modts.rooms import door

__getattr__, __dir__, __all__ = door(
    __name__,
    {
        "names": "ARM_NAMES HEAD_NAMES METRIC_NAMES STAGE_NAMES TIMED_NAMES arm_name arm_order question_name",
        "params": "parse validate",
        "profiles": "read_profile read_yaml tuned_path",
        "jobs": "Job MEMORY drop_foreign start_count",
        "collect": "LATENCY_COLUMNS",
        "effects": "ALL EFFECT_COLUMNS LEVEL SEARCHED holm margin profile_of",
        "questions": "ASKED FURTHER LEADING QUESTIONS TRANSFERS",
        "tuned": "SEARCH_COLUMNS",
        "published": "check_published",
        "warden": "end_from_a_thread",
        "nursery": "open_nursery",
    },
)
