"""A profile that ran no baselines is compared with those of another, on the same cohort and splits."""

from modts.study import collect


def run(profile, stage, cohort, seeds):
    return {
        "run": f"{profile}-{stage}-{cohort}",
        "profile": profile,
        "stage": stage,
        "params": {"cohort": cohort, "seeds": seeds},
    }


def test_the_baselines_with_the_fewest_further_splits_are_lent_where_there_are_none():
    mine = [
        run("small", "heads", "icu", [30, 31]),
        run("small", "heads", "air", [0]),
        run("small", "baselines", "air", [0]),
    ]
    others = [
        run("a", "baselines", "icu", [30, 31, 32, 33]),
        run("b", "baselines", "icu", [30, 31, 32]),
        run("c", "baselines", "icu", [10, 11]),
        run("d", "baselines", "air", [0, 1]),
        run("e", "heads", "icu", [30, 31]),
    ]
    assert collect._lent(mine, [*mine, *others]) == [others[1]]
    assert collect._lent(mine, [*mine, others[2]]) == []
