/** What an intent is: how it is said, which tools it needs, and the next step towards it. */

import { trouble } from './replies.ts';
import type { Row, Scene } from './scene.ts';

export interface ToolCall {
  name: string;
  args: Row;
}

/** One answer of the model: words, or tool calls with or without words. */
export type Step = { text: string; toolCalls?: undefined } | { text?: string; toolCalls: ToolCall[] };

export interface Intent {
  /** How a person may say it, for the help; left out where it need not be taught. */
  example?: string;
  /** Whether the example is among the first to be offered when words were not understood. */
  suggested?: boolean;
  /** The tools it cannot do without. */
  tools: readonly string[];
  /** The next step, or undefined when the person wants something else. */
  plan(scene: Scene): Step | undefined;
}

/**
 * An intent of two parts: `read` takes from the scene what the person wants (undefined: something else), `next` says
 * how it goes on. Both see only the messages, so each call of the model finds its place again by what was done so far.
 */
export function defineIntent<Wanted>(parts: {
  example?: string;
  suggested?: boolean;
  tools: readonly string[];
  read(scene: Scene): Wanted | undefined;
  next(wanted: Wanted, scene: Scene): Step;
}): Intent {
  const { read, next, ...shown } = parts;
  return {
    ...shown,
    plan(scene) {
      const wanted = read(scene);
      return wanted === undefined ? undefined : next(wanted, scene);
    },
  };
}

/** An intent that one reading tool answers: `read` gives the tool's arguments, `tell` puts the result into words. */
export function readingIntent<Args extends Row>(parts: {
  example: string;
  suggested?: boolean;
  tool: string;
  /** What is read, as in "I could not read …". */
  what: string;
  read(scene: Scene): Args | undefined;
  tell(result: Row, scene: Scene): string;
}): Intent {
  return defineIntent<Args>({
    example: parts.example,
    suggested: parts.suggested,
    tools: [parts.tool],
    read: parts.read,
    next(args, scene) {
      const [outcome] = scene.outcomes(parts.tool);
      if (!outcome) return { toolCalls: [{ name: parts.tool, args }] };
      if (outcome.status !== 'ok') return { text: trouble(`read ${parts.what}`, outcome) };
      return { text: parts.tell(outcome.result, scene) };
    },
  });
}
