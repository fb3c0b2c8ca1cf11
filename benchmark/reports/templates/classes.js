const sum = (values) => values.reduce((total, value) => total + value, 0);
let limit = 30;

function showClasses() {
  const wanted = find("class-filter").value.trim().toLowerCase(), order = find("class-order").value;
  const share = ([, n, right]) => sum(right) / sum(n);
  const rows = data.classes[chosen("class-model")].filter(([name]) => name.toLowerCase().includes(wanted));
  if (order !== "name") rows.sort((a, b) => (order === "hard" ? 1 : -1) * (share(a) - share(b)));
  else rows.sort((a, b) => (a[0] < b[0] ? -1 : 1));
  const body = find("class-table").tBodies[0];
  body.replaceChildren(...rows.slice(0, limit).map(([name, n, right]) => {
    const row = make("tr"), cells = [...n.map((count, i) => [right[i], count]), [sum(right), sum(n)]];
    row.append(make("th", name, "name"));
    row.lastChild.title = name;
    for (const [good, count] of cells) {
      const cell = make("td", count ? `${good}/${count}` : "-", "cell");
      cell.style.setProperty("--v", count ? good / count : 0);
      row.append(cell);
    }
    return row;
  }));
  find("class-count").textContent = `${Math.min(limit, rows.length)} of ${rows.length} classes`;
  find("class-more").hidden = limit >= rows.length;
}

for (const id of ["class-model", "class-filter", "class-order"])
  find(id)?.addEventListener("input", () => { limit = 30; showClasses(); });
find("class-more").addEventListener("click", () => { limit += 200; showClasses(); });
showClasses();
