/** Loaded into the service for the memory rows: it collects garbage when asked, so that what is left is what is needed. */

import { answerParent } from './processes.ts';

answerParent({});
