"""Cohorts: what data. Embedded, public, clinical and own; their splits; artificial missingness; aligning the variables of two cohorts.

In: a name, files or arrays. Out: a `Cohort` of raw windows with gaps, split before anything else happens.
"""

from modts.rooms import door

__getattr__, __dir__, __all__ = door(
    __name__,
    {
        "base": "Cohort",
        "tasks": "TASKS Task class_name coded lacking strata task_of",
        "loading": "cohort_names load_cohort",
        "arrays": "cohort_from_arrays",
        "tables": "cohort_from_table",
        "files": "read_table",
        "long_series": "cohort_from_series series_back",
        "clock": "dated",
        "checks": "codes_of pad unmasked without_codes",
        "suspicions": "KNOWN_CODES codes_in look",
        "lengths": "ends_of",
        "external": "EXTERNAL SPLIT by_test training_windows with_external",
        "missingness": "PATTERNS check_pattern hides mask seeded",
        "alignment": "Alignment align compare_medians to_source_space",
        "synonyms": "SYNONYMS",
        "simulated_icu": "world",
        "tsdb_home": "import_tsdb",
    },
)
