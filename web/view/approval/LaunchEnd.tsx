/** What can still be done about a launch that was approved: taken back while nothing has left, and who did so. */

import { useEffect, useState } from 'react';
import type { Client } from '../../../src/client/client.ts';
import { ClientError } from '../../../src/client/errors.ts';
import type { Approval } from '../../../src/client/events.ts';
import { whoDecided } from '../../logic/card.ts';
import { absolute, relative } from '../../logic/days.ts';
import { type Fault, faultOf } from '../../state/faults.ts';
import { Icon } from '../Icon.tsx';
import { useModel, useNow, useStore } from '../model.tsx';

interface Launch {
  launch_id: string;
  turn_id: string | null;
  tool_call_id: string | null;
  undoable: boolean;
  undone_by: string | null;
  undone_at: string | null;
}

/** The first mail may leave at any moment, and no event tells of it. */
const LOOK_MS = 5_000;

export function LaunchEnd({ approval }: { approval: Approval }) {
  const { client, inbox, router, session, announce, send } = useModel();
  const inThread = useStore(router.store, (state) => state.place.at === 'chat');
  const me = useStore(session.store, (state) => state.user?.userId);
  // It is read anew whenever something happened to cards of the workspace, an undo in another tab included.
  const beat = useStore(inbox.store, (state) => state.waiting);
  const now = useNow(30_000);
  const [launch, setLaunch] = useState<Launch | 'none' | null>(null);
  const [working, setWorking] = useState(false);
  const [fault, setFault] = useState<Fault | null>(null);
  const over = launch === 'none' || launch?.undoable === false;

  // biome-ignore lint/correctness/useExhaustiveDependencies: a beat is a reason to look again
  useEffect(() => {
    if (over || working) return;
    let left = false;
    const look = () =>
      void readLaunch(client, approval).then((found) => {
        if (!left && found !== null) setLaunch(found);
      });
    look();
    const timer = setInterval(look, LOOK_MS);
    return () => {
      left = true;
      clearInterval(timer);
    };
  }, [client, approval, beat, over, working]);

  async function undo({ launch_id }: Launch): Promise<void> {
    if (working) return;
    setWorking(true);
    setFault(null);
    try {
      await client.request('POST', `${pathOf(approval)}/launch/undo`, { launch_id });
      announce('The launch was undone.');
    } catch (error) {
      setFault(faultOf(error));
    }
    const found = await readLaunch(client, approval);
    if (found !== null) setLaunch(found);
    setWorking(false);
  }

  if (launch === null || launch === 'none') return null;
  const { undone_by: by, undone_at: at } = launch;
  return (
    <>
      {at === null ? null : (
        <p className="outcome outcome-quiet">
          <Icon name="restore" />
          <span>
            Undone by {whoDecided(by ?? undefined, me).replace(/^You$/, 'you')}{' '}
            <time dateTime={at} title={absolute(at)}>
              {relative(at, now)}
            </time>
            : nothing was sent, and the campaign is a draft again.
          </span>
        </p>
      )}
      <p className="card-deed">
        {launch.undoable ? (
          <button
            type="button"
            className="button small"
            aria-disabled={working}
            onClick={() => void undo(launch)}
          >
            {working ? <span className="spinner" /> : <Icon name="restore" />} Undo the launch
          </button>
        ) : null}
        {inThread && at === null ? (
          <button
            type="button"
            className="button small"
            onClick={() => send(`How is ${nameOf(approval)} doing?`)}
          >
            <Icon name="chart" /> How is it doing?
          </button>
        ) : null}
        {launch.undoable ? <span className="quiet">No mail of it has left yet.</span> : null}
      </p>
      {fault === null ? null : (
        <p className="outcome outcome-bad" role="alert">
          <Icon name="warning" />
          <span>{fault.message}</span>
        </p>
      )}
    </>
  );
}

/** `the campaign "Q4"`, as the title has it. */
function nameOf({ title }: Approval): string {
  return /the campaign ".+"/.exec(title)?.[0] ?? 'the campaign';
}

function pathOf({ args, executed_args }: Approval): string {
  return `/api/v1/campaigns/${encodeURIComponent(String((executed_args ?? args).campaign_id))}`;
}

/** The launch that this card was asked for; `none` where there is none, or somebody else's; null where nobody knows. */
async function readLaunch(client: Client, approval: Approval): Promise<Launch | 'none' | null> {
  try {
    const { launches } = await client.request<{ launches: Launch[] }>('GET', `${pathOf(approval)}/launches`);
    const own = launches.find(
      (one) => one.turn_id === approval.turn_id && one.tool_call_id === approval.tool_call_id,
    );
    return own ?? 'none';
  } catch (error) {
    return error instanceof ClientError && error.status < 500 ? 'none' : null;
  }
}
