/** Deeds of sender profiles: each belongs to one user, who has a few of them and at most one default. */

import { type Selectable, sql, type Updateable } from 'kysely';
import type { z } from 'zod';
import type { Database, WorkspaceTransaction } from '../../db/database.ts';
import type { SenderProfileTable } from '../../db/tables.ts';
import { ServiceError } from '../../errors.ts';
import type { Caller } from '../../runtime/caller.ts';
import {
  type createPromptBody,
  type createSenderProfileBody,
  type listSenderProfilesQuery,
  type NamedPrompt,
  PROFILES_PER_USER,
  PROMPTS_PER_PROFILE,
  SENDER_DATA_LIMIT,
  type SenderData,
  type SenderProfile,
  type savePromptBody,
  type searchSenderProfilesQuery,
  type senderData,
  type updatePromptBody,
  type updateSenderProfileBody,
} from './schema.ts';

export interface SenderProfilesNeeds {
  database: Database;
  newId(): string;
  now(): number;
}

export type SenderProfiles = ReturnType<typeof createSenderProfiles>;

type Row = Selectable<SenderProfileTable>;

export function createSenderProfiles({ database, newId, now }: SenderProfilesNeeds) {
  /** `sender_data` as it is kept: prompts get the times they lack. Throws `VALIDATION_ERROR` above 64 KiB. */
  function keep(given: z.output<typeof senderData>): SenderData {
    const instant = new Date(now()).toISOString();
    const { prompts, ...rest } = given;
    const kept: SenderData = { ...rest };
    if (prompts !== undefined) {
      kept.prompts =
        prompts?.map((prompt) => ({ created_at: instant, updated_at: instant, ...prompt })) ?? null;
    }
    return kept;
  }

  interface ChangedPrompts<T> {
    prompts: NamedPrompt[];
    /** Becomes the profile's own prompt too, where it is given. */
    custom_prompt?: string;
    answer: T;
  }

  /** Changes the prompts of one profile under its lock; answers what `change` makes of them. */
  async function changePromptsWithin<T>(
    tx: WorkspaceTransaction,
    caller: Caller,
    profileId: string,
    change: (prompts: NamedPrompt[]) => ChangedPrompts<T>,
  ): Promise<T> {
    const row = await own(tx, caller).selectAll().where('id', '=', profileId).forUpdate().executeTakeFirst();
    if (row === undefined) throw noSuchProfile();
    const { answer, ...changed } = change(promptsOf(row));
    await tx
      .updateTable('sender_profiles')
      .set({
        sender_data: toJson({ ...row.sender_data, ...changed }),
        updated_at: sql`now()`,
      })
      .where('id', '=', profileId)
      .execute();
    return answer;
  }

  function changePrompts<T>(
    caller: Caller,
    profileId: string,
    change: (prompts: NamedPrompt[]) => ChangedPrompts<T>,
  ): Promise<T> {
    return database.within(caller.workspaceId, (tx) => changePromptsWithin(tx, caller, profileId, change));
  }

  /**
   * Keeps a prompt under a name, in place of one that has it, and as the profile's own; all in one write. Throws
   * `NOT_FOUND`, `LIMIT_REACHED`.
   */
  function savePromptWithin(
    tx: WorkspaceTransaction,
    caller: Caller,
    profileId: string,
    { name, prompt }: z.output<typeof createPromptBody>,
  ): Promise<NamedPrompt> {
    return changePromptsWithin(tx, caller, profileId, (prompts) => {
      const at = new Date(now()).toISOString();
      const before = prompts.find((one) => one.name === name);
      if (before === undefined) refuseFull(prompts);
      const saved = { name, prompt, created_at: before?.created_at ?? at, updated_at: at };
      const others = prompts.filter((one) => one !== before);
      return { prompts: [...others, saved], custom_prompt: prompt, answer: saved };
    });
  }

  return {
    savePromptWithin,

    /** As `savePromptWithin`, in a transaction of its own; an id that cannot be one is as absent as any other. */
    async savePrompt(caller: Caller, input: z.output<typeof savePromptBody>): Promise<NamedPrompt> {
      const { sender_profile_id: id, save_as_name: name, prompt } = input;
      if (!UUID.test(id)) throw noSuchProfile();
      return database.within(caller.workspaceId, (tx) =>
        savePromptWithin(tx, caller, id, { name: name ?? DEFAULT_SLOT, prompt }),
      );
    },

    /** Creates a profile; throws `LIMIT_REACHED` where the user has five. */
    create(caller: Caller, input: z.output<typeof createSenderProfileBody>): Promise<SenderProfile> {
      return database.within(caller.workspaceId, async (tx) => {
        await lockWorkspace(tx, caller);
        const { count } = await own(tx, caller)
          .select((row) => row.fn.countAll<string>().as('count'))
          .executeTakeFirstOrThrow();
        if (Number(count) >= PROFILES_PER_USER) {
          throw new ServiceError(
            'LIMIT_REACHED',
            `A user has at most ${PROFILES_PER_USER} sender profiles. Change or delete one.`,
            { facts: { limit: PROFILES_PER_USER } },
          );
        }
        if (input.is_default) await unsetDefault(tx, caller);
        const row = await tx
          .insertInto('sender_profiles')
          .values({
            id: newId(),
            workspace_id: caller.workspaceId,
            user_id: caller.userId,
            profile_name: input.profile_name,
            description: input.description ?? null,
            sender_data: toJson(keep(input.sender_data)),
            is_default: input.is_default,
          })
          .returningAll()
          .executeTakeFirstOrThrow();
        return toProfile(row);
      });
    },

    /** Lists the caller's profiles, newest first. */
    list(
      caller: Caller,
      { limit, offset }: z.output<typeof listSenderProfilesQuery>,
    ): Promise<SenderProfile[]> {
      return database.within(caller.workspaceId, async (tx) => {
        const rows = await newestFirst(own(tx, caller).selectAll()).limit(limit).offset(offset).execute();
        return rows.map(toProfile);
      });
    },

    /** The caller's default profile, or null. */
    getDefault(caller: Caller): Promise<SenderProfile | null> {
      return database.within(caller.workspaceId, async (tx) => {
        const row = await own(tx, caller).selectAll().where('is_default', '=', true).executeTakeFirst();
        return row === undefined ? null : toProfile(row);
      });
    },

    /** The caller's profiles whose name holds the text, ignoring case. */
    search(caller: Caller, input: z.output<typeof searchSenderProfilesQuery>): Promise<SenderProfile[]> {
      return database.within(caller.workspaceId, async (tx) => {
        const pattern = `%${input.query.replaceAll(/[\\%_]/g, '\\$&')}%`;
        const found = own(tx, caller).selectAll().where('profile_name', 'ilike', pattern);
        return (await newestFirst(found).limit(input.limit).execute()).map(toProfile);
      });
    },

    /** One profile; throws `NOT_FOUND`. */
    get(caller: Caller, profileId: string): Promise<SenderProfile> {
      return database.within(caller.workspaceId, (tx) => getWithin(tx, caller, profileId));
    },

    /** Changes the given fields; `sender_data` is replaced as a whole. Throws `NOT_FOUND`. */
    update(
      caller: Caller,
      profileId: string,
      input: z.output<typeof updateSenderProfileBody>,
    ): Promise<SenderProfile> {
      return database.within(caller.workspaceId, async (tx) => {
        if (input.is_default === true) {
          await lockWorkspace(tx, caller);
          await unsetDefault(tx, caller, profileId);
        }
        const changes: Updateable<SenderProfileTable> = {};
        if (typeof input.profile_name === 'string') changes.profile_name = input.profile_name;
        if (input.description !== undefined) changes.description = input.description;
        if (typeof input.is_default === 'boolean') changes.is_default = input.is_default;
        if (input.sender_data !== undefined && input.sender_data !== null) {
          changes.sender_data = toJson(keep(input.sender_data));
        }
        const row = await tx
          .updateTable('sender_profiles')
          .set({ ...changes, updated_at: sql`now()` })
          .where((profile) => profile.and({ id: profileId, user_id: caller.userId }))
          .returningAll()
          .executeTakeFirst();
        if (row === undefined) throw noSuchProfile();
        return toProfile(row);
      });
    },

    /** Deletes a profile; throws `NOT_FOUND`. */
    async remove(caller: Caller, profileId: string): Promise<void> {
      await database.within(caller.workspaceId, async (tx) => {
        const gone = await tx
          .deleteFrom('sender_profiles')
          .where((row) => row.and({ id: profileId, user_id: caller.userId }))
          .executeTakeFirst();
        if (gone.numDeletedRows === 0n) throw noSuchProfile();
      });
    },

    /** The prompts of a profile in the order they were added; throws `NOT_FOUND`. */
    listPrompts(caller: Caller, profileId: string): Promise<{ prompts: NamedPrompt[] }> {
      return database.within(caller.workspaceId, async (tx) => {
        const row = await own(tx, caller).selectAll().where('id', '=', profileId).executeTakeFirst();
        if (row === undefined) throw noSuchProfile();
        return { prompts: promptsOf(row) };
      });
    },

    /** Adds a prompt; throws `NOT_FOUND`, `ALREADY_EXISTS`, or `LIMIT_REACHED`. */
    createPrompt(
      caller: Caller,
      profileId: string,
      input: z.output<typeof createPromptBody>,
    ): Promise<NamedPrompt> {
      return changePrompts(caller, profileId, (prompts) => {
        refuseTaken(prompts, input.name);
        refuseFull(prompts);
        const instant = new Date(now()).toISOString();
        const made = { ...input, created_at: instant, updated_at: instant };
        return { prompts: [...prompts, made], answer: made };
      });
    },

    /** Changes or renames a prompt; throws `NOT_FOUND` or `ALREADY_EXISTS`. */
    updatePrompt(
      caller: Caller,
      profileId: string,
      name: string,
      input: z.output<typeof updatePromptBody>,
    ): Promise<NamedPrompt> {
      return changePrompts(caller, profileId, (prompts) => {
        const found = prompts.find((prompt) => prompt.name === name);
        if (found === undefined) throw noSuchPrompt();
        const changed = {
          ...found,
          name: input.name ?? found.name,
          prompt: input.prompt ?? found.prompt,
          updated_at: new Date(now()).toISOString(),
        };
        if (changed.name !== name) refuseTaken(prompts, changed.name);
        return { prompts: prompts.map((prompt) => (prompt === found ? changed : prompt)), answer: changed };
      });
    },

    /** Deletes a prompt; throws `NOT_FOUND`. */
    async removePrompt(caller: Caller, profileId: string, name: string): Promise<void> {
      await changePrompts(caller, profileId, (prompts) => {
        const left = prompts.filter((prompt) => prompt.name !== name);
        if (left.length === prompts.length) throw noSuchPrompt();
        return { prompts: left, answer: undefined };
      });
    },

    /**
     * The profile to write as: the named one, else the caller's default, else their newest.
     * `profileId` must be a UUID. Throws `NOT_FOUND` for an unknown id and `NO_SENDER_PROFILE` where there is none at all.
     */
    async resolveWithin(
      tx: WorkspaceTransaction,
      caller: Caller,
      profileId?: string,
    ): Promise<SenderProfile> {
      if (profileId !== undefined) return getWithin(tx, caller, profileId);
      const row = await newestFirst(
        own(tx, caller).selectAll().orderBy('is_default', 'desc'),
      ).executeTakeFirst();
      if (row === undefined) {
        throw new ServiceError(
          'NO_SENDER_PROFILE',
          'There is no sender profile to write as. Create one first (POST /api/v1/sender-profiles/).',
        );
      }
      return toProfile(row);
    },
  };
}

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;
/** Where a prompt goes that is given no name (contract, SavePromptRequest). */
const DEFAULT_SLOT = 'saved';

