"""Where everything lies, how it is written, and where a number comes from: what every other room stands on.

In: parameters and numbers. Out: whole files, and a run's record with its parameters, seeds, data, code, hardware and time.
"""

from modts.rooms import door

__getattr__, __dir__, __all__ = door(
    __name__,
    {
        "places": "STAGES root work_dir results_dir cache_dir prepared_file artifact_dir run_id run_path published_path plain_name profile_name "
        "cohort_stem cohort_label",
        "files": "whole_file made_folder atomic_write write_json read_json remedy json_files plain key cell",
        "arrays": "write_arrays read_arrays load_arrays",
        "mapped": "PART let_go read_ahead parts",
        "code": "STUDY code_hash code_version hash_of modules_of protocol_modules",
        "owned": "OwnFile own_file backbone_label",
        "seeding": "batch_seed epoch_seed seed_everything",
        "protocol": "ask_unsealed drifted freeze frozen frozen_path",
        "provenance": "COLUMNS LATER Run hardware packages",
    },
)
