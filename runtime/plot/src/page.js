"use strict";
const page = document.querySelector("main");
const seconds = Number(page.dataset.seconds);
const audio = document.querySelector("audio");
const wide = document.querySelector(".wide");
const scroll = document.querySelector(".scroll");
const head = document.querySelector(".head");
const marks = [...document.querySelectorAll("[data-start]")];
const events = [...document.querySelectorAll("button.event")].sort((a, b) => a.dataset.start - b.dataset.start);
let stop = Infinity, now = 0, zoom = 1;

const wav = document.getElementById("wav");
if (audio && wav) {
  const bytes = Uint8Array.from(atob(wav.textContent), (c) => c.charCodeAt(0));
  audio.src = URL.createObjectURL(new Blob([bytes], { type: "audio/wav" }));
}

function show() {
  if (audio) now = audio.currentTime;
  head.style.left = `${(100 * now) / seconds}%`;
  for (const mark of marks) mark.classList.toggle("on", now >= mark.dataset.start && now < mark.dataset.end);
  if (now >= stop) { audio.pause(); stop = Infinity; }
}

function frame() {
  show();
  if (audio && !audio.paused) requestAnimationFrame(frame);
}

function seek(time) {
  now = Math.min(Math.max(time, 0), seconds);
  if (audio) audio.currentTime = now;
  const x = (now / seconds) * wide.clientWidth;
  if (x < scroll.scrollLeft || x > scroll.scrollLeft + scroll.clientWidth) scroll.scrollLeft = x - scroll.clientWidth / 4;
  show();
}

function play(mark) {
  // Where the last event ends must not stop this one.
  stop = Infinity;
  seek(Number(mark.dataset.start));
  if (!audio) return;
  stop = Math.max(Number(mark.dataset.end), now + 0.3);
  audio.play();
}

function toggle() {
  stop = Infinity;
  if (audio) audio.paused ? audio.play() : audio.pause();
}

function step(way) {
  const shown = events.filter((event) => !event.closest(".lane").hidden);
  const next = way > 0 ? shown.find((event) => event.dataset.start > now + 0.05) : shown.findLast((event) => event.dataset.start < now - 0.3);
  if (next) { play(next); next.focus({ preventScroll: true }); }
}

function filter() {
  for (const box of document.querySelectorAll(".classes input"))
    for (const part of document.querySelectorAll(`[data-class="${box.value}"]`)) part.hidden = !box.checked;
}

function magnify(factor) {
  const middle = (scroll.scrollLeft + scroll.clientWidth / 2) / wide.clientWidth;
  zoom = Math.min(Math.max(zoom * factor, 1), 64);
  wide.style.width = `${100 * zoom}%`;
  scroll.scrollLeft = middle * wide.clientWidth - scroll.clientWidth / 2;
}

if (audio) audio.addEventListener("play", frame);
if (audio) audio.addEventListener("seeked", show);
// Heard late: an event may play again by then.
if (audio) audio.addEventListener("pause", () => { if (audio.paused) stop = Infinity; });
wide.addEventListener("click", (click) => {
  const mark = click.target.closest("[data-start]");
  if (mark) return play(mark);
  stop = Infinity;
  seek(((click.clientX - wide.getBoundingClientRect().left) / wide.clientWidth) * seconds);
});
for (const row of document.querySelectorAll("tr[data-start] button")) row.addEventListener("click", () => play(row.closest("tr")));
for (const box of document.querySelectorAll(".classes input")) box.addEventListener("change", filter);
document.getElementById("nearer").addEventListener("click", () => magnify(2));
document.getElementById("farther").addEventListener("click", () => magnify(0.5));

document.addEventListener("keydown", (key) => {
  if (key.ctrlKey || key.altKey || key.metaKey || key.target.closest("audio, input")) return;
  const boxes = document.querySelectorAll(".classes input");
  const does = {
    " ": toggle, n: () => step(1), p: () => step(-1), "+": () => magnify(2), "=": () => magnify(2), "-": () => magnify(0.5),
    ArrowLeft: () => seek(now - 1), ArrowRight: () => seek(now + 1), Home: () => seek(0), End: () => seek(seconds),
  }[key.key];
  const box = boxes[Number(key.key) - 1];
  if (does) { does(); key.preventDefault(); }
  else if (/^[1-9]$/.test(key.key) && box) { box.checked = !box.checked; filter(); }
});
show();
