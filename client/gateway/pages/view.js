// The manager's view as the gateway tells it: whole at first and after a gap, then what changed.

const keyOf = (row) => row.id ?? row.flavour;

// A large view comes in parts: lists of later ones go on where the first one's end.
export function wholeView({ view, more = [] }) {
  for (const part of more) {
    for (const [name, rows] of Object.entries(part)) if (Array.isArray(rows)) view[name] = [...(view[name] ?? []), ...rows];
  }
  return view;
}

function changedList(rows, { order, new: fresh = [], changed = [] }) {
  const byKey = new Map(rows.map((row) => [keyOf(row), row]));
  for (const row of fresh) byKey.set(keyOf(row), row);
  for (const row of changed) byKey.set(keyOf(row), { ...byKey.get(keyOf(row)), ...row });
  return (order ?? rows.map(keyOf)).map((key) => byKey.get(key));
}

// Rows that did not change stay the same objects, and lists the same lists.
export function changedView(view, { set = {}, rows = {} }) {
  const lists = Object.entries(rows).map(([name, changes]) => [name, changedList(view[name] ?? [], changes)]);
  return { ...view, ...set, ...Object.fromEntries(lists) };
}
