
// The page of `glyphline serve`, which asks the server what it makes of the drawing (after report/pad.js).

const SENT_SIDE = 84; // pixels of the drawing that is sent: the preparation of more takes the server longer for nothing
const PAUSE = 60; // milliseconds between two questions
const MOST_BYTES = 15e6; // of a picture as it is; a larger one is made smaller here
const SMALLER_SIDE = 1024; // pixels of such a one; the server looks at no more

let lightInk = false; // for networks that are shown pictures as they are, and have seen light ones on dark

function changed() {
  show();
  ask();
}

// --- Pictures

function showPicture(context, side, { file, bitmap }) {
  if (bitmap) {
    const scale = side / Math.max(bitmap.width, bitmap.height);
    const [w, h] = [bitmap.width * scale, bitmap.height * scale];
    context.drawImage(bitmap, (side - w) / 2, (side - h) / 2, w, h);
  } else {
    context.fillStyle = getComputedStyle(pad).color;
    context.font = `${side / 22}px system-ui, sans-serif`;
    context.textAlign = "center";
    context.fillText(`${file.name}: this browser cannot show it`, side / 2, side / 2, side * 0.9);
  }
}

async function take(file) {
  if (!file) {
    answered("That was no picture", "Drop or paste a picture file.");
    return;
  }
  lift();
  const bitmap = await createImageBitmap(file).catch(() => null);
  marks.push({ file, bitmap });
  changed();
}

for (const input of [$("open"), $("photo")]) {
  input.addEventListener("change", () => {
    if (input.files.length) take(input.files[0]);
    input.value = ""; // so that the same file can be opened again
  });
}
addEventListener("paste", (event) => {
  if (event.target instanceof HTMLInputElement) return;
  event.preventDefault();
  take(event.clipboardData.files[0]);
});
const frame = pad.parentElement;
addEventListener("dragover", (event) => {
  event.preventDefault();
  frame.classList.add("over");
});
addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) frame.classList.remove("over");
});
addEventListener("drop", (event) => {
  event.preventDefault();
  frame.classList.remove("over");
  take(event.dataTransfer.files[0]);
});

function encoded(canvas) {
  return new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
}

async function content(now) {
  if (!now.picture) {
    const small = canvas(SENT_SIDE, SENT_SIDE);
    const context = small.getContext("2d");
    context.fillStyle = lightInk ? "#000" : "#fff";
    context.fillRect(0, 0, SENT_SIDE, SENT_SIDE);
    draw(context, SENT_SIDE, now.strokes, lightInk ? "#fff" : "#000");
    return encoded(small);
  }
  const { file, bitmap } = now.picture;
  if (file.size <= MOST_BYTES || !bitmap) return file;
  const scale = Math.min(1, SMALLER_SIDE / Math.max(bitmap.width, bitmap.height));
  const small = canvas(Math.round(bitmap.width * scale), Math.round(bitmap.height * scale));
  small.getContext("2d").drawImage(bitmap, 0, 0, small.width, small.height);
  return encoded(small);
}

// --- Questions and answers: one question at a time, and after it the newest drawing, whatever came between

let asking = false;
let again = false;

async function ask() {
  again = true;
  if (asking) return;
  asking = true;
  while (again) {
    again = false;
    const now = current();
    if (isEmpty(now)) answered("Nothing is drawn yet", "");
    else await answer(now);
    await new Promise((resolve) => setTimeout(resolve, PAUSE));
  }
  asking = false;
}

async function answer(now) {
  try {
    const response = await request("/api/compare", { method: "POST", body: await content(now) });
    const result = await response.json();
    if (again && isEmpty(current())) return;
    if (response.ok) tellAnswers(result.answers.map(({ model, pictures }) => ({ model, ...pictures[0] })));
    else if (response.status === 503) {
      await new Promise((resolve) => setTimeout(resolve, 1000));
      again = true;
    } else answered("No answer", sentence(result.detail));
  } catch {
    answered("No answer", "The server cannot be reached; it may have been stopped.");
  }
}

let token = sessionStorage.getItem("token");
if (location.hash.length > 1 && location.hash !== "#answer") {
  token = decodeURIComponent(location.hash.slice(1));
  sessionStorage.setItem("token", token);
  history.replaceState(null, "", location.pathname);
}

