"use strict";
// Everything can be read without this: it only finds, sorts and unfolds.
for (const tools of document.querySelectorAll(".tools")) {
  const table = document.getElementById(tools.dataset.for);
  const body = table.tBodies[0];
  const [find, only] = tools.querySelectorAll("input");
  const told = tools.querySelector("output");
  const rows = [...body.rows];

  function filter() {
    const wanted = find.value.trim().toLowerCase();
    let shown = 0;
    for (const row of rows) {
      const fits = row.cells[0].textContent.toLowerCase().includes(wanted) || row.cells[1].textContent.includes(wanted);
      row.hidden = !fits || (only.checked && !row.classList.contains("bad"));
      shown += !row.hidden;
    }
    told.textContent = wanted || only.checked ? `${shown} of ${rows.length} shown` : "";
  }

  function compare(one, other) {
    const difference = Number(one) - Number(other);
    return Number.isNaN(difference) ? one.localeCompare(other, "en", { numeric: true }) : difference;
  }

  function sort(heading, column) {
    // The third time the order of the turns is back.
    const next = { ascending: "descending", descending: "" }[heading.ariaSort] ?? "ascending";
    for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
    if (next) heading.setAttribute("aria-sort", next);
    const sign = next === "descending" ? -1 : 1;
    const key = (row) => row.cells[column].dataset.sort ?? row.cells[column].textContent;
    body.append(...(next ? [...rows].sort((a, b) => sign * compare(key(a), key(b))) : rows));
  }

  [...table.tHead.rows[0].cells].forEach((heading, column) => {
    if ("fixed" in heading.dataset) return;
    const button = document.createElement("button");
    button.type = "button";
    button.append(...heading.childNodes);
    button.addEventListener("click", () => sort(heading, column));
    heading.append(button);
  });
  find.addEventListener("input", filter);
  only.addEventListener("change", filter);
  tools.hidden = false;
}

function unfold() {
  const target = document.getElementById(location.hash.slice(1));
  if (target instanceof HTMLDetailsElement) target.open = true;
}
addEventListener("hashchange", unfold);
unfold();
