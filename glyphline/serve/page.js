"use strict";

const PEN = 1 / 13; // of the drawing's side: the width of a stroke
const STEP = 1 / 28; // of it: how far an arrow key moves the pen
const SENT_SIDE = 84; // pixels of the drawing that is sent: the preparation of more takes the server longer for nothing
const PAUSE = 60; // milliseconds between two questions
const QUIET = 700; // milliseconds without a new answer before it is spoken
const MOST_BYTES = 15e6; // of a picture as it is; a larger one is made smaller here
const SMALLER_SIDE = 1024; // pixels of such a one; the server looks at no more
const FEW = 10; // classes that are all shown, in their order

const $ = (id) => document.getElementById(id);
const pad = $("pad");

// What was done, oldest first: {points} of a stroke, {file, bitmap} of a picture, or {} when all was cleared.
const marks = [];
let pen = null; // {x, y, down} of the keyboard's pen, once it is used
let lightInk = false; // for networks that are shown pictures as they are, and have seen light ones on dark

// --- The drawing

function current() {
  const start = marks.findLastIndex((mark) => !mark.points);
  const base = marks[start];
  return { picture: base?.file ? base : null, strokes: marks.slice(start + 1) };
}

function isEmpty({ picture, strokes }) {
  return !picture && strokes.length === 0;
}

function draw(canvas, side, { strokes }, ink) {
  const context = canvas.getContext("2d");
  context.lineWidth = PEN * side;
  context.lineCap = context.lineJoin = "round";
  context.strokeStyle = ink;
  for (const { points } of strokes) {
    context.beginPath();
    context.moveTo(points[0].x * side, points[0].y * side);
    for (let i = 1; i < points.length - 1; i++) {
      const [a, b] = [points[i], points[i + 1]];
      context.quadraticCurveTo(a.x * side, a.y * side, ((a.x + b.x) / 2) * side, ((a.y + b.y) / 2) * side);
    }
    const last = points[points.length - 1];
    context.lineTo(last.x * side, last.y * side);
    context.stroke();
  }
}

function show() {
  const side = Math.round(pad.clientWidth * devicePixelRatio);
  pad.width = pad.height = side; // which also clears it
  const now = current();
  const colour = getComputedStyle(pad).color;
  const context = pad.getContext("2d");
  if (now.picture?.bitmap) {
    const { width, height } = now.picture.bitmap;
    const scale = side / Math.max(width, height);
    const [w, h] = [width * scale, height * scale];
    context.drawImage(now.picture.bitmap, (side - w) / 2, (side - h) / 2, w, h);
  } else if (now.picture) {
    context.fillStyle = colour;
    context.font = `${side / 22}px system-ui, sans-serif`;
    context.textAlign = "center";
    context.fillText(`${now.picture.file.name}: this browser cannot show it`, side / 2, side / 2, side * 0.9);
  }
  draw(pad, side, now, colour);
  if (pen && document.activeElement === pad) {
    context.beginPath();
    context.arc(pen.x * side, pen.y * side, (PEN / 2) * side, 0, 2 * Math.PI);
    context.lineWidth = 2 * devicePixelRatio;
    context.strokeStyle = getComputedStyle(document.querySelector(".kicker")).color;
    context.stroke();
  }
  $("hint").hidden = !isEmpty(now);
  $("clear").disabled = isEmpty(now);
  $("undo").disabled = marks.length === 0;
}

function changed() {
  show();
  ask();
}

function place(event) {
  const box = pad.getBoundingClientRect();
  return { x: (event.clientX - box.left) / box.width, y: (event.clientY - box.top) / box.height };
}

function begin(point) {
  if (current().picture) marks.push({}); // a drawing replaces a picture
  marks.push({ points: [point, point] });
}

function extend(point) {
  marks[marks.length - 1].points.push(point);
}

let drawing = null; // the pointer that draws; another finger does not
pad.addEventListener("pointerdown", (event) => {
  if (drawing !== null || event.button !== 0) return;
  event.preventDefault();
  drawing = event.pointerId;
  pad.setPointerCapture(drawing);
  pad.focus({ preventScroll: true, focusVisible: false });
  pen = null;
  begin(place(event));
  changed();
});
pad.addEventListener("pointermove", (event) => {
  if (event.pointerId !== drawing) return;
  const between = event.getCoalescedEvents?.() ?? [];
  for (const each of between.length ? between : [event]) extend(place(each));
  changed();
});
for (const end of ["pointerup", "pointercancel"]) {
  pad.addEventListener(end, (event) => {
    if (event.pointerId === drawing) drawing = null;
  });
}

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
pad.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const arrow = ARROWS[event.key];
  if (!arrow && event.key !== " ") return;
  event.preventDefault();
  pen ??= { x: 0.5, y: 0.25, down: false };
  const within = (value) => Math.min(1, Math.max(0, value));
  if (arrow) pen = { x: within(pen.x + arrow[0] * STEP), y: within(pen.y + arrow[1] * STEP), down: pen.down };
  else {
    pen = { ...pen, down: !pen.down };
    say(pen.down ? "Pen down" : "Pen up");
  }
  const point = { x: pen.x, y: pen.y };
  if (pen.down && arrow) extend(point);
  else if (pen.down) begin(point);
  changed();
});
for (const each of ["focus", "blur"]) pad.addEventListener(each, show);

