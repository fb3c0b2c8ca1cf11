"use strict";
// One task: show an item, record three answers, continue. The only state is `given`: item -> question -> [answer, revision].

const $ = (id) => document.getElementById(id);
const ANSWERS = [["yes", "Yes", "y"], ["no", "No", "n"], ["unsure", "Can't tell", "t"]];

let items, given, outbox, at, since, base;

function complete(item) {
  return item.questions.every((question) => given[item.id]?.[question.name]);
}

function show(number) {
  at = number;
  since = performance.now();
  const done = items.filter(complete).length;
  $("progress").value = done / items.length;
  const ended = at >= items.length;
  $("count").textContent = ended ? `${done} of ${items.length} answered` : `Picture ${at + 1} of ${items.length}`;
  $("item").hidden = ended;
  $("end").hidden = !ended;
  if (ended) return showEnd(done);
  const item = items[at];
  $("what").textContent = `${item.object}, ${item.place}?`;
  $("what").title = item.names;
  $("gloss").textContent = `${item.object}: ${item.gloss}`;
  put($("image"), item.image, `The picture to judge: is there a ${item.object}, and is the scene ${item.place}?`);
  $("guide-figure").hidden = !item.guide;
  if (item.guide) put($("guide"), item.guide, "Input of the computer");
  $("examples-figure").hidden = !item.examples.length;
  $("examples-text").textContent = `Photos of: ${item.object}`;
  $("examples").replaceChildren(...item.examples.map((address) => put(new Image(), address, `Example: ${item.object}`)));
  $("questions").replaceChildren(...item.questions.map((question) => field(item, question)));
  $("back").disabled = at === 0;
  mark();
  $("what").focus({ preventScroll: true });
  window.scrollTo(0, 0);
  preload();
}

function showEnd(done) {
  const open = items.length - done;
  $("end-title").textContent = open ? `${open} without answers` : "All answered";
  $("end-text").textContent = open
    ? "Some pictures have no answer yet."
    : "You can still go back and change an answer. Once submitted, the task is closed.";
  $("finish").textContent = open ? "Go to the first one without answers" : "Submit";
  $("end-title").focus();
}

function put(image, address, text) {
  image.src = address;
  image.alt = text;
  return image;
}

function field(item, { name, text, hint: more }) {
  const set = document.createElement("fieldset");
  set.dataset.question = name;
  const legend = document.createElement("legend");
  legend.textContent = text;
  const hint = document.createElement("span");
  hint.className = "hint";
  hint.textContent = more;
  legend.append(" ", hint);
  set.append(legend);
  const row = document.createElement("div");
  row.className = "answers";
  for (const [value, word, key] of ANSWERS) {
    const label = document.createElement("label");
    const radio = document.createElement("input");
    Object.assign(radio, { type: "radio", name, value, checked: given[item.id]?.[name]?.[0] === value });
    radio.addEventListener("change", () => answer(name, value, false));
    const face = document.createElement("span");
    const hintKey = document.createElement("kbd");
    hintKey.textContent = key.toUpperCase();
    face.append(word, " ", hintKey);
    label.append(radio, face);
    row.append(label);
  }
  set.append(row);
  return set;
}

function names() {
  return items[at].questions.map((question) => question.name);
}

function current() {
  const open = names().find((name) => !given[items[at].id]?.[name]);
  return chosen ?? open;
}

let leaving = null; // the item that was just completed: keys pressed before the next one is shown are ignored
let chosen = null; // the question that keys answer, if selected with the arrow keys

function mark() {
  for (const set of $("questions").children) {
    set.classList.toggle("current", set.dataset.question === current());
    set.classList.toggle("answered", Boolean(given[items[at].id]?.[set.dataset.question]));
  }
  $("next").disabled = !complete(items[at]);
}

