// The table of all trials that lies in a page as CSV, once a task: charts take their rows from it.
const Trials = (() => {
  "use strict";
  const TEXTS = ["task", "scheme", "arm", "status", "run_id", "configuration"];  // a scheme may be called 12
  const read = new WeakMap();  // link → its rows

  function parsed(text) {  // one object a line; what is empty, or no number where one belongs, is null
    const lines = [[]];
    for (const [, quoted, plain, end] of text.matchAll(/(?:"((?:[^"]|"")*)"|([^",\n]*))(,|\n)/g)) {
      lines.at(-1).push(quoted === undefined ? plain : quoted.replaceAll('""', '"'));
      if (end === "\n") lines.push([]);
    }
    const [names, ...body] = lines.slice(0, -1);
    const value = (name, cell) => TEXTS.includes(name) ? cell : cell === "" || !isFinite(cell) ? null : +cell;
    return body.map(cells => Object.fromEntries(cells.map((cell, at) => [names[at], value(names[at], cell)])));
  }

  function of(figure) {  // the trials of a chart's task, in their order
    const section = figure.closest("section"), link = section && section.querySelector("a.trials");
    if (!link) return [];
    const address = link.getAttribute("href");
    if (!read.has(link)) read.set(link, parsed(decodeURIComponent(address.slice(address.indexOf(",") + 1))));
    return read.get(link);
  }

  const entry = (column, at) => Array.isArray(column[0]) && !Array.isArray(column[at]) ? column[column[at]] : column[at];

  function rows(columns, trials) {  // what a chart draws; see `embedded` in study/figures/vega.py
    const names = Object.keys(columns);
    return columns[names[0]].flatMap((_, at) => {
      const one = Object.fromEntries(names.map(name => [name, entry(columns[name], at)]));
      const whole = "row" in one ? { ...trials[one.row], ...one } : one;
      const lists = names.filter(name => Array.isArray(one[name]));
      const points = lists.length ? one[lists[0]] : [null];
      return points.map((_, point) => ({ ...whole, ...Object.fromEntries(lists.map(name => [name, one[name][point]])) }));
    });
  }

  function nearest(points, [x, y], reach) {  // of curves, points in order: that which passes within so many pixels
    let best = null, least = reach;
    points.forEach((point, at) => {
      const before = points[at - 1], from = before && before.datum.row === point.datum.row ? before : point;
      const [dx, dy] = [point.x - from.x, point.y - from.y], length = dx * dx + dy * dy;
      const along = length ? Math.max(0, Math.min(1, ((x - from.x) * dx + (y - from.y) * dy) / length)) : 0;
      const far = Math.hypot(from.x + along * dx - x, from.y + along * dy - y);
      if (far < least) [best, least] = [point.datum, far];
    });
    return best;
  }

  return { of, rows, nearest };
})();
