"use strict";
// One recording at a time: it is played, and what the person says of it is sent. What is next, the server says.
(function () {
  const data = JSON.parse(document.getElementById("data").textContent);
  const at = (id) => document.getElementById(id);
  const player = at("player");
  const WORDS = { cry: "a baby cries", not_cry: "no cry", unusable: "unusable" };
  const kept = { who: "cry_pipeline who", single: "cry_pipeline single keys", auto: "cry_pipeline play next" };
  let who = "", waiting = [], current = null, busy = false;
  const putOff = new Set();

  async function ask(path, message) {
    const options = message === undefined ? {} : {
      method: "POST", body: JSON.stringify(message),
      headers: { "content-type": "application/json", "x-csrf-token": data.csrf },
    };
    let answer;
    try {
      answer = await fetch("review/" + path, { ...options, headers: { accept: "application/json", ...options.headers } });
    } catch {
      throw new Error("The server does not answer: is `cry-pipeline serve` running?");
    }
    const found = await answer.json().catch(() => ({}));
    if (answer.ok) return found;
    const error = new Error(found.error || "The server could not answer (" + answer.status + "): its log says why.");
    error.status = answer.status;
    throw error;
  }
  function say(words) { at("said").textContent = words; }
  function fault(words) {
    at("fault").hidden = !words;
    at("fault").textContent = words || "";
  }

  // Whatever is asked of the server, keys and buttons wait for it: one press is one judgement.
  async function alone(work) {
    if (busy) return;
    busy = true;
    document.querySelectorAll("#work button").forEach((button) => { button.disabled = true; });
    fault("");
    try {
      await work();
    } catch (error) {
      fault(error.message);
    } finally {
      busy = false;
      document.querySelectorAll("#work button").forEach((button) => { button.disabled = false; });
    }
  }
  function take(found) {
    waiting = found.waiting;
    at("progress").max = Math.max(1, found.done + found.left);
    at("progress").value = found.done;
    at("counts").textContent = found.done + " judged, " + found.left + " to go";
    if (waiting.every((id) => putOff.has(id))) putOff.clear();
    show(waiting.find((id) => !putOff.has(id)) || null);
  }
  async function show(id) {
    current = id;
    player.pause();
    at("recording").hidden = id === null;
    at("nothing").hidden = id !== null;
    at("reason").value = "";
    at("seen").hidden = at("unseen").hidden = true;
    at("place").hidden = true;
    if (id === null) {
      player.removeAttribute("src");
      player.load();
      return;
    }
    player.src = "recordings/" + id + ".wav";
    if (at("auto").checked) player.play().catch(() => say("Press play: the browser does not play by itself."));
    const found = await ask("recordings/" + id).catch((error) => ({ image: null, why: error.message }));
    if (current !== id) return;
    at("seen").hidden = !found.image;
    at("unseen").hidden = Boolean(found.image);
    at("unseen").textContent = found.why || "";
    if (!found.image) return;
    at("image").src = found.image;
    at("high").textContent = found.high_hz.toLocaleString("en") + " Hz";
    at("low").textContent = found.low_hz.toLocaleString("en") + " Hz";
    at("length").textContent = found.duration_s.toFixed(1) + " s";
  }
  function heard() {
    let seconds = 0;
    for (let part = 0; part < player.played.length; part++) seconds += player.played.end(part) - player.played.start(part);
    return seconds;
  }
  // Where the focus is on a button that was pressed, space would press it again.
  function toHeading() { (current === null ? at("done") : at("title")).focus(); }

  function judge(verdict) {
    const id = current;
    if (id === null) return;
    const seconds = heard();
    if (verdict !== "unusable" && seconds < data.least_heard_s) {
      say("Listen first.");
      return;
    }
    const reason = verdict === "cry" && at("reason").value ? at("reason").value : null;
    alone(async () => {
      try {
        const found = await ask("judgements", { who, recording_id: id, verdict, reason, heard_s: seconds });
        say("Kept: " + WORDS[verdict] + ". " + (found.left ? found.left + " to go." : "That was the last one."));
        take(found);
      } catch (error) {
        if (error.status !== 409) throw error;
        say(error.message);
        take(await ask("waiting?who=" + encodeURIComponent(who)));
      }
    }).then(toHeading);
  }
  function undo() {
    alone(async () => {
      const found = await ask("undo", { who });
      putOff.delete(found.undone);
      say("Taken back: judge it anew.");
      take(found);
    }).then(toHeading);
  }
  function later() {
    if (current === null) return;
    putOff.add(current);
    alone(async () => {
      take(await ask("waiting?who=" + encodeURIComponent(who)));
      say("Put off.");
    }).then(toHeading);
  }
  function look() {
    return alone(async () => {
      say("Looking for what you are asked to hear …");
      take(await ask("waiting?who=" + encodeURIComponent(who)));
      say("");
    });
  }
  function play() {
    if (current === null) return;
    if (player.paused) player.play().catch((error) => fault("It cannot be played: " + error.message));
    else player.pause();
  }
  function replay() {
    if (current === null) return;
    player.currentTime = 0;
    if (player.paused) play();
  }

  const KEYS = { " ": play, r: replay, c: () => judge("cry"), ArrowRight: () => judge("cry"), n: () => judge("not_cry"),
    ArrowLeft: () => judge("not_cry"), x: () => judge("unusable"), s: later, u: undo };
  document.addEventListener("keydown", (event) => {
    const act = KEYS[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    const there = event.target;
    if (!act || at("work").hidden || !at("single").checked || event.repeat) return;
    if (event.ctrlKey || event.altKey || event.metaKey || event.isComposing) return;
    if (there.closest("input, select, textarea, audio")) return;
    if (event.key === " " && there.closest("button, a, summary")) return;
    event.preventDefault();
    act();
  });
  document.querySelectorAll("[data-verdict]").forEach((button) => {
    button.addEventListener("click", () => judge(button.dataset.verdict));
  });
  at("undo").addEventListener("click", undo);
  at("later").addEventListener("click", later);
  at("again").addEventListener("click", look);
  player.addEventListener("error", () => {
    if (player.getAttribute("src")) fault("This recording cannot be played. Say unusable, or put it off.");
  });
  function follow() {
    const length = player.duration;
    at("place").hidden = !(length > 0);
    if (length > 0) at("place").style.left = (100 * player.currentTime) / length + "%";
    if (!player.paused) requestAnimationFrame(follow);
  }
  player.addEventListener("play", follow);
  player.addEventListener("seeked", follow);

  // A browser may keep nothing (a private window): then the name is asked for each time.
  function recalled(name) { try { return localStorage.getItem(kept[name]); } catch { return null; } }
  function keep(name, value) { try { localStorage.setItem(kept[name], value); } catch { /* see above */ } }
  ["single", "auto"].forEach((name) => {
    const before = recalled(name);
    if (before !== null) at(name).checked = before === "yes";
    at(name).addEventListener("change", () => keep(name, at(name).checked ? "yes" : "no"));
  });
  function begin(name) {
    who = name;
    at("person").textContent = name;
    at("who").hidden = true;
    at("work").hidden = false;
    putOff.clear();
    return look();
  }
  function introduce() {
    at("work").hidden = true;
    at("who").hidden = false;
    player.pause();
    at("name").value = who;
    at("name").focus();
  }
  at("who").addEventListener("submit", (event) => {
    event.preventDefault();
    const name = at("name").value.trim();
    if (!name) return;
    keep("who", name);
    begin(name).then(toHeading);
  });
  at("change").addEventListener("click", introduce);
  at("without").hidden = true;
  const before = recalled("who");
  if (before) begin(before);
  else introduce();
})();
