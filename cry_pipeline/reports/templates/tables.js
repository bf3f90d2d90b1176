// Sort, filter and search tables of experiments. Without this script all rows are there, in the order of the page.
// A body of a table holds the experiments that differ in their folds only. It moves, and is shown, as a whole: a result
// on donors that were in training never stands without its donor-grouped twin.
"use strict";
(() => {
  const tables = [...document.querySelectorAll("table.experiments")];
  const tools = document.querySelector(".tools");
  if (!tables.length || !tools) return;
  const bodies = tables.flatMap((table) => [...table.tBodies]);
  const rows = bodies.flatMap((body) => [...body.rows]);
  const search = tools.querySelector("input");
  const filters = [...tools.querySelectorAll("select")];

  const words = (element) => element.textContent.replace(/\s+/g, " ").trim();
  const number = (text) => Number((text.match(/-?\d+(\.\d+)?/) || [NaN])[0]);

  for (const filter of filters) {
    const values = [...new Set(rows.map((row) => row.dataset[filter.name]))].sort();
    filter.append(...values.map((value) => new Option(value.replaceAll("_", " "), value)));
  }

  function show() {
    const asked = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const fits = (row) => {
      const text = [...Object.values(row.dataset), words(row)].join(" ").toLowerCase();
      return asked.every((word) => text.includes(word) || text.replaceAll("_", " ").includes(word))
        && filters.every((filter) => !filter.value || row.dataset[filter.name] === filter.value);
    };
    let found = 0;
    for (const body of bodies) {
      const fitting = [...body.rows].filter(fits).length;
      body.hidden = !fitting;
      found += fitting;
    }
    for (const table of tables) table.closest(".card").hidden = [...table.tBodies].every((body) => body.hidden);
    const all = found === rows.length;
    const more = bodies.filter((body) => !body.hidden).reduce((sum, body) => sum + body.rows.length, 0) - found;
    tools.querySelector("output").textContent = all
      ? `${rows.length} experiments`
      : `${found} of ${rows.length} experiments${more ? `, and ${more} to read them with` : ""}`;
  }

  function sort(table, head) {
    const column = head.cellIndex;
    const numeric = head.classList.contains("number");
    // The best first: what is large, but for p; and words from A on.
    const first = numeric && !head.hasAttribute("data-small") ? "descending" : "ascending";
    const other = first === "ascending" ? "descending" : "ascending";
    const order = head.getAttribute("aria-sort") === first ? other : first;
    for (const each of table.tHead.rows[0].cells) each.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", order);
    const value = (body) => {
      const text = words(body.rows[0].cells[column]);
      return numeric ? number(text) : text;
    };
    const sign = order === "ascending" ? 1 : -1;
    const compare = (a, b) => (numeric ? a - b || 0 : a.localeCompare(b, "en"));
    const alone = (body) => body.classList.contains("alone");
    const sorted = [...table.tBodies].sort((a, b) => alone(a) - alone(b) || sign * compare(value(a), value(b)));
    table.append(...sorted);
  }

  for (const table of tables) {
    table.classList.add("sorts");
    for (const head of table.tHead.rows[0].cells) {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      button.addEventListener("click", () => sort(table, head));
      head.append(button);
    }
  }
  search.addEventListener("input", show);
  for (const filter of filters) filter.addEventListener("change", show);
  tools.querySelector("button").addEventListener("click", () => {
    search.value = "";
    for (const filter of filters) filter.value = "";
    show();
  });
  tools.hidden = false;
  show();
})();
