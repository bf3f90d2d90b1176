"use strict";
// Takes a sound from the microphone or a file, asks the server what it is, and shows the answer. Nothing is kept.
(function () {
  const data = JSON.parse(document.getElementById("data").textContent);
  const at = (id) => document.getElementById(id);
  const [player, record] = [at("player"), at("record")];
  let recorder = null, ticking = 0, played = null, busy = false;

  function say(words) { at("said").textContent = words; }
  function fault(words) {
    at("fault").hidden = !words;
    at("fault").textContent = words || "";
  }
  function made(tag, words, kind) {
    const element = document.createElement(tag);
    if (words !== undefined) element.textContent = words;
    if (kind) element.className = kind;
    return element;
  }
  const sentence = (words) => words.charAt(0).toUpperCase() + words.slice(1) + ".";
  const seconds = (value) => value.toFixed(1) + " s";

  // One after the other that are heard as the same, as one, with the highest probability.
  function stretches(segments) {
    const found = [];
    segments.forEach((segment) => {
      const last = found[found.length - 1];
      if (!last || last.is_cry !== segment.is_cry) found.push({ ...segment });
      else Object.assign(last, { end_s: segment.end_s, probability: Math.max(last.probability, segment.probability) });
    });
    return found;
  }

  async function ask(sound) {
    if (busy) return;
    at("answer").hidden = true;
    fault("");
    if (sound.size > data.most_bytes) {
      say("");
      fault("The file has " + Math.round(sound.size / 1e6) + " MB, and at most " + data.most_bytes / 1e6 + " MB are heard.");
      return;
    }
    busy = record.disabled = at("file").disabled = true;
    say("The model listens …");
    try {
      const answer = await fetch("listen/answer", { method: "POST", body: sound,
        headers: { "content-type": "application/octet-stream", "x-csrf-token": data.csrf, accept: "application/json" } });
      const found = await answer.json().catch(() => ({}));
      if (!answer.ok) throw new Error(found.error || "The server could not answer (" + answer.status + "): its log says why.");
      say("");
      show(found, sound);
    } catch (error) {
      say("");
      fault(error instanceof TypeError ? "The server does not answer: is `cry-pipeline serve` running?" : error.message);
    } finally {
      busy = record.disabled = at("file").disabled = false;
    }
  }
  function show(found, sound) {
    if (played) URL.revokeObjectURL(played);
    played = player.src = URL.createObjectURL(sound);
    const [said, untold] = [sentence(found.said), found.said.includes("cannot be told")];
    at("outcome").textContent = untold ? "That cannot be told" : said;
    at("detail").textContent = said;
    at("detail").hidden = !untold;
    at("percent").textContent = Math.round(100 * found.cry_probability) + " %";
    at("sure").value = found.cry_probability;
    at("sure").textContent = at("percent").textContent;
    at("length").textContent = seconds(found.duration_s);
    at("reason").textContent = sentence(found.reason);
    at("bundle").textContent = found.bundle;
    at("line").replaceChildren(...found.segments.map((segment) => {
      const part = made("span", undefined, segment.is_cry ? "cry" : "not");
      part.style.left = (100 * segment.start_s) / found.duration_s + "%";
      part.style.width = (100 * (segment.end_s - segment.start_s)) / found.duration_s + "%";
      part.style.height = Math.max(3, 100 * segment.probability) + "%";
      return part;
    }), made("span", undefined, "place"));
    at("segments").replaceChildren(...stretches(found.segments).map((segment) => {
      const row = made("tr");
      row.append(made("td", seconds(segment.start_s)), made("td", seconds(segment.end_s)),
        made("td", segment.is_cry ? "a cry" : "no cry"), made("td", segment.probability.toFixed(2), "number"));
      return row;
    }));
    at("answer").hidden = false;
    at("outcome").focus();
  }
  function follow() {
    const place = at("line").querySelector(".place");
    if (place && player.duration > 0) place.style.left = (100 * player.currentTime) / player.duration + "%";
    if (!player.paused) requestAnimationFrame(follow);
  }
  player.addEventListener("play", follow);
  player.addEventListener("seeked", follow);

  // A browser's own recordings may state no length, as streams do, and files that state none are refused. So what was
  // recorded is sent as WAV: one channel, 16 bits.
  async function wav(blob) {
    const context = new AudioContext();
    const sound = await context.decodeAudioData(await blob.arrayBuffer()).finally(() => context.close());
    const count = sound.length, view = new DataView(new ArrayBuffer(44 + 2 * count));
    const word = (place, letters) => [...letters].forEach((letter, more) => view.setUint8(place + more, letter.charCodeAt(0)));
    word(0, "RIFF"); view.setUint32(4, 36 + 2 * count, true); word(8, "WAVEfmt "); view.setUint32(16, 16, true);
    view.setUint16(20, 1, true); view.setUint16(22, 1, true); view.setUint32(24, sound.sampleRate, true);
    view.setUint32(28, 2 * sound.sampleRate, true); view.setUint16(32, 2, true); view.setUint16(34, 16, true);
    word(36, "data"); view.setUint32(40, 2 * count, true);
    const channels = Array.from({ length: sound.numberOfChannels }, (_, channel) => sound.getChannelData(channel));
    for (let place = 0; place < count; place++) {
      const value = channels.reduce((sum, channel) => sum + channel[place], 0) / channels.length;
      view.setInt16(44 + 2 * place, Math.max(-32768, Math.min(32767, Math.round(32768 * value))), true);
    }
    return new Blob([view], { type: "audio/wav" });
  }
  async function start() {
    fault("");
    at("answer").hidden = true;
    let stream;
    try {
      // What telephones do to speech they must not do to a cry: it would be taken for noise.
      stream = await navigator.mediaDevices.getUserMedia({
        audio: { echoCancellation: false, noiseSuppression: false, autoGainControl: false },
      });
    } catch (error) {
      fault("The microphone cannot be used (" + error.name + "): allow it for this page, or choose a file.");
      return;
    }
    const [began, parts] = [performance.now(), []];
    recorder = new MediaRecorder(stream);
    recorder.addEventListener("dataavailable", (event) => parts.push(event.data));
    recorder.addEventListener("stop", async () => {
      stream.getTracks().forEach((track) => track.stop());
      clearInterval(ticking);
      recorder = null;
      record.textContent = "Record";
      record.classList.remove("on");
      at("time").textContent = "";
      try {
        await ask(await wav(new Blob(parts, { type: parts[0] && parts[0].type })));
      } catch (error) {
        fault("What was recorded cannot be read (" + error.message + "): record again, or choose a file.");
      }
    });
    recorder.start();
    record.textContent = "Stop, and ask";
    record.classList.add("on");
    say("Recording.");
    const tick = () => {
      const now = (performance.now() - began) / 1000;
      at("time").textContent = Math.floor(now) + " s";
      if (now > data.most_s - 5 && recorder) recorder.stop();
    };
    tick();
    ticking = setInterval(tick, 250);
  }
  record.addEventListener("click", () => {
    if (recorder) recorder.stop();
    else start();
  });
  at("file").addEventListener("change", () => {
    const [file] = at("file").files;
    at("file").value = ""; // so that the same file can be chosen again
    if (file) ask(file);
  });
  // A file that misses the place would be opened by the browser instead of the page.
  ["dragover", "drop"].forEach((name) => document.addEventListener(name, (event) => event.preventDefault()));
  document.addEventListener("dragover", () => at("drop").classList.add("over"));
  ["dragleave", "drop"].forEach((name) => document.addEventListener(name, () => at("drop").classList.remove("over")));
  document.addEventListener("drop", (event) => {
    const [file] = event.dataTransfer.files;
    if (file && !recorder) ask(file);
  });
  if (!navigator.mediaDevices || !window.MediaRecorder) {
    record.hidden = true;
    at("unheard").hidden = false;
    at("unheard").textContent = "Browsers give the microphone to this page only over https, or on the machine that serves it.";
  }
  at("without").hidden = true;
  at("ask").hidden = false;
})();
