// The page's own script, behind the libraries: draws the charts, and lets one chosen scheme be chosen everywhere.
(() => {
  "use strict";
  const drawn = new Map(), texts = new Map();  // figure → its view, and its specification
  const switches = document.querySelector("form.switches");
  const lists = new Map();  // section → how its table of trials is shown
  const between = new Map();  // section → the rates that are dragged across in it
  let chosen = null;

  const unit = () => switches.elements.unit ? switches.elements.unit.value : "";
  const LINES = { learning_curves: [null, "score_then"], parallel: ["at", "place"] };  // across: null is the cost
  const RATES = ["lr", "factor", "rate", "shown", "product", "x", "y"];  // drawn over decades, whatever costs are

  function scaled(spec) {  // with costs on linear axes, where the reader asks for them
    if (switches.elements.axes.value !== "linear") return spec;
    return JSON.parse(JSON.stringify(spec), (_, one) => {
      if (!one || !one.scale || one.scale.type !== "log" || RATES.includes(one.field)) return one;
      const { values, ...axis } = one.axis || {};
      const format = unit() === "flops" ? "~s" : ",~f";
      return { ...one, axis: { ...axis, format }, scale: { ...one.scale, type: "linear", zero: false, nice: true, padding: 8 } };
    });
  }

  function fitted(spec, room) {  // small charts side by side, as many as there is room for
    if (!spec.concat) return spec;
    const columns = Math.max(1, Math.floor(room / spec.usermeta.each)), width = Math.floor(room / columns) - 65;
    const wide = one => typeof one.width === "number" ? { ...one, width } : one;  // a map is as wide as its cells
    return { ...spec, columns, concat: spec.concat.map(wide) };
  }

  function sourceOf(figure) {  // what it draws, in the unit that is chosen: one specification for each, or one for all
    const all = [...figure.querySelectorAll("script")];
    const source = all.find(one => one.dataset.for === unit()) || all[0], { spec, columns, run } = JSON.parse(source.textContent);
    const [field, title] = `${unit()}_then` in columns ? [`${unit()}_then`, unit()] : ["epoch", "epoch"];
    const named = JSON.parse(JSON.stringify(spec), (key, one) => ({ "field @field": field, "title @unit": title })[`${key} ${one}`] || one);
    return { spec: named, rows: Trials.rows(columns, Trials.of(figure)), field, run, of: source.dataset.for };
  }

  const quoted = value => /[",\n]/.test(value) ? `"${value.replaceAll('"', '""')}"` : value;

  function save(figure) {  // its numbers as CSV; they lie in the page once
    const { rows } = sourceOf(figure), lines = [Object.keys(rows[0]), ...rows.map(Object.values)];
    const text = lines.map(line => line.map(value => quoted(value === null ? "" : String(value))).join(",")).join("\n");
    const link = Object.assign(document.createElement("a"), { download: `${figure.id}.csv` });
    link.href = "data:text/csv;charset=utf-8," + encodeURIComponent(text + "\n");
    link.click();
  }

  async function draw(figure) {
    const source = sourceOf(figure), { spec, rows, of } = source;
    const place = figure.querySelector(".chart"), inside = fitted(scaled(spec), place.clientWidth), text = JSON.stringify([inside, of]);
    if (texts.get(figure) === text) return;  // as it stands there, with what its reader has dragged across
    texts.set(figure, text);
    if (drawn.has(figure)) drawn.get(figure).finalize();
    const whole = { ...inside, data: { values: rows } };
    const { view } = await window.vegaEmbed(place, whole, { ast: true, actions: false, renderer: "svg" });
    place.setAttribute("role", "img");  // its name is the chart's sentence; a reader need not hear every mark
    place.querySelector("svg").setAttribute("aria-hidden", "true");
    listen(figure, view, source);
    view.signal("chosen", chosen).signal("rates", between.get(figure.closest("section")) || null).runAsync();
    drawn.set(figure, view);
  }

  function listen(figure, view, source) {  // to a pointer: a mark, or the line beside it, tells its trial
    const { rows, run } = source, lines = LINES[figure.id.split("-")[0]];
    const under = lines ? event => passing(figure, view, event, source) : (_, item) => item && item.datum;
    view.addEventListener(lines ? "mousemove" : "mouseover", (event, item) => {
      const datum = under(event, item);
      view.signal("pointed", datum && datum.scheme ? (lines ? datum.row : datum.scheme) : null).runAsync();
      if (datum && datum.scheme) tell(figure, datum, run);
    });
    view.addEventListener("click", (event, item) => {
      const datum = under(event, item);
      choose(datum ? datum.scheme || datum.value : null);
    });
    if (figure.id.startsWith("score_against_rate")) view.addSignalListener("between", (_, range) => tellBetween(figure, range, rows));
  }

  function passing(figure, view, event, { spec, rows, field }) {  // a point of the line that passes nearest to the pointer
    const box = figure.querySelector(".chart svg").getBoundingClientRect(), [left, top] = view.origin(), around = view.padding();
    const [x, y] = LINES[figure.id.split("-")[0]], first = spec.usermeta && spec.usermeta.first;
    const scheme = first && (rows.some(one => one.scheme === chosen) ? chosen : first);
    const [across, up] = ["x", "y"].map(name => view.scale(name));
    const points = rows.filter(one => !scheme || one.scheme === scheme)
      .map(datum => ({ datum, x: across(datum[x || field]), y: up(datum[y]) }));
    const at = [event.clientX - box.left - left - around.left, event.clientY - box.top - top - around.top];
    return Trials.nearest(points, at, 12);
  }

  function tell(figure, trial, run) {  // text and a real link, so that no name can be markup and a keyboard reaches it
    const told = ["scheme", "trial", "score", "test_score", "share", "passes", "status", "configuration"]
      .filter(name => trial[name] !== undefined && trial[name] !== null && trial[name] !== "")
      .map(name => `${name.replace("_", " ")} ${typeof trial[name] === "number" ? +trial[name].toPrecision(5) : trial[name]}`);
    const place = figure.querySelector(".told");
    place.textContent = told.join(" · ");
    if (run && trial.run_id && /^https?:/.test(run)) {
      const link = place.appendChild(document.createElement("a"));
      link.href = run.replace("{}", encodeURIComponent(trial.run_id));
      link.textContent = "its run";
      link.before(" · ");
    }
  }

  function tellBetween(figure, range, rows) {  // the trials whose rates lie between two that were dragged across
    const place = figure.querySelector(".told"), ends = range.lr && [...range.lr].sort((one, other) => one - other);
    narrow(figure.closest("section"), ends || null);
    if (!ends) { place.textContent = ""; return; }
    const inside = rows.filter(one => one.lr >= ends[0] && one.lr <= ends[1]);
    const lost = inside.filter(one => one.status === "diverged" || one.status === "failed").length;
    const counts = Map.groupBy(inside, one => one.scheme);
    const each = [...counts].map(([scheme, trials]) => `${scheme} ${trials.length}`).join(", ");
    const [low, high] = ends.map(end => +end.toPrecision(2));
    place.textContent = `rates ${low} to ${high}: ${inside.length} trials, ${lost} lost${each ? ` · ${each}` : ""}`;
  }

  function narrow(section, ends) {  // charts and table of a task's trials to two rates
    between.set(section, ends);
    for (const [figure, view] of drawn) if (figure.closest("section") === section) view.signal("rates", ends).runAsync();
    showTrials();
  }

  function showTrials() {
    for (const [section, show] of lists) show({ chosen, rates: between.get(section) || null, unit: unit() });
  }

  function choose(scheme) {
    chosen = scheme === undefined || scheme === chosen ? null : scheme;
    for (const view of drawn.values()) view.signal("chosen", chosen).runAsync();
    for (const one of document.querySelectorAll("[data-scheme]")) {
      const here = one.dataset.scheme === chosen;
      if (one.matches("button")) one.setAttribute("aria-pressed", String(here));
      else one.classList.toggle("faded", chosen !== null && !here);
    }
    showTrials();
  }

  function drawAll() {
    document.querySelectorAll("figure.alive").forEach(draw);
  }

  function tellIn(chosen) {  // words, tables and charts that follow from the unit of cost
    for (const one of document.querySelectorAll("[data-unit]")) one.hidden = one.dataset.unit !== chosen;
    drawAll();
    showTrials();
  }

  document.addEventListener("click", event => {
    const button = event.target.closest("button[data-scheme]");
    if (button) choose(button.dataset.scheme);
    if (event.target.matches("button.data")) save(event.target.closest("figure"));
  });
  document.querySelectorAll("table").forEach(Tables.prepare);
  for (const link of document.querySelectorAll("a.trials")) {
    const section = link.closest("section"), all = Trials.of(link);
    if (all.length) lists.set(section, Tables.trialList(section, all));
  }
  showTrials();
  for (const button of document.querySelectorAll("button.data")) button.hidden = false;
  switches.hidden = false;
  switches.addEventListener("change", event => event.target.name === "unit" ? tellIn(event.target.value) : drawAll());
  drawAll();
})();
