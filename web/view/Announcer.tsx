/** The one place that speaks to screen readers: boundaries of an answer, never its words as they stream. */

import { useModel, useStore } from './model.tsx';

export function Announcer() {
  const model = useModel();
  const { text, count } = useStore(model.store, (state) => state.announcement);
  return (
    <div className="sr-only" role="status" aria-live="polite" aria-atomic="true">
      <p key={count}>{text}</p>
    </div>
  );
}