/** The caller's own rows; those of others in the workspace are as absent as foreign ones. */
function own(tx: WorkspaceTransaction, caller: Caller) {
  return tx.selectFrom('sender_profiles').where('user_id', '=', caller.userId);
}

function newestFirst<Query extends { orderBy(column: 'created_at' | 'id', direction: 'desc'): Query }>(
  query: Query,
): Query {
  return query.orderBy('created_at', 'desc').orderBy('id', 'desc');
}

async function getWithin(
  tx: WorkspaceTransaction,
  caller: Caller,
  profileId: string,
): Promise<SenderProfile> {
  const row = await own(tx, caller).selectAll().where('id', '=', profileId).executeTakeFirst();
  if (row === undefined) throw noSuchProfile();
  return toProfile(row);
}

/** Two requests at once must not both find room for a fifth profile, or both become the default. */
async function lockWorkspace(tx: WorkspaceTransaction, caller: Caller): Promise<void> {
  await tx
    .selectFrom('workspaces')
    .select('id')
    .where('id', '=', caller.workspaceId)
    .forNoKeyUpdate()
    .execute();
}

async function unsetDefault(tx: WorkspaceTransaction, caller: Caller, except?: string): Promise<void> {
  let others = tx
    .updateTable('sender_profiles')
    .set({ is_default: false })
    .where((row) => row.and({ user_id: caller.userId, is_default: true }));
  if (except !== undefined) others = others.where('id', '!=', except);
  await others.execute();
}

