"use strict";
// Fetches the figures every three seconds, or less often where the server takes long. All values are inserted as text: a comment cannot become markup.
// Numbers come as text, rounded once, on the server.

const $ = (id) => document.getElementById(id);

function make(tag, text, name) {
  const made = document.createElement(tag);
  if (text !== undefined) made.textContent = text;
  if (name) made.className = name;
  return made;
}

function line(values, name) {
  const row = make("tr", undefined, name);
  row.append(...values.map((value) => make("td", value ?? "–")));
  return row;
}

function empty(text, columns) {
  const row = make("tr"), cell = make("td", text, "soft");
  cell.colSpan = columns;
  row.append(cell);
  return row;
}

function pairs(list) {
  return list.map(([name, value]) => {
    const pair = make("div");
    pair.append(make("dt", name), make("dd", value));
    return pair;
  });
}

const flaggedOf = (found) => found.people.filter((each) => each.flags.length && each.excluded === null);
const plural = (count, one, many) => `${count} ${count === 1 ? one : many}`;

function lead(found) {
  const { given, wanted } = found.answers;
  if (!given) return "Nobody has voted yet: send the links that serve printed.";
  const flagged = flaggedOf(found).length;
  const rest = found.done ? "nothing is left" : found.hours_left ? `about ${found.hours_left} hours left at the rate of the last ten minutes`
    : "nobody answered in the last ten minutes";
  const look = flagged ? `${plural(flagged, "annotator needs", "annotators need")} a look` : "no annotator is flagged";
  return `${given} of ${wanted} answers are in; ${rest}; ${look}.`;
}

function people(found) {
  const flagged = flaggedOf(found);
  $("flagged").textContent = !found.people.length ? "" : flagged.length
    ? `To look at first: ${flagged.map((each) => each.person).join(", ")}.` : "Nobody is flagged.";
  $("limits").textContent = found.limits.join("; ");
  $("people").replaceChildren(...found.people.map((each) => {
    const gold = each.known ? `${each.known_right} of ${each.known}` : "none yet";
    const out = each.excluded !== null, why = out ? [`excluded: ${each.excluded}`] : each.flags;
    const row = line(["", why.join("; ") || "–", each.answers, gold, each.seconds], out ? "gone" : why.length ? "flagged" : "");
    row.children[1].className = "text why";
    const link = make("a", each.person, "person");
    link.href = `${location.pathname}/people/${each.id}`;
    row.firstChild.append(link);
    return row;
  }));
  if (!found.people.length) $("people").append(empty("Nobody has voted yet.", 5));
}

// The pictures are drawn anew only where something changed: they would flicker, and be read out again.
const PAGE = 12;
let drawn = "", most = PAGE;
function disputes(found) {
  const chosen = $("question").value, now = JSON.stringify([chosen, most, found.disputed]);
  if (now === drawn) return;
  drawn = now;
  const names = Object.keys(found.disputed);
  if (!$("question").options.length) {
    $("question").append(...["", ...names].map((name) => { const each = make("option", name || "all"); each.value = name; return each; }));
  }
  const wanted = names.filter((name) => !chosen || name === chosen);
  const sent = wanted.flatMap((name) => found.disputed[name].shown), shown = sent.slice(0, most);
  const total = wanted.reduce((sum, name) => sum + found.disputed[name].n, 0);
  $("disputed-count").textContent = total ? `${shown.length} of ${total} shown, the most evenly split first`
    : found.answers.given ? "No two annotators disagree so far." : "Nobody has voted yet, so nobody disagrees.";
  $("disputes").replaceChildren(...shown.map(card));
  $("more").hidden = shown.length === sent.length;
}

function card(each) {
  const made = make("article"), said = make("ul"), pictures = make("div", undefined, "pair");
  for (const [name, text] of [[each.image, `${each.object}, ${each.background}`], [each.guide, "its guide"]]) {
    if (!name) continue;
    const picture = make("img");
    picture.src = `${location.pathname}/images/${name}`;
    picture.alt = text;
    picture.loading = "lazy";
    pictures.append(picture);
  }
  for (const answer of ["yes", "no", "can't tell"]) {
    const people = each.given.filter((pair) => pair[1] === answer).map((pair) => pair[0]);
    if (!people.length) continue;
    const entry = make("li");
    entry.append(make("b", `${answer}: `), people.join(", "));
    said.append(entry);
  }
  made.append(pictures, make("h3", each.ask), said);
  return made;
}

function draw(found) {
  $("lead").textContent = lead(found);
  $("about").textContent = `${found.release}, sample: ${found.drawn}`;
  const { finished, open, wanted } = found.sittings;
  $("totals").replaceChildren(...pairs([
    ["assignments submitted", `${finished} of ${wanted}`],
    ["in progress", open],
    ["answers per minute (last ten minutes)", found.per_minute],
    ["submitted too fast, held for review", found.fast.join(", ") || "none"],
    ["worker ids used from a second browser", Object.entries(found.refused).map((each) => each.join(": ")).join(", ") || "none"],
  ]));
  $("outlook").replaceChildren(...pairs(found.outlook));
  $("rounds").hidden = !found.rounds;
  if (found.rounds) {
    $("round").replaceChildren(...pairs(found.rounds.lines));
    $("next").replaceChildren(...(found.rounds.next.length ? found.rounds.next.map((each) => line(each)) : [empty("Every image is decided.", 5)]));
  }
  people(found);
  $("agreement").replaceChildren(...found.questions.map((each) =>
    line([each.name, each.answers.yes, each.answers.no, each.answers.unsure, each.alpha ?? "not defined yet"])));
  disputes(found);
  $("comments").replaceChildren(...(found.comments.length ? found.comments.map((text) => make("li", text))
    : [make("li", "Nobody has left a comment yet.", "soft")]));
}

let last = null;
async function again() {
  const begun = performance.now();
  try {
    const reply = await fetch(location.pathname + "/figures");
    if (!reply.ok) throw new Error(String(reply.status));
    last = await reply.json();
    draw(last);
    $("state").textContent = `as of ${new Date().toLocaleTimeString()}`;
  } catch {
    $("state").textContent = "no connection: retrying";
  }
  setTimeout(again, Math.max(3000, 5 * (performance.now() - begun)));  // 300,000 votes take 3 s of CPU
}

$("question").addEventListener("change", () => { most = PAGE; if (last) disputes(last); });
$("more").addEventListener("click", () => { most += PAGE; disputes(last); });
again();