function answer(question, value, byKey) {
  const item = items[at];
  const first = !complete(item);
  const before = given[item.id]?.[question];
  if (before?.[0] !== value) {
    const revision = (before?.[1] ?? 0) + 1;
    (given[item.id] ??= {})[question] = [value, revision];
    const seconds = Math.min(86400, Math.round((performance.now() - since) / 100) / 10);
    outbox.add({ item: item.id, question, answer: value, revision, seconds });
  }
  for (const radio of document.getElementsByName(question)) radio.checked = radio.value === value;
  if (byKey && chosen) step(1);
  mark();
  $("progress").value = items.filter(complete).length / items.length;
  if (first && complete(item)) {
    const here = leaving = at; // a short delay shows the selected answer
    setTimeout(() => at === here && go(at + 1), 250);
  }
}

function step(by) {
  const all = names();
  const place = all.indexOf(current() ?? all[all.length - 1]);
  chosen = all[Math.max(0, Math.min(all.length - 1, place + by))];
  mark();
}

function go(number) {
  chosen = leaving = null;
  if (number >= 0 && number <= items.length) show(number);
}

function preload() {
  for (const item of items.slice(at + 1, at + 4)) {
    for (const address of [item.image, item.guide, ...item.examples]) if (address) new Image().src = address;
  }
}

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || $("instructions").open) return;
  if (event.target.tagName === "TEXTAREA") return;
  if (at === leaving && event.key !== "?") return event.preventDefault();
  const key = event.key.toLowerCase();
  const hit = ANSWERS.find(([, , letter], number) => key === letter || key === String(number + 1));
  const onButton = event.target.tagName === "BUTTON";
  const ended = at >= items.length;
  if (key === "?") help();
  else if (key === "b" || key === "backspace") go(at - 1);
  else if (key === "enter" && !onButton) ended ? finish() : complete(items[at]) && go(at + 1);
  else if (ended) return;
  else if (hit && current()) answer(current(), hit[0], true);
  else if (hit) { chosen = names()[0]; answer(chosen, hit[0], true); }
  else if (key === "arrowup" && event.target.type !== "radio") step(-1);
  else if (key === "arrowdown" && event.target.type !== "radio") step(1);
  else return;
  event.preventDefault();
}

function help() {
  $("instructions").showModal();
}

function notify(what, more) {
  const words = { saving: "Saving …", saved: "Saved", waiting: "No connection: your answers are saved here and sent later" };
  if (what === "closed") {
    $("saved").textContent = more.error || "This task is closed";
    $("saved").className = "bad";
  } else if (what === "conflict") {
    const latest = given[more.item][more.question];
    latest[1] = Math.max(latest[1], more.counts.revision + 1);
  } else {
    $("saved").textContent = words[what];
    $("saved").className = what;
  }
}

async function finish() {
  const open = items.findIndex((item) => !complete(item));
  if (open >= 0) return go(open);
  $("finish").disabled = true;
  await outbox.send();
  const reply = outbox.waiting.length ? { status: 0 } : await post(base + "/finish", { comment: $("comment").value });
  if (reply.status === 200 || reply.status === 410) return location.reload();
  $("finish").disabled = false;
  $("end-text").textContent = reply.status === 409
    ? "Some answers were not received: reload the page and complete the missing ones."
    : "No connection: please retry.";
}

function start() {
  ({ items, given, base } = JSON.parse($("data").textContent));
  outbox = new Outbox(base, notify);
  for (const kept of outbox.waiting) (given[kept.item] ??= {})[kept.question] = [kept.answer, kept.revision];
  outbox.send();
  $("back").addEventListener("click", () => go(at - 1));
  $("end-back").addEventListener("click", () => go(items.length - 1));
  $("next").addEventListener("click", () => go(at + 1));
  $("finish").addEventListener("click", finish);
  $("help").addEventListener("click", help);
  $("begin").addEventListener("click", () => $("instructions").close());
  $("instructions").addEventListener("close", () => { since = performance.now(); });
  document.addEventListener("keydown", onKey);
  const first = items.findIndex((item) => !complete(item));
  show(first < 0 ? items.length : first);
  if (!Object.keys(given).length) help();
}

start();
