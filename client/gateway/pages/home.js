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
  const me = await (await fetch("/api/v1/me")).json();
  document.getElementById("who").textContent = me.name ? `You are ${me.name}.` : "";
  document.getElementById("logout").hidden = !me.session;
  const mine = me.terminals ?? [];
  if (me.role === "terminal") {
    // Whoever only has terminals of his own is not told of others.
    document.getElementById("run").hidden = true;
    place.replaceChildren(...mine.map((name) => tile({ name, state: "yours" })));
  } else {
    const answer = await fetch("/api/v1/view");
    const view = await answer.json();
    const may = ({ name }) => (mine.length ? mine.includes("*") || mine.includes(name) : me.right === "operate");
    if (!answer.ok) say(view.text ?? "The manager gives no view.");
    else if (!view.terminals?.length) say("No terminal is defined yet: understudy define-terminal NAME --profile PROFILE --reason TEXT");
    else if (!view.terminals.some(may)) say("There is no terminal that you may open.");
    else place.replaceChildren(...view.terminals.filter(may).map(tile));
  }
} catch (error) {
  say(`The gateway gives no answer that can be read (${error.message}). Reload this page.`);
}