function lift() {
  drawing = null;
  if (pen) pen.down = false;
}

function undo() {
  lift();
  marks.pop();
  changed();
}

function clear() {
  lift();
  if (!isEmpty(current())) marks.push({});
  changed();
}

$("undo").addEventListener("click", undo);
$("clear").addEventListener("click", clear);
addEventListener("keydown", (event) => {
  if (event.target instanceof HTMLInputElement || $("ask").open) return;
  if ((event.ctrlKey || event.metaKey) && !event.shiftKey && event.key.toLowerCase() === "z") undo();
  else if (event.key === "Delete" || event.key === "Backspace") clear();
  else return;
  event.preventDefault();
});

// --- Pictures

async function take(file) {
  if (!file) {
    tell("That was no picture", "Drop or paste a picture file.");
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

function canvas(width, height) {
  return Object.assign(document.createElement("canvas"), { width, height });
}

function encoded(canvas) {
  return new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
}

async function content(now) {
  if (!now.picture) {
    const small = canvas(SENT_SIDE, SENT_SIDE);
    const context = small.getContext("2d");
    context.fillStyle = lightInk ? "#000" : "#fff";
    context.fillRect(0, 0, SENT_SIDE, SENT_SIDE);
    draw(small, SENT_SIDE, now, lightInk ? "#fff" : "#000");
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
    if (isEmpty(now)) tell("Nothing is drawn yet", "");
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
    } else tell("No answer", sentence(result.detail));
  } catch {
    tell("No answer", "The server cannot be reached; it may have been stopped.");
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

const percent = (value) => `${value.toFixed(1)}\u00a0%`;
const sentence = (text) => `${text[0].toUpperCase()}${text.slice(1)}.`;
const isJapanese = (text) => /[\u3040-\u30ff\u4e00-\u9fff]/.test(text);

function element(name, text, properties = {}) {
  const made = Object.assign(document.createElement(name), properties);
  made.textContent = text;
  if (isJapanese(text)) made.lang = "ja";
  return made;
}

let speaking;
function say(text) {
  $("said").textContent = text;
}

function tell(headline, finding, answers = []) {
  $("headline").replaceChildren(element("span", headline));
  $("finding").textContent = finding;
  $("verdict").classList.toggle("told", answers.length > 0 && headline.length <= 12);
  $("verdict").classList.toggle("split", answers.some((each) => each.other));
  showSeen(answers);
  showBars(answers);
  clearTimeout(speaking);
  speaking = setTimeout(() => say(`${headline}. ${finding}`), QUIET);
}

function tellAnswers(answers) {
  const errors = answers.filter((each) => each.error);
  if (errors.length) {
    tell("No answer", sentence(errors[0].error));
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
  tell(winner, finding, answers);
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

function bar(row, name, share) {
  const [label, line, figure] = row.children;
  if (label.textContent !== name) label.replaceWith(element("b", name));
  line.style.setProperty("--share", share === null ? "0" : `${share}%`);
  figure.textContent = share === null ? "" : percent(share);
}

function rows(bars, count) {
  while (bars.children.length > count) bars.lastChild.remove();
  while (bars.children.length < count) {
    const row = document.createElement("li");
    row.append(element("b", ""), element("i", "", { ariaHidden: "true" }), element("small", ""));
    bars.append(row);
  }
  return [...bars.children];
}

function showBars(answers) {
  for (const { made, best, bars } of cards.values()) {
    made.classList.remove("other");
    best.textContent = "";
    for (const row of bars.children) {
      row.className = "";
      bar(row, row.children[0].textContent, null);
    }
  }
  for (const { model, probabilities, other } of answers) {
    const { made, best, bars } = card(model);
    const first = probabilities[0];
    made.classList.toggle("other", other);
    best.replaceChildren(element("span", first.class));
    // All classes in their order, so that the bars stay where they are; of many the most probable, best first.
    const inOrder = probabilities.every((each) => each.number < FEW);
    const shown = inOrder ? probabilities.toSorted((a, b) => a.number - b.number) : probabilities;
    rows(bars, shown.length).forEach((row, i) => {
      row.className = shown[i] === first ? "first" : "";
      bar(row, shown[i].class, shown[i].percent);
    });
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
    tell("No answer", "The server cannot be reached; it may have been stopped.");
  }
}

$("camera").hidden = navigator.maxTouchPoints === 0; // a screen that is touched is a telephone's or tablet's, with a camera
new ResizeObserver(show).observe(pad);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", show);
start();
