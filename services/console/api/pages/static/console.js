// Keeps the page alive: counts down on the business clock, takes what changed from the stream, moves the demo's clock without a reload.
// Everything here can be missing: the page works without it.
"use strict";

const body = document.body;
document.documentElement.classList.add("scripted");

// ---- the business clock: (business instant, rate) at a moment of the machine
const clock = { now: Date.parse(body.dataset.now), rate: Number(body.dataset.rate), at: performance.now() };
const businessNow = () => clock.now + (performance.now() - clock.at) * clock.rate;

function span(ms) {
  const seconds = Math.floor(Math.abs(ms) / 1000);
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60), rest = minutes % 60;
  if (hours < 24) return rest ? `${hours} h ${String(rest).padStart(2, "0")} min` : `${hours} h`;
  return hours % 24 ? `${Math.floor(hours / 24)} d ${hours % 24} h` : `${Math.floor(hours / 24)} d`;
}

function tick() {
  const now = businessNow();
  for (const place of document.querySelectorAll("[data-due]")) {
    const left = Date.parse(place.dataset.due) - now;
    const words = left <= 0 ? `overdue by ${span(left)}` : `in ${span(left)}`;
    if (place.textContent !== words) place.textContent = words;
    place.closest("tr, li")?.classList.toggle("late", left <= 0);
  }
  for (const place of document.querySelectorAll("[data-clock]")) place.textContent = wall(now, place.dataset.zone);
}

function wall(at, zone) {
  const options = { weekday: "short", day: "numeric", month: "short", hour: "numeric", minute: "2-digit", hour12: true, timeZone: zone };
  const parts = Object.fromEntries(new Intl.DateTimeFormat("en-US", options).formatToParts(at).map((p) => [p.type, p.value]));
  return `${parts.weekday} ${parts.day} ${parts.month}, ${parts.hour}:${parts.minute} ${parts.dayPeriod.toLowerCase()}`;
}

function setClock(told) {
  clock.now = Date.parse(told.now);
  clock.rate = told.rate;
  clock.at = performance.now();
  for (const button of document.querySelectorAll("[data-rate-is]")) {
    button.setAttribute("aria-pressed", String(Number(button.dataset.rateIs) === told.rate));
  }
  tick();
}

// ---- the queue
function rowOf(html) {
  const holder = document.createElement("template");
  holder.innerHTML = html.trim();
  return holder.content.firstElementChild;
}

function setRows(told) {
  const table = document.getElementById("rows");
  if (!table) return;
  const focused = document.activeElement?.closest("tr")?.id, wasPick = document.activeElement?.name === "case";
  const had = new Set([...table.children].map((row) => row.dataset.case));
  // What stands where it belongs is not moved: a row that moves under a finger or a key loses it.
  let news = 0, place = table.firstElementChild;
  for (const id of told.order) {
    const html = told.rows[id];
    let row = document.getElementById(`case-${id}`);
    if (html) {
      const next = rowOf(html);
      if (!told.first) next.classList.add("fresh");
      if (!had.has(id)) news += 1;
      const pick = next.querySelector("[name=case]");
      if (pick) pick.checked = Boolean(row?.querySelector("[name=case]")?.checked);
      if (row) row.replaceWith(next);
      if (row && row === place) place = next;
      row = next;
    }
    if (!row) continue;
    if (row === place) place = place.nextElementSibling;
    else table.insertBefore(row, place);
  }
  const kept = new Set(told.order);
  for (const row of [...table.children]) if (!kept.has(row.dataset.case)) row.remove();
  if (!table.children.length) table.textContent = "";
  document.getElementById("empty").hidden = told.order.length > 0;
  countPicked();
  const row = focused && document.getElementById(focused);
  if (row) ((wasPick && row.querySelector("[name=case]")) || row.querySelector("a"))?.focus({ preventScroll: true });
  if (news && !told.first) document.getElementById("news").textContent = news === 1 ? "A new case" : `${news} new cases`;
  tick();
}

// ---- picking many: the button says how many, and is there once there is one
function countPicked() {
  const button = document.querySelector("[data-many]");
  if (!button) return;
  const count = document.querySelectorAll("#rows [name=case]:checked").length;
  button.textContent = count === 1 ? "Acknowledge 1 selected" : `Acknowledge ${count} selected`;
  button.closest("form").hidden = !count;
}
addEventListener("change", (event) => { if (event.target.name === "case") countPicked(); });
addEventListener("pageshow", countPicked);

// ---- a case: fetch the page again and put its parts in place, but not under somebody's hands
const touched = new Set();
addEventListener("input", (event) => {
  const part = event.target.closest("[data-swap]");
  if (part) touched.add(part.id);
});

let fetching = false, again = false;
async function renew() {
  if (fetching) { again = true; return; }
  fetching = true;
  try {
    const answer = await fetch(body.dataset.address, { headers: { "x-live": "1", accept: "text/html" } });
    if (answer.ok && !answer.redirected) place(new DOMParser().parseFromString(await answer.text(), "text/html"));
  } catch {
    // The stream comes back by itself and says what it missed.
  } finally {
    fetching = false;
    if (again) { again = false; renew(); }
  }
}

function place(fresh) {
  for (const part of document.querySelectorAll("[data-swap]")) {
    const next = fresh.getElementById(part.id);
    if (!next || touched.has(part.id) || part.contains(document.activeElement)) continue;
    const open = [...part.querySelectorAll("details")].map((one) => one.open);
    next.querySelectorAll("details").forEach((one, n) => { if (open.length === next.querySelectorAll("details").length) one.open = open[n]; });
    part.replaceWith(document.adoptNode(next));
  }
  tick();
}

// ---- the stream
function listen(address) {
  const source = new EventSource(address);
  let opened = 0;
  source.addEventListener("open", () => { if (opened++ && document.querySelector("[data-swap]")) renew(); });
  source.addEventListener("clock", (event) => setClock(JSON.parse(event.data)));
  source.addEventListener("rows", (event) => setRows(JSON.parse(event.data)));
  source.addEventListener("case", renew);
  source.addEventListener("signed-out", () => { source.close(); location.assign("/sign-in"); });
  addEventListener("pagehide", () => source.close());
}

// ---- forms that need no new page, and filters that need no button
for (const form of document.querySelectorAll("form[data-quiet]")) {
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const data = new URLSearchParams(new FormData(form, event.submitter));
    event.submitter.disabled = true;
    try {
      await fetch(form.action, { method: "POST", body: data, headers: { "x-live": "1" } });
    } finally {
      event.submitter.disabled = false;
      event.submitter.focus();
    }
  });
}
for (const form of document.querySelectorAll("form[data-filter]")) form.addEventListener("change", () => form.requestSubmit());
// A second click while the first is under way would ask twice.
for (const form of document.querySelectorAll("form:not([data-quiet])")) {
  form.addEventListener("submit", () => setTimeout(() => form.querySelectorAll("button").forEach((one) => { one.disabled = true; })));
}
addEventListener("pageshow", () => document.querySelectorAll("form button:disabled").forEach((one) => { one.disabled = false; }));

// What a form was refused with stands under the form's address, which is no page: a reload is to show the case.
if (body.dataset.address && location.pathname.includes("/do/")) history.replaceState(null, "", body.dataset.address);

tick();
setInterval(tick, 500);
if (body.dataset.live) listen(body.dataset.live);
if (body.dataset.poll) setInterval(() => { if (!document.hidden) renew(); }, Number(body.dataset.poll));
