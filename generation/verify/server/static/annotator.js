"use strict";
// Excludes an annotator, or counts them again; then loads the page anew. The decision is recorded by the server.

const $ = (id) => document.getElementById(id);

async function decide(event) {
  event.preventDefault();
  $("send").disabled = true;
  try {
    const reply = await fetch($("decide").dataset.post, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ reason: $("reason").value }),
    });
    if (reply.ok) return location.reload();
    $("state").textContent = (await reply.json()).error;
  } catch {
    $("state").textContent = "No connection: please retry.";
  }
  $("send").disabled = false;
}

$("decide").addEventListener("submit", decide);
