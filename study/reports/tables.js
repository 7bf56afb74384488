// Tables: heads that sort, a field that filters, and the table of a task's trials, which follows what charts are asked.
const Tables = (() => {
  "use strict";
  const amounts = { k: 1e3, M: 1e6, G: 1e9, T: 1e12, P: 1e15 };

  const ones = ["baseline", "cheapest"];  // what the share of the scheme itself is called

  function amount(cell, one = 1) {  // the number that a cell begins with, `one` for the baseline itself; none comes last
    const text = cell.textContent.trim(), found = /^[≥≤× ]*([-+]?[\d.,]+(?:e[-+]?\d+)?)(?: ([kMGTP])\b)?/.exec(text);
    return ones.some(word => text.startsWith(word)) ? one : found ? parseFloat(found[1].replaceAll(",", "")) * (amounts[found[2]] || 1) : null;
  }

  function inOrder(rows, key, sense) {  // by a number or a text; what has none comes last, whichever way round
    const order = (one, other) => one === null || other === null ? (one === null) - (other === null)
      : sense * (typeof one === "number" ? one - other : one.localeCompare(other));
    return [...rows].sort((one, other) => order(key(one), key(other)));
  }

  function sort(head) {  // by one column; the same column once more turns the order round
    const body = head.closest("table").tBodies[0], place = head.cellIndex, down = head.ariaSort === "ascending";
    const even = head.textContent.trim().startsWith("beats") ? 0.5 : 1;  // a trial beats one of its own kind half of the time
    const key = row => place ? amount(row.cells[place], even) : row.dataset.scheme;
    body.append(...inOrder(body.rows, key, down ? -1 : 1));
    for (const each of head.parentElement.cells) each.removeAttribute("aria-sort");
    head.ariaSort = down ? "descending" : "ascending";
  }

  function prepare(table) {  // buttons in heads, and where there are many rows a field that filters them
    for (const head of table.tHead.rows[0].cells) {
      const button = document.createElement("button");
      button.append(...head.childNodes);
      button.addEventListener("click", () => sort(head));
      head.append(button);
    }
    if (table.tBodies[0].rows.length < 6) return;
    const field = Object.assign(document.createElement("input"), { type: "search", className: "filter", placeholder: "filter rows" });
    field.setAttribute("aria-label", "filter rows by name");
    field.addEventListener("input", () => {
      for (const row of table.tBodies[0].rows) row.hidden = !row.dataset.scheme.includes(field.value.trim());
    });
    table.before(field);
  }

  const SHOWN = 10;  // trials, until a reader asks for all
  const NAMES = { lr: "rate", test_score: "test score", cost: "passes" };  // of columns that are not called as they are

  function add(parent, name, about = {}) {
    return parent.appendChild(Object.assign(document.createElement(name), about));
  }

  function trialList(section, all) {  // builds the table of a task's trials; returns how to show it, as asked
    const { mode, run } = section.dataset, place = document.createElement("div");
    const state = { by: "score", sense: mode === "min" ? 1 : -1, whole: false, unit: "passes", chosen: null, rates: null };
    add(place, "h3", { textContent: "Trials" });
    const lead = add(place, "p", { className: "lead", ariaLive: "polite" }), table = add(place, "table", { className: "trials" });
    const more = add(place, "button", { type: "button", className: "more" });
    const known = ["scheme", "trial", "lr", "score", "test_score", "status", "cost", "configuration"]
      .filter(name => name === "cost" || all.some(one => one[name] !== null && one[name] !== ""));
    const heads = add(add(table, "thead"), "tr"), body = add(table, "tbody");
    for (const name of known) {
      const head = add(heads, "th", { scope: "col" }), button = add(head, "button", { type: "button", textContent: NAMES[name] || name });
      button.addEventListener("click", () => show({ by: name, sense: state.by === name ? -state.sense : 1 }));
    }
    more.addEventListener("click", () => show({ whole: !state.whole }));

    const cost = () => state.unit in all[0] ? state.unit : "passes";
    const value = (one, name) => one[name === "cost" ? cost() : name];

    function asked() {  // the trials that are, in their order
      const { by, sense, chosen, rates } = state;
      const kept = all.filter(one => (chosen === null || one.scheme === chosen)
        && (!rates || (one.lr !== null && one.lr >= rates[0] && one.lr <= rates[1])));
      return inOrder(kept, one => value(one, by), sense);
    }

    function row(one) {  // text alone, so that no name can be markup
      const line = document.createElement("tr");
      for (const name of known) {
        const told = value(one, name), text = typeof told === "number" ? String(+told.toPrecision(5)) : told || "—";
        const cell = name === "scheme" ? add(line, "th", { scope: "row" }) : add(line, "td");
        cell.dataset.label = name === "cost" ? cost() : NAMES[name] || name;
        const linked = name === "trial" && /^https?:/.test(run) && one.run_id;
        if (linked) add(cell, "a", { href: run.replace("{}", encodeURIComponent(one.run_id)), textContent: text });
        else cell.textContent = text;
      }
      return line;
    }

    function show(wish) {
      Object.assign(state, wish);
      const kept = asked(), ends = state.rates && state.rates.map(end => +end.toPrecision(2));
      body.replaceChildren(...kept.slice(0, state.whole ? kept.length : SHOWN).map(row));
      [...heads.cells].forEach((head, at) => {
        if (known[at] === "cost") head.firstChild.textContent = cost();
        if (known[at] === state.by) head.ariaSort = state.sense < 0 ? "descending" : "ascending";
        else head.removeAttribute("aria-sort");
      });
      lead.textContent = `${kept.length} of ${all.length} trials${state.chosen === null ? "" : ` · ${state.chosen}`}`
        + `${ends ? ` · rates ${ends[0]} to ${ends[1]}` : ""}. What the tables above say stays that of all trials.`;
      more.hidden = kept.length <= SHOWN;
      more.textContent = state.whole ? `the first ${SHOWN}` : `all ${kept.length}`;
    }

    section.querySelector("a.trials").parentElement.before(place);
    return show;
  }

  return { prepare, trialList };
})();
