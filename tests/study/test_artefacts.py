"""An artefact says what it is: a whole file of another recipe in its place is one sentence, and so is one that has lost an array."""

import shutil
import zipfile

import numpy as np
import pytest
from core_fixture import places, tiny, torchs_settings_kept  # noqa: F401

from modts import runs
from modts.errors import ModtsError
from modts.study import arms, artefacts, params, units

SHORT = {"seeds": [0, 1], "epochs": 1, "patience": 1, "batch_size": 32}
HEADS = {**SHORT, "heads": ["simple"], "label_fractions": [1.0], "head_epochs": 2, "head_patience": 2}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Checkpoints, latents and outcomes of two seeds, and of a second backbone, in a work folder; it is copied for every test."""
    home = tmp_path_factory.mktemp("made")
    with pytest.MonkeyPatch.context() as context, torchs_settings_kept():
        context.setenv("MODTS_WORK", str(home / "work"))
        cohort = str(tiny(n=60, steps=6, features=4, name="icu").save(home / "icu.npz"))
        asked = params.parse("heads", {"cohort": cohort, "backbone": "GRU-D", **HEADS})
        run = runs.Run("heads", asked.model_dump())
        units.run_arm(run, arm_of(asked), 1.0)
        artefacts.pretrained(params.parse("heads", {"cohort": cohort, "backbone": "SAITS", **HEADS}), 0)
    return home, asked


def arm_of(asked):
    return arms.HeadArm(asked, "frozen", "simple", "paper")


@pytest.fixture
def work(made, places):  # noqa: F811
    """again(): reads everything of this test's own copy; find(name): the paths of its artefacts, by backbone."""
    home, asked = made
    shutil.copytree(home / "work", places / "work")

    def again():
        units.run_arm(runs.Run("heads", asked.model_dump()), arm_of(asked), 1.0)

    def find(name, backbone="GRU-D"):
        return sorted(path for path in runs.work_dir().rglob(name) if f"-{backbone}-" in path.parent.name)

    again.asked = asked
    return again, find


def test_what_was_made_is_read_again(work):
    again, find = work
    before = {path: path.stat().st_mtime_ns for path in runs.work_dir().rglob("*.*")}
    again()
    assert {path: path.stat().st_mtime_ns for path in runs.work_dir().rglob("*.*")} == before
    candidates = len(again.asked.head_weight_decays)  # each on both splits
    assert [len(find(name)) for name in ("backbone.safetensors", "latents.npz", "outcome.npz")] == [
        2,
        2,
        2 * candidates,
    ]


def swap(a, b):
    between = a.with_name("between")
    shutil.move(a, between)
    shutil.move(b, a)
    shutil.move(between, b)


def test_checkpoints_of_two_seeds_are_not_taken_for_one_another(work):
    again, find = work
    swap(*find("backbone.safetensors"))
    with pytest.raises(
        ModtsError, match="is another backbone's checkpoint .*GRU-D: recipe is .*seed is [01], not [01].*delete it"
    ):
        artefacts.pretrained(again.asked, 0)


def test_another_backbones_checkpoint_is_named(work):
    again, find = work
    shutil.copy(find("backbone.safetensors", "SAITS")[0], find("backbone.safetensors")[0])
    shutil.copy(find("backbone.safetensors", "SAITS")[0], find("backbone.safetensors")[1])
    with pytest.raises(ModtsError, match="is another backbone's checkpoint .*SAITS: recipe"):
        artefacts.pretrained(again.asked, 0)


@pytest.mark.parametrize("name", ["latents.npz", "outcome.npz"])
def test_arrays_of_two_recipes_are_not_taken_for_one_another(work, name):
    again, find = work
    swap(*find(name)[:2])
    if name == "latents.npz":  # read only where something is left to train on them
        for path in find("outcome.npz"):
            path.unlink()
    with pytest.raises(
        ModtsError, match=f"{name} was made by the recipe [0-9a-f]{{12}}, not by [0-9a-f]{{12}}; delete it"
    ):
        again()


def test_a_lost_array_is_one_sentence(work):
    again, find = work
    for path in find("outcome.npz"):
        with zipfile.ZipFile(path) as file:
            kept = {entry: file.read(entry) for entry in file.namelist() if entry != "prediction.npy"}
        with zipfile.ZipFile(path, "w") as file:
            for entry, content in kept.items():
                file.writestr(entry, content)
    with pytest.raises(ModtsError, match="outcome.npz is corrupt .*its content does not match its hash.*delete it"):
        again()


def test_a_changed_number_and_a_missing_seal_are_one_sentence(work):
    again, find = work
    path = find("outcome.npz")[0]
    arrays = dict(np.load(path, allow_pickle=False))
    np.savez(path, **arrays | {"prediction": arrays["prediction"] + 1})
    with pytest.raises(ModtsError, match="does not match its hash"):
        again()
    np.savez(path, **{name: values for name, values in arrays.items() if name != "seal"})
    with pytest.raises(ModtsError, match="was made by no recipe that it names, not by"):
        again()
    assert "prediction" in runs.read_arrays(path, "published before", unsealed=True)
