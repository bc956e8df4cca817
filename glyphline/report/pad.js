"use strict";

// A pad to draw on, and bars of probabilities, for every page that has them. The page defines changed(), which is called
// after each change of the drawing, and showPicture(context, side, mark) where a picture can take the drawing's place.

const PEN = 1 / 13; // of the drawing's side: the width of a stroke
const STEP = 1 / 28; // of it: how far an arrow key moves the pen
const QUIET = 700; // milliseconds without a new answer before it is spoken
const FEW = 10; // classes that are all shown, in their order

const $ = (id) => document.getElementById(id);
const pad = $("pad");

// What was done, oldest first: {points} of a stroke, {file, bitmap} of a picture, or {} when all was cleared.
const marks = [];
let pen = null; // {x, y, down} of the keyboard's pen, once it is used

function current() {
  const start = marks.findLastIndex((mark) => !mark.points);
  const base = marks[start];
  return { picture: base?.file ? base : null, strokes: marks.slice(start + 1) };
}

function isEmpty({ picture, strokes }) {
  return !picture && strokes.length === 0;
}

// The strokes on a canvas whose side is so many pixels. width: of a stroke, in pixels.
function draw(context, side, strokes, ink, width = PEN * side) {
  context.lineWidth = width;
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
  if (now.picture) showPicture(context, side, now.picture);
  draw(context, side, now.strokes, colour);
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
  if (event.target instanceof HTMLInputElement || document.querySelector("dialog[open]")) return;
  if ((event.ctrlKey || event.metaKey) && !event.shiftKey && event.key.toLowerCase() === "z") undo();
  else if (event.key === "Delete" || event.key === "Backspace") clear();
  else return;
  event.preventDefault();
});
new ResizeObserver(show).observe(pad);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", show);

// --- What is said of it

const percent = (value) => `${value.toFixed(1)}\u00a0%`;
const isJapanese = (text) => /[\u3040-\u30ff\u4e00-\u9fff]/.test(text);

function element(name, text, properties = {}) {
  const made = Object.assign(document.createElement(name), properties);
  made.textContent = text;
  if (isJapanese(text)) made.lang = "ja";
  return made;
}

function canvas(width, height) {
  return Object.assign(document.createElement("canvas"), { width, height });
}

function say(text) {
  $("said").textContent = text;
}

let speaking;
function tell(headline, finding, isAnswer = false) {
  $("headline").replaceChildren(element("span", headline));
  $("finding").textContent = finding;
  $("verdict").classList.toggle("told", isAnswer && headline.length <= 12);
  clearTimeout(speaking);
  speaking = setTimeout(() => say(`${headline}. ${finding}`), QUIET);
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

// probabilities: {class, number, percent} of classes, the most probable first. All classes are in their order, so that
// the bars stay where they are; of many there are the most probable.
function showBars(bars, probabilities) {
  const first = probabilities[0];
  const inOrder = probabilities.every((each) => each.number < FEW);
  const shown = inOrder ? probabilities.toSorted((a, b) => a.number - b.number) : probabilities;
  rows(bars, shown.length).forEach((row, i) => {
    row.className = shown[i] === first ? "first" : "";
    bar(row, shown[i].class, shown[i].percent);
  });
}

function emptyBars(bars) {
  for (const row of bars.children) {
    row.className = "";
    bar(row, row.children[0].textContent, null);
  }
}
