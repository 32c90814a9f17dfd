// A computer that slept, or changed its network, comes back with connections that are dead and do not know it.

const BEAT_MS = 5000;
const SLEPT_MS = 30000;
const SLEPT_UNSEEN_MS = 150000;   // browsers let the timers of hidden pages run once a minute

// Calls `awake` whenever connections should be made afresh.
export function onAwake(awake) {
  let lastBeat = Date.now();
  let unseen = document.hidden;   // at some time since the last beat
  document.addEventListener("visibilitychange", () => { unseen = true; });
  setInterval(() => {
    const slept = Date.now() - lastBeat > (unseen ? SLEPT_UNSEEN_MS : SLEPT_MS);
    lastBeat = Date.now();
    unseen = document.hidden;
    if (slept) awake();
  }, BEAT_MS);
  addEventListener("online", awake);
  addEventListener("pageshow", (event) => { if (event.persisted) awake(); });
}
