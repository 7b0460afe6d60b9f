/** Has a service's process collect its garbage, so that what it then takes is what it needs. */

import { once } from 'node:events';
import type { ServiceProcess } from './service.ts';

/** For the environment of processes whose garbage is collected: each listens where nobody else does. */
export const INSPECTABLE = { NODE_OPTIONS: '--inspect-port=0' };

/** Asks as a debugger would, over the inspector that SIGUSR1 opens; resolves when all that is not needed is gone. */
export async function collectGarbage(service: ServiceProcess): Promise<void> {
  service.process.kill('SIGUSR1');
  const address = await inspectorOf(service);
  const socket = new WebSocket(address);
  await once(socket, 'open');
  try {
    for (const id of [1, 2]) {
      const answered = once(socket, 'message');
      socket.send(JSON.stringify({ id, method: 'HeapProfiler.collectGarbage' }));
      const [{ data }] = await answered;
      const { error } = JSON.parse(String(data));
      if (error !== undefined) throw new Error(`no garbage was collected: ${JSON.stringify(error)}`);
    }
  } finally {
    socket.close();
  }
}

async function inspectorOf(service: ServiceProcess): Promise<string> {
  for (;;) {
    const address = /Debugger listening on (ws:\S+)/.exec(service.logged())?.[1];
    if (address !== undefined) return address;
    await Promise.race([once(service.process.stderr ?? service.process, 'data'), service.exited]);
    if (service.process.exitCode !== null) throw new Error(`the service ended: ${service.logged()}`);
  }
}
