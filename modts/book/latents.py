"""The pieces of the chapter "How an imputer's latent looks"."""

from __future__ import annotations

from modts import runs

from . import fragments
from . import latents_numbers as numbers
from . import latents_plots as plots
from .learn import draw, folded, output
from .results import Results
from .tables import Cell, Table, interval, number, signed

CELLS = ("raw", "mask", "z-scores", "states", "one-hour", "latent", "risk-score", "map")


def way(found: Results) -> str:
    """One stay through the predictor."""
    made, (_, cohort) = numbers.steps(), numbers.lesson()
    seen = int(made.seen[:, cohort.features.index("Lactate")].sum())
    return draw(
        plots.way,
        "learn-way",
        f"Six panels for one simulated stay. Raw: pulse and blood pressure at most hours, lactate at {seen} hours, late ones. Mask: which cells "
        "were measured. z-scores: the same cells in colours, missing ones grey. States: a map of 128 units over 48 hours, which "
        "changes smoothly; the last column of its upper half and the first of its lower half are framed. Latent: 128 "
        "numbers as a block of colours. Risk score: all test stays on a line by outcome, "
        f"this one at {made.chance:.2f}, far to the right.",
        "One stay on its way through a frozen imputer (BRITS, small, pretrained as in the quick profile) and its head. The raw values have a "
        "logarithmic axis. Of the states, the upper half read forward in time, so its last state is at the right edge; the lower half read "
        "backward, and its last is at the left edge. Both are framed: they are the latent. Its layout means nothing.",
    )


def plane(found: Results) -> str:
    """The map of latents."""
    goes, (_, shares) = numbers.along(), numbers.plane()
    words = (
        f"The two directions hold {100 * sum(shares):.0f} % of what varies between stays. The first goes with how much was measured "
        f"(rank correlation {goes['measured']:.2f}) and with how sick the patient really was ({goes['severity']:.2f}). Alone, "
        f"as a score of risk, it has an AUROC of {goes['auroc']:.2f}.\n\n"
    )
    picture = draw(
        plots.plane,
        "learn-plane",
        f"The same cloud of {len(numbers.plane()[0])} test stays twice. Left, those who died lie mostly to the right but mixed with those who "
        "survived. Right, the colour changes evenly from dark on the left, where little was measured, to bright on the right, where much was.",
        "Each dot is a test stay, placed by its latent alone. The imputer saw no outcome.",
    )
    return words + picture


def readings(found: Results) -> str:
    """What can be read off a latent by a straight line."""
    rows = numbers.readings()

    def one(source, what):
        row = rows[(rows["source"] == source) & (rows["read"] == what)].iloc[0]
        return f"{number(row['value'], 2)} ({interval(row['low'], row['high'], 2)})"

    drawn = rows.set_index(["source", "read"])["value"]
    ahead = "more" if drawn["statistics", "severity"] > drawn["pretrained", "severity"] else "less"
    sick, much = (numbers.learnt().set_index("read").loc[what] for what in ("severity", "measured"))
    value, low, high = numbers.head_auroc()

    def minus(row):
        return f"{signed(row['value'], 2)} ({signed(row['low'], 2)} to {signed(row['high'], 2)})"

    words = fragments.bullets(
        [
            f"How sick patients really were: of the differences, a straight line on pretrained latents explains a share of "
            f"{one('pretrained', 'severity')}, on untrained ones {one('untrained', 'severity')}. The difference on the same stays is "
            f"{minus(sick)}.",
            f"Untrained networks with other random weights reach {number(sick['from'], 2)} to {number(sick['to'], 2)}, nearly as much as the "
            "pretrained one. How much of its lead was learnt, one pretrained network and so few stays cannot tell.",
            f"Plain statistics of the same window explain {one('statistics', 'severity')}: {ahead} than the latent does.",
            f"How much was measured: pretrained {one('pretrained', 'measured')}, untrained {one('untrained', 'measured')}, a difference of "
            f"{minus(much)}. No training is needed for that.",
            f"The head of this chapter reaches an AUROC of {value:.2f} ({interval(low, high, 2)}) on the test stays. The true risk, which "
            f"no model sees, itself reaches {numbers.true_auroc():.2f} on these stays.",
        ]
    )
    table = Table(
        "Share of variance explained in the test stays by a ridge regression fitted on the training stays",
        ["Read off", *(text[0].upper() + text[1:] for text in numbers.READ.values())],
        [
            [
                text[0].upper() + text[1:],
                *(
                    Cell(number(row["value"], 2), interval(row["low"], row["high"], 2))
                    for _, row in rows[rows["source"] == source].iterrows()
                ),
            ]
            for source, text in numbers.FROM.items()
        ],
    )
    picture = draw(
        lambda narrow: plots.readings(rows, narrow),
        "learn-readings",
        f"Dot plot of variance explained. How much was measured: statistics at one, both latents near {one('pretrained', 'measured')}. How "
        f"sick in truth: pretrained {one('pretrained', 'severity')}, untrained {one('untrained', 'severity')}, statistics "
        f"{one('statistics', 'severity')}.",
        "What a straight line reads off a stay. Only the simulation knows the truth that is read here.",
    )
    return words + picture + folded("The values in a table", "learn-readings", rows, table)


def made(found: Results) -> str:
    """Where the chapter's file comes from, from its card."""
    card = runs.read_json(runs.root() / "book" / "data" / "lesson.safetensors.json")
    past = card["backbone"]["past"][0]
    line, own = past["rivals"]["Linear interpolation"], past["validation"]
    return (
        f"The file holds {card['backbone']['name']}, pretrained for {past['epochs']} epochs on {past['windows']} windows "
        f"(`{card['made_by']}`, profile {card['profile']}, weights "
        f"`{card['backbone']['weights_hash']}`). So short a training makes no good imputer: its "
        f"error on hidden validation values is {own:.2f} standard deviations, that of a straight line {line:.2f}. Its head has no weight decay "
        "and was best on the validation stays after its first few steps; the heads behind the results choose among several decays there.\n"
    )


PIECES = {
    "learn-way": way,
    "learn-plane": plane,
    "learn-readings": readings,
    "learn-made": made,
    **{f"learn-cell-{name}": output("latents", name) for name in CELLS},
}
