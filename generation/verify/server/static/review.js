"use strict";
// Fetches the figures every three seconds. All values are inserted as text: a comment cannot become markup.

const $ = (id) => document.getElementById(id);

function cells(values) {
  const row = document.createElement("tr");
  for (const value of values) {
    const cell = document.createElement("td");
    cell.textContent = value ?? "–";
    row.append(cell);
  }
  return row;
}

function pairs(list) {
  return list.map(([name, value]) => {
    const [pair, term, text] = ["div", "dt", "dd"].map((tag) => document.createElement(tag));
    term.textContent = name;
    text.textContent = value ?? "–";
    pair.append(term, text);
    return pair;
  });
}

function draw(found) {
  $("about").textContent = `${found.release}, sample: ${found.drawn}`;
  const { finished, open, wanted } = found.sittings;
  $("totals").replaceChildren(...pairs([
    ["assignments submitted", `${finished} of ${wanted}`],
    ["in progress", open],
    ["answers", `${found.answers.given} of ${found.answers.wanted}`],
    ["answers per minute (last ten minutes)", found.per_minute],
    ["hours left at this rate", found.hours_left],
    ["submitted too fast, held for review", found.fast.join(", ") || "none"],
    ["worker ids used from a second browser", Object.entries(found.refused).map((each) => each.join(": ")).join(", ") || "none"],
  ]));
  $("agreement").replaceChildren(...found.questions.map((each) =>
    cells([each.name, each.answers.yes, each.answers.no, each.answers.unsure, each.alpha])));
  $("people").replaceChildren(...found.people.map((each) =>
    cells([each.person, each.answers, `${each.known_right} of ${each.known}`, each.seconds])));
  $("comments").replaceChildren(...found.comments.map((text) => {
    const line = document.createElement("li");
    line.textContent = text;
    return line;
  }));
}

async function again() {
  try {
    const reply = await fetch(location.pathname + "/figures");
    if (!reply.ok) throw new Error(String(reply.status));
    draw(await reply.json());
    $("state").textContent = `as of ${new Date().toLocaleTimeString()}`;
  } catch {
    $("state").textContent = "no connection: retrying";
  }
  setTimeout(again, 3000);
}

again();
