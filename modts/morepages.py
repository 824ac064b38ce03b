"""The generated parts of the other pages: front, imputation, transfer, latency, data sets, claims, status."""

from __future__ import annotations

import html
import json

import pandas as pd

from modts import diagram, figures, fragments, prose, tables, verdicts
from modts.pages import POINT, SINGLE, alt, at, beside_ours, blocks, for_figure, fractions, labels_words, setting
from modts.results import Results, device
from modts.tables import Cell, Table


def pieces(found: Results) -> dict[str, str]:
    """Name of each piece and its Markdown."""
    return {
        "front": front(found), "flow": flow(), "imputation": imputation(found), "transfer": transfer(found),
        "latency": latency(found), "cohorts": cohorts(found), "claims": claims(found), "status": status(found),
    }


def front(found: Results) -> str:
    """Three sentences and one picture."""
    out = [fragments.bullets(prose.front(found))]
    rows, _ = prose.front_rows(found)
    rows = for_figure(rows[rows["source"] == ""])
    if len(rows[rows["arm"] != "baseline"]):
        title = found.title(rows["cohort"].iloc[0])
        panels = [(f"{tables.percent(value)} of the labels", at(rows, value)) for value in fractions(rows)]
        out.append(fragments.picture(figures.save(
            lambda narrow: figures.dots(panels, "auroc", narrow), "front", alt(title, rows, "auroc"),
            f"AUROC on {title}: six backbones, each trained in several ways, with 95 % intervals; vertical lines are "
            "simple models on summary statistics.", fragments.out_dir())))
    return "\n".join(out)


def flow() -> str:
    """The picture of the method."""
    return fragments.picture(figures.save(diagram.flow, "flow", diagram.ALT, diagram.CAPTION, fragments.out_dir()))


def imputation(found: Results) -> str:
    """Error on values hidden on purpose, in z-scores: backbones and simple methods, beside TSI-Bench's figures."""
    rows = found.summary[found.summary["task"] == "imputation"]
    if rows.empty:
        return fragments.note("No imputation result has been stored yet. `make book` makes the quick ones.")
    out, others = [], fragments.peers()
    others = others[(others["task"] == "imputation") & (others["metric"] == "mae")]
    for key, part in blocks(rows):
        title, stem = found.title(key[0]), f"imputation-{'-'.join(key).lower()}"
        shown = part[(part["metric"] == "mae") & part["pattern"].isin(["", "point"])]
        theirs = others[others["cohort"] == key[0]]
        out += [f"## {title}\n", setting(found, key, part), fragments.bullets(_beside_interpolation(shown, title))]
        if len(shown[shown["arm"] != "baseline"]):
            out.append(fragments.picture(figures.save(
                lambda narrow, shown=shown, theirs=theirs, title=title: figures.dots(
                    [(title, shown)], "mae", narrow, theirs if len(theirs) else None, {"frozen": "Here"}),
                stem, alt(title, shown, "mae"),
                f"Mean absolute error on hidden values of {title}, in standard deviations of each feature; vertical lines "
                "are simple methods." + (" Hollow stars: TSI-Bench." if len(theirs) else ""), fragments.out_dir())))
        made = [_imputation_table(part, title, theirs)]
        out += [fragments.raw(table.html()) for table in made]
        out += [fragments.downloads(stem, part, made), fragments.how_made(list(part["run"]), found.runs)]
    return "\n".join(out)


def _beside_interpolation(rows: pd.DataFrame, title: str) -> list[str]:
    line, models = rows[rows["backbone"] == "Linear interpolation"], rows[rows["arm"] != "baseline"]
    if line.empty or models.empty:
        return []
    ahead = int((models["value"] < line["value"].iloc[0]).sum())
    best = models.loc[models["value"].idxmin()]
    return [f"{ahead} of {len(models)} backbones have a lower mean error on {title} than linear interpolation, "
            f"{verdicts.said(line.iloc[0])}; the lowest is {best['backbone']}, {verdicts.said(best)}."]


