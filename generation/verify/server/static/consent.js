"use strict";
// Sends the agreement, then loads the page again, which then shows the task.

const $ = (id) => document.getElementById(id);

function ready() {
  $("agree").disabled = Boolean($("age") && !$("age").checked);
}

async function agree() {
  $("agree").disabled = true;
  try {
    const reply = await fetch($("consent").dataset.post, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ agreed: true, of_age: Boolean($("age")?.checked) }),
    });
    if (reply.ok) return location.reload();
    $("state").textContent = (await reply.json()).error;
  } catch {
    $("state").textContent = "No connection: please retry.";
  }
  ready();
}

$("age")?.addEventListener("change", ready);
$("agree").addEventListener("click", agree);
ready();