async function request(path, options = {}) {
  for (;;) {
    const headers = token ? { Authorization: `Bearer ${token}` } : {};
    const response = await fetch(path, { ...options, headers });
    if (response.status !== 401) return response;
    const dialog = $("ask");
    $("token").value = "";
    if (!dialog.open) dialog.showModal();
    await new Promise((resolve) => dialog.addEventListener("close", resolve, { once: true }));
    token = $("token").value;
    sessionStorage.setItem("token", token);
  }
}

// --- What is shown

const sentence = (text) => `${text[0].toUpperCase()}${text.slice(1)}.`;

function answered(headline, finding, answers = []) {
  tell(headline, finding, answers.length > 0);
  $("verdict").classList.toggle("split", answers.some((each) => each.other));
  showSeen(answers);
  showCards(answers);
}

function tellAnswers(answers) {
  const errors = answers.filter((each) => each.error);
  if (errors.length) {
    answered("No answer", sentence(errors[0].error));
    return;
  }
  const votes = new Map();
  for (const each of answers) votes.set(each.class, (votes.get(each.class) ?? 0) + 1);
  const most = Math.max(...votes.values());
  const winner = answers.find((each) => votes.get(each.class) === most).class;
  for (const each of answers) each.other = each.class !== winner;
  const others = answers.filter((each) => each.other);
  const sure = answers.filter((each) => !each.other).map((each) => each.confidence_percent);
  const [low, high] = [Math.min(...sure), Math.max(...sure)];
  const range = percent(low) === percent(high) ? percent(low) : `${low.toFixed(1)} to ${percent(high)}`;
  let finding;
  if (answers.length === 1) finding = `${range} sure; then ${answers[0].runner_up}, ${percent(answers[0].runner_up_percent)}.`;
  else if (!others.length) finding = `All ${answers.length} networks say so, ${range} sure.`;
  else {
    const said = others.map((each) => `${each.model} says ${each.class} (${percent(each.confidence_percent)})`);
    finding = `${most} of ${answers.length} networks say so, ${range} sure. But ${said.join(", ")}.`;
  }
  answered(winner, finding, answers);
}

function showSeen(answers) {
  const seen = new Map();
  for (const each of answers) seen.set(each.image, [...(seen.get(each.image) ?? []), each]);
  $("seen").replaceChildren(
    ...[...seen].map(([image, by]) => {
      const figure = document.createElement("figure");
      const who = seen.size > 1 ? by.map((each) => each.model).join(", ") : answers.length > 1 ? "the networks" : "the network";
      const what = `What ${who} saw`;
      const notes = [by[0].thickened && "strokes widened", by[0].frames > 1 && `the first of ${by[0].frames} pictures`];
      const caption = [what, ...notes.filter(Boolean)].join("; ");
      figure.append(element("img", "", { src: image, alt: what }), element("figcaption", caption));
      return figure;
    }),
  );
}

const cards = new Map(); // by the network's name
function card(model) {
  if (!cards.has(model)) {
    const made = element("li", "", { className: "network" });
    const [heading, best, bars] = [element("h3", model), element("span", ""), element("ol", "", { className: "bars" })];
    heading.append(best);
    made.append(heading, bars);
    $("networks").append(made);
    cards.set(model, { made, best, bars });
  }
  return cards.get(model);
}

function showCards(answers) {
  for (const { made, best, bars } of cards.values()) {
    made.classList.remove("other");
    best.textContent = "";
    emptyBars(bars);
  }
  for (const { model, probabilities, other } of answers) {
    const { made, best, bars } = card(model);
    made.classList.toggle("other", other);
    best.replaceChildren(element("span", probabilities[0].class));
    showBars(bars, probabilities);
  }
}

async function start() {
  try {
    const response = await request("/api/models");
    const { models } = await response.json();
    for (const { model, classes } of models) {
      const { bars } = card(model);
      if (classes.length <= FEW) rows(bars, classes.length).forEach((row, i) => bar(row, classes[i], null));
    }
    const { how, inverted } = models[0].pictures;
    lightInk = how === "fitted" && !inverted;
  } catch {
    answered("No answer", "The server cannot be reached; it may have been stopped.");
  }
}

$("camera").hidden = navigator.maxTouchPoints === 0; // a screen that is touched is a telephone's or tablet's, with a camera
start();
