"""`modts check`: the chapter's imputer conforms, and a copy of it with one line wrong is caught by the check that is there for it."""

import re

import pytest
from core_fixture import places  # noqa: F401
from own_fixture import EXAMPLE, changed

from modts.learning import CHECKS, check_own
from modts.study import cli

PRINTED = EXAMPLE.parent.parent / "book" / "data" / "own_check.txt"
FILLED, GUESS, LAYER = "torch.where(seen, values, guess)", "guess = self.fill(", "self.fill = nn.Linear("
BROKEN = {  # check -> what is wrong, how to get it wrong, what is said
    "constructs": [
        ("a misspelt name", ("2 * hidden, n_features", "2 * hiden, n_features"), r"NameError: .*hiden.* \(mine.py, line 15\)"),
        ("an argument too many", ('{"hidden": 32}', '{"hidden": 32, "depth": 2}'), "does not construct: TypeError: .*'depth'"),
        ("no kind", ('kind = "recurrent"', 'kind = "rnn"'), "class attribute `kind`, one of 'recurrent' .*; it is 'rnn'"),
        ("no sizes", ("small = {", "sizes = {"), "class attribute `small`, a dictionary .*; it is None"),
        ("no module", ("(nn.Module)", ""), "no PyTorch module; let it inherit from torch.nn.Module"),
        ("a file that fails", ("from torch import nn", "from torch import nothing"), "does not run: ImportError: .*line 4"),
        (
            "weights from elsewhere",
            (LAYER, "import os; self.w = nn.Parameter(torch.tensor([*os.urandom(4)]).float()); " + LAYER),
            "Constructed twice from one seed it has other weights",
        ),
    ],
    "shapes": [
        ("latents for states", ("[ahead, back]", "[ahead[:, -1]]"), r"states of shape \(3, 6, D\), .* one of shape \(3, 32\)"),
        ("states without a list", ("[ahead, back]", "ahead"), "states as a list with at least one tensor"),
        ("the other way round", (FILLED, f"{FILLED}.mT"), r"imputation of shape \(3, 6, 4\), .* shape \(3, 4, 6\)"),
        ("no loss", ('results["loss"]', 'results["error"]'), "dictionary with imputation, states, loss in training"),
        ("a loss a window", (".sum() / known.sum()", ".sum((1, 2)) / known.sum((1, 2))"), "a loss that is one number"),
        ("a tuple", ("return results", "return tuple(results.values())"), "a dictionary with imputation, states, but it returned a tuple"),
        ("a loss cut off", ("(errors * known)", "(errors * known).detach()"), "Its loss has no gradient"),
    ],
    "gaps": [
        ("NaN let through", ("torch.nan_to_num(Z)\n", "Z\n"), "cells come back without a number; NaN must not spread"),
        ("the windows filled in place", ("torch.nan_to_num(Z)\n", "Z.nan_to_num_()\n"), "writes to the Z that it is given"),
        ("the truth filled in place", ("torch.nan_to_num(Z_true)", "Z_true.nan_to_num_()"), "writes to the Z_true that it is given"),
    ],
    "hidden values unseen": [
        ("the truth handed back", (FILLED, "guess if Z_true is None else torch.nan_to_num(Z_true)"), "difference of up to 3 in its imputation"),
        ("the truth read", ("torch.nan_to_num(Z)\n", "torch.nan_to_num(Z if Z_true is None else Z_true)\n"), "in its (imputation|states)"),
    ],
    "one window, one answer": [
        ("a mean over the batch", ("cat([values,", "cat([values - values.mean(0),"), "nothing may be computed over"),
        ("dropout that never stops", (GUESS, "ahead = torch.dropout(ahead, 0.5, True); " + GUESS), "Asked again, .* something random is left"),
    ],
    "gradients": [
        ("a layer nobody uses", (LAYER, "self.spare = nn.Linear(3, 3); " + LAYER), "does not depend on spare.weight, spare.bias"),
        ("NaN behind a where", ("torch.nan_to_num(Z_true)) ** 2", "Z_true) ** 2; errors = errors.where(known == 1, 0)"), "not finite; look"),
    ],
    "learns": [
        ("a loss upside down", ("errors = (", "errors = -("), "its error on hidden values does not"),
        ("a loss without a slope", (".clamp(min=1)", ".clamp(min=1) * 0"), "do not lower its loss"),
    ],
    "saved and loaded": [
        ("a number kept aside", (LAYER, "self.level = torch.randn(n_features); " + LAYER), "a parameter or a registered buffer"),
    ],
    "empty and full windows": [
        ("a division by nothing", (".clamp(min=1)", ""), "guard its divisions"),
        ("an answer for nothing", ("torch.cat([values,", "torch.cat([values / seen.any((1, 2), keepdim=True),"), "hold NaN or infinite values"),
    ],
}  # fmt: skip
# a second line that is needed for it
MORE = {"a number kept aside": [("torch.cat([past, future], -1))", "torch.cat([past, future], -1)) + self.level")]}


