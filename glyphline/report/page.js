"use strict";

// Sorting: each heading with data-first becomes a button; its first click sorts in that direction.
for (const table of document.querySelectorAll("table.sortable")) {
  for (const heading of table.tHead.querySelectorAll("th[data-first]")) {
    const label = heading.querySelector(".label");
    const button = document.createElement("button");
    button.type = "button";
    button.append(...label.childNodes);
    label.append(button);
    button.addEventListener("click", () => sort(table, heading));
  }
}

function sort(table, heading) {
  const opposite = { ascending: "descending", descending: "ascending" };
  const direction = opposite[heading.getAttribute("aria-sort")] ?? heading.dataset.first;
  const sign = direction === "ascending" ? 1 : -1;
  const value = (row) => row.cells[heading.cellIndex].dataset.value;
  const body = table.tBodies[0];
  const rows = [...body.rows].sort((a, b) => sign * compare(value(a), value(b)));
  for (const other of table.tHead.querySelectorAll("th[aria-sort]")) other.removeAttribute("aria-sort");
  heading.setAttribute("aria-sort", direction);
  body.append(...rows);
}

function compare(a, b) {
  const difference = Number(a) - Number(b);
  return Number.isNaN(difference) ? a.localeCompare(b, "en") : difference;
}

// Scrolling: a table that fits its window needs no stop for the keyboard.
const tables = document.querySelectorAll(".wide");
function stopWhereNeeded() {
  for (const table of tables) {
    if (table.scrollWidth > table.clientWidth) table.setAttribute("tabindex", "0");
    else table.removeAttribute("tabindex");
  }
}
addEventListener("resize", stopWhereNeeded);
stopWhereNeeded();

// Enlarging: on narrow windows a picture can be seen at its own size.
const dialog = document.createElement("dialog");
dialog.setAttribute("aria-label", "The picture at its own size");
dialog.innerHTML = '<button type="button">Close</button><div tabindex="0"></div>';
document.body.append(dialog);
dialog.querySelector("button").addEventListener("click", () => dialog.close());
for (const picture of document.querySelectorAll("figure.picture")) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "enlarge";
  button.textContent = "Enlarge";
  button.setAttribute("aria-label", `Enlarge: ${picture.querySelector(".caption").textContent}`);
  button.addEventListener("click", () => {
    dialog.querySelector("div").replaceChildren(picture.querySelector("img").cloneNode());
    dialog.showModal();
  });
  picture.querySelector("figcaption").append(button);
}