def _imputation_table(rows: pd.DataFrame, title: str, theirs: pd.DataFrame) -> Table:
    methods = [name for name in tables.BACKBONES] + list(
        dict.fromkeys(rows[rows["arm"] == "baseline"]["backbone"]))
    columns = [(pattern, metric) for pattern in dict.fromkeys(rows["pattern"]) for metric in ("mae", "mse")]
    best = {key: tables.clear_winner(rows[(rows["pattern"] == key[0]) & (rows["metric"] == key[1])], key[1])
            for key in columns}
    body = []
    for name in methods:
        line: list[Cell | str] = [name]
        for pattern, metric in columns:
            cell = rows[(rows["backbone"] == name) & (rows["pattern"] == pattern) & (rows["metric"] == metric)]
            line.append(tables.value_cell(cell.iloc[0] if len(cell) else None, best[pattern, metric]))
        if len(theirs):
            value = theirs[theirs["model"] == name]
            line.append(Cell(f"{value['value'].iloc[0]:.3f}", title=value["note"].iloc[0]) if len(value)
                        else Cell("–", absent=True))
        body.append(line)
    header = ["Method", *(f"{tables.METRIC_NAMES[metric]}{f', {pattern}' if pattern else ''}" for pattern, metric in columns)]
    remarks = "; ".join(dict.fromkeys(value for value in theirs["note"] if value)) if len(theirs) else ""
    return Table(f"Imputation error on hidden values, {title}, in standard deviations."
                 + (f" TSI-Bench: Du et al., arXiv 2406.12747, MAE at 10 % point missing ({remarks})." if remarks else
                    " TSI-Bench: Du et al., arXiv 2406.12747, MAE at 10 % point missing." if len(theirs) else ""),
                 header + (["TSI-Bench MAE"] if len(theirs) else []), body,
                 {len(tables.BACKBONES): "Simple methods"} if len(methods) > len(tables.BACKBONES) else {})


def transfer(found: Results) -> str:
    """Native, transferred and from scratch, side by side for each pair of cohorts."""
    rows = found.summary
    out = []
    moved = rows[(rows["arm"] == "transfer") | (rows["source"] != "")]
    for key, part in blocks(moved[moved["pattern"].isin(POINT)]):
        for source, pair in part.groupby("source", sort=False):
            metric = "auroc" if (pair["metric"] == "auroc").any() else "mae"
            same = rows[(rows["cohort"] == key[0]) & (rows["profile"] == key[1]) & (rows["device"] == key[2])
                        & (rows["source"] == "") & rows["pooling"].isin(SINGLE) & (rows["task"] == pair["task"].iloc[0])
                        & (rows["backbone"].isin(pair["backbone"]) | (rows["arm"] == "baseline"))
                        & rows["arm"].isin(["frozen", "e2e", "untrained", "baseline"])]
            shares = fractions(pair)
            same = same[same["label_fraction"].isin(shares) & same["pattern"].isin(POINT)]
            identity = ["backbone", "arm", "head", "pooling", "label_fraction", "metric"]
            pair = pd.concat([pair, same]).drop_duplicates(identity).reset_index(drop=True)
            title = f"{found.title(source)} → {found.title(key[0])}"
            stem = f"transfer-{source}-{'-'.join(key)}".lower()
            out += [f"## {title}\n", setting(found, key, pair), fragments.bullets(_overlap(found, source, key[0]))]
            shown = for_figure(pair[pair["metric"] == metric])
            if len(shown[shown["arm"] != "baseline"]):
                panels = [(f"{tables.percent(value)} of labels" if not pd.isna(value) else "All labels", at(shown, value))
                          for value in shares]
                out.append(fragments.picture(figures.save(
                    lambda narrow, panels=panels, metric=metric: figures.dots(panels, metric, narrow), stem,
                    alt(title, shown, metric), f"{tables.METRIC_NAMES[metric]} on {found.title(key[0])} with a backbone "
                    f"from {found.title(source)}, beside native ones.", fragments.out_dir())))
            made = [tables.grid(at(pair, value), metric, f"{tables.METRIC_NAMES[metric]}, {title}{labels_words(value)}",
                                found.paired) for value in shares]
            out += [fragments.raw(table.html()) for table in made]
            out += [fragments.downloads(stem, pair, made), fragments.how_made(list(pair["run"]), found.runs)]
        out.append(beside_ours("transfer", key[0], found.title(key[0]), ("auroc",)))
    return "\n".join(out) or fragments.note("No transfer between cohorts has been stored yet.")


def _overlap(found: Results, source: str, target: str) -> list[str]:
    """What the two cohorts share, as the transfer runs reported it."""
    for record in found.runs.values():
        params = record.get("params", {})
        if record.get("stage") == "transfer" and params.get("source") == source and params.get("cohort") == target:
            report = record.get("overlap") or record.get("alignment") or {}
            report = report.get("report", report)
            return [f"{str(name).replace('_', ' ').capitalize()}: {_plain(value)}." for name, value in report.items()
                    if isinstance(value, (int, float, str, list)) and value != []]
    return []


