// Shows the texts of each number as a conversation, once a second, and sends what is typed as that number.
const at = (id) => document.getElementById(id);
let texts = [];
let mine = new URLSearchParams(location.search).get("number");
let drawn = "";

const theirs = (text) => (text.direction === "inbound" ? text.from : text.to);
const clock = (text) => new Date(text.sent_at).toLocaleString([], { weekday: "short", hour: "2-digit", minute: "2-digit" });

function element(name, words, className) {
  const made = document.createElement(name);
  if (words) made.textContent = words;
  if (className) made.className = className;
  return made;
}

function bubble(text) {
  const item = element("li", "", text.direction);
  for (const part of text.body.split(/(https?:\/\/\S+)/)) {
    if (/^https?:\/\//.test(part)) {
      const link = element("a", part);
      link.href = part;
      link.target = "_blank";
      link.rel = "noopener noreferrer";
      item.append(link);
    } else {
      item.append(part);
    }
  }
  item.append(element("small", `${clock(text)}${text.direction === "outbound" ? ` · ${text.status}` : ""}`));
  return item;
}

function person(number, last) {
  const item = element("li");
  const button = element("button");
  const head = element("strong", number);
  head.append(element("small", last ? clock(last) : ""));
  button.append(head, element("span", last ? last.body : "", "last"));
  button.setAttribute("aria-current", String(number === mine));
  button.addEventListener("click", () => open(number));
  item.append(button);
  return item;
}

function draw() {
  const state = JSON.stringify([mine, texts.map((t) => [t.sid, t.status])]);
  if (state === drawn) return;
  drawn = state;
  const last = new Map();
  for (const text of texts) {
    last.delete(theirs(text));
    last.set(theirs(text), text);
  }
  if (mine && !last.has(mine)) last.set(mine, null);
  at("people").replaceChildren(...[...last].reverse().map(([number, text]) => person(number, text)));
  at("nobody").hidden = last.size > 0;
  at("who").textContent = mine || "Choose a conversation";
  at("thread").replaceChildren(...texts.filter((t) => theirs(t) === mine).map(bubble));
  at("thread").scrollTop = at("thread").scrollHeight;
  for (const field of at("answer").elements) field.disabled = !mine;
  at("quick").hidden = !mine;
}

function open(number) {
  mine = number;
  draw();
  at("words").focus();
}

async function say(words) {
  if (!mine || !words.trim()) return;
  await fetch("/dev/phone/messages", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ from: mine, body: words }),
  });
  await look();
}

async function look() {
  try {
    const answer = await fetch("/dev/phone/messages");
    if (answer.ok) texts = (await answer.json()).items;
  } catch {
    return; // the server is away; the next look will tell
  }
  if (!mine && texts.length) mine = theirs(texts[texts.length - 1]);
  draw();
}

at("answer").addEventListener("submit", (event) => {
  event.preventDefault();
  const words = at("words").value;
  at("words").value = "";
  say(words);
});
at("start").addEventListener("submit", (event) => {
  event.preventDefault();
  const number = at("number").value.replace(/[^\d+]/g, "");
  if (/^\+\d{7,15}$/.test(number)) open(number);
});
at("quick").addEventListener("click", (event) => {
  if (event.target.dataset.says) say(event.target.dataset.says);
});
look();
setInterval(look, 1000);
