"use strict";
// Shows the two runs that were chosen. All numbers stand in the page's data; nothing is computed here but a sign.
(function () {
  const holder = document.getElementById("data");
  if (!holder) return;
  const data = JSON.parse(holder.textContent);
  const at = (id) => document.getElementById(id);
  const [group, first, second, result] = ["group", "first", "second", "result"].map(at);

  function made(tag, words, kind) {
    const element = document.createElement(tag);
    if (words !== undefined) element.textContent = words;
    if (kind) element.className = kind;
    return element;
  }
  function put(parent, ...children) {
    children.forEach((child) => parent.appendChild(child));
    return parent;
  }
  function options(select, texts) {
    select.replaceChildren(...texts.map((text, place) => {
      const option = made("option", text);
      option.value = String(place);
      return option;
    }));
  }
  const shown = (value) => value.toFixed(3);
  const signed = (value) => (value < 0 ? "−" : "+") + Math.abs(value).toFixed(3);
  const probability = (value) => (value < 0.0005 ? "< 0.0005" : value.toFixed(3));

  // The pairs stand in the order (0, 1), (0, 2), …, (1, 2), …; turned round, a difference changes its sign.
  function pairOf(chosen, one, other) {
    const [low, high] = [Math.min(one, other), Math.max(one, other)];
    const size = chosen.runs.length;
    const pair = chosen.pairs[(low * (2 * size - low - 1)) / 2 + high - low - 1];
    if (one < other) return pair;
    return {
      numbers: pair.numbers.map(([value, from, to, p]) => [-value, -to, -from, p]),
      changes: pair.changes.map(([name, ofFirst, ofSecond]) => [name, ofSecond, ofFirst]),
    };
  }
  function verdictOf([value, from, to, p], lower) {
    const seen = Math.abs(value) >= data.smallest && p <= data.significance && (from > 1e-9 || to < -1e-9);
    return seen ? (value > 0) !== lower : null;
  }
  function cell(label, numbers, words) {
    const found = made("td", words(numbers[0]) + " ", "number");
    found.dataset.label = label;
    return put(found, made("span", words(numbers[1]) + " to " + words(numbers[2]), "interval"));
  }
  // A difference with its interval, as parts of a box whose middle is 0.
  function drawn([value, from, to]) {
    const most = Math.max(0.01, Math.abs(from), Math.abs(to), Math.abs(value));
    const x = (place) => 50 + (48 * place) / most;
    const part = (kind, left, width) => {
      const element = made("span", undefined, kind);
      element.style.left = left + "%";
      if (width !== undefined) element.style.width = width + "%";
      return element;
    };
    const box = put(made("div", undefined, "axis"), part("zero", 50), part("line", x(from), x(to) - x(from)),
      part("point", x(value)));
    box.setAttribute("aria-hidden", "true");
    return put(made("td", undefined, "drawn"), box);
  }
  function header(...names) {
    const row = made("tr");
    names.forEach(([words, kind]) => {
      const name = made("th", words, kind);
      name.scope = "col";
      row.appendChild(name);
    });
    return put(made("thead"), row);
  }
  function region(words, table) {
    const found = made("div", undefined, "scroll");
    found.tabIndex = 0;
    found.setAttribute("role", "region");
    found.setAttribute("aria-label", words);
    return put(found, table);
  }
  function metricsTable(chosen, one, other, numbers) {
    const body = made("tbody");
    chosen.metrics.forEach((metric, place) => {
      const name = made("th", metric.name + (metric.accuracy ? " (majority class " + shown(chosen.majority) + ")" : ""));
      name.scope = "row";
      if (metric.lower) name.appendChild(made("span", " less is better", "interval"));
      put(body, put(made("tr"), name, cell("difference", numbers[place], signed),
        cell("first", one.values[place], shown), cell("second", other.values[place], shown), drawn(numbers[place])));
    });
    const head = header(["metric"], ["first − second", "number"], ["first", "number"], ["second", "number"],
      ["difference beside 0, each on its own scale", "drawn"]);
    const caption = put(made("caption"), made("span", chosen.recordings + " recordings of " + chosen.donors +
      " donors; guessing gives " + shown(chosen.chance) + ". Intervals are 95 % intervals over donors."));
    return region("Metrics of both runs", put(made("table", undefined, "rows"), caption, head, body));
  }
  function changesTable(changes) {
    if (!changes.length) return made("p", "They are made from the same parameters, code and libraries.", "muted");
    const body = made("tbody");
    changes.forEach(([name, ...values]) => {
      const row = made("th", name);
      row.scope = "row";
      const cells = values.map((value) => made("td", value || "–"));
      [cells[0].dataset.label, cells[1].dataset.label] = ["first", "second"];
      put(body, put(made("tr"), row, ...cells));
    });
    const table = region("What differs", put(made("table", undefined, "rows"), header(["parameter"], ["first"], ["second"]), body));
    return put(made("section"), made("h3", "What differs"), table);
  }
  function link(run, words) {
    const line = made("li");
    if (run.now) {
      const page = made("a", words);
      page.href = "experiments/" + encodeURIComponent(run.experiment) + ".html";
      line.appendChild(page);
    } else {
      line.appendChild(made("span", words));
    }
    return put(line, made("span", " " + run.label + "; trained " + run.trained + " UTC; verdict: " + run.verdict, "muted"));
  }
  function outcome(chosen, numbers, places) {
    const metric = chosen.metrics[0];
    const guessing = places.every((place) => chosen.runs[place].guesses);
    const better = guessing ? null : verdictOf(numbers[0], metric.lower);
    const words = guessing ? "Nothing is said: neither run is above chance." :
      better === null ? "No difference is shown." :
      "The first run is " + (better ? "better" : "worse") + " than the second.";
    const others = chosen.runs.length - 1;
    const rank = places[1] < places[0] ? places[1] : places[1] - 1;
    const holm = chosen.holm[places[0]][rank];
    const test = metric.name + " differs by " + signed(numbers[0][0]) + " (" + signed(numbers[0][1]) + " to " +
      signed(numbers[0][2]) + "), p = " + probability(numbers[0][3]) + ". With Holm's correction for comparing the first " +
      "run with all " + others + " others: p = " + probability(holm) + ".";
    const found = [made("p", words, "outcome"), made("p", test)];
    if (better !== null && holm > data.significance) {
      found.push(made("p", "This holds if you named these two runs before you looked. It does not hold if you picked them.", "note"));
    }
    if (!chosen.honest) {
      found.push(made("p", "These folds have the same donors in training and test: this is no evidence about new babies.", "note"));
    }
    return found;
  }
  function show() {
    const chosen = data.groups[Number(group.value)];
    const places = [Number(first.value), Number(second.value)];
    const [one, other] = places.map((place) => chosen.runs[place]);
    if (one === other) {
      result.replaceChildren(made("p", "Choose two different runs.", "outcome"));
      return;
    }
    const { numbers, changes } = pairOf(chosen, places[0], places[1]);
    const runs = put(made("ul"), link(one, one.name), link(other, other.name));
    result.replaceChildren(...outcome(chosen, numbers, places), runs, metricsTable(chosen, one, other, numbers),
      changesTable(changes));
    history.replaceState(null, "", "#" + [one, other].map((run) => encodeURIComponent(run.name)).join("&"));
  }
  // Of a run of now the one before it is meant where no other is named; of no run at all, what changed in place.
  function choose(names) {
    const runs = data.groups[Number(group.value)].runs;
    [first, second].forEach((select) => options(select, runs.map((run) => run.label)));
    const isEdited = (run) => run.now && runs.some((other) => !other.now && other.experiment === run.experiment);
    const place = Math.max(0, runs.findIndex((run) => (names.length ? run.name === names[0] : isEdited(run))));
    const earlier = runs.findIndex((run) => !run.now && run.experiment === runs[place].experiment);
    const named = runs.findIndex((run) => run.name === names[1]);
    const other = [named, earlier, place === 0 ? 1 : 0].find((at) => at >= 0 && at !== place);
    [first.value, second.value] = [place, other].map(String);
    show();
  }
  // The address may name the runs behind #, one or two, as the page writes them there itself.
  function asked() {
    const names = location.hash.slice(1).split("&").filter(Boolean).map((part) => {
      try { return decodeURIComponent(part); } catch { return ""; }
    });
    const holds = (one, name) => one.runs.some((run) => run.name === name);
    const place = data.groups.findIndex((one) => names.length > 0 && names.every((name) => holds(one, name)));
    const edited = data.groups.findIndex((one) => one.runs.some((run) => !run.now));
    group.value = String(Math.max(0, place >= 0 ? place : edited));
    choose(place >= 0 ? names : []);
  }
  options(group, data.groups.map((one) => one.name));
  group.addEventListener("change", () => choose([]));
  [first, second].forEach((select) => select.addEventListener("change", show));
  at("swap").addEventListener("click", () => {
    [first.value, second.value] = [second.value, first.value];
    show();
  });
  window.addEventListener("hashchange", asked);
  at("chooser").hidden = false;
  at("without").hidden = true;
  asked();
})();
