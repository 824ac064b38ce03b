/* Pictures one can play with: a few lines of SVG, no library. Each box holds its data as JSON; the table beside it says the same. */
(() => {
  const NS = "http://www.w3.org/2000/svg", GREY = "#595959", INK = "#222222";
  const add = (parent, name, attributes, text) => {
    const part = document.createElementNS(NS, name);
    for (const key in attributes) part.setAttribute(key, attributes[key]);
    if (text !== undefined) part.textContent = text;
    parent.append(part);
    return part;
  };
  const canvas = (stage, height, label) => {
    stage.textContent = "";
    const width = Math.max(300, Math.min(720, stage.clientWidth || 720));
    const svg = add(stage, "svg", {viewBox: `0 0 ${width} ${height}`, width, height, role: "img", "aria-label": label});
    return [svg, width];
  };
  const table = (box, head, rows) => {
    const cell = (text, tag, label) => {
      const part = document.createElement(tag);
      part.textContent = text;
      if (label) part.dataset.label = label;
      if (tag === "th") part.scope = label === undefined ? "col" : "row";
      return part;
    };
    const whole = box.querySelector("table"), top = document.createElement("thead"), body = document.createElement("tbody");
    const line = document.createElement("tr");
    line.append(...head.map(text => cell(text, "th")));
    top.append(line);
    for (const row of rows) {
      const one = document.createElement("tr");
      one.append(...row.map((text, i) => cell(text, i ? "td" : "th", i ? head[i] : "")));
      body.append(one);
    }
    whole.replaceChildren(top, body);
  };
  const ticks = (low, high) => {
    const step = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200].find(one => (high - low) / one <= 6) || 500;
    const out = [];
    for (let value = Math.ceil(low / step) * step; value <= high + 1e-9; value += step) out.push(Number(value.toFixed(6)));
    return out;
  };
  const axis = (svg, x, values, top, bottom, title) => {
    for (const value of values) {
      add(svg, "line", {x1: x(value), x2: x(value), y1: top, y2: bottom, stroke: "#e4e4e4"});
      add(svg, "text", {x: x(value), y: bottom + 16, "text-anchor": "middle", "font-size": 11.5, fill: INK}, value);
    }
    add(svg, "text", {x: (x(values[0]) + x(values[values.length - 1])) / 2, y: bottom + 34, "text-anchor": "middle", "font-size": 12, fill: INK}, title);
  };
  const mark = (svg, kind, x, y, colour) => {
    const r = 4.2, at = points => points.map(([a, b]) => `${x + a * r},${y + b * r}`).join(" ");
    const shapes = {
      o: () => add(svg, "circle", {cx: x, cy: y, r, fill: colour}),
      s: () => add(svg, "rect", {x: x - r, y: y - r, width: 2 * r, height: 2 * r, fill: colour}),
      D: () => add(svg, "polygon", {points: at([[0, -1.3], [1.1, 0], [0, 1.3], [-1.1, 0]]), fill: colour}),
      "^": () => add(svg, "polygon", {points: at([[0, -1.2], [1.1, 0.9], [-1.1, 0.9]]), fill: colour}),
      v: () => add(svg, "polygon", {points: at([[0, 1.2], [1.1, -0.9], [-1.1, -0.9]]), fill: colour}),
      x: () => add(svg, "path", {d: `M${x - r},${y - r}L${x + r},${y + r}M${x - r},${y + r}L${x + r},${y - r}`, stroke: colour, "stroke-width": 2}),
      "+": () => add(svg, "path", {d: `M${x - r},${y}L${x + r},${y}M${x},${y - r}L${x},${y + r}`, stroke: colour, "stroke-width": 2}),
      "*": () => add(svg, "polygon", {points: at([...Array(10).keys()].map(i => [i % 2 ? 0.5 : 1.4].map(far => [far * Math.sin(i * Math.PI / 5), -far * Math.cos(i * Math.PI / 5)])[0])), fill: colour}),
      P: () => add(svg, "path", {d: `M${x - r},${y}L${x + r},${y}M${x},${y - r}L${x},${y + r}`, stroke: colour, "stroke-width": 3.4}),
      d: () => add(svg, "polygon", {points: at([[0, -1.3], [0.7, 0], [0, 1.3], [-0.7, 0]]), fill: colour}),
      "<": () => add(svg, "polygon", {points: at([[-1.2, 0], [0.9, -1.1], [0.9, 1.1]]), fill: colour}),
    };
    (shapes[kind] || shapes.o)();
  };
  const number = value => value === null ? "–" : value.toFixed(3);

  const draw = {
    dots(box, data, chosen) {
      const here = data.rows.filter(row => row[0] === chosen.metric && row[1] === chosen.share && (row[3].startsWith("baseline") || !chosen.backbone || row[2] === chosen.backbone));
      const wanted = Object.keys(data.arms).filter(arm => chosen.arm === "all" || (chosen.arm === "usual" ? data.arms[arm][3] : arm === chosen.arm));
      const rows = here.filter(row => wanted.includes(row[3])), baselines = here.filter(row => row[3].startsWith("baseline"));
      const [title, higher] = data.metrics[chosen.metric], names = data.backbones.filter(name => rows.some(row => row[2] === name));
      const all = [...rows, ...baselines].flatMap(row => [row[4], row[5], row[6]]).filter(value => value !== null);
      const step = 14, left = 96, top = 12, each = Math.max(26, step * wanted.length + 8), many = box.clientWidth < 480 ? 1 : 2, legend = 20 * Math.ceil((wanted.length + baselines.length) / many);
      const bottom = top + each * names.length, label = `${title} on ${data.title} by network`;
      const [svg, width] = canvas(box.querySelector(".stage"), bottom + 48 + legend, label);
      const low = Math.min(...all), high = Math.max(...all), x = value => left + (value - low) / (high - low || 1) * (width - left - 20);
      axis(svg, x, ticks(low, high), top, bottom, `${title} (${higher ? "higher" : "lower"} is better)`);
      baselines.forEach((row, i) => add(svg, "line", {x1: x(row[4]), x2: x(row[4]), y1: top, y2: bottom, stroke: INK, "stroke-dasharray": i ? "2 3" : "6 3"}));
      names.forEach((name, i) => {
        add(svg, "text", {x: left - 8, y: top + each * (i + 0.5) + 4, "text-anchor": "end", "font-size": 12, fill: INK}, name);
        wanted.forEach((arm, j) => {
          const row = rows.find(one => one[2] === name && one[3] === arm), y = top + each * i + each / 2 + step * (j - (wanted.length - 1) / 2);
          if (!row) return;
          if (row[5] !== null) add(svg, "line", {x1: x(row[5]), x2: x(row[6]), y1: y, y2: y, stroke: data.arms[arm][1], "stroke-width": 1.5});
          mark(svg, data.arms[arm][2], x(row[4]), y, data.arms[arm][1]);
        });
      });
      [...wanted.map(arm => data.arms[arm]), ...baselines.map((row, i) => [row[2], INK, i ? "2 3" : "6 3"])].forEach(([words, colour, kind], i) => {
        const at = 20 + (i % many) * (width / 2), y = bottom + 54 + 20 * Math.floor(i / many);
        if (kind.includes(" ")) add(svg, "line", {x1: at - 7, x2: at + 7, y1: y, y2: y, stroke: colour, "stroke-dasharray": kind}); else mark(svg, kind, at, y, colour);
        add(svg, "text", {x: at + 12, y: y + 4, "font-size": 12, fill: INK}, words);
      });
      table(box, ["Network", "Way", title, "from", "to"], [...rows, ...baselines].map(row => [row[3].startsWith("baseline") ? row[2] : row[2], row[3].startsWith("baseline") ? "baseline" : data.arms[row[3]][0], ...row.slice(4).map(number)]));
      const some = (n, word) => `${n} ${word}${n === 1 ? "" : "s"}`;
      return `${some(rows.length, "score")} and ${baselines.length ? some(baselines.length, "baseline") : "no baseline at this share of the labels"}. ${label}.`;
    },
    gaps(box, data, chosen) {
      const field = box.querySelector("select[name=rate]"), fixed = data.made[chosen.mechanism];  // as on a ward nobody chooses how many
      field.disabled = Boolean(fixed);
      const made = fixed || data.made[`${chosen.mechanism}|${field.value}`], hours = made.mask[0].length, left = 104, cell = 13, top = 22;
      const names = Object.keys(made.errors), bars = top + cell * made.mask.length + 62;
      const [svg, width] = canvas(box.querySelector(".stage"), bars + 22 * names.length + 66, `Mask of one stay, and the errors of ${names.length} imputers`);
      const wide = (width - left - 12) / hours;
      add(svg, "text", {x: left, y: 12, "font-size": 12, "font-weight": 600, fill: INK}, "One stay: dark where measured");
      made.mask.forEach((line, i) => {
        add(svg, "text", {x: left - 6, y: top + cell * i + 10, "text-anchor": "end", "font-size": 10.5, fill: INK}, data.variables[i]);
        [...line].forEach((seen, t) => add(svg, "rect", {x: left + wide * t, y: top + cell * i, width: wide - 0.6, height: cell - 1, fill: seen === "1" ? "#0072B2" : "#ececec"}));
      });
      add(svg, "text", {x: left + wide * hours / 2, y: top + cell * made.mask.length + 14, "text-anchor": "middle", "font-size": 11.5, fill: INK}, "hour");
      const most = Math.max(1, ...Object.values(made.errors).flat()), x = value => left + value / most * (width - left - 20);
      add(svg, "text", {x: width < 480 ? 6 : left, y: bars - 12, "font-size": 12, "font-weight": 600, fill: INK}, "Error: circle on hidden values, diamond in the gaps");
      axis(svg, x, ticks(0, most), bars, bars + 22 * names.length, "in standard deviations");
      names.forEach((name, i) => {
        const y = bars + 22 * i + 11, [hidden, real] = made.errors[name];
        add(svg, "text", {x: left - 6, y: y + 4, "text-anchor": "end", "font-size": 10.5, fill: INK}, name.replace(" (a small network)", "").replace("Linear interpolation", "Interpolation"));
        add(svg, "line", {x1: x(hidden), x2: x(real), y1: y, y2: y, stroke: "#9a9a9a", "stroke-width": 1.5});
        add(svg, "circle", {cx: x(hidden), cy: y, r: 5, fill: "#fff", stroke: "#0072B2", "stroke-width": 2});
        mark(svg, "D", x(real), y, "#D55E00");
      });
      table(box, ["Imputer", "Error on hidden values", "Error in the gaps"], names.map(name => [name, ...made.errors[name].map(number)]));
      return `${made.missing} % of all cells are missing${fixed ? "; here how sick the patients are decides how many, and nothing is to choose" : ""}.`;
    },
    window(box, data, chosen) {
      const stay = data.stays[chosen.stay], f = Number(chosen.variable), seen = stay.seen[f], truth = stay.truth[f], filled = stay.filled[chosen.imputer][f];
      const left = 52, top = 12, bottom = 230, words = `${data.variables[f]}, ${data.units[f]}`;
      const [svg, width] = canvas(box.querySelector(".stage"), bottom + 66, `${words}, by hour: measured, filled and true values`);
      const values = [...truth, ...filled].filter(value => value !== null), low = Math.min(...values), high = Math.max(...values);
      const x = t => left + t / (truth.length - 1) * (width - left - 16), y = value => bottom - (value - low) / (high - low || 1) * (bottom - top);
      for (const value of ticks(low, high)) {
        add(svg, "line", {x1: left, x2: width - 16, y1: y(value), y2: y(value), stroke: "#e4e4e4"});
        add(svg, "text", {x: left - 6, y: y(value) + 4, "text-anchor": "end", "font-size": 11.5, fill: INK}, value);
      }
      for (let t = 0; t < truth.length; t += 12) add(svg, "text", {x: x(t), y: bottom + 18, "text-anchor": "middle", "font-size": 11.5, fill: INK}, t);
      add(svg, "text", {x: (left + width) / 2, y: bottom + 36, "text-anchor": "middle", "font-size": 12, fill: INK}, `hour; ${words}`);
      const path = line => line.map((value, t) => value === null ? "" : `${t && line[t - 1] !== null ? "L" : "M"}${x(t)},${y(value)}`).join("");
      add(svg, "path", {d: path(truth), fill: "none", stroke: "#b5b5b5", "stroke-width": 1.5});
      add(svg, "path", {d: path(filled), fill: "none", stroke: "#D55E00", "stroke-width": 1.8, "stroke-dasharray": "5 3"});
      seen.forEach((value, t) => { if (value !== null) mark(svg, "o", x(t), y(value), "#0072B2"); });
      [["measured", "#0072B2", "o"], ["filled", "#D55E00", "5 3"], ["what really happened", "#b5b5b5", "1 0"]].forEach(([text, colour, kind], i) => {
        const at = (width < 480 ? 14 : left) + i * 84;
        if (kind === "o") mark(svg, "o", at, bottom + 54, colour); else add(svg, "line", {x1: at - 8, x2: at + 8, y1: bottom + 54, y2: bottom + 54, stroke: colour, "stroke-width": 2, "stroke-dasharray": kind});
        add(svg, "text", {x: at + 12, y: bottom + 58, "font-size": 12, fill: INK}, text);
      });
      const off = truth.map((value, t) => seen[t] === null && filled[t] !== null ? Math.abs(value - filled[t]) : null).filter(value => value !== null);
      table(box, ["Hour", "Measured", "Filled", "True"], truth.map((value, t) => [t, seen[t] ?? "–", filled[t] ?? "–", value]));
      return `${seen.filter(value => value !== null).length} of ${truth.length} hours were measured; in the gaps ${chosen.imputer} is off by ${off.length ? (off.reduce((a, b) => a + b) / off.length).toFixed(2) : "0"} ${data.units[f]} on average.`;
    },
  };

  const start = () => {
    for (const box of document.querySelectorAll(".modts-play[hidden]")) {
      const data = JSON.parse(box.querySelector("script").textContent), form = box.querySelector("form");
      const show = () => {
        box.querySelector(".said").textContent = draw[box.dataset.kind](box, data, Object.fromEntries(new FormData(form)));
      };
      box.hidden = false;
      const still = box.previousElementSibling;
      if (still && still.classList.contains("modts-still")) still.hidden = true;
      form.addEventListener("change", show);
      box.closest("details")?.addEventListener("toggle", show);
      window.addEventListener("resize", show);
      show();
    }
  };
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start); else start();
})();
