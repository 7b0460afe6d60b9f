/** The tool by which the agent reads the workspace's templates. */

import { z } from 'zod';
import type { Templates } from '../resources/templates/templates.ts';
import { type Tool, tool } from './tool.ts';

/** The newest templates that the model gets to read, and how much of each, so that a big collection does not fill its context. */
const TEMPLATES_SHOWN = 50;
const BODY_SHOWN = 4000;

export function createListTemplatesTool({ templates }: { templates: Pick<Templates, 'list'> }): Tool {
  return tool({
    name: 'list_templates',
    description: `Lists the workspace's email templates, newest first (at most ${TEMPLATES_SHOWN}), each with its subject, body and the {{variables}} that are filled from a lead. A body above ${BODY_SHOWN} characters is cut and says so.`,
    schema: z.strictObject({}),
    untrusted: false,
    effect: 'none',
    async run({ caller }) {
      const { items } = await templates.list(caller, { page: 1, page_size: TEMPLATES_SHOWN });
      return {
        templates: items.map(({ template_id, name, subject, body, variables }) => ({
          template_id,
          name,
          subject,
          body:
            body.length <= BODY_SHOWN
              ? body
              : `${body.slice(0, BODY_SHOWN)}\n[cut: ${body.length} characters in all]`,
          variables,
        })),
      };
    },
  });
}
