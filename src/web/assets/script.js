// The page works without this. It shows times in the reader's zone, marks what is played as heard, and plays one at a time.
"use strict";
for (const time of document.querySelectorAll("time[datetime]")) {
  const at = new Date(time.dateTime);
  const isToday = at.toDateString() === new Date().toDateString();
  const options = isToday ? { timeStyle: "short" } : { dateStyle: "medium", timeStyle: "short" };
  time.title = time.textContent;
  time.textContent = at.toLocaleString(document.documentElement.lang, options);
}
document.addEventListener("play", (event) => {
  for (const other of document.querySelectorAll("audio")) if (other !== event.target) other.pause();
  const letter = event.target.closest(".new");
  const form = letter && letter.closest("form");
  const button = letter && letter.querySelector("button[name=read]");
  if (!form || !button) return;
  const body = new URLSearchParams({ csrf: form.elements.csrf.value, read: button.value });
  fetch(form.action, { method: "POST", body, redirect: "manual" }).then(() => {
    letter.classList.remove("new");
    button.hidden = true;
  }, () => {});
}, true);
