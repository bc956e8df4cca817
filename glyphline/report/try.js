
// The drawing made into an image as the pictures of the data set were, and what the network says of it.

const { how, trimmed, classes } = network;
const BOX = 20; // pixels of MNIST's images, into which a glyph is fitted whole
const NORMAL_STROKE = 3; // pixels of that box: most strokes of MNIST's digits are as wide
const FINE = 8; // lines drawn for each pixel, and averaged

function changed() {
  show();
  const { strokes } = current();
  if (strokes.length === 0) {
    tell("Nothing is drawn yet", "");
    emptyBars($("bars"));
    $("seen").replaceChildren();
    return;
  }
  const image = prepared(strokes);
  const answer = Array.from(probabilities(spread(image)), (share, number) => ({ class: classes[number], number, percent: 100 * share }));
  answer.sort((one, other) => other.percent - one.percent);
  const [first, second] = answer;
  tell(first.class, `${percent(first.percent)} sure; then ${second.class}, ${percent(second.percent)}.`, true);
  showBars($("bars"), answer.slice(0, FEW));
  showSeen(image);
}

// Light ink on black: a number from 0 to 255 for each pixel of the network's image.
function prepared(strokes) {
  const [side] = network.image;
  const whole = { left: 0, top: 0, width: 1, height: 1 };
  if (how !== "centred") return placed(averaged(strokes, trimmed ? around(strokes, PEN) : whole, PEN, side), side, middle);
  const { width, height } = around(strokes, 0);
  const longest = Math.max(width, height);
  const pen = longest < 2 * PEN ? PEN : (NORMAL_STROKE * longest) / (BOX - NORMAL_STROKE);
  return placed(averaged(strokes, around(strokes, pen), pen, BOX), side, centreOfMass);
}

// The box that strokes of this width fill, all of it in sides of the pad.
function around(strokes, pen) {
  const points = strokes.flatMap((stroke) => stroke.points);
  const [left, right, top, bottom] = [(p) => p.x, (p) => -p.x, (p) => p.y, (p) => -p.y].map((of) => Math.min(...points.map(of)) - pen / 2);
  return { left, top, width: -right - left, height: -bottom - top };
}

// What is in the box, its longer side so many pixels: {levels, width, height}.
function averaged(strokes, box, pen, longest) {
  const scale = longest / Math.max(box.width, box.height);
  const [width, height] = [box.width, box.height].map((side) => Math.max(1, Math.round(side * scale)));
  const fine = canvas(width * FINE, height * FINE);
  const context = fine.getContext("2d", { willReadFrequently: true });
  context.translate(-box.left * scale * FINE, -box.top * scale * FINE);
  draw(context, scale * FINE, strokes, "#fff", pen * scale * FINE);
  const { data } = context.getImageData(0, 0, fine.width, fine.height);
  const levels = new Float32Array(width * height);
  for (let y = 0; y < fine.height; y++) {
    for (let x = 0; x < fine.width; x++) {
      const pixel = Math.floor(y / FINE) * width + Math.floor(x / FINE);
      levels[pixel] += data[4 * (y * fine.width + x) + 3] / FINE ** 2;
    }
  }
  return { levels: levels.map(Math.round), width, height };
}

const middle = ({ width, height }, side) => [(side - width) / 2, (side - height) / 2].map(Math.floor);

function centreOfMass({ levels, width, height }, side) {
  const mass = levels.reduce((sum, level) => sum + level);
  const mean = (of) => levels.reduce((sum, level, i) => sum + level * of(i), 0) / mass;
  const start = (centre, length) => Math.min(side - length, Math.max(0, Math.round(side / 2 - centre)));
  return [start(mean((i) => i % width), width), start(mean((i) => Math.floor(i / width)), height)];
}

function placed(small, side, where) {
  const [left, top] = where(small, side);
  const image = new Uint8Array(side * side);
  for (let y = 0; y < small.height; y++) {
    image.set(small.levels.subarray(y * small.width, (y + 1) * small.width), (y + top) * side + left);
  }
  return image;
}

const spread = (image) => Array.from(image).flatMap((level) => Array(network.image[2]).fill(level));

function showSeen(image) {
  const [side] = network.image;
  const shown = canvas(side, side);
  const pixels = Uint8ClampedArray.from(Array.from(image).flatMap((level) => [level, level, level, 255]));
  shown.getContext("2d").putImageData(new ImageData(pixels, side, side), 0, 0);
  const what = "What the network saw";
  const figure = document.createElement("figure");
  figure.append(element("img", "", { src: shown.toDataURL(), alt: what }), element("figcaption", what));
  $("seen").replaceChildren(figure);
}

$("trying").hidden = false;
if (classes.length <= FEW) rows($("bars"), classes.length).forEach((row, i) => bar(row, classes[i], null));
