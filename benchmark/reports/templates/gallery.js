const chosen = (id) => Number(find(id)?.value ?? 0);
const FIRST = 14, MORE = 42; // pictures
let pictures = FIRST;

function caption(truth, place, answer, sure) {
  const made = make("figcaption");
  for (const [name, text] of [["truth", truth], ["answer", answer]]) {
    const line = make("div");
    line.append(make("span", `${name} `, "soft"), make("strong", text.split(",")[0]));
    line.title = text;
    made.append(line);
  }
  made.append(make("div", sure === "-" ? `on ${place}` : `on ${place}, ${sure} % sure`, "soft"));
  return made;
}

function showGallery() {
  const model = chosen("gallery-model"), background = find("gallery-background").value;
  const wanted = find("gallery-class").value.trim().toLowerCase();
  const rows = data.mistakes.filter(([who, , truth, place, answer]) => who === model
    && (!background || place === background) && `${truth}\n${answer}`.toLowerCase().includes(wanted));
  const shown = rows.slice(0, pictures);
  find("gallery").replaceChildren(...shown.map(([, key, truth, place, answer, sure]) => {
    const figure = make("figure");
    if (data.images[key]) {
      const image = make("img");
      image.src = data.images[key];
      image.alt = `truth ${truth} on ${place}, answer ${answer}`;
      image.loading = "lazy";
      figure.append(image);
    }
    figure.append(caption(truth, place, answer, sure));
    figure.title = key;
    return figure;
  }));
  find("gallery-count").textContent = `${shown.length} of ${rows.length} errors shown`;
  find("gallery-more").hidden = shown.length === rows.length;
}

for (const id of ["gallery-model", "gallery-background", "gallery-class"])
  find(id)?.addEventListener("input", () => { pictures = FIRST; showGallery(); });
find("gallery-more").addEventListener("click", () => { pictures += MORE; showGallery(); });
showGallery();
