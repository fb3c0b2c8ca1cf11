"use strict";
// Upload queue for answers. Each stays in localStorage until the server confirms that it is on disk, so that neither a
// reload nor a lost connection loses one; a duplicate counts once.

class Outbox {
  constructor(base, notify) {
    this.base = base;
    this.notify = notify; // called with "saving", "saved", "waiting", "closed", or "conflict" and the current answer
    this.name = "d3s:" + base;
    try {
      this.waiting = JSON.parse(localStorage.getItem(this.name)) || [];
    } catch {
      this.waiting = [];
    }
    this.busy = false;
    this.delay = 500;
  }

  add(answer) {
    this.waiting.push(answer);
    this.keep();
    this.send();
  }

  keep() {
    try {
      if (this.waiting.length) localStorage.setItem(this.name, JSON.stringify(this.waiting));
      else localStorage.removeItem(this.name);
    } catch {
      // Storage may be disabled: then answers are kept in memory only, and sent as usual.
    }
  }

  async send() {
    if (this.busy) return;
    this.busy = true;
    while (this.waiting.length) {
      this.notify("saving");
      const first = this.waiting[0];
      const reply = await post(this.base + "/votes", first);
      if (reply.status === 200) {
        this.waiting.shift();
      } else if (reply.status === 409) {
        // Another window has answered: this answer becomes the next revision.
        const mine = this.waiting.shift();
        const later = this.waiting.some((each) => each.item === mine.item && each.question === mine.question);
        this.notify("conflict", { ...mine, counts: reply.body });
        if (!later && reply.body.answer !== mine.answer) {
          this.waiting.unshift({ ...mine, revision: reply.body.revision + 1 });
        }
      } else if (reply.status >= 400 && reply.status < 500) {
        this.notify("closed", reply.body);
        this.busy = false;
        return;
      } else {
        this.notify("waiting");
        await new Promise((resolve) => setTimeout(resolve, this.delay));
        this.delay = Math.min(this.delay * 2, 8000);
        continue;
      }
      this.delay = 500;
      this.keep();
    }
    this.busy = false;
    this.notify("saved");
  }
}

async function post(address, body) {
  try {
    const reply = await fetch(address, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(body),
    });
    const text = await reply.text();
    return { status: reply.status, body: text.startsWith("{") ? JSON.parse(text) : {} };
  } catch {
    return { status: 0, body: {} };
  }
}