def _plain(value) -> str:
    if isinstance(value, list):
        return ", ".join(_plain(part) for part in value)
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def latency(found: Results) -> str:
    """From raw window to prediction, stage by stage, modular and end to end."""
    rows, ratios = found.latency, verdicts.latency_ratios(found)
    if rows.empty:
        return fragments.note("No latency has been measured yet. `make book` measures it on this machine.")
    rows = rows.assign(device=[device(text) for text in rows["hardware"]])
    out = []
    for key, part in blocks(rows):
        title, stem = found.title(key[0]), f"latency-{'-'.join(key).lower()}"
        near = ratios[(ratios["cohort"] == key[0]) & (ratios["profile"] == key[1])]
        total = part[part["stage"] == "total"]
        ends = sorted({total["batch"].min(), total["batch"].max()})
        out += [f"## {title}\n", f"[profile {key[1]}]{{.modts-badge}} [{key[2]}]{{.modts-badge}} "
                f"{'; '.join(sorted(set(part['hardware'])))}; warm, {part['repeats'].min():.0f} or more repeats.\n"]
        sentences = [f"End to end takes {near[near['batch'] == batch]['ratio'].min():.2f} to "
                     f"{near[near['batch'] == batch]['ratio'].max():.2f} times as long as modular at batch {batch:g}."
                     for batch in ends if len(near[near["batch"] == batch])]
        out.append(fragments.bullets(sentences))
        out.append(fragments.picture(figures.save(
            lambda narrow, total=total: figures.latency(total, narrow), stem,
            f"Lines of milliseconds a window against batch size on {title}, one panel a backbone, modular and end to end. "
            f"{' '.join(sentences)}", f"Median time a window on {title}, bars up to the 99th percentile; both axes are "
            "logarithmic.", fragments.out_dir())))
        made = [_total_table(total, ends, title), _stage_table(part, ends[0], title)]
        out += [fragments.raw(table.html()) for table in made]
        out += [fragments.downloads(stem, part, made), fragments.how_made(list(part["run"]), found.runs)]
    return "\n".join(out)


def _milliseconds(rows: pd.DataFrame) -> Cell:
    if rows.empty:
        return Cell(tables.NOT_RUN, absent=True)
    row = rows.iloc[0]
    return Cell(f"{row['p50_ms']:.3g}", f"p99 {row['p99_ms']:.3g}", title=f"run {row['run']}")


def _total_table(total: pd.DataFrame, batches: list[float], title: str) -> Table:
    arms = [arm for arm in ("frozen", "e2e", "e2e_shipped") if (total["arm"] == arm).any()]
    words = {"frozen": "Modular", "e2e": "End to end", "e2e_shipped": "As shipped"}
    body = [[name, *(_milliseconds(total[(total["backbone"] == name) & (total["arm"] == arm) & (total["batch"] == batch)])
                     for batch in batches for arm in arms)] for name in tables.BACKBONES]
    return Table(f"Raw window to prediction, milliseconds a batch, median and 99th percentile, {title}",
                 ["Backbone", *(f"{words[arm]}, batch {batch:g}" for batch in batches for arm in arms)], body)


def _stage_table(part: pd.DataFrame, batch: float, title: str) -> Table:
    stages = list(dict.fromkeys(part["stage"]))
    part = part[(part["arm"] == "frozen") & (part["batch"] == batch)]
    body = [[name, *(_milliseconds(part[(part["backbone"] == name) & (part["stage"] == stage)]) for stage in stages)]
            for name in tables.BACKBONES]
    return Table(f"Modular, stage by stage, milliseconds at batch {batch:g}, {title}",
                 ["Backbone", *(stage.capitalize() for stage in stages)], body)


def cohorts(found: Results) -> str:
    """The data sets that stored results come from."""
    if not found.cohorts:
        return fragments.note("No cohort has been described yet. `make book` describes the embedded ones.")
    order = sorted(found.cohorts.values(), key=lambda row: (row["name"].startswith("simulated"), row["name"]))
    body = []
    for row in order:
        target = row.get("target", "") + (f" [{row['target_unit']}]" if row.get("target_unit") else "")
        share = (f"{100 * row['prevalence']:.1f} % positive" if row.get("prevalence") is not None else
                 f"mean {tables.number(row.get('target_mean'), 2)}, s.d. {tables.number(row.get('target_std'), 2)}")
        body.append([row.get("title", row["name"]), f"{row['n']:,}",
                     " / ".join(f"{row.get(name, 0):,}" for name in ("train", "val", "test")), row.get("split_by", ""),
                     f"{row['n_steps']} × {row['n_features']}", f"{100 * row['missing_rate']:.1f} %",
                     Cell(target, share)])
    table = Table("Windows, splits (split seed 0), size, share of missing cells, and target of every cohort behind the results",
                  ["Cohort", "Windows", "Train / val / test", "Split by", "Steps × features", "Missing", "Target"], body)
    out = [fragments.raw(table.html()), fragments.downloads("cohorts", _flat(order), [table])]
    for row in order:
        source = html.escape(str(row.get("source", "")))
        source = f"<{row['source']}>" if source.startswith("http") else source
        out.append(f"## {row.get('title', row['name'])}\n\n`modts.load_cohort(\"{row['name']}\")`\n")
        out.append(fragments.bullets([f"Licence: {row.get('licence', '')}", f"Cite: {row.get('citation', '')}",
                                      *([f"Source: {source}"] if source else []),
                                      f"Content hash: `{str(row.get('content_hash', ''))[:16]}`",
                                      *(f"{str(name).replace('_', ' ').capitalize()}: {_note(value)}"
                                        for name, value in (row.get("notes") or {}).items())]))
    return "\n".join(out)


