// The audit log as administrators read it: newest first, the result of an act beside the act.

import { h, clock } from "./dom.js";

const WORDS = { opened: "opened", login: "logged in", logout: "logged out", "login-failed": "could not log in", locked: "is locked out for a while", refused: "was refused", account: "changed the accounts" };

function row(entry, result) {
  const what = [entry.verb, ...(entry.arguments ?? []).filter((argument) => !argument.startsWith("reason="))].filter(Boolean).join(" ");
  return h("tr", {},
    h("td", {}, clock(entry.wall_ms)),
    h("td", {}, entry.who ?? "", entry.address ? h("span", { class: "soft" }, ` ${entry.address}`) : null),
    h("td", {}, WORDS[entry.event] ?? "", what ? ` ${what}` : null, entry.reason ? h("span", { class: "soft" }, ` “${entry.reason}”`) : null),
    h("td", {}, result ?? entry.result ?? ""));
}

export function auditParts(entries) {
  const results = new Map(entries.filter((entry) => entry.event === "result").map((entry) => [entry.id, entry.result]));
  const rows = entries.filter((entry) => entry.event !== "result").map((entry) => row(entry, results.get(entry.id)));
  if (!rows.length) return [h("p", { class: "soft" }, "Nobody has done anything yet.")];
  return [h("div", { class: "audit", "data-scroll": "", tabindex: "0", role: "region", "aria-label": "Audit log" }, h("table", {},
    h("thead", {}, h("tr", {}, ["When", "Who", "What", "Result"].map((title) => h("th", { scope: "col" }, title)))), h("tbody", {}, rows)))];
}
