/** Progress as MCP is told it, by itself. */

import { describe, expect, it } from 'vitest';
import { createProgress } from '../../src/mcp/progress.ts';

describe('progress', () => {
  it('ascends, whatever a tool counts, and is sent in order before the answer', async () => {
    const sent: unknown[] = [];
    const progress = createProgress('token', async ({ params }) => {
      await Promise.resolve();
      sent.push(params);
    });
    for (const done of [0, 0, 1, 3, 2, 3, 4]) progress.tell(done, 4, `step ${done}`);
    await progress.told();
    expect(sent).toEqual(
      [0, 1, 3, 4].map((done) => ({
        progressToken: 'token',
        progress: done,
        total: 4,
        message: `step ${done}`,
      })),
    );
  });

  it('stops nothing where its client has gone', async () => {
    let tries = 0;
    const progress = createProgress(7, async () => {
      tries += 1;
      throw new Error('Not connected');
    });
    progress.tell(1, 2, 'one');
    progress.tell(2, 2, 'two');
    await expect(progress.told()).resolves.toBeUndefined();
    expect(tries).toBe(2);
  });
});
