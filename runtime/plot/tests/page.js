"use strict";
// Runs the page's script in a made-up document: two events, and a player whose events come later, as a browser's do.
const assert = require("node:assert");
const fs = require("node:fs");

const later = [];
const flush = () => { while (later.length) later.shift()(); };
const element = (more) => ({
  style: {}, dataset: {}, listeners: {}, addEventListener(name, does) { this.listeners[name] = does; }, ...more,
});
const audio = element({
  currentTime: 0, paused: true,
  tell(name) { later.push(() => this.listeners[name]()); },
  play() { if (this.paused) { this.paused = false; this.tell("play"); } },
  pause() { if (!this.paused) { this.paused = true; this.tell("pause"); } },
});
const event = (start, end) => element({ dataset: { start, end }, classList: { toggle() {} }, closest: () => ({}), focus() {} });
const events = [event("1.000", "2.000"), event("5.000", "6.000")];
const wide = element({ clientWidth: 1000 });
const single = { main: element({ dataset: { seconds: "10" } }), audio, ".wide": wide, ".scroll": element({ scrollLeft: 0, clientWidth: 1000 }), ".head": element() };
const document = element({
  querySelector: (name) => single[name],
  querySelectorAll: (name) => (["[data-start]", "button.event"].includes(name) ? events : []),
  getElementById: (name) => (name === "wav" ? null : element()),
});
const frames = [];
new Function("document", "requestAnimationFrame", fs.readFileSync(process.argv[2], "utf8"))(document, (frame) => frames.push(frame));

const click = (mark) => { wide.listeners.click({ target: { closest: () => mark } }); flush(); };
const press = (key) => { document.listeners.keydown({ key, target: { closest: () => null }, preventDefault() {} }); flush(); };
const at = (time) => { audio.currentTime = time; frames.splice(0).forEach((frame) => frame()); flush(); };

for (const again of [() => click(events[1]), () => press("n")]) {
  click(events[0]);
  at(1.5);
  assert(!audio.paused, "the first event does not play");
  again();
  at(5.5);
  assert(!audio.paused && audio.currentTime === 5.5, "the second event does not play");
  at(6.1);
  assert(audio.paused, "the second event plays on behind its end");
}
// Whoever stops an event and goes on hears the rest of the recording.
click(events[0]);
audio.pause();
flush();
audio.play();
flush();
at(3);
assert(!audio.paused, "it stops where an event ended that was left");
