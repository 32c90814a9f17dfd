// Everything that changes something: one dialog that says what will happen, shows what the deciding core would
// do (rehearsed, nothing moves), takes the reason, and shows how it went.

import { h } from "./dom.js";
import { rehearsalParts } from "./rehearsal.js";

const dialog = document.getElementById("dialog");
let observer = false;
let role = "administrator";   // until it is told
let open = 0;   // counts dialogs, so that a late answer does not land in another one

// Of what an operator may not do, only "fence" has a button; the manager decides the rest.
const OF_ADMINISTRATORS = ["fence", "override-gate"];

export function actAs(given) { role = given; observer = given === "observer"; }

const whyNot = (verb) => (observer ? "You may look and not act. To act, log in as an operator." : role === "operator" && OF_ADMINISTRATORS.includes(verb) ? "This needs an administrator." : "");

async function send(verb, values) {
  const answer = await fetch("/api/v1/act", {
    method: "POST",
    headers: { "Content-Type": "application/json", "X-Understudy-Request": "console" },
    body: JSON.stringify({ verb, arguments: values }),
  }).catch((error) => ({ failed: `The gateway does not answer (${error.message}). It may or may not have happened: look at the view.` }));
  if (answer.failed) return { fine: false, text: answer.failed };
  if (answer.status === 401) return { fine: false, expired: true, text: "Your log-in has run out. Nothing was done." };
  const result = await answer.json().catch(() => null);
  if (!result) return { fine: false, text: `The gateway answered ${answer.status}.` };
  return { fine: result.code === 0, text: result.text || (result.code === 0 ? "Done." : result.word), json: result.json };
}

export const loginAddress = () => `/login?next=${encodeURIComponent(location.pathname)}`;

function present(...parts) {
  open += 1;
  dialog.replaceChildren(...parts.flat().filter(Boolean));
  if (!dialog.open) dialog.showModal();
  return open;
}

const closeButton = (text = "Close", main = true) => h("button", { class: main ? "main" : "", type: "button", onclick: () => dialog.close() }, text);

function showResult({ fine, text, expired }) {
  const close = closeButton();
  present(
    h("h2", { id: "dialog-title" }, fine ? "Done" : "Not done"),
    h("p", { class: fine ? "result good" : "result bad", role: "alert" }, text),
    h("div", { class: "buttons" }, expired ? h("a", { class: "button", href: loginAddress() }, "Log in again") : null, close));
  close.focus();
}

async function preview(act, values, place, mine) {
  if (act.preview === false) return;
  place.replaceChildren(h("p", { class: "soft" }, "Rehearsing…"));
  const { fine, text, json } = await send(act.verb, { ...values, "dry-run": "yes" });
  if (mine !== open) return;
  if (json?.counts && fine) place.replaceChildren(...rehearsalParts(json).flat().filter(Boolean));
  else if (fine) place.replaceChildren();
  else place.replaceChildren(h("p", { class: "result bad" }, text));
}

const fieldOf = (field) => {
  const input = h(field.long ? "textarea" : "input", {
    id: `field-${field.name}`, name: field.name, required: true, autocomplete: "off", type: field.long ? null : field.type ?? "text",
    min: field.min, max: field.max, maxlength: field.maxlength, rows: field.long ? 2 : null,
  });
  input.value = field.value ?? "";
  return [h("label", { for: `field-${field.name}` }, field.label), input];
};

// act: { title, text, verb, values, button, risky, fields: [{ name, label, value, … }], preview: false }
export function confirmAct(act) {
  const reason = h("input", { id: "reason", required: true, maxlength: 200, autocomplete: "off", placeholder: "For the record, and for whoever reads it later" });
  const button = h("button", { class: act.risky ? "risky" : "main", disabled: Boolean(whyNot(act.verb)) }, act.button);
  const place = h("div", { class: "preview", "aria-live": "polite" });
  const fields = (act.fields ?? []).map(fieldOf);
  const valuesNow = () => ({ ...act.values, ...Object.fromEntries(fields.map(([, input]) => [input.name, input.value.trim()])) });
  const form = h("form", { method: "dialog" },
    h("h2", { id: "dialog-title" }, act.title),
    h("p", { class: "soft" }, act.text),
    fields, place,
    whyNot(act.verb) ? h("p", { class: "result warned" }, whyNot(act.verb)) : [h("label", { for: "reason" }, "Reason"), reason],
    h("div", { class: "buttons" }, closeButton("Cancel", false), button));
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (whyNot(act.verb)) return;
    if (!reason.value.trim()) { reason.focus(); return; }
    button.disabled = true;
    button.textContent = "Asking the manager…";
    const mine = open;
    const result = await send(act.verb, { ...valuesNow(), reason: reason.value.trim() });
    if (mine === open) showResult(result);
  });
  const mine = present(form);
  (fields[0]?.[1] ?? (whyNot(act.verb) ? dialog.querySelector("button") : reason)).focus();
  for (const [, input] of fields) input.addEventListener("change", () => preview(act, valuesNow(), place, mine));
  preview(act, valuesNow(), place, mine);
}

// Shows details with buttons for acts in the same dialog. rows: [[label, value], …]
export function showDetails(title, rows, buttons) {
  present(
    h("h2", { id: "dialog-title" }, title),
    h("dl", { class: "facts" }, rows.filter(([, value]) => value).map(([label, value]) => [h("dt", {}, label), h("dd", {}, value)])),
    h("div", { class: "buttons" }, buttons, closeButton()));
}

// Shows parts that change while they are looked at; returns what puts new ones in, as long as this is shown.
export function showLive(title, parts, buttons = []) {
  const place = h("div", { class: "preview" }, parts);
  const mine = present(h("h2", { id: "dialog-title" }, title), place, h("div", { class: "buttons" }, buttons, closeButton()));
  return (fresh) => { if (dialog.open && mine === open) place.replaceChildren(...fresh.flat().filter(Boolean)); return dialog.open && mine === open; };
}

dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
// Told late: the next dialog may be there already, and what it waits for must not be thrown away.
dialog.addEventListener("close", () => { if (!dialog.open) open += 1; });

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
  message: (terminal) => ({
    title: terminal ? `A message to ${terminal.name}` : "A message to every terminal in use", verb: "message", values: { terminal: terminal?.name ?? "all" }, button: "Send", preview: false,
    fields: [{ name: "text", label: "Text", long: true, maxlength: 400 }],
    text: "It is shown over the desktop for a while. The person can go on working.",
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
  fence: (host) => ({
    title: `Switch ${host.name} off?`, verb: "fence", values: { host: host.name }, button: "Switch off", risky: true,
    text: "Its fence agent cuts the power, whoever works there. What it serves goes on at backups as soon as it is proven off. The host then stays in maintenance until it is switched on and used again.",
  }),
  pool: (pool) => ({
    title: `Resize pool ${pool.flavour}`, verb: "pool", values: { flavour: pool.flavour }, button: "Resize",
    text: "Machines are made or given back until the pool is as told. Nothing that serves is touched.",
    fields: [{ name: "min_idle", label: "Kept ready at all times", type: "number", min: 0, max: 100000, value: pool.min_idle },
      { name: "max_idle", label: "Returned machines above this are destroyed", type: "number", min: 0, max: 100000, value: pool.max_idle },
      { name: "max_total", label: "Never more than this", type: "number", min: 0, max: 100000, value: pool.max_total }],
  }),
  overrideGate: () => ({
    title: "Let the held fail-overs go on?", verb: "override-gate", values: {}, button: "Go on", risky: true,
    text: "So many nodes failed at once that the manager suspects itself. Go on only if you know that the failures are real.",
  }),
};
