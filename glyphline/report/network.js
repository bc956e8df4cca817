// The network that the report carries (glyphline/export/to_json.py), computed for one image. A value is {data, shape}:
// numbers, those of the last axis next to each other.

const network = JSON.parse(document.getElementById("network").textContent);
const weights = new Float32Array(Uint8Array.from(atob(network.weights), (sign) => sign.charCodeAt(0)).buffer);

const size = (shape) => shape.reduce((product, side) => product * side, 1);

// The probability of each class for an image, given as numbers from 0 to 255.
function probabilities(pixels) {
  let value = { data: Float32Array.from(pixels, (level) => level / 255), shape: network.image };
  let place = 0;
  for (const layer of network.layers) {
    let kernel, bias;
    if (layer.kernel) {
      const end = place + size(layer.kernel);
      [kernel, bias] = [weights.subarray(place, end), weights.subarray(end, end + layer.kernel.at(-1))];
      place = end + bias.length;
    }
    value = activated(KINDS[layer.kind](value, layer, kernel, bias), layer.activation);
  }
  return value.data;
}

const KINDS = {
  same: (value) => value,
  reshape: ({ data }, { shape }) => ({ data, shape }),

  permute({ data, shape }, { axes }) {
    const steps = shape.map((_, axis) => size(shape.slice(axis + 1)));
    const turned = axes.map((axis) => shape[axis]);
    const made = new Float32Array(data.length);
    const copy = (depth, from, to) => {
      if (depth === axes.length) made[to] = data[from];
      else for (let i = 0; i < turned[depth]; i++) copy(depth + 1, from + i * steps[axes[depth]], to * turned[depth] + i);
    };
    copy(0, 0, 0);
    return { data: made, shape: turned };
  },

  pad({ data, shape: [height, width, channels] }, { by: [top, bottom, left, right] }) {
    const shape = [height + top + bottom, width + left + right, channels];
    const made = new Float32Array(size(shape));
    for (let y = 0; y < height; y++) {
      const row = data.subarray(y * width * channels, (y + 1) * width * channels);
      made.set(row, ((y + top) * shape[1] + left) * channels);
    }
    return { data: made, shape };
  },

  largest({ data, shape: [height, width, channels] }, { size: [down, across] }) {
    const shape = [Math.floor(height / down), Math.floor(width / across), channels];
    const made = new Float32Array(size(shape)).fill(-Infinity);
    for (let y = 0; y < shape[0] * down; y++) {
      for (let x = 0; x < shape[1] * across; x++) {
        const to = (Math.floor(y / down) * shape[1] + Math.floor(x / across)) * channels;
        const from = (y * width + x) * channels;
        for (let c = 0; c < channels; c++) made[to + c] = Math.max(made[to + c], data[from + c]);
      }
    }
    return { data: made, shape };
  },

  convolution(value, { padded, kernel: [down, across, , filters] }, kernel, bias) {
    if (padded) {
      const [top, left] = [Math.floor((down - 1) / 2), Math.floor((across - 1) / 2)];
      value = KINDS.pad(value, { by: [top, down - 1 - top, left, across - 1 - left] });
    }
    const { data, shape: [height, width, channels] } = value;
    const shape = [height - down + 1, width - across + 1, filters];
    const made = new Float32Array(size(shape));
    for (let y = 0; y < shape[0]; y++) {
      for (let x = 0; x < shape[1]; x++) {
        const sums = Float64Array.from(bias);
        for (let dy = 0; dy < down; dy++) {
          const from = ((y + dy) * width + x) * channels;
          accumulate(sums, data.subarray(from, from + across * channels), kernel, dy * across * channels);
        }
        made.set(sums, (y * shape[1] + x) * filters);
      }
    }
    return { data: made, shape };
  },

  dense({ data }, { kernel: shape }, kernel, bias) {
    const sums = Float64Array.from(bias);
    accumulate(sums, data, kernel, 0);
    return { data: Float32Array.from(sums), shape: [shape[1]] };
  },
};

// Adds to each sum the values times its column of the kernel, from this row on.
function accumulate(sums, values, kernel, row) {
  for (let i = 0; i < values.length; i++) {
    const value = values[i];
    if (value === 0) continue; // most images and activations have many zeros
    const start = (row + i) * sums.length;
    for (let k = 0; k < sums.length; k++) sums[k] += value * kernel[start + k];
  }
}

function activated({ data, shape }, activation) {
  if (!activation) return { data, shape };
  if (activation !== "softmax") return { data: data.map(ACTIVATIONS[activation]), shape };
  const made = new Float32Array(data.length);
  const last = shape.at(-1);
  for (let start = 0; start < data.length; start += last) {
    const group = data.subarray(start, start + last);
    const largest = group.reduce((one, other) => Math.max(one, other));
    const powers = Array.from(group, (value) => Math.exp(value - largest));
    const sum = powers.reduce((one, other) => one + other);
    made.set(powers.map((power) => power / sum), start);
  }
  return { data: made, shape };
}

const ACTIVATIONS = {
  relu: (value) => Math.max(0, value),
  tanh: Math.tanh,
  sigmoid: (value) => 1 / (1 + Math.exp(-value)),
  elu: (value) => (value > 0 ? value : Math.expm1(value)),
  silu: (value) => value / (1 + Math.exp(-value)),
  gelu: (value) => (value * (1 + erf(value / Math.SQRT2))) / 2,
};

// To 1.5e-7: Abramowitz and Stegun, Handbook of Mathematical Functions, 7.1.26.
function erf(value) {
  const t = 1 / (1 + 0.3275911 * Math.abs(value));
  const series = [1.061405429, -1.453152027, 1.421413741, -0.284496736, 0.254829592].reduce((sum, a) => (sum + a) * t, 0);
  return Math.sign(value) * (1 - series * Math.exp(-value * value));
}
