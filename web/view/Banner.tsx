/** One line on what is wrong, and the plain signs of a stand-in model and of the sandbox. */

import { useEffect, useState } from 'react';
import { Icon } from './Icon.tsx';
import { useModel, useStore } from './model.tsx';

/** A connection that comes back at once is not worth a word. */
const PATIENCE_MS = 700;

export function Banner() {
  const model = useModel();
  const connection = useStore(model.store, (state) => state.connection);
  const [shown, setShown] = useState(false);
  useEffect(() => {
    if (connection !== 'lost') return setShown(false);
    const timer = setTimeout(() => setShown(true), PATIENCE_MS);
    return () => clearTimeout(timer);
  }, [connection]);
  if (!shown) return null;
  return (
    <div className="banner" role="status">
      <span className="spinner" />
      <span>Connection lost, reconnecting. What the agent does goes on without this page.</span>
      <button type="button" className="button small" onClick={model.reconnect}>
        Try now
      </button>
    </div>
  );
}

/** Says plainly when no real model answers and when no mail leaves. */
export function Signs() {
  const { session } = useModel();
  const capabilities = useStore(session.store, (state) => state.capabilities);
  return (
    <>
      {capabilities.offline_model ? (
        <span
          className="sign"
          title="A stand-in made of fixed rules answers, because no model is configured."
        >
          <Icon name="box" />
          <span>Offline model</span>
        </span>
      ) : null}
      {capabilities.sandbox ? (
        <span className="sign" title="Mail is kept in the outbox. Nothing leaves this machine.">
          <Icon name="mail" />
          <span>Sandbox</span>
        </span>
      ) : null}
    </>
  );
}