function promptsOf(row: Row): NamedPrompt[] {
  const data: SenderData = row.sender_data;
  return data.prompts ?? [];
}

function refuseFull(prompts: readonly NamedPrompt[]): void {
  if (prompts.length < PROMPTS_PER_PROFILE) return;
  throw new ServiceError(
    'LIMIT_REACHED',
    `A profile has at most ${PROMPTS_PER_PROFILE} prompts. Delete one.`,
    {
      facts: { limit: PROMPTS_PER_PROFILE },
    },
  );
}

function refuseTaken(prompts: readonly NamedPrompt[], name: string): void {
  if (prompts.some((prompt) => prompt.name === name)) {
    throw new ServiceError(
      'ALREADY_EXISTS',
      'This profile has a prompt of that name already. Change it, or choose another name.',
    );
  }
}

function toJson(data: SenderData): string {
  const json = JSON.stringify(data);
  const size = Buffer.byteLength(json);
  if (size > SENDER_DATA_LIMIT) {
    throw new ServiceError('VALIDATION_ERROR', 'The request failed validation', {
      details: [
        {
          loc: ['body', 'sender_data'],
          msg: `sender_data would have ${size} bytes; at most ${SENDER_DATA_LIMIT} are possible.`,
          type: 'too_big',
        },
      ],
    });
  }
  return json;
}

function toProfile(row: Row): SenderProfile {
  return {
    id: row.id,
    user_id: row.user_id,
    profile_name: row.profile_name,
    description: row.description,
    sender_data: { data: row.sender_data },
    is_default: row.is_default,
    usage_count: row.usage_count,
    created_at: row.created_at.toISOString(),
    updated_at: row.updated_at.toISOString(),
  };
}

function noSuchProfile(): ServiceError {
  return new ServiceError('NOT_FOUND', 'There is no such sender profile.');
}

function noSuchPrompt(): ServiceError {
  return new ServiceError('NOT_FOUND', 'This profile has no prompt of that name.');
}
