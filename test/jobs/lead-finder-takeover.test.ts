/** A batch whose process is killed in the middle of it: another one ends it, and nothing is found, kept or charged twice. */

import { v7 } from 'uuid';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { DEV_WORKSPACE } from '../../src/http/caller.ts';
import { createLocalPerson } from '../support/people.ts';
import { openStage, type Stage } from '../support/stage.ts';

const NAMES = 300;

let stage: Stage;
beforeAll(async () => {
  stage = await openStage({ LEASE_SECONDS: '2' });
});
afterAll(() => stage.close());

describe('a batch whose process is killed', () => {
  it('is ended by another process, with every name found once', async () => {
    const doomed = await stage.startProcess();
    const dataset = v7();
    await stage.database.query(
      `insert into datasets (id, workspace_id, user_id, name, source_type) values ($1, $2, 'local', 'People', 'csv')`,
      [dataset, DEV_WORKSPACE],
    );
    await stage.database.query(
      `insert into leads (id, workspace_id, dataset_id, row_index, email, first_name, last_name)
       select gen_random_uuid(), $1, $2, n, 'p' || n || '@acme.example', 'Person', 'Number' || lpad(n::text, 4, '0')
         from generate_series(1, $3::int) n`,
      [DEV_WORKSPACE, dataset, NAMES],
    );
    const names = Array.from({ length: NAMES }, (_, index) => ({
      name: `Person Number${String(index + 1).padStart(4, '0')}`,
    }));
    const batch = await createLocalPerson(doomed.url).post('/api/v1/lead-finder/batch', { names });
    const path = `/api/v1/lead-finder/batch/${batch.session_id}/status`;
    await expect
      .poll(async () => Number((await createLocalPerson(doomed.url).get(path)).processed), {
        timeout: 20_000,
        interval: 20,
      })
      .toBeGreaterThan(0);
    await doomed.kill('SIGKILL');
    const [left] = await stage.database.query<{ open: number }>(
      `select count(*)::int as open from lead_finder_rows where status = 'queued'`,
    );
    expect(left?.open).toBeGreaterThan(0);

    const next = createLocalPerson((await stage.start()).url);
    await expect.poll(async () => (await next.get(path)).status, { timeout: 40_000 }).toBe('completed');
    expect(await next.get(path)).toMatchObject({ total: NAMES, found: NAMES, failed: 0, credits_charged: 0 });
    const [kept] = await stage.database.query(
      `select d.row_count, count(l.id)::int as leads, count(distinct l.address)::int as people, max(l.row_index) as last
         from datasets d join leads l on l.dataset_id = d.id where d.id = $1 group by d.row_count`,
      [batch.dataset_id],
    );
    expect(kept).toEqual({ row_count: NAMES, leads: NAMES, people: NAMES, last: NAMES });
  });
});
