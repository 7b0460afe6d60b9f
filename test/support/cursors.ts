/** Cursors as the service signs them, for parts that a test puts together by itself. */

import { createCursors } from '../../src/http/cursors.ts';

export const cursors = createCursors({ signingSecret: 'a test secret of 32 characters or more' });