def _note(value) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return value if isinstance(value, str) else f"`{json.dumps(value)}`"


def _flat(rows: list[dict]) -> pd.DataFrame:
    return pd.json_normalize([{key: value for key, value in row.items() if key not in ("features", "units", "notes")}
                              for row in rows])


def claims(found: Results) -> str:
    """The paper's claims, each with the verdict of our rows."""
    outcome = verdicts.verdicts(found)
    kinds = {verdicts.AGREES: "agrees", verdicts.DIFFERS: "differs", verdicts.PARTLY: "partly", verdicts.NOISE: "noise",
             verdicts.CANNOT_TELL: "noise"}
    tested = [one for one in outcome if one.word != verdicts.UNTESTED]
    lines = [f"{prose.count(len(tested)).capitalize()} of the {prose.count(len(outcome))} claims have been tested so far.\n"]
    for one in outcome:
        kind = kinds.get(one.word, "untested")
        lines.append(f":::{{div}} modts-claim\n**{one.id}.** {one.claim}\n\n"
                     f"[{one.word}]{{.modts-verdict .modts-{kind}}} {one.found}\n:::\n")
    rows = pd.DataFrame([{"id": one.id, "claim": one.claim, "verdict": one.word, "found": one.found,
                          "runs": ",".join(one.runs)} for one in outcome])
    lines += [fragments.downloads("claims", rows, []),
              fragments.how_made([run for one in outcome for run in one.runs], found.runs, "status.html")]
    return "\n".join(lines)


def status(found: Results) -> str:
    """When, where and with what every stored run was made."""
    if not found.runs:
        return fragments.note("No run has been stored yet.")
    out = []
    for profile in sorted({record.get("profile", "") for record in found.runs.values()}):
        records = [record for record in found.runs.values() if record.get("profile", "") == profile]
        out.append(f"## Profile {profile}\n")
        minutes = sum(record.get("seconds") or 0 for record in records) / 60
        out.append(f"{len(records)} runs, {minutes:.0f} minutes of computing in all.\n")
        kinds: dict[str, int] = {}
        for record in records:
            words = ", ".join(f"{name} {version}" for name, version in record.get("packages", {}).items())
            kinds[words] = kinds.get(words, 0) + 1
        machines = sorted({str(record.get("hardware", "")) for record in records})
        out.append(fragments.bullets([*(f"{number} runs with {words}" for words, number in kinds.items()),
                                      *(f"On {machine}" for machine in machines)]))
        many = len(machines) > 1
        body = []
        for record in sorted(records, key=lambda record: record["run"]):
            body.append(
                f'<tr id="{fragments.anchor(record["run"])}"><th scope="row">{html.escape(record["run"])}</th>'
                f"<td>{html.escape(str(record.get('started', '')).replace('T', ' ').replace('Z', ' UTC'))}</td>"
                f"<td>{(record.get('seconds') or 0):,.0f} s</td><td>{record.get('peak_memory_mb') or '–'} MB</td>"
                f"<td><code>{html.escape(str(record.get('code_version', '')))}</code></td>"
                f"<td>{html.escape(record['place'])}</td>"
                + (f"<td>{html.escape(str(record.get('hardware', '')))}</td></tr>" if many else "</tr>"))
        head = "".join(f'<th scope="col">{name}</th>' for name in
                       ("Run", "Started", "Took", "Memory", "Code", "From", *(["Hardware"] if many else [])))
        out.append(fragments.raw(
            f'<div class="modts-table modts-status" role="region" tabindex="0" aria-label="Runs of profile {profile}"><table>'
            f"<thead><tr>{head}</tr></thead><tbody>" + "\n".join(body) + "</tbody></table></div>"))
    return "\n".join(out)
