/** What a newcomer finds in dev mode on the first start, so that the first things they type work. */

import type { Database } from '../../db/database.ts';
import type { Identities } from '../../http/caller.ts';
import { DEV_USER, DEV_WORKSPACE } from '../../http/caller.ts';

export interface DemoNeeds {
  database: Database;
  identities: Identities;
  newId(): string;
}

/** Makes the local user's sender profile if they have none; harmless on every later start. */
export async function seedDemo({ database, identities, newId }: DemoNeeds): Promise<void> {
  await identities.ensureWorkspace(DEV_WORKSPACE, 'Local workspace');
  await database.within(DEV_WORKSPACE, async (tx) => {
    const found = await tx.selectFrom('sender_profiles').select('id').limit(1).executeTakeFirst();
    if (found !== undefined) return;
    await tx
      .insertInto('sender_profiles')
      .values({
        id: newId(),
        workspace_id: DEV_WORKSPACE,
        user_id: DEV_USER,
        profile_name: 'Local sender',
        description: 'Made on the first start; change it to who you are.',
        is_default: true,
        sender_data: JSON.stringify({
          from_name: 'Alex Local',
          from_email: 'alex@overture.example',
          postal_address: 'Overture, 1 Example Street, 12345 Example Town',
          company: 'Overture',
          title: 'Account Executive',
        }),
      })
      .onConflict((conflict) => conflict.doNothing())
      .execute();
  });
}
