// The start page: a link per terminal, as the manager lists them.

const place = document.getElementById("terminals");

function tile(terminal) {
  const link = document.createElement("a");
  link.className = "card tile";
  link.href = `/terminal/${encodeURIComponent(terminal.name)}`;
  const name = document.createElement("strong");
  name.textContent = terminal.name;
  const state = document.createElement("span");
  state.className = "soft";
  state.textContent = terminal.state === "waiting" && terminal.waiting ? `waiting: ${terminal.waiting}` : terminal.state;
  link.append(name, state);
  return link;
}

function say(text) {
  const line = document.createElement("p");
  line.className = "soft";
  line.textContent = text;
  place.replaceChildren(line);
}

try {
  const answer = await fetch("/api/v1/view");
  const view = await answer.json();
  if (!answer.ok) say(view.text ?? "The manager gives no view.");
  else if (!view.terminals?.length) say("No terminal is defined yet: understudy define-terminal NAME --profile PROFILE --reason TEXT");
  else place.replaceChildren(...view.terminals.map(tile));
} catch (error) {
  say(`The gateway gives no answer that can be read (${error.message}). Reload this page.`);
}
