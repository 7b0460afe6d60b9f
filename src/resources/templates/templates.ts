/** Deeds of templates: the whole workspace shares them. */

import { type Selectable, sql, type Updateable } from 'kysely';
import type { z } from 'zod';
import type { Database } from '../../db/database.ts';
import type { TemplateTable } from '../../db/tables.ts';
import { ServiceError } from '../../errors.ts';
import type { Cursors } from '../../http/cursors.ts';
import type { Caller } from '../../runtime/caller.ts';
import { behind, madeAt, pageOf } from '../newest-first.ts';
import { variablesOf } from './render.ts';
import type {
  createTemplateBody,
  listTemplatesQuery,
  Template,
  templateList,
  updateTemplateBody,
} from './schema.ts';

export interface TemplatesNeeds {
  database: Database;
  cursors: Cursors;
  newId(): string;
}

export type Templates = ReturnType<typeof createTemplates>;

export function createTemplates({ database, cursors, newId }: TemplatesNeeds) {
  return {
    create(caller: Caller, input: z.output<typeof createTemplateBody>): Promise<Template> {
      return database.within(caller.workspaceId, async (tx) => {
        const row = await tx
          .insertInto('templates')
          .values({ ...input, id: newId(), workspace_id: caller.workspaceId, user_id: caller.userId })
          .returningAll()
          .executeTakeFirstOrThrow();
        return toTemplate(row);
      });
    },

    /** Lists templates, newest first. */
    list(caller: Caller, query: z.output<typeof listTemplatesQuery>): Promise<z.output<typeof templateList>> {
      return database.within(caller.workspaceId, async (tx) => {
        const size = query.limit ?? query.page_size;
        const all = tx.selectFrom('templates');
        const { total } = await all
          .select((row) => row.fn.countAll<string>().as('total'))
          .executeTakeFirstOrThrow();
        const sorted = all
          .selectAll()
          .select(madeAt.as('made_at'))
          .orderBy('created_at', 'desc')
          .orderBy('id', 'desc');
        const found = await (query.cursor === undefined
          ? sorted.offset((query.page - 1) * size)
          : sorted.where(behind(cursors, query.cursor))
        )
          .limit(size + 1)
          .execute();
        const { rows, ...rest } = pageOf(cursors, found, size);
        const items = rows.map(toTemplate);
        return { templates: items, items, total: Number(total), page: query.page, page_size: size, ...rest };
      });
    },

    /** One template; throws `NOT_FOUND`. */
    get(caller: Caller, templateId: string): Promise<Template> {
      return database.within(caller.workspaceId, async (tx) => {
        const row = await tx
          .selectFrom('templates')
          .selectAll()
          .where('id', '=', templateId)
          .executeTakeFirst();
        if (row === undefined) throw noSuchTemplate();
        return toTemplate(row);
      });
    },

    /** Changes the given fields; throws `NOT_FOUND`. */
    update(
      caller: Caller,
      templateId: string,
      input: z.output<typeof updateTemplateBody>,
    ): Promise<Template> {
      return database.within(caller.workspaceId, async (tx) => {
        const changes: Updateable<TemplateTable> = {};
        if (typeof input.name === 'string') changes.name = input.name;
        if (typeof input.subject === 'string') changes.subject = input.subject;
        if (typeof input.body === 'string') changes.body = input.body;
        const row = await tx
          .updateTable('templates')
          .set({ ...changes, updated_at: sql`now()` })
          .where('id', '=', templateId)
          .returningAll()
          .executeTakeFirst();
        if (row === undefined) throw noSuchTemplate();
        return toTemplate(row);
      });
    },

    /** Deletes a template; throws `NOT_FOUND`. */
    async remove(caller: Caller, templateId: string): Promise<void> {
      await database.within(caller.workspaceId, async (tx) => {
        const gone = await tx.deleteFrom('templates').where('id', '=', templateId).executeTakeFirst();
        if (gone.numDeletedRows === 0n) throw noSuchTemplate();
      });
    },
  };
}

function toTemplate(row: Selectable<TemplateTable>): Template {
  return {
    template_id: row.id,
    user_id: row.user_id,
    name: row.name,
    subject: row.subject,
    body: row.body,
    variables: variablesOf(row.subject, row.body),
    created_at: row.created_at.toISOString(),
    updated_at: row.updated_at.toISOString(),
  };
}

function noSuchTemplate(): ServiceError {
  return new ServiceError('NOT_FOUND', 'There is no such template.');
}