def test_the_chapters_imputer_conforms_and_prints_what_the_chapter_shows(capsys, monkeypatch):
    monkeypatch.chdir(EXAMPLE.parent.parent)
    assert cli.main(["check", "examples/mine.py:MyImputer"]) == 0
    assert capsys.readouterr().out == PRINTED.read_text()


@pytest.mark.parametrize(
    ("check", "wrong", "line", "says"),
    [(check, *case) for check, cases in BROKEN.items() for case in cases],
    ids=[f"{check}: {case[0]}" for check, cases in BROKEN.items() for case in cases],
)
def test_one_wrong_line_is_caught(tmp_path, check, wrong, line, says):
    path = changed(tmp_path, line, *MORE.get(wrong, []))
    found = {finding.name: finding for finding in check_own(f"{path}:MyImputer", 6, 4)}
    assert not found[check].kept
    assert re.search(says, found[check].sentence), found[check].sentence
    before = list(CHECKS)[: list(CHECKS).index(check)]
    assert all(found[name].kept for name in before), found  # none stumbles over it by chance


def test_its_exit_status_says_it_too(tmp_path, capsys):
    path = changed(tmp_path, ("[ahead, back]", "ahead"))
    assert cli.main(["check", f"{path}:MyImputer", "--steps", "6", "--features", "4"]) == 1
    said = capsys.readouterr().out
    assert "  NO   shapes: mine.MyImputer.forward must return its states as a list" in said
    assert said.endswith("It does not conform: 1 of 9 checks failed, 7 were not tried.\n")
    path = changed(tmp_path, ('kind = "recurrent"', "kind = []"))
    assert cli.main(["check", f"{path}:MyImputer"]) == 1


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["SAITS"], "'SAITS' is no class in a file; name one such as mine.py:MyImputer"),
        (["nowhere.py:MyImputer"], "There is no file nowhere.py"),
        (["a\0b.py:MyImputer"], "There is no file a"),
        ([f"{EXAMPLE}:Yours"], "mine.py has no class 'Yours'; it has: MyImputer"),
        ([f"{EXAMPLE}:MyImputer", "--steps", "1"], "at least 2 steps and 1 feature, but they have 1 and 12"),
        ([f"{EXAMPLE}:MyImputer", "--features", "0"], "at least 2 steps and 1 feature, but they have 48 and 0"),
    ],
)
def test_a_mistake_in_asking_is_one_sentence(arguments, says, capsys):
    assert cli.main(["check", *arguments]) == 2
    said = capsys.readouterr().err
    assert says in said and said.count("\n") == 1


def test_a_file_that_ends_python_does_not_pass_for_one_that_conforms(tmp_path, capsys):
    path = tmp_path / "ends.py"
    path.write_text(EXAMPLE.read_text(encoding="utf-8") + "\nimport sys\n\nsys.exit(0)\n", encoding="utf-8")
    assert cli.main(["check", f"{path}:MyImputer"]) == 2
    assert "ends Python when it is read" in capsys.readouterr().err


def test_every_check_has_a_broken_example():
    assert list(BROKEN) == list(CHECKS)
