// Everything that changes something: one dialog that says what will happen, takes the reason, and shows
// how it went.

import { h } from "./dom.js";

const dialog = document.getElementById("dialog");

async function send(verb, values) {
  const answer = await fetch("/api/v1/act", {
    method: "POST",
    headers: { "Content-Type": "application/json", "X-Understudy-Request": "console" },
    body: JSON.stringify({ verb, arguments: values }),
  }).catch((error) => ({ failed: `The gateway does not answer (${error.message}). It may or may not have happened: look at the view.` }));
  if (answer.failed) return { fine: false, text: answer.failed };
  if (answer.status === 401) return { fine: false, text: "The log-in has run out. Reload this page." };
  const result = await answer.json().catch(() => null);
  if (!result) return { fine: false, text: `The gateway answered ${answer.status}.` };
  return { fine: result.code === 0, text: result.text || (result.code === 0 ? "Done." : result.word) };
}

function showResult({ fine, text }) {
  const close = h("button", { class: "main", type: "button", onclick: () => dialog.close() }, "Close");
  dialog.replaceChildren(
    h("h2", { id: "dialog-title" }, fine ? "Done" : "Not done"),
    h("p", { class: fine ? "result good" : "result bad", role: "alert" }, text),
    h("div", { class: "buttons" }, close));
  close.focus();
}

// act: { title, text, verb, values, button, risky }
export function confirmAct(act) {
  const reason = h("input", { id: "reason", required: true, maxlength: 200, autocomplete: "off", placeholder: "For the record, and for whoever reads it later" });
  const button = h("button", { class: act.risky ? "risky" : "main" }, act.button);
  const form = h("form", { method: "dialog" },
    h("h2", { id: "dialog-title" }, act.title),
    h("p", { class: "soft" }, act.text),
    h("label", { for: "reason" }, "Reason"), reason,
    h("div", { class: "buttons" }, h("button", { type: "button", onclick: () => dialog.close() }, "Cancel"), button));
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (!reason.value.trim()) return reason.focus();
    button.disabled = true;
    button.textContent = "Asking the manager…";
    showResult(await send(act.verb, { ...act.values, reason: reason.value.trim() }));
  });
  dialog.replaceChildren(form);
  if (!dialog.open) dialog.showModal();
  reason.focus();
}

// Shows details with buttons for acts in the same dialog. rows: [[label, value], …]
export function showDetails(title, rows, buttons) {
  dialog.replaceChildren(
    h("h2", { id: "dialog-title" }, title),
    h("dl", { class: "facts" }, rows.filter(([, value]) => value).map(([label, value]) => [h("dt", {}, label), h("dd", {}, value)])),
    h("div", { class: "buttons" }, buttons, h("button", { type: "button", class: "main", autofocus: true, onclick: () => dialog.close() }, "Close")));
  if (!dialog.open) dialog.showModal();
}

dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });

export const acts = {
  failoverSession: (session) => ({
    title: `Fail over “${session.title}” (session ${session.id})?`, verb: "failover", values: { session: session.id }, button: "Fail over",
    text: "A last checkpoint is taken, then the application goes on at its backup. The window stands still for a moment.",
  }),
  failoverTerminal: (terminal) => ({
    title: `Move the desktop of ${terminal.name}?`, verb: "failover", values: { terminal: terminal.name }, button: "Move",
    text: "The standing-by presentation node takes over. The person sees the last picture for a moment.",
  }),
  release: (terminal) => ({
    title: `Release ${terminal.name}?`, verb: "release", values: { terminal: terminal.name }, button: "Release", risky: true,
    text: "Its applications end and what they have not saved is lost. Its nodes go back to the pool.",
  }),
  kill: (node) => ({
    title: `Kill the instance of ${node.name}?`, verb: "kill", values: { node: node.id }, button: "Kill", risky: true,
    text: "The instance is destroyed at once, as a failure would do it. What it serves goes over to backups.",
  }),
  drain: (node) => ({
    title: `Drain ${node.name}?`, verb: "drain", values: { node: node.id }, button: "Drain",
    text: "Everything it serves moves to other nodes, and it is given nothing new.",
  }),
  undrain: (node) => ({
    title: `Use ${node.name} again?`, verb: "undrain", values: { node: node.id }, button: "Use again",
    text: "It may be given work again.",
  }),
  maintenance: (host, value) => ({
    title: value === "on" ? `Take ${host.name} out for maintenance?` : `Use ${host.name} again?`, verb: "maintenance",
    values: { host: host.name, value }, button: value === "on" ? "Start maintenance" : "Use again",
    text: value === "on" ? "Everything on its nodes moves to other hosts, and no instances are created on it until maintenance ends." : "Instances may be created on it again.",
  }),
  overrideGate: () => ({
    title: "Let the held fail-overs go on?", verb: "override-gate", values: {}, button: "Go on", risky: true,
    text: "So many nodes failed at once that the manager suspects itself. Go on only if you know that the failures are real.",
  }),
};
