/** A person's words as other protocols' clients send them, at the end of a history of which the rest is not looked at. */

import { z } from 'zod';
import { ServiceError } from '../../errors.ts';
import { clientMessageId, messageText } from '../chat/schema.ts';

/** Clients send their whole history. */
export const HISTORY_BODY_LIMIT = 8 * 1024 * 1024;
export const HISTORY_LENGTH = 10_000;

/** A new message; `id` is the client's name for it. */
export interface NewWords {
  id: string | null;
  text: string;
}

type Place = (string | number)[];

const textPart = z.union([
  z.string(),
  z.looseObject({ type: z.literal('text'), text: z.string() }).transform((part) => part.text),
]);
const content = z.union([
  z.string(),
  z
    .array(textPart)
    .max(1000)
    .transform((parts) => parts.join('\n')),
]);

/** The words of a message that stands at `place` in the body. Throws `VALIDATION_ERROR` where they are no text, empty or too long. */
export function readWords(message: { id?: unknown; content: unknown }, place: Place): NewWords {
  const id = clientMessageId.nullish().safeParse(message.id);
  if (!id.success) throw faulty([...place, 'id'], 'A message id is one line of at most 100 characters.');
  const said = content.safeParse(message.content);
  if (!said.success) {
    throw faulty([...place, 'content'], 'A message can hold text only; import files as datasets.');
  }
  const text = messageText.safeParse(said.data);
  if (!text.success) throw faulty([...place, 'content'], text.error.issues[0]?.message ?? 'Too long.');
  if (text.data.trim() === '') throw faulty([...place, 'content'], 'The message is empty.', 'missing');
  return { id: id.data ?? null, text: text.data };
}

/** The refusal of a request whose body holds something at `place` that is not understood here. */
export function faulty(place: Place, message: string, type = 'unsupported'): ServiceError {
  return new ServiceError('VALIDATION_ERROR', message, {
    details: [{ loc: ['body', ...place], msg: message, type }],
  });
}
