/** Brings the message that began a turn to where it is read. */

/** A conversation that is not read by then has something else to say. */
const PATIENCE_MS = 10_000;

/** Shows the message as soon as it is in the page, and gives it the focus. Answers how to stop waiting for it. */
export function showTurn(turnId: string): () => void {
  const look = () => {
    const message = document.getElementById(`turn-${turnId}`);
    message?.scrollIntoView({ block: 'start' });
    // The browser tells of it with the next frame, and what is rendered before would go to the end again.
    message?.closest('.messages')?.dispatchEvent(new Event('scroll'));
    message?.focus({ preventScroll: true });
    return message !== null;
  };
  if (look()) return () => {};
  const observer = new MutationObserver(() => {
    if (look()) stop();
  });
  const timer = setTimeout(() => stop(), PATIENCE_MS);
  const stop = () => {
    observer.disconnect();
    clearTimeout(timer);
  };
  observer.observe(document.body, { subtree: true, childList: true });
  return stop;
}
